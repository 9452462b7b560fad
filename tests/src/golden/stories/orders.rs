//! What people order: holds, limits, forces, new versions of a policy.

use super::{super::recorder::Recorder, policy};
use weir_engine::event::{Order, Right};
use weir_grammar::policy::AlarmState::{Critical, Ok};

/// Rules 8, 16 and 17: pause, kill switch, freeze, each with its end, and bounds that move meanwhile.
pub(super) fn holds() -> String {
    let text = policy(
        r#"
alarm busy: shared from "busy"
alarm idle: shared from "idle"

group web {
  region   "LON"
  capacity 2..20
  timezone "UTC"
  launch   small
  cooldown 1m

  window day {
    cron "0 8 * * *" lasting 2h
    capacity 6..20
  }

  rule busy {
    when alarm busy is critical
    add 2
    cooldown 5m
  }

  rule idle {
    when alarm idle is critical
    remove 1
    cooldown 5m
  }

  rule surge {
    webhook "surge"
    add 4
    cooldown 2m
  }

  freeze evening {
    cron "0 12 * * *" lasting 30m
    blocks remove
  }

  freeze patch {
    cron "0 13 * * *" lasting 30m
    blocks all
    except surge
  }
}
"#,
    );
    let mut story = Recorder::at("2026-11-24T07:30:00Z");
    story.deploy("web.weir", &text);
    story.pass(600);
    let group = || "web".to_owned();
    story.order_by("mary", "a look at the balancer", Order::Pause { group: group(), until: None });
    story.alarm("busy", Critical, None);
    // The day's floor comes while it is paused, and holds once it is not.
    story.pass(1_800);
    story.force("surge", Right::Token);
    story.order_by("mary", "done", Order::Resume { group: group() });
    story.pass(900);
    let until = Some(story.now_ms() + 600_000);
    story.order_by("mary", "again, for ten minutes", Order::Pause { group: group(), until });
    story.pass(1_200);
    story.alarm("busy", Ok, None);
    story.alarm("idle", Critical, None);
    story.pass(600);
    let until = Some(story.now_ms() + 1_200_000);
    let kill = |adding, removing, until| Order::KillSwitch { region: String::new(), adding, removing, until };
    story.order_by("ops", "count first", kill(false, true, until));
    story.pass(1_500);
    story.order_by("ops", "no more", kill(true, true, None));
    story.force("surge", Right::Token);
    story.pass(300);
    story.order_by("ops", "all clear", kill(false, false, None));
    // Into noon's freeze, which lets it grow, and into the other, which lets nothing but one rule.
    story.pass(6_000);
    story.alarm("busy", Critical, None);
    story.pass(900);
    story.alarm("busy", Ok, None);
    story.pass(2_700);
    story.alarm("busy", Critical, None);
    story.force("surge", Right::Capability);
    story.pass(3_600);
    story.finish()
}

/// Rule 13: what was changed within a sliding window, both ways, and what is cut off.
pub(super) fn limits() -> String {
    let text = policy(
        r#"
alarm busy: shared from "busy"
alarm idle: shared from "idle"

group web {
  region   "LON"
  capacity 2..40
  timezone "UTC"
  launch   small
  cooldown 1s
  limit    add 6 per 10m
  limit    remove 2 per 15m
  limit    remove 20% per 1h

  window noon {
    cron "0 12 * * *" lasting 1h
    capacity 12..13
  }

  rule busy {
    when alarm busy is critical
    add 4
    cooldown 3m
  }

  rule idle {
    when alarm idle is critical
    remove 3
    cooldown 4m
  }
}
"#,
    );
    let mut story = Recorder::at("2026-11-24T10:30:00Z");
    story.deploy("web.weir", &text);
    story.pass(300);
    story.alarm("busy", Critical, None);
    story.pass(1_500);
    story.alarm("busy", Ok, None);
    // The ceiling of noon is walked down to, and its floor is there at once.
    story.alarm("idle", Critical, None);
    story.pass(7_200);
    story.alarm("idle", Ok, None);
    story.pass(1_200);
    story.finish()
}

/// Rule 15: by token and by capability, twice with one key, of rules that may not be or are not there.
pub(super) fn forces() -> String {
    let text = policy(
        r#"
metric queue.depth: number every 30s shared from "depth"

group web {
  region   "LON"
  capacity 1..20
  timezone "UTC"
  launch   small
  cooldown 10m
  limit    add 6 per 1h

  rule surge {
    webhook "surge"
    add 4
    cooldown 2m
  }

  rule calm {
    manual
    set 1
  }

  rule never {
    cron "0 3 * * *"
    no force
    add 1
  }

  rule backlog {
    step avg(queue.depth per server over 2m) for 5m {
      below 10 remove 1
      from 100 add 2
    }
    cooldown 5m
  }
}
"#,
    );
    let mut story = Recorder::at("2026-11-24T10:00:00Z");
    story.deploy("web.weir", &text);
    story.pass(200);
    // Refused: nothing is known of the queue.
    story.force("backlog", Right::Token);
    story.force("surge", Right::Capability);
    story.pass(60);
    story.force("surge", Right::Capability);
    story.pass(70);
    story.force("surge", Right::Capability);
    story.pass(130);
    story.force("surge", Right::Capability);
    story.force_as("one-key", "surge", Right::Token);
    story.force_as("one-key", "surge", Right::Token);
    story.pass(1);
    story.force("never", Right::Token);
    story.force("nobody", Right::Token);
    story.force("calm", Right::Token);
    story.pass(400);
    story.shared_load("depth", 30, 500_000);
    story.pass(150);
    story.force("backlog", Right::Token);
    // The key of ten minutes ago is forgotten.
    story.pass(700);
    story.force_as("one-key", "surge", Right::Token);
    story.pass(600);
    story.finish()
}

/// Rules 20 to 22: what lives through a new version, files that are refused, a group that goes and comes again.
pub(super) fn versions() -> String {
    let version = |seconds: u32, capacity: &str, more: &str| {
        policy(&format!(
            r#"
metric cpu.usage: percent every 1m
alarm busy: shared from "busy"

group web {{
  region   "LON"
  capacity {capacity}
  launch   small
  cooldown 2m

  rule busy {{
    when alarm busy is critical for {seconds}s
    add 2
    cooldown 10m
  }}

  rule cpu {{
    track avg(cpu.usage over 5m) at 60%
    stabilize 10m
    cooldown 5m
  }}
}}
{more}"#
        ))
    };
    let batch = "\ngroup batch {\n  region   \"LON\"\n  capacity 0..4\n  launch   small\n\n  rule up {\n    manual\n    raise to 2\n  }\n}\n";
    let mut story = Recorder::at("2026-11-24T10:00:00Z");
    story.deploy("web.weir", &version(90, "2..10", batch));
    story.pass(200);
    story.load("cpu.usage", 60, 61_000);
    story.alarm("busy", Critical, None);
    story.pass(60);
    // The same again is no new version; one with another `for` begins to wait anew; the cooldown runs on.
    story.deploy("web.weir", &version(90, "2..10", batch));
    story.deploy("web.weir", &version(120, "2..10", batch));
    story.pass(600);
    story.deploy("web.weir", &version(120, "5..8", batch));
    story.pass(300);
    // Refused: it does not compile; it has lost a group; the group lives elsewhere.
    story.deploy_in_vain("web.weir", "edition 2026\n\ngroup web {\n  capacity lots\n}\n");
    story.deploy_in_vain("web.weir", &version(120, "5..8", ""));
    story.deploy_in_vain("other.weir", &version(120, "5..8", ""));
    story.pass(60);
    story.order_by("ops", "not needed", Order::Remove { group: "batch".into(), keep_servers: true });
    story.deploy("web.weir", &version(120, "5..8", ""));
    story.pass(600);
    story.order_by("ops", "moves away", Order::Remove { group: "web".into(), keep_servers: false });
    story.order_by("ops", "twice", Order::Remove { group: "web".into(), keep_servers: false });
    story.pass(120);
    // Another life under the old name.
    story.deploy("web.weir", &version(120, "1..3", ""));
    story.pass(900);
    story.finish()
}
