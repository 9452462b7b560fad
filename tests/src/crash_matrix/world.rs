//! The world around the process: the clock, the cloud, the disk, and a customer who says a thing again until it is answered.
//! It plays a story through, starts the process again whenever it was killed, and waits for each act to come to rest.

use super::{
    audit,
    faults::{Effect, Faults},
    process::{self, Executors, Store},
    story::{Act, FAILING_BUILD, GROUP, TENANT, What},
};
use std::{collections::BTreeSet, sync::Arc};
use tokio::runtime::Runtime;
use weir::{
    backend::{History as _, Machines as _, ViewKind, embedded::Embedded},
    clock::{Clock as _, HeldClock},
    executor::{
        Cloud as _, SeenState,
        simulated::{self, Simulated},
    },
    worker::{self, ByHand, Status},
};
use weir_engine::{
    event::{Event, Fact, Version},
    ledger::Ledger,
    view::GroupRow,
};
use weir_grammar::policy::Balancer;

/// When stories begin.
const START_MS: i64 = 1_764_000_000_000;
/// An act has come to rest after so many rounds, or never will: half an hour.
const ROUNDS_MAX: u32 = 360;

/// How a story went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// Its effects in order.
    pub trail: Vec<Effect>,
    /// Servers that were ever made.
    pub made: u64,
    /// Changes of the target: by what, from, to.
    pub changes: Vec<(String, u32, u32)>,
}

/// Plays a story with faults. The runtime is of one thread, so that the same faults always meet the same effects.
///
/// # Errors
/// What was lost, doubled, or did not come to rest.
///
/// # Panics
/// Where the machine gives no folder.
pub fn play(runtime: &Runtime, story: &[Act], faults: &Arc<Faults>) -> Result<Played, String> {
    let clock = HeldClock::at(START_MS);
    let sky = simulated::Settings {
        build_ms: (3_000, 3_000),
        delete_ms: 1_000,
        failing_builds: vec![FAILING_BUILD],
        ..simulated::Settings::default()
    };
    let world = World {
        runtime,
        story,
        // A kill takes the process and not the machine, so a disk in memory is as good, and spares the machine's.
        folder: tempfile::tempdir_in(super::fast_folder()).unwrap(),
        cloud: Simulated::in_memory(sky, Arc::new(clock.clone())),
        settings: process::settings(&clock),
        clock,
        faults: Arc::clone(faults),
    };
    let mut progress = Progress::default();
    while !progress.over {
        world.life(&mut progress)?;
    }
    let store = process::open(world.folder.path(), &world.clock);
    let changes = audit::audit(&store, &progress.answered)?;
    let made = world.cloud.made().map_err(|error| error.to_string())?;
    Ok(Played { trail: world.faults.trail(), made, changes })
}

struct World<'a> {
    runtime: &'a Runtime,
    story: &'a [Act],
    folder: tempfile::TempDir,
    clock: HeldClock,
    cloud: Simulated,
    settings: worker::Settings,
    faults: Arc<Faults>,
}

/// How far a story has come.
#[derive(Debug, Default)]
struct Progress {
    act: usize,
    /// What the act begins with has happened.
    begun: bool,
    rounds: u32,
    over: bool,
    /// What the customer was answered: ids, and the offsets.
    answered: Vec<(String, u64)>,
}

impl World<'_> {
    /// One life of the process, to its death or the end of the story.
    fn life(&self, progress: &mut Progress) -> Result<(), String> {
        self.faults.revive();
        let store = Arc::new(Store::new(process::open(self.folder.path(), &self.clock), Arc::clone(&self.faults)));
        let mut worker = ByHand::new(&*store, 0, &self.settings);
        let mut executors = Executors::new(&store, &self.cloud, &self.clock, &self.faults);
        while !self.faults.is_dead() {
            let Some(act) = self.story.get(progress.act).or(self.story.last()) else { break };
            if !progress.begun {
                progress.begun = self.begin(act, &store, progress)?;
            }
            process::step(&mut worker, &self.faults)?;
            executors.turn(self.runtime);
            process::step(&mut worker, &self.faults)?;
            if self.faults.is_dead() {
                break;
            }
            let unrest = self.unrest(&store.inner, &worker.status(), act)?;
            if progress.begun && unrest.is_none() {
                (progress.act, progress.begun, progress.rounds) = (progress.act + 1, false, 0);
                if progress.act >= self.story.len() {
                    worker.stop();
                    // Killed while it stopped, it starts once more, and finds everything at rest.
                    progress.begun = true;
                    progress.over = !self.faults.is_dead();
                    return Ok(());
                }
            }
            self.clock.pass(process::ROUND_MS);
            progress.rounds += 1;
            if progress.rounds > ROUNDS_MAX {
                return Err(format!("`{}` never comes to rest: {}", act.name, unrest.unwrap_or_default()));
            }
        }
        Ok(())
    }

    /// What an act begins with. Answers whether it has happened.
    fn begin(&self, act: &Act, store: &Store, progress: &mut Progress) -> Result<bool, String> {
        let standing = self.cloud.all().map_err(|error| error.to_string())?;
        let first = standing.first().map_or("", |server| &server.id);
        let Some(fact) = act.what.fact(first) else {
            let oldest = standing.iter().find(|server| server.gone_ms.is_none()).ok_or("there is no server to lose")?;
            debug_assert!(matches!(act.what, What::Lose), "all else is a fact");
            return self.cloud.lose(&oldest.id).map_err(|error| error.to_string());
        };
        let id = format!("customer-{}", progress.act);
        let Some(offset) = process::tell(store, &self.event(&id, fact)) else { return Ok(false) };
        progress.answered.push((id, offset));
        Ok(true)
    }

    fn event(&self, id: &str, fact: Fact) -> Event {
        Event {
            specversion: Version::V1,
            id: id.to_owned(),
            source: "/api".into(),
            time: self.clock.now_ms(),
            tenant: TENANT.into(),
            fact,
        }
    }

    /// What keeps an act from having come to rest, if anything.
    fn unrest(&self, store: &Embedded, status: &Status, act: &Act) -> Result<Option<String>, String> {
        let says = |error: &dyn std::fmt::Display| error.to_string();
        let wanted = act.servers.unwrap_or(0);
        let servers = self.cloud.all().map_err(|error| says(&error))?;
        let now_ms = self.clock.now_ms();
        // A server without a mark is nobody's.
        let marked = servers.iter().filter(|server| server.mark.is_some());
        let seen: Vec<_> = marked.filter_map(|server| server.seen(now_ms)).collect();
        let slots: BTreeSet<_> = seen.iter().map(|seen| seen.slot).collect();
        let active = seen.iter().all(|seen| seen.state == SeenState::Active);
        if seen.len() != wanted || slots.len() != wanted || !active {
            return Ok(Some(format!("{wanted} servers are wanted and the cloud has {seen:?}")));
        }
        let balancer = Balancer { name: "lb-1".into(), port: 80 };
        let members = self.runtime.block_on(self.cloud.members(&balancer)).map_err(|error| says(&error))?;
        let joined: BTreeSet<_> = members.iter().map(|member| member.address.clone()).collect();
        let addresses: BTreeSet<_> = seen.iter().flat_map(|seen| seen.addresses.clone()).collect();
        if joined != addresses || members.iter().any(|member| !member.serving) {
            return Ok(Some(format!("{addresses:?} should be in the balancer and it has {members:?}")));
        }
        let ledgers = store.ledgers(0).map_err(|error| says(&error))?;
        for (_, bytes) in &ledgers {
            let ledger = Ledger::from_bytes(bytes).map_err(|error| says(&error))?;
            if !ledger.outbox().is_empty() || ledger.ready() != wanted || ledger.entries().len() != wanted {
                return Ok(Some(format!("a ledger has other things to do: {ledger:?}")));
            }
        }
        let row = store.view(ViewKind::Groups, TENANT, GROUP).map_err(|error| says(&error))?;
        let row = row.map(serde_json::from_value::<GroupRow>).transpose().map_err(|error| says(&error))?;
        let known = row.map(|row| (row.target as usize, row.ready as usize));
        if known != act.servers.map(|servers| (servers, servers)) || ledgers.len() != usize::from(wanted > 0) {
            return Ok(Some(format!("the engine knows {known:?}, and there are {} ledgers", ledgers.len())));
        }
        let (_, end) = weir::backend::Log::range(store, 0).map_err(|error| says(&error))?;
        Ok((!status.live || status.next < end).then(|| format!("the step machine is not done: {status:?}")))
    }
}
