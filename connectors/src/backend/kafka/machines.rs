//! Ownership and commits. A transactional id for each machine of each partition fences whoever had it; a position is
//! committed in the transaction that carries what came out, under a group that never has a member.

use super::{
    super::{Committed, Error, Log, Machine, Machines, Ownership, Result, Settled, Skip, Stepped},
    Kafka,
    failure::cannot,
    owner::Owner,
    reader::whole,
    record::{Given, NOBODY, OWNER, Outgoing, Owned, STEPPED, Standing, decode, encode, numbered},
    settings::{ends, number},
};
use crate::clock::{Clock, WallClock};
use rdkafka::{Offset, TopicPartitionList, consumer::Consumer};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use weir_engine::{
    command::Command,
    id::{GroupUid, Position},
};

/// An ownership of this process.
pub(super) struct Tenure {
    pub(super) epoch: u64,
    pub(super) owner: Owner,
    /// How the step machine stands; nothing for the settle machine.
    pub(super) standing: Standing,
    /// The ledgers as they were taken over, until they are asked for or change.
    ledgers: Option<Ledgers>,
}

type Ledgers = BTreeMap<GroupUid, Vec<u8>>;
pub(super) type Tenures = BTreeMap<(Machine, u32), Arc<Mutex<Tenure>>>;

impl Machines for Kafka {
    fn take_over(&self, machine: Machine, partition: u32) -> Result<(Ownership, Committed)> {
        self.check(partition)?;
        // Before anything else: an owner of this process that was replaced must not find itself in the middle of a commit.
        drop(self.tenures().remove(&(machine, partition)));
        let owner = self.fence(machine, partition)?;
        let tenure = match machine {
            Machine::Step => self.begin_step(owner, partition, false)?,
            Machine::Settle => self.begin_settle(owner, partition, false)?,
        };
        let (epoch, committed) = (tenure.epoch, tenure.standing.committed.clone());
        self.tenures().insert((machine, partition), Arc::new(Mutex::new(tenure)));
        Ok((Ownership { machine, partition, epoch }, committed))
    }

    fn commit_step(&self, owner: &Ownership, stepped: Stepped) -> Result<()> {
        self.step(owner, stepped).map(drop)
    }

    fn commit_settle(&self, owner: &Ownership, settled: Settled) -> Result<()> {
        self.settle(owner, settled).map(drop)
    }

    fn stepped(&self, partition: u32) -> Result<(Committed, bool)> {
        self.follow(partition)?;
        let (standing, stood_ms) = self.table.standing(partition, self.settings.patience)?;
        // An owner that died as it was live can take back nothing; its silence does.
        let silent_ms = WallClock.now_ms().saturating_sub(stood_ms);
        Ok((standing.committed, standing.live && silent_ms < self.settings.silence_ms))
    }

    fn wait_stepped(&self, partition: u32, offset: u64, patience: Duration) -> bool {
        self.follow(partition).is_ok() && self.table.wait_stepped(partition, offset, patience)
    }

    fn commands_after(&self, partition: u32, after: u64, patience: Duration) -> Result<(u64, Vec<Command>)> {
        self.follow(partition)?;
        // Once, so that who asks first is not told that there are none.
        self.table.standing(partition, self.settings.patience)?;
        Ok(self.table.commands_after(partition, after, patience))
    }

    fn skips(&self, partition: u32) -> Result<Vec<Skip>> {
        self.known_skips(partition)
    }

    fn skip(&self, owner: &Ownership, skip: Skip) -> Result<()> {
        self.commit_skip(owner, &skip)
    }

    fn ledgers(&self, partition: u32) -> Result<Vec<(GroupUid, Vec<u8>)>> {
        self.check(partition)?;
        let tenure = self.tenures().get(&(Machine::Settle, partition)).cloned();
        if let Some(taken) = tenure.and_then(|tenure| lock(&tenure).ledgers.take()) {
            return Ok(taken.into_iter().collect());
        }
        Ok(self.read_ledgers(partition)?.1.into_iter().collect())
    }
}

impl Kafka {
    /// Takes the name of a machine's owner. Whoever had it commits nothing any more.
    pub(super) fn fence(&self, machine: Machine, partition: u32) -> Result<Owner> {
        let id = format!("{}-{}-{partition}", self.settings.prefix, name(machine));
        let mut nowhere = TopicPartitionList::with_capacity(1);
        nowhere
            .add_partition_offset(&self.topics.control, 0, Offset::Offset(0))
            .map_err(|error| cannot("write down a position", &error))?;
        let (own, nowhere) = match machine {
            Machine::Step => (&self.topics.commands, Some(nowhere)),
            Machine::Settle => (&self.topics.ledger, None),
        };
        Owner::begin(&self.settings, &id, partition, own, Arc::clone(&self.positions), nowhere)
    }

    /// Commits what `step` gave. Answers the offset of its last record in `outputs`.
    pub(in super::super) fn step(&self, owner: &Ownership, stepped: Stepped) -> Result<Option<u64>> {
        let tenure = self.tenure(owner, Machine::Step)?;
        let mut tenure = lock(&tenure);
        let partition = owner.partition;
        let Stepped { committed, live, commands, decisions, views } = stepped;
        self.must_be_forward(&tenure.standing.committed, &committed, partition)?;
        let decisions = numbered(&decisions)?;
        let first = tenure.standing.mark + 1;
        let last_ms = match committed.next == tenure.standing.committed.next {
            true => tenure.standing.last_ms,
            false => self.ends.before(partition, committed.next),
        };
        let standing = Standing {
            log_id: self.identity.log_id.clone(),
            epoch: tenure.epoch,
            live,
            mark: tenure.standing.mark + commands.len() as u64,
            committed,
            skips: tenure.standing.skips.clone(),
            gone: false,
            last_ms,
        };
        let topics = &self.topics;
        let place = self.place(partition, &standing)?;
        let newest = tenure.owner.transact(
            |out| {
                for (mark, command) in (first..).zip(&commands) {
                    let uid = command.uid.to_string();
                    out.send(&topics.commands, Some(&uid), Some(&encode(&Outgoing::Given { mark, command })?))?;
                    out.send(&topics.outputs, None, Some(&encode(&Outgoing::Command { mark, command })?))?;
                }
                for (serial, decision) in &decisions {
                    let decision = Outgoing::Decision { serial: *serial, decision };
                    out.send(&topics.outputs, None, Some(&encode(&decision)?))?;
                }
                for view in &views {
                    out.send(&topics.outputs, None, Some(&encode(&Outgoing::view(view))?))?;
                }
                out.send(&topics.outputs, None, Some(&encode(&Outgoing::Stepped(&standing))?))?;
                out.send(&topics.commands, Some(STEPPED), Some(&encode(&standing)?))
            },
            Some((&place, &self.group()?)),
        )?;
        tenure.standing = standing.clone();
        drop(tenure);
        let given = (first..).zip(commands).map(|(mark, command)| Given { mark, command }).collect();
        let at = newest.get(&topics.commands).copied().unwrap_or_default();
        self.table.commit(partition, at, WallClock.now_ms(), standing, given);
        Ok(newest.get(&topics.outputs).and_then(|offset| u64::try_from(*offset).ok()))
    }

    /// Commits what `settle` gave. Answers the offset of its last record in `outputs`, where there was one.
    pub(in super::super) fn settle(&self, owner: &Ownership, settled: Settled) -> Result<Option<u64>> {
        let tenure = self.tenure(owner, Machine::Settle)?;
        let mut tenure = lock(&tenure);
        let topics = &self.topics;
        if settled.ledgers.is_empty() && settled.views.is_empty() {
            return Ok(None);
        }
        tenure.ledgers = None;
        let newest = tenure.owner.transact(
            |out| {
                for (uid, ledger) in &settled.ledgers {
                    out.send(&topics.ledger, Some(&uid.to_string()), ledger.as_deref())?;
                }
                for view in &settled.views {
                    out.send(&topics.outputs, None, Some(&encode(&Outgoing::view(view))?))?;
                }
                if settled.ledgers.is_empty() {
                    // The end of a commit is seen where nobody else writes.
                    out.send(&topics.ledger, Some(NOBODY), None)?;
                }
                Ok(())
            },
            None,
        )?;
        // A call may follow an intent at once, and nothing may take that back any more.
        tenure.owner.see_ended()?;
        Ok(newest.get(&topics.outputs).and_then(|offset| u64::try_from(*offset).ok()))
    }

    /// Whether the owner is one still, by a commit of nothing. Answers how the machine stands.
    pub(in super::super) fn prove(&self, owner: &Ownership) -> Result<Committed> {
        let tenure = self.tenure(owner, Machine::Step)?;
        let standing = lock(&tenure).standing.clone();
        let committed = standing.committed.clone();
        self.step(owner, Stepped { committed: committed.clone(), live: standing.live, ..Stepped::default() })?;
        Ok(committed)
    }

    /// `even_gone`: also where the installation has gone elsewhere.
    pub(super) fn begin_step(&self, mut owner: Owner, partition: u32, even_gone: bool) -> Result<Tenure> {
        self.end_what_stands_open(&mut owner, &self.topics.commands, partition)?;
        let standing = self.read_standing(partition)?;
        self.must_be_ours(&standing, partition)?;
        if standing.gone && !even_gone {
            return Err(self.gone());
        }
        let standing = Standing {
            log_id: self.identity.log_id.clone(),
            epoch: standing.epoch + 1,
            // Whoever owned it may have said so; the new owner has not.
            live: false,
            ..standing
        };
        let place = self.place(partition, &standing)?;
        let line = encode(&standing)?;
        let newest = owner.transact(
            |out| out.send(&self.topics.commands, Some(STEPPED), Some(&line)),
            Some((&place, &self.group()?)),
        )?;
        let at = newest.get(&self.topics.commands).copied().unwrap_or_default();
        self.table.commit(partition, at, WallClock.now_ms(), standing.clone(), Vec::new());
        Ok(Tenure { epoch: standing.epoch, owner, standing, ledgers: None })
    }

    /// See [`Kafka::begin_step`].
    pub(super) fn begin_settle(&self, mut owner: Owner, partition: u32, even_gone: bool) -> Result<Tenure> {
        self.end_what_stands_open(&mut owner, &self.topics.ledger, partition)?;
        let (Owned { epoch, gone }, ledgers) = self.read_ledgers(partition)?;
        if gone && !even_gone {
            return Err(self.gone());
        }
        let owned = Owned { epoch: epoch + 1, gone };
        let line = encode(&owned)?;
        owner.transact(|out| out.send(&self.topics.ledger, Some(OWNER), Some(&line)), None)?;
        Ok(Tenure { epoch: owned.epoch, owner, standing: Standing::default(), ledgers: Some(ledgers) })
    }

    /// What may stand open under a name that was taken over, before anything is read.
    fn end_what_stands_open(&self, owner: &mut Owner, own: &str, partition: u32) -> Result<()> {
        // A partition without outputs is one that was never worked on, and stays one.
        let (_, outputs) = ends(&self.asker, &self.topics.outputs, partition, self.settings.patience)?;
        let topics = [own, &self.topics.outputs];
        owner.seal(if outputs > 0 { &topics } else { &topics[..1] })
    }

    fn must_be_forward(&self, from: &Committed, to: &Committed, partition: u32) -> Result<()> {
        let at = Position { partition, offset: to.next };
        if to.next < from.next {
            return Err(Error::Failed(format!(
                "a commit up to `{at}` is refused: all before `{partition}:{}` is committed already",
                from.next
            )));
        }
        // What was read up to there is there.
        if to.next > from.next && self.ends.before(partition, to.next).is_none() {
            let (_, end) = self.range(partition)?;
            if to.next > end {
                return Err(Error::Failed(format!(
                    "a commit up to `{at}` is refused: the log ends at `{partition}:{end}`"
                )));
            }
        }
        Ok(())
    }

    /// Who owns the settle machine, and the ledgers.
    fn read_ledgers(&self, partition: u32) -> Result<(Owned, Ledgers)> {
        let (mut owned, mut ledgers) = (Owned { epoch: 0, gone: false }, Ledgers::new());
        whole(&self.settings, &self.asker, &self.topics.ledger, partition, |key, value| {
            if key == OWNER.as_bytes() {
                owned = decode(value.unwrap_or_default(), &self.topics.ledger)?;
                return Ok(());
            }
            let text = String::from_utf8_lossy(key);
            let uid: GroupUid = text.parse().map_err(|_| {
                Error::Damaged(format!("`{}` holds a ledger of `{text}`, which is no group's uid", self.topics.ledger))
            })?;
            match value {
                Some(ledger) => drop(ledgers.insert(uid, ledger.to_vec())),
                None => drop(ledgers.remove(&uid)),
            }
            Ok(())
        })?;
        Ok((owned, ledgers))
    }

    /// The position with its standing, as it is committed.
    pub(super) fn place(&self, partition: u32, standing: &Standing) -> Result<TopicPartitionList> {
        let mut place = TopicPartitionList::with_capacity(1);
        let next = Offset::Offset(i64::try_from(standing.committed.next).unwrap_or(i64::MAX));
        let metadata = serde_json::to_string(standing).map_err(|error| Error::Failed(error.to_string()))?;
        let mut element = place.add_partition(&self.topics.events, number(partition));
        element.set_metadata(metadata);
        element.set_offset(next).map_err(|error| cannot("write down a position", &error))?;
        Ok(place)
    }

    pub(super) fn group(&self) -> Result<rdkafka::consumer::ConsumerGroupMetadata> {
        let none = || Error::Failed("the group of positions has no name".into());
        self.positions.group_metadata().ok_or_else(none)
    }

    pub(super) fn tenure(&self, owner: &Ownership, machine: Machine) -> Result<Arc<Mutex<Tenure>>> {
        let fenced = Error::Fenced { partition: owner.partition };
        let tenure = self.tenures().get(&(machine, owner.partition)).cloned().filter(|_| owner.machine == machine);
        tenure.filter(|tenure| lock(tenure).epoch == owner.epoch).ok_or(fenced)
    }

    pub(super) fn tenures(&self) -> MutexGuard<'_, Tenures> {
        self.tenures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// A commit that broke off has marked its owner as over.
pub(super) fn lock(tenure: &Mutex<Tenure>) -> MutexGuard<'_, Tenure> {
    tenure.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A machine's name in transactional ids, which stay.
fn name(machine: Machine) -> &'static str {
    match machine {
        Machine::Step => "step",
        Machine::Settle => "settle",
    }
}
