//! What is measured and said: alarms, samples, silence.

use super::{super::recorder::Recorder, policy};
use weir_grammar::policy::AlarmState::{Critical, Ok, Unknown, Warning};

/// Rules 6, 10 and 11: alarms on some servers, for a while, again when the cooldown ends, stale, late, repeated.
pub(super) fn alarms_and_cooldowns() -> String {
    let text = policy(
        r#"
alarm web_5xx: from "web-5xx" stale after 1h
alarm site_down: shared from "site-down"

group web {
  region   "LON"
  capacity 3..20
  launch   small
  cooldown 2m

  rule failing {
    when alarm web_5xx is critical on 2 servers for 90s
    add 3
    cooldown 10m
  }

  rule worried {
    when alarm web_5xx is not ok on 50% of servers
    add 1
    cooldown 15m
  }

  rule outage {
    when alarm site_down is critical for 1m
    raise to 12
    cooldown 30m
  }

  rule calm {
    when alarm web_5xx is ok on 80% of servers for 20m
    remove 2
    cooldown 10m
  }
}
"#,
    );
    let mut story = Recorder::at("2026-11-24T07:00:00Z");
    story.deploy("web.weir", &text);
    story.pass(300);
    story.alarm("web-5xx", Critical, Some(0));
    story.pass(30);
    story.alarm("web-5xx", Critical, Some(1));
    story.pass(200);
    // Said again, then an older word about it, which is too late to count.
    story.alarm("web-5xx", Critical, Some(1));
    story.alarm_at("web-5xx", Ok, Some(1), 500);
    // It stays as it is, so the rule acts again when its cooldown is over.
    story.pass(700);
    story.alarm("web-5xx", Warning, Some(0));
    story.pass(60);
    story.alarm("site-down", Critical, None);
    story.pass(50);
    story.alarm("site-down", Ok, None);
    story.pass(15);
    story.alarm("site-down", Critical, None);
    story.pass(90);
    story.alarm("nobody-asks", Critical, None);
    story.alarm("site-down", Unknown, None);
    // An hour without a word makes what is not ok stale.
    story.pass(3_700);
    for place in 0..12 {
        story.alarm("web-5xx", Ok, Some(place));
        story.pass(2);
    }
    story.pass(3_000);
    story.finish()
}

/// Rules 3, 4, 5, 9 and 12: a load that rises and falls, warmup, a removal that lacks knowledge.
pub(super) fn samples_and_track() -> String {
    let text = policy(
        r#"
metric cpu.usage: percent every 1m

group web {
  region   "LON"
  capacity 2..20
  launch   small
  cooldown 1m
  warmup   3m

  rule cpu {
    track avg(cpu.usage over 5m) at 60%, within 10%
    add only
    cooldown 8m
  }

  rule hot {
    when p90(cpu.usage over 10m) > 90% for 3m
    add 2
    cooldown 15m
  }

  rule quiet {
    when avg(cpu.usage over 10m) < 30% for 5m
    remove 25%
    cooldown 10m
  }
}
"#,
    );
    let mut story = Recorder::at("2026-11-24T10:00:20Z");
    story.deploy("web.weir", &text);
    story.pass(400);
    story.load("cpu.usage", 60, 57_000);
    story.pass(900);
    story.load("cpu.usage", 60, 83_500);
    story.pass(1_500);
    story.load("cpu.usage", 60, 95_000);
    story.pass(900);
    // Nothing is measured for a while: nothing may be removed on that.
    story.unload("cpu.usage");
    story.pass(900);
    story.load("cpu.usage", 60, 22_000);
    story.pass(3_600);
    story.finish()
}

/// Rule 12: arms that held for long enough, the highest wish of the last while, a metric per server.
pub(super) fn step_and_stabilize() -> String {
    let text = policy(
        r#"
metric queue.depth: number every 30s shared from "depth"

group workers {
  region   "LON"
  capacity 1..100
  launch   small
  cooldown 1m

  rule backlog {
    step avg(queue.depth per server over 2m) for 1m {
      below 10   remove 25%, at most 2
      below 40   remove 1
      from  120  add 1
      from  400  add 4
      from  1500 add 50%, at least 8
    }
    stabilize 10m
    cooldown  5m
  }
}
"#,
    );
    let mut story = Recorder::at("2026-11-24T12:00:05Z");
    story.deploy("workers.weir", &text);
    story.pass(200);
    for (depth, seconds) in [(60, 300), (130, 400), (450, 60), (70, 200), (2_500, 500), (9_000, 700), (800, 700)] {
        story.shared_load("depth", 30, depth * 1_000);
        story.pass(seconds);
    }
    story.unload("depth");
    story.pass(300);
    for (depth, seconds) in [(100, 1_500), (5, 2_400)] {
        story.shared_load("depth", 30, depth * 1_000);
        story.pass(seconds);
    }
    story.finish()
}

/// Rules 7 and 19: silence is a reason, and our own is none; events that are counted; a source that is unwell.
pub(super) fn gaps_in_the_log() -> String {
    let text = policy(
        r#"
metric beat.ok: number every 30s
alarm hot: shared from "hot"
event deploy.done: from "com.example.deploy.done"

group web {
  region   "LON"
  capacity 2..30
  launch   small
  cooldown 1m

  rule silent {
    when missing(beat.ok for 5m)
    add 1
    cooldown 20m
  }

  rule heat {
    when alarm hot is critical for 4m
    add 2
    cooldown 10m
  }

  rule deployed {
    when count(deploy.done over 10m) >= 2
    add 3
    cooldown 30m
    observe
  }

  rule morning {
    cron "30 9 * * *"
    raise to 6
  }
}
"#,
    );
    let mut story = Recorder::at("2026-11-24T09:00:00Z");
    story.deploy("web.weir", &text);
    story.pass(200);
    story.load("beat.ok", 30, 1_000);
    story.pass(300);
    story.happens("com.example.deploy.done");
    story.pass(60);
    story.happens("com.example.deploy.done");
    // Nobody reads it for seven minutes: that is not the customer's silence, and the alarm's four minutes begin anew.
    story.alarm("hot", Critical, None);
    story.pass(60);
    story.silence(420);
    story.pass(300);
    story.alarm("hot", Ok, None);
    // Over the morning's schedule, and found in time.
    story.silence(300);
    story.pass(300);
    // Now the customer is silent, first while a source of ours is unwell.
    story.unload("beat.ok");
    story.pass(120);
    story.heartbeat(false);
    story.pass(100);
    story.heartbeat(true);
    story.pass(900);
    story.silence(119);
    story.silence(121);
    story.pass(1_200);
    story.finish()
}
