//! What the clock does: windows, schedules, and the days on which London changes it.

use super::{super::recorder::Recorder, policy};
use weir_engine::event::Order;

/// Rule 16: windows as levels, over the night of 25 October 2026, when 01:00 to 02:00 comes twice.
pub(super) fn windows_in_autumn() -> String {
    let text = policy(
        r#"
alarm busy: shared from "busy"

group web {
  region   "LON"
  capacity 2..24
  timezone "Europe/London"
  launch   small
  cooldown 5m
  limit    remove 2 per 15m

  window night_shift {
    cron "30 0 * * *" lasting 2h
    capacity 6..10
  }

  window repeated_hour {
    cron "30 1 * * *" lasting 30m
    capacity 8..12
  }

  window sale {
    at 2026-10-25T03:00 lasting 1h
    capacity 2..5
  }

  rule busy {
    when alarm busy is critical
    add 5
    cooldown 1h
  }

  rule tidy {
    cron "0 5 * * *"
    lower to 3
  }
}
"#,
    );
    let mut story = Recorder::at("2026-10-24T22:30:00Z");
    story.deploy("web.weir", &text);
    story.pass(3_600);
    story.alarm("busy", weir_grammar::policy::AlarmState::Critical, None);
    story.pass(600);
    story.alarm("busy", weir_grammar::policy::AlarmState::Ok, None);
    story.pass(7 * 3_600);
    story.finish()
}

/// Rule 14 and the manual's page on cron: jobs in the hour of 29 March 2026 that is not there, fixed and with wildcards.
pub(super) fn schedules_in_spring() -> String {
    let text = policy(
        r#"
group web {
  region   "LON"
  capacity 1..40
  timezone "Europe/London"
  launch   small
  cooldown 1h
  limit    add 1 per 1h

  rule in_the_gap {
    cron "30 1 * * *"
    add 3
  }

  rule each_half_hour {
    cron "*/30 0-3 * * SUN"
    add 1
  }

  rule once {
    at 2026-03-29T03:15
    set 4
  }
}

group far {
  region   "SYD"
  capacity 1..5
  timezone "Australia/Lord_Howe"
  launch   small

  rule evening {
    cron "15 13 * * *"
    raise to 3
  }
}
"#,
    );
    let mut story = Recorder::at("2026-03-28T23:10:00Z");
    story.deploy("web.weir", &text);
    story.pass(5 * 3_600);
    story.finish()
}

/// Rule 14: found late, found too late, held and not made up.
pub(super) fn schedules_missed() -> String {
    let text = policy(
        r#"
group web {
  region   "LON"
  capacity 1..40
  timezone "UTC"
  launch   small
  cooldown 10m

  rule hourly {
    cron "0 * * * *"
    add 1
  }

  rule patient {
    cron "20 * * * *"
    add 2
    late by 30m
  }

  rule noon {
    at 2026-11-24T12:00
    set 20
  }

  freeze lunch {
    cron "30 12 * * *" lasting 1h
    blocks all
  }
}
"#,
    );
    let mut story = Recorder::at("2026-11-24T08:50:00Z");
    story.deploy("web.weir", &text);
    story.pass(900);
    // An outage over one of each; the patient one is still in time.
    story.silence(3_600);
    story.pass(600);
    // Three hours: what was due more than once was missed more than once.
    story.silence(2 * 3_600 + 1_000);
    story.pass(1_000);
    story.pass(3_600);
    let kill = |adding| Order::KillSwitch { region: "LON".into(), adding, removing: false, until: None };
    story.order_by("ops", "the cloud is in trouble", kill(true));
    story.pass(3_600);
    story.order_by("ops", "over", kill(false));
    story.pass(3_600);
    story.finish()
}
