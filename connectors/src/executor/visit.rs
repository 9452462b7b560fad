//! A visit: one look at one group's cloud, and all that follows from it, in the only order that is safe.
//!
//! Look, settle, commit, call, answer, commit, tell the log, commit. [`worker`](super::worker) has one visit a group at a
//! time, so every call is answered before the next look. Nothing is decided here.
//!
//! INVARIANT: no call is made that the committed ledger does not know, and none upon a look that is old: a process that
//! stopped meanwhile may have lost its partition, and the cloud is another by then.

use super::{
    CloudError, CloudErrorKind, ServerOrder,
    lane::Lane,
    worker::{Error, Lanes},
};
use crate::{
    backend::{Deed, Log, Machines, Ownership, Settled, Switches, View, ViewKind},
    clock::Clock,
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::task::{JoinSet, spawn_blocking};
use weir_engine::{
    call::{Answer, Call},
    event::{Event, Fact, Version},
    id::GroupUid,
    ledger::Ledger,
    observation::{Member, Observation},
    settle::{answer, blind, settle},
};
use weir_grammar::policy::Balancer;

/// How soon a call is tried again that a kill switch held, milliseconds.
const HELD_MS: u64 = 5_000;
/// Outcomes appended in one go.
const APPEND_MAX: usize = 100;

/// A ledger and what of it is committed.
pub(super) struct Held {
    pub(super) ledger: Ledger,
    pub(super) committed: Vec<u8>,
}

/// What a visit needs.
pub(super) struct Visit<B: ?Sized> {
    pub(super) backend: Arc<B>,
    pub(super) owner: Ownership,
    pub(super) lanes: Arc<Lanes>,
    pub(super) clock: Arc<dyn Clock>,
    /// A look is acted on for so long, milliseconds.
    pub(super) look_good_ms: i64,
}

/// Whether a look may still be acted on, asked before each call.
#[derive(Clone)]
struct Fresh {
    clock: Arc<dyn Clock>,
    until_ms: i64,
}

impl Fresh {
    /// # Errors
    /// Where the look is too old. Nothing was done then, and the next look finds all of it to do.
    fn check(&self) -> Result<(), CloudError> {
        if self.clock.now_ms() <= self.until_ms {
            return Ok(());
        }
        let text = "the look at the cloud is too old to act on; nothing is done before the next one".to_owned();
        Err(CloudError { kind: CloudErrorKind::Later { after_ms: 0 }, text })
    }
}

impl<B: Log + Machines + Switches + ?Sized + 'static> Visit<B> {
    /// Visits a group. Answers its ledger, unless the group is over and forgotten.
    ///
    /// # Errors
    /// Where the ledger cannot be committed or the log not written. Then the ledger in hand is worth nothing: who goes on
    /// reads the committed one.
    pub(super) async fn run(self, mut held: Held) -> Result<Option<Held>, Error> {
        let (tenant, region) = (held.ledger.newest().tenant.clone(), held.ledger.region().to_owned());
        let lane = self.lanes.lane(&tenant, &region);
        let look = match &lane {
            Ok(lane) => look(lane, &held.ledger, &*self.clock).await,
            Err(missing) => Err(missing.clone()),
        };
        let mut until_ms = i64::MIN;
        let calls = match look {
            Ok((look, at_ms)) => {
                until_ms = at_ms.saturating_add(self.look_good_ms);
                settle(&mut held.ledger, &look, at_ms)
            }
            Err(error) => {
                blind(&mut held.ledger, &error, self.clock.now_ms());
                Vec::new()
            }
        };
        self.commit(&mut held).await?;
        if let (Ok(lane), false) = (lane, calls.is_empty()) {
            let fresh = Fresh { clock: Arc::clone(&self.clock), until_ms };
            let answers = self.perform(lane, &held.ledger, calls, fresh).await?;
            let now_ms = self.clock.now_ms();
            for (call, said) in answers {
                answer(&mut held.ledger, &call, &said, now_ms);
            }
            self.commit(&mut held).await?;
        }
        self.tell(&mut held, &tenant).await?;
        if !held.ledger.is_over() {
            return Ok(Some(held));
        }
        let uid = held.ledger.uid();
        let gone = View { kind: ViewKind::Servers, tenant, name: uid.to_string(), row: None };
        self.settled(Settled { ledgers: vec![(uid, None)], views: vec![gone] }).await?;
        Ok(None)
    }

    /// Commits the ledger and its view, if it changed.
    async fn commit(&self, held: &mut Held) -> Result<(), Error> {
        let uid = held.ledger.uid();
        let bytes = held.ledger.to_bytes().map_err(|why| Error::Damaged { uid, why })?;
        if bytes == held.committed {
            return Ok(());
        }
        let row = serde_json::to_value(held.ledger.rows()).map_err(|why| Error::Unshowable { uid, why })?;
        let tenant = held.ledger.newest().tenant.clone();
        let view = View { kind: ViewKind::Servers, tenant, name: uid.to_string(), row: Some(row) };
        self.settled(Settled { ledgers: vec![(uid, Some(bytes.clone()))], views: vec![view] }).await?;
        held.committed = bytes;
        Ok(())
    }

    async fn settled(&self, settled: Settled) -> Result<(), Error> {
        let (backend, owner) = (Arc::clone(&self.backend), self.owner);
        Ok(spawn_blocking(move || backend.commit_settle(&owner, settled)).await??)
    }

    /// Performs calls: those of one balancer one after the other, since it takes one change at a time, all else at once
    /// as far as the lane goes.
    async fn perform(
        &self,
        lane: Arc<Lane>,
        ledger: &Ledger,
        calls: Vec<Call>,
        fresh: Fresh,
    ) -> Result<Vec<(Call, Answer)>, Error> {
        // Time has passed since the visit began: whether one may act is asked as late as it can be.
        let (backend, partition) = (Arc::clone(&self.backend), self.owner.partition);
        let (_, live) = spawn_blocking(move || backend.stepped(partition)).await??;
        if !live {
            let wait = CloudError {
                kind: CloudErrorKind::Later { after_ms: 0 },
                text: "the engine has not caught up with the log; nothing is done until it has".to_owned(),
            };
            return Ok(calls.into_iter().map(|call| (call, Answer::Failed(wait.clone()))).collect());
        }
        let mut chains: BTreeMap<Option<Balancer>, Vec<Call>> = BTreeMap::new();
        for call in calls {
            chains.entry(call.balancer().cloned()).or_default().push(call);
        }
        let alone = chains.remove(&None).unwrap_or_default().into_iter().map(|call| vec![call]);
        let mut running = JoinSet::new();
        for chain in alone.chain(chains.into_values()) {
            let (lane, command) = (Arc::clone(&lane), ledger.newest().clone());
            let order = chain.iter().any(|call| matches!(call, Call::Create { .. }));
            let spec = order.then(|| command.spec.clone());
            let (uid, fresh, backend) = (ledger.uid(), fresh.clone(), Arc::clone(&self.backend));
            running.spawn(async move {
                let (mut answers, mut later) = (Vec::with_capacity(chain.len()), None);
                let (tenant, region) = (command.tenant.as_str(), command.spec.region.as_str());
                // Asked when it is a call's turn: a switch that is set while calls queue holds those, too.
                let allowed = |deed: Option<Deed>| {
                    fresh.check()?;
                    match deed.and_then(|deed| backend.held(tenant, region, deed, fresh.clock.now_ms())) {
                        None => Ok(()),
                        Some(text) => Err(CloudError { kind: CloudErrorKind::Later { after_ms: HELD_MS }, text }),
                    }
                };
                for call in chain {
                    let said = match (&later, &call, &spec) {
                        (Some(error), _, _) => Answer::Failed(CloudError::clone(error)),
                        (None, Call::Create { slot, name, zone }, Some(spec)) => {
                            let (name, zone, spec) = (name.clone(), zone.clone(), spec.clone());
                            let order = ServerOrder { uid, slot: *slot, name, spec, zone };
                            create(&lane, order, &*fresh.clock, &allowed).await
                        }
                        (None, call, _) => change(&lane, call, uid, &allowed).await,
                    };
                    if let Answer::Failed(error @ CloudError { kind: CloudErrorKind::Later { .. }, .. }) = &said {
                        later = Some(error.clone());
                    }
                    answers.push((call, said));
                }
                answers
            });
        }
        let mut answers = Vec::new();
        while let Some(done) = running.join_next().await {
            answers.extend(done?);
        }
        Ok(answers)
    }

    /// Tells the log what it has not heard yet.
    async fn tell(&self, held: &mut Held, tenant: &str) -> Result<(), Error> {
        let outbox = held.ledger.outbox();
        for outcomes in outbox.chunks(APPEND_MAX) {
            let time = self.clock.now_ms();
            let event = |outcome: &weir_engine::outcome::Outcome| Event {
                specversion: Version::V1,
                id: format!("{}/{}", outcome.uid, outcome.seq),
                source: "/executor".to_owned(),
                time,
                tenant: tenant.to_owned(),
                fact: Fact::Outcome(outcome.clone()),
            };
            let events: Vec<Event> = outcomes.iter().map(event).collect();
            let (backend, partition) = (Arc::clone(&self.backend), self.owner.partition);
            spawn_blocking(move || backend.append(partition, &events)).await??;
            held.ledger.appended(outcomes.last().map_or(0, |outcome| outcome.seq));
        }
        // Said twice it would be without effect; committed, it is not said twice.
        self.commit(held).await
    }
}

/// A complete look and when it began, or why there is none.
async fn look(lane: &Arc<Lane>, ledger: &Ledger, clock: &dyn Clock) -> Result<(Observation, i64), CloudError> {
    let list = async {
        // Taken when it is this call's turn: two looks count as apart by what they saw, not by how long they queued.
        let at_ms = clock.now_ms();
        Ok((lane.cloud.list(ledger.uid()).await?, at_ms))
    };
    let (listed, at_ms) = lane.call("the list of servers", list).await?;
    let mut asked = JoinSet::new();
    for balancer in ledger.balancers() {
        let lane = Arc::clone(lane);
        asked.spawn(async move {
            let members = lane.call("the list of members", lane.cloud.members(&balancer)).await;
            (balancer, members)
        });
    }
    let mut members: BTreeMap<Balancer, Result<Vec<Member>, CloudError>> = BTreeMap::new();
    while let Some(said) = asked.join_next().await {
        // Of a balancer that is left out nothing is known, which is what a panic in its client says.
        members.extend(said);
    }
    Ok((Observation::new(listed, members), at_ms))
}

async fn create(
    lane: &Lane,
    order: ServerOrder,
    clock: &dyn Clock,
    allowed: &impl Fn(Option<Deed>) -> Result<(), CloudError>,
) -> Answer {
    // Before the budget: an order that is not sent is not paid for.
    let launched = allowed(Some(Deed::Adding)).and_then(|()| {
        lane.launch(clock.now_ms()).map_err(|after_ms| {
            let text = format!("the launch budget of region `{}` is spent for now", order.spec.region);
            CloudError { kind: CloudErrorKind::Later { after_ms }, text }
        })
    });
    if let Err(later) = launched {
        return Answer::Failed(later);
    }
    tracing::info!(server = order.name, uid = %order.uid, slot = %order.slot, "orders a server");
    let call = async {
        // Once more when it is this call's turn, which may be long after.
        allowed(Some(Deed::Adding))?;
        lane.cloud.create(&order).await
    };
    match lane.call("the order for a server", call).await {
        Ok(server) => Answer::Created { server },
        Err(error) => Answer::Failed(error),
    }
}

async fn change(
    lane: &Lane,
    call: &Call,
    uid: GroupUid,
    allowed: &impl Fn(Option<Deed>) -> Result<(), CloudError>,
) -> Answer {
    let cloud = &lane.cloud;
    tracing::info!(?call, "changes a cloud");
    let (what, done) = match call {
        Call::Delete { server, .. } => ("the deletion", cloud.delete(server)),
        Call::Mark { slot, server } => ("marking", cloud.mark(server, uid, *slot)),
        Call::Unmark { slot, server } => ("unmarking", cloud.unmark(server, uid, *slot)),
        Call::Join { balancer, address, .. } => ("joining", cloud.join(balancer, address)),
        Call::Drain { balancer, address, .. } => ("draining", cloud.drain(balancer, address)),
        Call::Leave { balancer, address, .. } => ("leaving", cloud.leave(balancer, address)),
        Call::Create { slot, .. } => {
            let text = format!("the order for slot {slot} came without what to make a server from");
            return Answer::Failed(CloudError { kind: CloudErrorKind::Refused, text });
        }
    };
    // Who joins again is back in service, which no switch forbids.
    let deed = match call {
        Call::Join { .. } => None,
        Call::Create { .. } | Call::Mark { .. } => Some(Deed::Adding),
        Call::Delete { .. } | Call::Unmark { .. } | Call::Drain { .. } | Call::Leave { .. } => Some(Deed::Removing),
    };
    let call = async {
        allowed(deed)?;
        done.await
    };
    match lane.call(what, call).await {
        Ok(()) => Answer::Done,
        Err(error) => Answer::Failed(error),
    }
}
