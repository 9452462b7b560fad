//! States carried into another log: each tenant is decided for as it would have been where it was, whatever partitions there
//! were before and are after.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use proptest::prelude::*;
use weir_engine::{
    command::Command,
    decision::Decision,
    event::{About, Alarm, Deploy, Event, Fact, Force, Record, Right, Sample, Tick, Version},
    grammar::{policy::AlarmState, quantity::Quantity},
    id::{Position, Slot},
    outcome::{Happening, Outcome},
    partition::Partition,
};

const POLICY: &str = r#"edition 2026
metric load: percent every 30s shared
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
  rule busy {
    when avg(load over 2m) > 60% for 1m
    add 2
    cooldown 2m
  }
  rule calm {
    when avg(load over 2m) < 30% for 1m
    remove 1
    cooldown 2m
  }
  rule more {
    manual
    add 25%
  }
}
group side {
  region   "LON"
  capacity 0..9
  launch   app
  rule hot {
    when alarm hot is critical for 30s
    add 1
    cooldown 2m
  }
}
"#;

const TENANTS: [&str; 4] = ["acme", "beta", "core", "zeta"];
const START_MS: i64 = 1_790_000_000_000;

#[derive(Clone, Debug)]
enum Act {
    Load(i64),
    Alarm(bool),
    Force,
    Ready(u32),
    Quiet,
}

fn act() -> impl Strategy<Value = (usize, i64, Act)> {
    let what = prop_oneof![
        6 => (0..100_i64).prop_map(Act::Load),
        2 => any::<bool>().prop_map(Act::Alarm),
        1 => Just(Act::Force),
        2 => (1..4_u32).prop_map(Act::Ready),
        2 => Just(Act::Quiet),
    ];
    (0..TENANTS.len(), 1..40_i64, what)
}

/// A partition with its tenants, and what came out for each of them since the cut.
struct Part {
    state: Partition,
    decisions: Vec<Decision>,
    commands: Vec<Command>,
}

impl Part {
    fn new(state: Partition) -> Self {
        Self { state, decisions: Vec::new(), commands: Vec::new() }
    }

    /// Tells a fact, or the time where it is of a tenant who is not here.
    fn tell(&mut self, tenant: &str, now_ms: i64, fact: &Fact, here: bool) {
        let offset = self.state.next();
        let (tenant, fact) = if here { (tenant, fact.clone()) } else { ("", Fact::Tick(Tick {})) };
        // An id is what a force is known by, wherever it stands in the log.
        let (id, source, tenant) = (now_ms.to_string(), "/test".to_owned(), tenant.to_owned());
        let event = Event { specversion: Version::V1, id, source, time: now_ms, tenant, fact };
        let effects = self.state.step(&Record { offset, appended_ms: now_ms, event }).unwrap();
        let nowhere = Position::default();
        let decisions = effects.decisions.into_iter().map(|decision| Decision { position: nowhere, ..decision });
        self.decisions.extend(decisions);
        self.commands.extend(effects.commands.into_iter().map(|command| Command { cause: nowhere, ..command }));
    }

    fn of(&self, tenant: &str) -> (Vec<&Decision>, Vec<&Command>) {
        let decisions = self.decisions.iter().filter(|decision| decision.tenant == tenant);
        (decisions.collect(), self.commands.iter().filter(|command| command.tenant == tenant).collect())
    }
}

fn deploy() -> Fact {
    let (setup, capabilities) = ([].into(), Vec::new());
    Fact::Policy(Deploy { name: "app.weir".into(), text: POLICY.into(), setup, capabilities, actor: "test".into() })
}

fn fact(act: &Act, now_ms: i64, tenant: &str, uids: &[(String, weir_engine::id::GroupUid)], seq: u64) -> Fact {
    let about = About::default();
    match act {
        Act::Load(percent) => Fact::Samples(vec![Sample {
            metric: "load".into(),
            value: Quantity::whole(*percent).unwrap(),
            at: now_ms,
            about,
        }]),
        Act::Alarm(critical) => {
            let state = if *critical { AlarmState::Critical } else { AlarmState::Ok };
            let (name, text, numbers) = ("hot".to_owned(), String::new(), [].into());
            Fact::Alarm(Alarm { name, state, at: now_ms, about, text, numbers })
        }
        Act::Force => {
            let (group, rule) = ("web".to_owned(), "more".to_owned());
            Fact::Force(Force { group, rule, by: Right::Token, actor: "test".into() })
        }
        Act::Ready(serial) => {
            let uid = uids.iter().find(|(name, _)| name == tenant).unwrap().1;
            let (slot, server) = (Slot { serial: *serial, incarnation: 1 }, format!("{tenant}-{serial}"));
            let happening = Happening::Ready { slot, server, name: String::new(), addresses: Vec::new() };
            Fact::Outcome(Outcome { group: "web".into(), uid, seq, happening })
        }
        Act::Quiet => Fact::Tick(Tick {}),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_decided_after_a_move_is_what_would_have_been(
        acts in prop::collection::vec(act(), 10..120),
        cut in 0..100_usize,
        before in 1..5_u32,
        after in 1..5_u32,
        salt in 0..7_usize,
    ) {
        let old_of = |tenant: &str| TENANTS.iter().position(|name| *name == tenant).unwrap() as u32 % before;
        let new_of = |tenant: &str| ((TENANTS.iter().position(|name| *name == tenant).unwrap() + salt) * 3) as u32 % after;
        let mut old: Vec<Part> = (0..before).map(|part| Part::new(Partition::new("old", part))).collect();
        let mut new: Vec<Part> = Vec::new();
        let mut uids = Vec::new();
        let mut now_ms = START_MS;
        for tenant in TENANTS {
            old.iter_mut().zip(0..).for_each(|(part, at)| part.tell(tenant, now_ms, &deploy(), old_of(tenant) == at));
            let uid = old[old_of(tenant) as usize].state.uid_of(tenant, "web").unwrap();
            uids.push((tenant.to_owned(), uid));
        }
        let cut = cut.min(acts.len());
        for (index, (tenant, seconds, act)) in acts.iter().enumerate() {
            if index == cut {
                let states: Vec<Partition> = old.iter().map(|part| part.state.clone()).collect();
                let moved = |part| Partition::moved(&states, "new", part, |tenant| new_of(tenant) == part).unwrap();
                new.extend((0..after).map(|part| Part::new(moved(part))));
                for part in &mut old {
                    (part.decisions, part.commands) = (Vec::new(), Vec::new());
                }
                for part in &new {
                    // It is its own snapshot, and the same whenever it is made.
                    let again = Partition::restore(&part.state.snapshot()).unwrap();
                    prop_assert_eq!(again.state_digest(), part.state.state_digest());
                    prop_assert_ne!(part.state.digest(), Partition::new("new", 0).digest());
                }
            }
            now_ms += seconds * 1_000;
            let tenant = TENANTS[*tenant];
            let fact = fact(act, now_ms, tenant, &uids, index as u64 + 1);
            old.iter_mut().zip(0..).for_each(|(part, at)| part.tell(tenant, now_ms, &fact, old_of(tenant) == at));
            new.iter_mut().zip(0..).for_each(|(part, at)| part.tell(tenant, now_ms, &fact, new_of(tenant) == at));
        }
        if new.is_empty() {
            return Ok(());
        }
        for tenant in TENANTS {
            let (old, new) = (&old[old_of(tenant) as usize], &new[new_of(tenant) as usize]);
            prop_assert_eq!(old.of(tenant), new.of(tenant));
            for group in ["web", "side"] {
                let uid = old.state.uid_of(tenant, group);
                prop_assert!(uid.is_some() && uid == new.state.uid_of(tenant, group), "{} of {}", group, tenant);
            }
        }
    }
}

/// A partition that was behind brings its silence along: `for` does not run over it.
#[test]
fn who_was_behind_at_a_move_has_an_outage_to_show() {
    let mut parts = ["acme", "beta"].map(|tenant| {
        let mut part = Part::new(Partition::new("old", 0));
        part.tell(tenant, START_MS, &deploy(), true);
        part.tell(tenant, START_MS, &fact(&Act::Alarm(true), START_MS, tenant, &[], 0), true);
        part
    });
    // Ten minutes in which nobody looked after the first of them.
    for second in (30..=600).step_by(30) {
        parts[1].tell("", START_MS + second * 1_000, &Fact::Tick(Tick {}), true);
    }
    let states = parts.map(|part| part.state);
    let mut moved = Part::new(Partition::moved(&states, "new", 0, |_| true).unwrap());
    moved.tell("", START_MS + 601_000, &Fact::Tick(Tick {}), true);
    assert_eq!(moved.of("beta").1, Vec::<&Command>::new(), "its timers ran where it was");
    assert_eq!(moved.of("acme").1, Vec::<&Command>::new(), "what nobody saw for ten minutes was not so for 30 s");
}

/// An export that begins another installation leaves the servers behind, and what was known of them.
#[test]
fn without_its_servers_a_group_keeps_its_size_and_its_generation() {
    let mut part = Part::new(Partition::new("old", 0));
    part.tell("acme", START_MS, &deploy(), true);
    let uid = part.state.uid_of("acme", "web").unwrap();
    let uids = [("acme".to_owned(), uid)];
    for (seq, act) in [Act::Force, Act::Ready(1), Act::Ready(2)].iter().enumerate() {
        let now_ms = START_MS + 1_000 * (seq as i64 + 1);
        part.tell("acme", now_ms, &fact(act, now_ms, "acme", &uids, seq as u64 + 1), true);
    }
    let before = part.commands.iter().rfind(|command| command.uid == uid).unwrap().clone();
    let alone = part.state.without_servers("import of old").unwrap();
    let told = alone.told();
    let web = told.commands.iter().find(|command| command.group == "web").unwrap();
    assert_eq!((web.target, web.generation, &web.spec), (before.target, before.generation, &before.spec));
    assert_ne!(web.uid, uid, "no order for one reaches the other");
    assert_eq!(told.commands.len(), 2);
    // The group hears of its new life's first server, whose ledger counts from one.
    let mut alone = Part::new(alone);
    let uids = [("acme".to_owned(), web.uid)];
    alone.tell("acme", START_MS + 9_000, &fact(&Act::Ready(1), START_MS + 9_000, "acme", &uids, 1), true);
    let row = alone.state.told().rows.into_iter().find_map(|row| match row.change {
        weir_engine::view::Change::Group(row) if row.group == "web" => Some(row),
        _ => None,
    });
    assert_eq!(row.unwrap().ready, 1);
}
