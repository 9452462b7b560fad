//! The real engine on the embedded log, driven until it is killed, and what must hold of what it leaves: nothing decided
//! twice, nothing lost, and a replay that says the same to the last byte.

use crate::sample;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use weir::{
    backend::{
        Backend,
        embedded::{Embedded, Settings},
    },
    replay,
    worker::{self, WorkerHandle},
};
use weir_engine::{
    event::{About, Alarm, Deploy, Event, Fact, Force, Right},
    partition::Partition,
};
use weir_grammar::policy::AlarmState;

const POLICY: &str = r#"edition 2026

alarm hot: shared from "hot"

launch small {
  image  "debian-13"
  flavor "general1-1"
}

group web {
  region   "LON"
  capacity 1..1000
  launch   small
  cooldown 1s

  rule up {
    webhook "up"
    add 3
    cooldown 1s
  }

  rule down {
    webhook "down"
    remove 2
    cooldown 1s
  }

  rule heat {
    when alarm hot is critical for 1s
    add 1
    cooldown 1s
  }
}

group batch {
  region   "LON"
  capacity 0..1000
  launch   small
  cooldown 1s

  rule heat {
    when alarm hot is critical for 2s
    add 2
    cooldown 1s
  }
}
"#;

/// A log and store in `folder`, and a worker on it that keeps snapshots often.
///
/// # Panics
/// Where either does not start.
#[must_use]
pub fn start(folder: &Path) -> (Arc<dyn Backend>, WorkerHandle) {
    let backend: Arc<dyn Backend> = Arc::new(Embedded::open(folder, Settings::default()).unwrap());
    let settings = worker::Settings { snapshot_records: 40, batch: 8, ..worker::Settings::default() };
    let worker = worker::start(Arc::clone(&backend), 0, settings).unwrap();
    (backend, worker)
}

/// Deploys, forces and alarms without end. `say` is told of each record that was answered.
///
/// # Panics
/// Where the log refuses one, or the partition halts.
pub fn drive(folder: &Path, run: &str, say: impl Fn(&str)) {
    let (backend, worker) = start(folder);
    for n in 0_u64.. {
        let id = format!("{run}-{n}");
        let offset = backend.append(0, &[fact(&id, n)]).unwrap();
        say(&format!("appended {offset} {id}"));
        // A writer that waits now and then is in step with the engine; else it only ever runs ahead.
        if n % 3 == 0 {
            assert!(backend.wait_stepped(0, offset, Duration::from_secs(60)), "{:?}", worker.status());
            say(&format!("stepped {offset}"));
        }
        thread::sleep(Duration::from_millis(n % 5));
    }
}

fn fact(id: &str, n: u64) -> Event {
    let force = |rule: &str| {
        let (group, rule) = ("web".into(), rule.into());
        Fact::Force(Force { group, rule, by: Right::Token, actor: "ops".into() })
    };
    let alarm = |state| {
        let at = time();
        let name = "hot".into();
        Fact::Alarm(Alarm { name, state, at, about: About::default(), text: String::new(), numbers: BTreeMap::new() })
    };
    let fact = match n % 40 {
        0 => Fact::Policy(Deploy {
            name: "web.weir".into(),
            text: POLICY.into(),
            setup: BTreeMap::new(),
            capabilities: Vec::new(),
            actor: "ops".into(),
        }),
        2 => alarm(AlarmState::Critical),
        37 => alarm(AlarmState::Ok),
        n if n % 2 == 0 => force("up"),
        _ => force("down"),
    };
    Event { time: time(), fact, ..sample::event(id) }
}

fn time() -> i64 {
    use weir::clock::{Clock as _, WallClock};
    WallClock.now_ms()
}

/// Compares what was said and what is there with the log, run again from its first record.
///
/// # Panics
/// Where they differ.
pub fn audit(folder: &Path, said: &[String]) {
    let backend = Embedded::open(folder, Settings::default()).unwrap();
    let backend: &dyn Backend = &backend;
    let (committed, live) = backend.stepped(0).unwrap();
    assert!(!live, "nobody runs");
    let lines = backend.read(0, 0, usize::MAX).unwrap();
    for line in said {
        let words: Vec<&str> = line.split(' ').collect();
        let offset: u64 = words[1].parse().unwrap();
        match words[0] {
            "appended" => {
                let event = Event::from_line(&lines[usize::try_from(offset).unwrap()].bytes).unwrap();
                assert_eq!(event.id, words[2], "{line}");
            }
            _ => assert!(committed.next > offset, "{line}"),
        }
    }
    decided_once(backend).unwrap();
}

/// Each command and decision is there once, in order, and no other; generations rise; and the log, run again from its first
/// record, says the same to the last byte.
///
/// # Errors
/// Where it is otherwise.
pub fn decided_once(backend: &dyn Backend) -> Result<(), String> {
    let says = |error: weir::backend::Error| error.to_string();
    let (committed, _) = backend.stepped(0).map_err(says)?;
    let lines = backend.read(0, 0, usize::MAX).map_err(says)?;
    let mut replayed = Partition::new(&backend.log_id(), 0);
    let (mut commands, mut decisions) = (Vec::new(), Vec::new());
    for line in lines.iter().take(usize::try_from(committed.next).unwrap_or(usize::MAX)) {
        let effects = replayed.step(&replay::record(line)?).map_err(|halt| halt.to_string())?;
        commands.extend(effects.commands);
        decisions.extend(effects.decisions);
    }
    if committed.next > 0 && replayed.digest() != committed.digest {
        return Err(format!("a replay gives the digest {} and not {committed:?}", replayed.digest()));
    }
    let given: Vec<_> =
        backend.commands_since(0, 0, usize::MAX).map_err(says)?.into_iter().map(|(_, given)| given).collect();
    if given != commands {
        return Err(format!("these commands were given: {given:#?}, and these should be: {commands:#?}"));
    }
    if backend.decisions_between(0, 0, u64::MAX).map_err(says)? != decisions {
        return Err("other decisions are kept than a replay makes".into());
    }
    let mut newest = BTreeMap::new();
    for command in &given {
        let before = newest.insert(command.uid, command.generation);
        if before.is_some_and(|before| before >= command.generation) {
            return Err(format!("generations do not rise: {command:?}"));
        }
    }
    let recovered = replay::state_at(backend, 0, committed.next).map_err(|error| error.to_string())?;
    if recovered.state_digest() != replayed.state_digest() {
        return Err("the state from a snapshot is not the state from the start".into());
    }
    Ok(())
}

/// Waits until the worker is live and has applied everything.
///
/// # Panics
/// Where that takes too long.
pub fn caught_up(worker: &WorkerHandle) {
    let by = Instant::now() + Duration::from_secs(60);
    while !(worker.status().live && worker.status().lag() == 0) {
        assert!(Instant::now() < by, "{:?}", worker.status());
        thread::sleep(Duration::from_millis(5));
    }
}
