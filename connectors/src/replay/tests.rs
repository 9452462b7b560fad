//! Of one tenant alone, or of all: what is explained is the same.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::{state_at, state_of};
use crate::{
    backend::{
        Log as _,
        embedded::{Embedded, Settings},
    },
    clock::{Clock as _, HeldClock},
    worker,
};
use std::{sync::Arc, thread, time::Duration};
use weir_engine::{
    event::{About, Alarm, Deploy, Event, Fact, Version},
    explain::explain,
};
use weir_grammar::policy::AlarmState;

const START_MS: i64 = 1_790_000_040_000;
const POLICY: &str = r#"edition 2026
alarm hot: shared from "hot"
launch app {
  image  "a"
  flavor "s"
}
group web {
  region   "LON"
  capacity 1..30
  launch   app
  cooldown 1m
  rule hot {
    when alarm hot is critical for 90s
    add 2
    cooldown 3m
  }
}
"#;

fn event(tenant: &str, time: i64, fact: Fact) -> Event {
    let (id, source, tenant) = (format!("{tenant}-{time}"), "/test".to_owned(), tenant.to_owned());
    Event { specversion: Version::V1, id, source, time, tenant, fact }
}

/// Both deploy, each hears an alarm, and then only the second has anything to say: by its facts the first's timers run.
fn story() -> Vec<Event> {
    let deploy = |tenant: &str| {
        let (name, text, actor) = ("web.weir".to_owned(), POLICY.to_owned(), "test".to_owned());
        let deploy = Deploy { name, text, setup: [].into(), capabilities: Vec::new(), actor };
        event(tenant, START_MS, Fact::Policy(deploy))
    };
    let alarm = |tenant: &str, minute: i64, state| {
        let (name, at) = ("hot".to_owned(), START_MS + minute * 60_000);
        let fact = Alarm { name, state, at, about: About::default(), text: String::new(), numbers: [].into() };
        event(tenant, at, Fact::Alarm(fact))
    };
    let mut events = vec![deploy("acme"), deploy("beta")];
    events.extend(["acme", "beta"].map(|tenant| alarm(tenant, 1, AlarmState::Critical)));
    events.extend(
        (2..16)
            .map(|minute| alarm("beta", minute, if minute % 5 == 0 { AlarmState::Ok } else { AlarmState::Critical })),
    );
    events
}

#[test]
fn a_tenant_alone_is_explained_as_it_is_among_others() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(HeldClock::at(START_MS));
    let log =
        Arc::new(Embedded::open(folder.path(), Settings { clock: clock.clone(), ..Settings::default() }).unwrap());
    // So that replays begin at snapshots and at none.
    let settings = worker::Settings {
        clock: clock.clone(),
        snapshot_records: 4,
        snapshot_rest: 0,
        gather: Duration::ZERO,
        ..worker::Settings::default()
    };
    let worker = worker::start(log.clone(), 0, settings).unwrap();
    for event in story() {
        clock.pass(event.time - clock.now_ms());
        log.append(0, &[event]).unwrap();
        let (_, end) = log.range(0).unwrap();
        while worker.status().next < end {
            thread::sleep(Duration::from_millis(1));
        }
    }
    drop(worker);
    let (_, end) = log.range(0).unwrap();
    let (mut explained, mut sizes) = (0, Vec::new());
    for until in 0..=end {
        let whole = state_at(&*log, 0, until).unwrap();
        for tenant in ["acme", "beta"] {
            let alone = state_of(&*log, tenant, 0, until).unwrap();
            for at_ms in [whole.t(), whole.t() + 60_000] {
                let why = explain(&alone, tenant, "web", at_ms);
                assert_eq!(why, explain(&whole, tenant, "web", at_ms), "{tenant} before {until}");
                explained += usize::from(why.is_some());
                sizes.extend(why.filter(|_| tenant == "acme").map(|why| why.decision.to));
            }
            assert_eq!(explain(&alone, if tenant == "acme" { "beta" } else { "acme" }, "web", whole.t()), None);
        }
    }
    sizes.dedup();
    assert!(explained > 50 && sizes.len() > 3, "{explained} explained, sizes {sizes:?}: nothing happened");
}
