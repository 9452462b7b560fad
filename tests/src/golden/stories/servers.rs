//! What becomes of servers, and groups that share alarms, metrics and a quota.

use super::{super::recorder::Recorder, policy};
use weir_engine::{event::Order, outcome::Happening};
use weir_grammar::policy::AlarmState::{Critical, Ok};

/// Rules 7, 8 and 9: servers lost and counted, builds that fail, a group that is degraded and heals, outcomes told twice.
pub(super) fn lost_and_failed() -> String {
    let text = policy(
        r#"
metric cpu.usage: percent every 1m

group web {
  region   "LON"
  capacity 4..20
  launch   small
  ready    within 10m
  cooldown 1m
  warmup   2m

  rule losing {
    when count(server.lost over 10m) >= 3
    add 2
    cooldown 30m
  }

  rule arriving {
    when count(server.ready over 10m) >= 4 for 1m
    add 1
    cooldown 30m
    observe
  }

  rule cpu {
    track avg(cpu.usage over 5m) at 60%
    cooldown 5m
  }
}
"#,
    );
    let mut story = Recorder::at("2026-11-24T10:00:00Z");
    story.deploy("web.weir", &text);
    story.pass(300);
    story.load("cpu.usage", 60, 60_000);
    story.pass(400);
    story.lose("web");
    story.pass(45);
    story.repeats("web");
    story.lose("web");
    story.lose("web");
    story.pass(400);
    story.fail_builds("web", 2);
    story.load("cpu.usage", 60, 88_000);
    story.pass(500);
    let reason = "Quota exceeded for cores: Requested 4, but already used 20 of 20 cores";
    story.says("web", Happening::Degraded { reason: reason.into() });
    story.load("cpu.usage", 60, 95_000);
    story.pass(900);
    story.says("web", Happening::Healed);
    story.pass(600);
    story.load("cpu.usage", 60, 20_000);
    story.pass(1_800);
    story.finish()
}

/// Rules 2, 8 and 13 to 16 with two groups: one shared alarm and one shared metric make both look, and the tenant's quota holds
/// what both would add.
pub(super) fn two_groups_and_a_quota() -> String {
    let text = policy(
        r#"
metric queue.depth: number every 30s shared from "depth"
alarm site_down: shared from "site-down"

group web {
  region   "LON"
  capacity 2..20
  launch   small
  cooldown 1m

  rule outage {
    when alarm site_down is critical
    add 5
    cooldown 10m
  }
}

group workers {
  region   "LON"
  capacity 1..30
  launch   small
  cooldown 1m

  rule backlog {
    track sum(queue.depth per server over 2m) at 100
    cooldown 3m
  }

  rule outage {
    when alarm site_down is critical for 30s
    add 50%
    cooldown 10m
  }
}
"#,
    );
    let mut story = Recorder::at("2026-11-24T10:00:00Z");
    story.order_by("ops", "what was agreed", Order::Quota { servers: Some(14) });
    story.deploy("shop.weir", &text);
    story.pass(300);
    story.shared_load("depth", 30, 160_000);
    story.pass(600);
    story.alarm("site-down", Critical, None);
    story.pass(900);
    story.order_by("ops", "less", Order::Quota { servers: Some(9) });
    story.shared_load("depth", 30, 400_000);
    story.pass(600);
    story.alarm("site-down", Ok, None);
    story.order_by("ops", "more", Order::Quota { servers: Some(40) });
    story.pass(900);
    story.order_by("ops", "enough", Order::Quota { servers: None });
    story.shared_load("depth", 30, 30_000);
    story.pass(1_800);
    story.finish()
}
