//! A move from one embedded log to another with more partitions, cut off at each thing that it writes, and repeated: whatever
//! was there is there once, and at no moment may both installations run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::runtime::Runtime;
use weir::{
    backend::{
        Backend, Installation as _, Log as _, Machines as _,
        embedded::{Embedded, Settings},
        partition_of,
    },
    clock::{Clock as _, HeldClock},
    executor::{
        Cloud, Clouds, Executor, ExecutorSettings,
        simulated::{self, Simulated},
    },
    moving::{self, Moved, carry, give_up},
    replay,
    worker::{self, ByHand},
};
use weir_engine::{
    command::Command,
    event::{Deploy, Event, Fact, Force, Right, Version},
    id::GroupUid,
    ledger::Ledger,
};
use weir_tests::crash_matrix::{
    backend::Faulty,
    faults::{Faults, Moment},
};

const POLICY: &str = r#"edition 2026

launch small {
  image  "debian-13"
  flavor "general1-1"
}

group web {
  region   "LON"
  capacity 2..30
  launch   small
  cooldown 1s

  rule surge {
    webhook "surge"
    add 3
    cooldown 1s
  }
}
"#;

const TENANTS: [&str; 5] = ["acme", "beta", "core", "dune", "zeta"];
const BEFORE: u32 = 2;
const AFTER: u32 = 3;

struct Everywhere(Simulated);

impl Clouds for Everywhere {
    fn cloud(&self, _: &str, _: &str) -> Option<Arc<dyn Cloud>> {
        Some(Arc::new(self.0.clone()))
    }
}

/// What both installations share.
struct World {
    runtime: Runtime,
    clock: HeldClock,
    cloud: Simulated,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let clock = HeldClock::at(1_764_000_000_000);
        let settings = simulated::Settings { build_ms: (1_000, 1_000), ..simulated::Settings::default() };
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            cloud: Simulated::in_memory(settings, Arc::new(clock.clone())),
            clock,
            folder: tempfile::tempdir_in(weir_tests::crash_matrix::fast_folder()).unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, folder: &Path, partitions: u32) -> Embedded {
        let clock = Arc::new(self.clock.clone());
        let settings = Settings { partitions: Some(partitions), clock, full_percent: 101, ..Settings::default() };
        Embedded::open(folder, settings).unwrap()
    }

    /// Decides and executes until everything rests, as all processes of an installation would.
    fn run(&self, store: &Arc<Embedded>) {
        let settings = worker::Settings { clock: Arc::new(self.clock.clone()), ..worker::Settings::default() };
        let partitions = 0..store.partitions();
        let mut workers: Vec<ByHand<'_>> =
            partitions.clone().map(|partition| ByHand::new(&**store, partition, &settings)).collect();
        let executing = ExecutorSettings { sweep_ms: 2_000, ..ExecutorSettings::default() };
        let (clouds, clock) = (Arc::new(Everywhere(self.cloud.clone())), Arc::new(self.clock.clone()));
        let (executor, _) = Executor::new(Arc::clone(store), clouds, clock, executing);
        let mut shifts: Vec<_> = partitions.map(|partition| self.runtime.block_on(executor.begin(partition))).collect();
        for _ in 0..12 {
            for worker in &mut workers {
                while worker.turn() {}
                assert_eq!(worker.status().halted, None);
            }
            for shift in &mut shifts {
                self.runtime.block_on(executor.turn(shift.as_mut().unwrap())).unwrap();
            }
            self.clock.pass(2_000);
        }
        for mut worker in workers {
            while worker.turn() {}
            assert!(worker.stop().trouble.is_none());
        }
    }

    fn tell(&self, store: &Embedded, tenant: &str, id: &str, fact: Fact) {
        let (id, source, tenant_name) = (id.to_owned(), "/api".to_owned(), tenant.to_owned());
        let time = self.clock.now_ms();
        let event = Event { specversion: Version::V1, id, source, time, tenant: tenant_name, fact };
        store.append(partition_of(tenant, store.partitions()), &[event]).unwrap();
    }

    fn surge(&self, store: &Embedded, tenant: &str, id: &str) {
        let (group, rule) = ("web".into(), "surge".into());
        self.tell(store, tenant, id, Fact::Force(Force { group, rule, by: Right::Token, actor: "test".into() }));
    }

    /// The servers that stand, by group.
    fn servers(&self) -> BTreeMap<GroupUid, BTreeSet<String>> {
        let mut servers = BTreeMap::<_, BTreeSet<String>>::new();
        for server in self.cloud.all().unwrap().into_iter().filter(|server| server.gone_ms.is_none()) {
            servers.entry(server.mark.unwrap().uid).or_default().insert(server.id);
        }
        servers
    }
}

/// An installation with groups of all tenants that have grown, stopped; its servers stand.
fn grown(world: &World) -> PathBuf {
    let folder = world.path("old");
    let old = Arc::new(world.open(&folder, BEFORE));
    for tenant in TENANTS {
        let (text, setup, capabilities) = (POLICY.into(), [].into(), Vec::new());
        let deploy = Deploy { name: "web.weir".into(), text, setup, capabilities, actor: "test".into() };
        world.tell(&old, tenant, "deploy", Fact::Policy(deploy));
    }
    world.run(&old);
    TENANTS.iter().take(3).for_each(|tenant| world.surge(&old, tenant, "first"));
    world.run(&old);
    folder
}

/// States, newest commands, ledgers.
type Held = (Vec<String>, BTreeMap<GroupUid, Command>, BTreeMap<GroupUid, Vec<u8>>);

/// All that a log holds of groups, but for where it stands.
fn holds(backend: &dyn Backend) -> Held {
    let (mut states, mut commands, mut ledgers) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for partition in 0..backend.partitions() {
        let next = backend.stepped(partition).unwrap().0.next;
        // The uids in it say that it is one state and no other; the log's own name is no part of that.
        let state = replay::state_at(backend, partition, next).unwrap();
        states.push(format!(
            "{:?} {:?} {}",
            state.tenants().collect::<Vec<_>>(),
            state.uids().collect::<Vec<_>>(),
            state.t()
        ));
        let (_, newest) = backend.commands_after(partition, 0, std::time::Duration::ZERO).unwrap();
        commands.extend(newest.into_iter().map(|command| (command.uid, command)));
        ledgers.extend(backend.ledgers(partition).unwrap());
    }
    (states, commands, ledgers)
}

fn yes(_: &moving::Carried) -> Result<(), moving::Error> {
    Ok(())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn known() -> Vec<String> {
    TENANTS.map(str::to_owned).to_vec()
}

#[test]
fn groups_go_on_where_they_were_and_no_server_is_made_twice_or_left() {
    let world = World::new();
    let old = world.open(&grown(&world), BEFORE);
    let (before, stood) = (holds(&old), world.servers());
    assert_eq!(stood.values().map(BTreeSet::len).sum::<usize>(), 3 * 5 + 2 * 2);
    let installation = old.lineage().unwrap().installation(&old.log_id());
    let new = Arc::new(world.open(&world.path("new"), AFTER));
    let Moved::Done(counts) = carry(&old, &*new, "new.toml", &known(), &yes).unwrap() else {
        panic!("for the first time")
    };
    assert_eq!(counts.to_string(), "5 tenants, 5 groups, 19 servers, 0 kill switches");
    assert_eq!(carry(&old, &*new, "new.toml", &known(), &yes).unwrap(), Moved::Before);

    let after = holds(&*new);
    assert_eq!((&after.1, &after.2), (&before.1, &before.2));
    assert_eq!(new.lineage().unwrap().installation(&new.log_id()), installation, "marks of servers name it");
    new.lineage().unwrap().must_be_here().unwrap();
    let gone = old.lineage().unwrap().must_be_here().unwrap_err().to_string();
    assert!(gone.contains("was moved to the log") && gone.contains("run it with `new.toml`"), "{gone}");

    // Nothing happens by itself; and what happens next is one command higher, with the servers that stood.
    world.run(&new);
    assert_eq!(world.servers(), stood);
    for tenant in TENANTS {
        world.surge(&new, tenant, "second");
    }
    world.run(&new);
    let (_, commands, ledgers) = holds(&*new);
    for (uid, old) in &before.1 {
        let command = &commands[uid];
        assert_eq!((command.target, command.generation), (old.target + 3, old.generation + 1), "{command:?}");
        let ledger = Ledger::from_bytes(&ledgers[uid]).unwrap();
        assert_eq!(ledger.ready(), command.target as usize);
        let (now, then) = (&world.servers()[uid], &stood[uid]);
        assert!(then.is_subset(now) && now.len() == command.target as usize, "{then:?} {now:?}");
    }
    assert_eq!(world.cloud.made().unwrap(), 19 + 15, "none was made and taken away again");
    // A new log's beginning is no empty one, also for who has lost its snapshot.
    let offset = new.stepped(0).unwrap().0.next;
    assert!(replay::state_at(&*new, 0, offset).unwrap().uids().next().is_some());
}

#[test]
fn whatever_it_is_cut_off_at_repeated_it_ends_and_never_do_both_run() {
    let world = World::new();
    let old = grown(&world);
    let moved = |to: &Path| {
        let at = world.path("reference");
        copy(&old, &at);
        let (old, new) = (world.open(&at, BEFORE), world.open(to, AFTER));
        let faults = Arc::new(Faults::default());
        let (old, new) = (Faulty::new(old, Arc::clone(&faults)), Faulty::new(new, Arc::clone(&faults)));
        carry(&old, &new, "new.toml", &known(), &yes).unwrap();
        (holds(&new.inner), faults.trail().len())
    };
    let (wanted, effects) = moved(&world.path("wanted"));
    assert!(effects >= 4 + 2 * BEFORE as usize + 6 * AFTER as usize - 2, "{effects}");
    let mut taken_back = 0;
    for (number, moment) in (0..effects).flat_map(|number| [(number, Moment::Before), (number, Moment::After)]) {
        let name = format!("{number}-{moment}");
        let (there, here) = (world.path(&format!("old-{name}")), world.path(&format!("new-{name}")));
        copy(&old, &there);
        {
            let faults = Arc::new(Faults::new([(number, moment)].into()));
            let (old, new) = (world.open(&there, BEFORE), world.open(&here, AFTER));
            let (old, new) = (Faulty::new(old, Arc::clone(&faults)), Faulty::new(new, faults));
            carry(&old, &new, "new.toml", &known(), &yes).unwrap_err();
        }
        let (old, new) = (world.open(&there, BEFORE), world.open(&here, AFTER));
        let may_run = |store: &Embedded| store.lineage().unwrap().must_be_here().is_ok();
        let filled = new.lineage().unwrap().from.is_some();
        assert!(!(may_run(&old) && filled && may_run(&new)), "{name}: both run");
        // Given up, the old one is as it was, and the half that is there is never taken for a beginning.
        if old.lineage().unwrap().to.is_some_and(|to| !to.whole) && number % 2 == 0 {
            give_up(&old).unwrap();
            assert!(may_run(&old) && !(filled && may_run(&new)), "{name}");
            assert_eq!(give_up(&old).unwrap_err().to_string().split(',').next().unwrap(), "no move was begun");
            taken_back += 1;
        }
        carry(&old, &new, "new.toml", &known(), &yes).unwrap();
        assert!(!may_run(&old) && may_run(&new), "{name}");
        assert_eq!(holds(&new), wanted, "{name}");
        let refused = give_up(&old).unwrap_err().to_string();
        assert!(refused.contains("was moved to the log"), "{refused}");
        drop((old, new));
        fs::remove_dir_all(there).unwrap();
        fs::remove_dir_all(here).unwrap();
    }
    assert!(taken_back > 3, "{taken_back}");
}

#[test]
fn what_would_not_be_right_is_refused_with_what_to_do() {
    let world = World::new();
    let folder = grown(&world);
    let old = Arc::new(world.open(&folder, BEFORE));
    let said = |new: &Embedded| carry(&*old, new, "new.toml", &known(), &yes).unwrap_err().to_string();

    let used = world.open(&world.path("used"), AFTER);
    world.tell(&used, "acme", "first", Fact::Tick(weir_engine::event::Tick {}));
    let refused = said(&used);
    assert!(refused.contains("is not new: name a configuration with another `prefix`"), "{refused}");

    let refused = carry(&*old, &*old, "same.toml", &known(), &yes).unwrap_err().to_string();
    assert!(refused.contains("both configurations name the same log"), "{refused}");

    let new = world.open(&world.path("new"), AFTER);
    let no = |_: &moving::Carried| Err(moving::Error::Refused("not this one".into()));
    assert_eq!(carry(&*old, &new, "new.toml", &known(), &no).unwrap_err().to_string(), "not this one");
    assert!(old.lineage().unwrap().to.is_none() && new.lineage().unwrap().from.is_none(), "nothing was written");

    world.surge(&old, "acme", "left");
    let refused = said(&new);
    assert!(refused.contains("1 records of partition") && refused.contains("stop it with SIGTERM"), "{refused}");
    world.run(&old);
    carry(&*old, &new, "new.toml", &known(), &yes).unwrap();
    let other = world.open(&world.path("other"), AFTER);
    let refused = said(&other);
    assert!(refused.contains("was moved to the log"), "{refused}");

    // What is there is no place for another one.
    let another = World::new();
    let another = another.open(&grown(&another), BEFORE);
    let refused = carry(&another, &new, "new.toml", &known(), &yes).unwrap_err().to_string();
    assert!(refused.contains("is filled with the log") && refused.contains("already"), "{refused}");
}
