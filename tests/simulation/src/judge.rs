//! The judge: hears every record of the log, sees every commit and every call, and says which invariant does not hold.
//!
//! It lets an engine of its own decide the log as it comes, one record at a time, with every evaluation shown, and holds
//! what comes out against its [book](crate::book). What the engines commit must be the same.

use crate::{
    book::Tenant,
    cloud::Cloud,
    engine::LOG_ID,
    perception,
    store::Stepped,
    tally::Tally,
    verdicts::{self, Hearing},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    sync::Arc,
};
use weir_engine::{
    call::Call,
    command::Command,
    decision::{Decision, Verdict},
    depart::LET_GO_WITHIN_MS,
    event::{Event, Fact, Force, Heartbeat, Record},
    grammar::policy::{Balancer, Policy},
    id::{GroupUid, Slot},
    ledger::{Entry, Ledger, OUTBOX_MAX, Phase},
    observation::{Observation, Standing},
    outcome::{Happening, Outcome},
    partition::{GAP_MS, Partition},
};

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The invariant.
    pub law: &'static str,
    /// How.
    pub words: String,
}

impl Broken {
    /// It does not hold.
    #[must_use]
    pub fn new(law: &'static str, words: String) -> Self {
        Self { law, words }
    }

    /// It does not hold unless so.
    ///
    /// # Errors
    /// Where it does not hold.
    pub fn unless(holds: bool, law: &'static str, words: impl FnOnce() -> String) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::new(law, words())) }
    }

    /// Something could not be read back, or stopped.
    pub fn halted(why: &dyn Display) -> Self {
        Self::new("nothing halts", why.to_string())
    }
}

/// The judge.
#[derive(Debug)]
pub struct Judge {
    oracle: Partition,
    tenants: BTreeMap<String, Tenant>,
    programs: BTreeMap<String, Arc<Policy>>,
    /// Schedules are written out until then.
    end_ms: i64,
    /// Every command that was decided, and the digest after each record.
    commands: Vec<Command>,
    digests: Vec<String>,
    /// The newest outcome of each uid in the log.
    outcomes: BTreeMap<GroupUid, u64>,
    /// Slots whose order was ever committed.
    intended: BTreeSet<(GroupUid, Slot)>,
    /// The generation of each committed ledger.
    generations: BTreeMap<GroupUid, u64>,
    /// Ids of events in the log.
    pub ids: BTreeSet<String>,
}

impl Judge {
    /// A judge of a partition, in a run that ends before `end_ms`.
    #[must_use]
    pub fn new(partition: u32, end_ms: i64) -> Self {
        let mut oracle = Partition::new(LOG_ID, partition);
        oracle.set_verbose(true);
        Self {
            oracle,
            tenants: BTreeMap::new(),
            programs: BTreeMap::new(),
            end_ms,
            commands: Vec::new(),
            digests: Vec::new(),
            outcomes: BTreeMap::new(),
            intended: BTreeSet::new(),
            generations: BTreeMap::new(),
            ids: BTreeSet::new(),
        }
    }

    /// One past the newest record it heard.
    #[must_use]
    pub fn heard(&self) -> u64 {
        self.oracle.next()
    }

    /// What it knows of tenants.
    #[must_use]
    pub fn tenants(&self) -> &BTreeMap<String, Tenant> {
        &self.tenants
    }

    /// A record got into the log.
    ///
    /// # Errors
    /// An invariant that does not hold.
    pub fn hear(&mut self, record: &Record, cloud: &Cloud, tally: &mut Tally) -> Result<(), Broken> {
        let event = &record.event;
        let read_back = Event::from_line(event.to_line().as_bytes());
        Broken::unless(read_back.as_ref().ok() == Some(event), "an event's line reads back as it was", || {
            format!("{event:?} came back as {read_back:?}")
        })?;
        self.ids.insert(event.id.clone());
        tally.events += 1;
        let before_ms = self.oracle.t();
        let effects = self.oracle.step(record).map_err(|halt| Broken::halted(&halt))?;
        let t_ms = self.oracle.t();
        // A silence of the log is an outage of ours (rule 19).
        if before_ms > 0 && t_ms - before_ms > GAP_MS {
            self.tenants.values_mut().for_each(|tenant| tenant.intake_bad_ms = t_ms);
        }
        Broken::unless(t_ms <= record.appended_ms, "no clock but the log's own moves `t` ahead of it", || {
            format!("record {} was appended at {} and `t` is {t_ms}", record.offset, record.appended_ms)
        })?;
        for decision in &effects.decisions {
            tally.decision(decision);
        }
        let force = match &event.fact {
            Fact::Force(force) => Some(force),
            _ => None,
        };
        let timers = effects.decisions.iter().take_while(|decision| decision.cause == "timer").count();
        let (before, after) = effects.decisions.split_at(timers);
        self.weigh(before, &effects.commands, &Hearing { t_ms, force: None })?;
        let forces = self.apply(record, t_ms, cloud)?;
        self.weigh(after, &effects.commands, &Hearing { t_ms, force })?;
        let forced = after
            .iter()
            .filter(|decision| {
                decision.cause.starts_with("force ") && !matches!(decision.outcome, Verdict::Missed { .. })
            })
            .count();
        Broken::unless(forced == forces, "a force has one effect, and sent again none", || {
            format!("`{}` at {} was judged {forced} times, not {forces}", event.id, record.offset)
        })?;
        if self.oracle.next_timer().is_none_or(|timer_ms| timer_ms > t_ms) {
            for (name, tenant) in &self.tenants {
                verdicts::at_rest(name, tenant, t_ms)?;
            }
        }
        self.commands.extend(effects.commands);
        self.digests.push(self.oracle.digest());
        Ok(())
    }

    fn weigh(&mut self, decisions: &[Decision], commands: &[Command], hearing: &Hearing<'_>) -> Result<(), Broken> {
        for decision in decisions {
            let tenant = self.tenants.entry(decision.tenant.clone()).or_default();
            if let Verdict::Missed { by, due } = &decision.outcome {
                verdicts::missed(tenant, decision, by, *due, hearing.t_ms)?;
                continue;
            }
            if let Some(group) = tenant.groups.get(&decision.group) {
                perception::check(group, decision, tenant.intake_bad_ms)?;
            }
            let of = |command: &&Command| {
                command.uid == decision.uid && Some(command.generation) == decision.generation && command.by != "remove"
            };
            verdicts::weigh(tenant, decision, commands.iter().find(of), hearing)?;
        }
        Ok(())
    }

    /// A fact's own meaning; how many times it is to be judged as a force.
    fn apply(&mut self, record: &Record, t_ms: i64, cloud: &Cloud) -> Result<usize, Broken> {
        let event = &record.event;
        let tenant = self.tenants.entry(event.tenant.clone()).or_default();
        match &event.fact {
            Fact::Policy(deploy) => {
                let program = self.programs.entry(deploy.text.clone()).or_insert_with(|| {
                    Arc::new(weir_engine::grammar::check(&deploy.name, &deploy.text).policy.unwrap_or_default())
                });
                tenant.deploy(program, t_ms, self.end_ms);
            }
            Fact::Control(control) => tenant.obey(control, t_ms),
            Fact::Force(Force { group, rule, .. }) => {
                let known = tenant.groups.get(group);
                let there = known.is_some_and(|group| group.plan().rules.iter().any(|known| known.name == *rule));
                return Ok(usize::from(there && tenant.is_new_force(&event.id, t_ms)));
            }
            Fact::Outcome(outcome) => {
                if !tenant.groups.values().any(|group| group.uid == Some(outcome.uid)) {
                    return Ok(0);
                }
                let newest = self.outcomes.entry(outcome.uid).or_default();
                Broken::unless(outcome.seq <= *newest + 1, "no outcome is left out", || {
                    format!("{outcome:?} came after number {newest}")
                })?;
                if outcome.seq > *newest {
                    *newest = outcome.seq;
                    is_true(outcome, cloud, record.appended_ms)?;
                }
                tenant.learn(outcome, t_ms);
            }
            Fact::Alarm(alarm) => tenant.alarm(alarm, t_ms),
            Fact::Samples(samples) => tenant.sample(samples, t_ms),
            Fact::Happened(happened) => tenant.count(happened, t_ms),
            Fact::Heartbeat(Heartbeat { healthy }) if !healthy => tenant.intake_bad_ms = t_ms,
            Fact::Server(_) | Fact::Cursor(_) | Fact::Heartbeat(_) | Fact::Upgrade(_) | Fact::Tick(_) => {}
        }
        Ok(0)
    }

    /// An owner committed what follows from the records from `from` on.
    ///
    /// # Errors
    /// Where something else follows.
    pub fn committed(&self, from: u64, stepped: &Stepped) -> Result<(), Broken> {
        let next = stepped.committed.next;
        let (begin, end) = (self.place(from), self.place(next));
        let ours = self.commands.get(begin..end).unwrap_or_default();
        Broken::unless(ours == stepped.commands, "the same log gives the same commands", || {
            let brief = |command: &Command| format!("{} of {} to {}", command.generation, command.uid, command.target);
            let theirs: Vec<String> = stepped.commands.iter().map(brief).collect();
            format!("records {from} to {next} give {:?}, not {theirs:?}", ours.iter().map(brief).collect::<Vec<_>>())
        })?;
        let digest = next.checked_sub(1).and_then(|newest| self.digests.get(usize::try_from(newest).ok()?));
        Broken::unless(digest.is_none_or(|digest| *digest == stepped.committed.digest), "digests agree", || {
            format!("at {next} the digest is {digest:?}, not {}", stepped.committed.digest)
        })
    }

    fn place(&self, offset: u64) -> usize {
        self.commands.partition_point(|command| command.cause.offset < offset)
    }

    /// A look was written into a ledger, and these calls follow.
    ///
    /// # Errors
    /// Where they may not.
    pub fn planned(&self, ledger: &Ledger, calls: &[Call], look: &Observation, now_ms: i64) -> Result<(), Broken> {
        for (slot, entry) in ledger.entries() {
            let serves = |balancer: &Balancer| {
                let stands = |address: &String| look.standing(balancer, address);
                entry.addresses.first().map_or(Standing::Out, stands) == Standing::Serving
            };
            let new = entry.phase == Phase::Ready && entry.since_ms == now_ms;
            let takes_part = !new || entry.balancers.iter().all(serves);
            Broken::unless(takes_part, "a server that is ready serves in all of its balancers", || {
                format!("slot {slot}: {entry:?}, {:?}", look.members)
            })?;
            let deleted = calls.iter().any(|call| {
                matches!(call, Call::Delete { slot: of, server } if of == slot && entry.server.as_ref() == Some(server))
            });
            // Another server may have its address by now, and a balancer that does not let go is not waited for forever.
            let shared = |other: &Entry| other.stands() && other.addresses.first() == entry.addresses.first();
            let serving = entry.balancers.iter().any(serves) && !ledger.entries().values().any(shared);
            let patient = now_ms - entry.since_ms < LET_GO_WITHIN_MS;
            Broken::unless(!(deleted && serving && patient), "no server is deleted while it serves", || {
                format!("slot {slot}: {entry:?}, {:?}", look.members)
            })?;
        }
        let hold = ledger.newest().hold;
        for call in calls {
            let held = match call {
                Call::Create { .. } | Call::Mark { .. } => hold.add,
                Call::Delete { .. } | Call::Unmark { .. } => hold.remove,
                Call::Join { .. } | Call::Leave { .. } => hold.repair,
                Call::Drain { .. } => hold.remove || hold.repair,
            };
            Broken::unless(!held, "what is held is left alone", || format!("{call:?} under {hold:?}"))?;
        }
        let waiting = ledger.outbox().len();
        Broken::unless(waiting <= 2 * OUTBOX_MAX, "no queue is unbounded", || format!("{waiting} outcomes wait"))
    }

    /// A call is about to be made.
    ///
    /// # Errors
    /// Where it may not be.
    pub fn called(&self, uid: GroupUid, call: &Call, shown: &BTreeSet<String>, live: bool) -> Result<(), Broken> {
        Broken::unless(live, "catching up acts on nothing", || format!("{call:?}"))?;
        match call {
            Call::Create { slot, .. } | Call::Mark { slot, .. } => {
                Broken::unless(self.intended.contains(&(uid, *slot)), "slot first, then server", || {
                    format!("{call:?} of {uid} is in no committed ledger")
                })
            }
            Call::Delete { server, .. } | Call::Unmark { server, .. } => {
                Broken::unless(shown.contains(server), "nothing is deleted that this look did not show", || {
                    format!("{call:?}, and the look showed {shown:?}")
                })
            }
            Call::Join { .. } | Call::Drain { .. } | Call::Leave { .. } => Ok(()),
        }
    }

    /// A ledger was committed.
    ///
    /// # Errors
    /// Where it went back.
    pub fn ledger_committed(&mut self, ledgers: &BTreeMap<GroupUid, Vec<u8>>, uid: GroupUid) -> Result<(), Broken> {
        let Some(bytes) = ledgers.get(&uid) else { return Ok(()) };
        let ledger = Ledger::from_bytes(bytes).map_err(|damaged| Broken::halted(&damaged))?;
        let ordered = ledger.entries().iter().filter(|(_, entry)| entry.phase == Phase::Ordered);
        self.intended.extend(ordered.map(|(slot, _)| (uid, *slot)));
        let (before, now) = (self.generations.insert(uid, ledger.newest().generation), ledger.newest().generation);
        Broken::unless(
            before.is_none_or(|before| before <= now),
            "an executor never goes back to an older command",
            || format!("the ledger of {uid} went from generation {before:?} to {now}"),
        )
    }
}

/// What an executor tells of a server must be so.
fn is_true(outcome: &Outcome, cloud: &Cloud, now_ms: i64) -> Result<(), Broken> {
    match &outcome.happening {
        Happening::Lost { slot, .. } => {
            let running = cloud.running(outcome.uid, now_ms).find(|(_, server)| server.slot == Some(*slot));
            Broken::unless(running.is_none(), "no server is called lost that runs", || {
                format!("{outcome:?}: {running:?}")
            })
        }
        Happening::Ready { server, .. } => {
            Broken::unless(cloud.servers.contains_key(server), "no server is called ready that never was", || {
                format!("{outcome:?}")
            })
        }
        Happening::Building { .. }
        | Happening::Failed { .. }
        | Happening::Leaving { .. }
        | Happening::Removed { .. }
        | Happening::NotAdopted { .. }
        | Happening::Degraded { .. }
        | Happening::Healed => Ok(()),
    }
}
