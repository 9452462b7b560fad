//! One group, its cloud, what is committed and what the log heard; and a worker that may die anywhere.

use crate::{
    cloud::{Cloud, Faults},
    dice::Dice,
};
use std::collections::BTreeMap;
use weir_engine::{
    call::Call,
    command::{Command, Hands, Hold, Spec},
    grammar::policy::{Balancer, Launch, NotifyOn, RemoveOrder},
    id::{GroupUid, Position, Slot},
    ledger::{Ledger, Pace, Phase},
    outcome::Happening,
    settle::{answer, blind, settle},
};

pub const PACE: Pace = Pace { look_ms: 2_000, sweep_ms: 300_000 };

pub fn balancer() -> Balancer {
    Balancer { name: "lb-7".to_owned(), port: 8443 }
}

pub fn command(target: u32) -> Command {
    let launch = Launch {
        name: "web_v7".to_owned(),
        image: "web-2026.11.2".to_owned(),
        flavor: "general1-4".to_owned(),
        key: None,
        networks: Vec::new(),
        zones: vec!["lon-a".to_owned(), "lon-b".to_owned()],
        volumes: Vec::new(),
        setup: None,
        balancers: vec![balancer()],
        metadata: vec![("tier".to_owned(), "web".to_owned())],
    };
    Command {
        tenant: "acme".to_owned(),
        group: "web".to_owned(),
        uid: GroupUid(0x5eed),
        generation: 1,
        target,
        min: 0,
        max: 100,
        decided: 0,
        cause: Position::default(),
        by: "start".to_owned(),
        spec: Spec {
            region: "LON".to_owned(),
            launch,
            setup: Some("#!/bin/sh\n".to_owned()),
            ready_within_ms: 600_000,
            drain_ms: 60_000,
            remove: RemoveOrder::OldestFirst,
            notify: Some(("https://ops.example.com/hooks".to_owned(), vec![NotifyOn::Ready])),
        },
        hold: Hold::default(),
        by_hand: Hands::default(),
        retired: None,
    }
}

/// What the log knows, by the rule that an outcome is applied once.
#[derive(Default)]
pub struct Heard {
    seq: u64,
    pub ready: BTreeMap<Slot, String>,
    ended: BTreeMap<Slot, &'static str>,
    pub degraded: Option<String>,
    pub all: Vec<Happening>,
}

impl Heard {
    fn hear(&mut self, seq: u64, happening: &Happening) {
        if seq <= self.seq {
            return;
        }
        assert_eq!(seq, self.seq + 1, "an outcome was left out before {happening:?}");
        self.seq = seq;
        self.all.push(happening.clone());
        if let Some(slot) = happening.slot() {
            assert!(!self.ended.contains_key(&slot), "{happening:?} after slot {slot} {}", self.ended[&slot]);
        }
        match happening {
            Happening::Ready { slot, server, .. } => {
                self.ready.insert(*slot, server.clone());
            }
            Happening::Building { slot, .. } | Happening::Leaving { slot } => {
                self.ready.remove(slot);
            }
            Happening::Failed { slot, .. } => {
                assert!(self.ready.remove(slot).is_none(), "slot {slot} failed after it was ready");
                self.ended.insert(*slot, "failed");
            }
            Happening::Lost { slot, .. } => {
                assert!(self.ready.remove(slot).is_some(), "slot {slot} is lost and never was ready");
                self.ended.insert(*slot, "was lost");
            }
            Happening::Removed { slot } => {
                self.ready.remove(slot);
                self.ended.insert(*slot, "was removed");
            }
            Happening::NotAdopted { .. } => {}
            Happening::Degraded { reason } => {
                assert!(self.degraded.replace(reason.clone()).is_none(), "degraded twice");
            }
            Happening::Healed => assert!(self.degraded.take().is_some(), "healed and was not ill"),
        }
    }
}

pub struct World {
    pub now_ms: i64,
    pub cloud: Cloud,
    pub ledger: Ledger,
    committed: Vec<u8>,
    pub newest: Command,
    pub heard: Heard,
    pub dice: Dice,
    /// The worker dies at any of its steps, percent a step.
    pub crash: u64,
    /// Calls of dead workers that have not reached the cloud yet.
    in_flight: Vec<(i64, Call)>,
}

impl World {
    pub fn new(seed: u64, target: u32) -> Self {
        let newest = command(target);
        let ledger = Ledger::new(newest.clone());
        Self {
            now_ms: 1_000_000,
            cloud: Cloud::new(&[balancer()]),
            committed: ledger.to_bytes().unwrap(),
            ledger,
            newest,
            heard: Heard::default(),
            dice: Dice::new(seed),
            crash: 0,
            in_flight: Vec::new(),
        }
    }

    /// The engine decides something.
    pub fn order(&mut self, change: impl FnOnce(&mut Command)) {
        change(&mut self.newest);
        self.newest.generation += 1;
        assert!(self.ledger.command(self.newest.clone()));
    }

    fn commit(&mut self) {
        self.committed = self.ledger.to_bytes().unwrap();
    }

    fn dies(&mut self) -> bool {
        let dies = self.dice.percent(self.crash);
        if dies {
            self.recover();
        }
        dies
    }

    /// Another worker takes over: it has what is committed, and the newest command.
    pub fn recover(&mut self) {
        self.ledger = Ledger::from_bytes(&self.committed).unwrap();
        assert_eq!(self.ledger.to_bytes().unwrap(), self.committed);
        self.ledger.command(self.newest.clone());
        self.ledger.resume(self.now_ms);
    }

    /// One look, as the harness does it.
    pub fn look(&mut self) {
        for (due_ms, call) in std::mem::take(&mut self.in_flight) {
            if due_ms <= self.now_ms {
                self.cloud.apply(&call, &mut self.dice, self.now_ms);
            } else {
                self.in_flight.push((due_ms, call));
            }
        }
        let calls = match self.cloud.look(&mut self.dice, self.now_ms) {
            Ok(look) => settle(&mut self.ledger, &look, self.now_ms),
            Err(error) => {
                blind(&mut self.ledger, &error, self.now_ms);
                Vec::new()
            }
        };
        if self.dies() {
            return;
        }
        self.commit();
        for call in &calls {
            if let Call::Create { slot, .. } = call {
                let committed = Ledger::from_bytes(&self.committed).unwrap();
                let phase = committed.entries().get(slot).map(|entry| entry.phase);
                assert_eq!(phase, Some(Phase::Ordered), "slot {slot} is ordered and its intent is not committed");
            }
        }
        for (done, call) in calls.iter().enumerate() {
            if self.dice.percent(self.crash) {
                // Of those that were sent already one may arrive after the next worker has looked.
                if let Some(late @ Call::Create { .. }) = calls.get(done) {
                    let due_ms = self.now_ms + i64::try_from(self.dice.below(8_000)).unwrap();
                    self.in_flight.push((due_ms, late.clone()));
                }
                return self.recover();
            }
            let said = self.cloud.perform(call, &mut self.dice, self.now_ms);
            answer(&mut self.ledger, call, &said, self.now_ms);
        }
        if self.dies() {
            return;
        }
        self.commit();
        for outcome in self.ledger.outbox() {
            self.heard.hear(outcome.seq, &outcome.happening);
            if self.dies() {
                return;
            }
        }
        self.ledger.appended(u64::MAX);
        self.commit();
    }

    /// A look whose worker dies when its orders are committed and none is sent.
    pub fn die_before_the_calls(&mut self) {
        let look = self.cloud.look(&mut self.dice, self.now_ms).unwrap();
        assert!(!settle(&mut self.ledger, &look, self.now_ms).is_empty());
        self.commit();
        self.recover();
    }

    /// Looks whenever the ledger wants to, for so long. Answers how many calls were made.
    pub fn run(&mut self, length_ms: i64) -> usize {
        let (end_ms, before) = (self.now_ms + length_ms, self.cloud.calls.len());
        loop {
            let next_ms = self.ledger.next_look_ms(PACE).max(self.now_ms + 100);
            if next_ms > end_ms {
                self.now_ms = end_ms;
                return self.cloud.calls.len() - before;
            }
            self.now_ms = next_ms;
            self.look();
        }
    }

    /// The invariant at rest, and that the log knows it.
    pub fn is_settled(&self) -> Result<(), String> {
        let (active, target) = (self.cloud.active(self.now_ms), self.newest.target as usize);
        let marked: Vec<_> =
            self.cloud.living().filter(|(_, s)| s.slot.is_some_and(|slot| slot.serial < 900)).collect();
        let members: Vec<String> = self.cloud.balancers[&balancer()].keys().cloned().collect();
        let mut addresses: Vec<String> = marked.iter().map(|(_, server)| server.address.clone()).collect();
        addresses.sort();
        let mut told: Vec<String> = members;
        told.sort();
        if active.len() != target || marked.len() != target {
            return Err(format!(
                "{} run and {} exist of {target}: {marked:#?}\n{:#?}",
                active.len(),
                marked.len(),
                self.ledger
            ));
        }
        if self.heard.ready != active {
            return Err(format!("the log knows {:?}, the cloud {active:?}", self.heard.ready));
        }
        if told != addresses {
            return Err(format!("the balancer has {told:?}, the cloud {addresses:?}"));
        }
        match &self.heard.degraded {
            Some(reason) => Err(format!("degraded at rest: {reason}")),
            None => Ok(()),
        }
    }

    pub fn settled(&mut self, within_ms: i64) {
        self.run(within_ms);
        if let Err(why) = self.is_settled() {
            panic!("{why}");
        }
    }

    pub fn calm(&mut self) {
        (self.cloud.faults, self.crash) = (Faults::default(), 0);
    }
}
