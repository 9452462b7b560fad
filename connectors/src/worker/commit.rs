//! A commit in three parts: what is to be committed, as the machine stands; the word to the log; and what is told and counted
//! once it has answered. The second is waiting, and may be done while the machine goes on.

use super::{gathered::Gathered, status::Status};
use crate::backend::{Backend, Committed, Ownership, Result, Stepped};
use std::{sync::Arc, time::Instant};
use tokio::sync::broadcast::Sender;
use weir_engine::decision::Decision;

/// What is to be committed.
pub(super) struct Commit {
    stepped: Stepped,
    /// Who is told of the decisions. Only if somebody listens.
    told: Option<Sender<Arc<Decision>>>,
    done: Done,
}

/// What a commit has done, once it has.
pub(super) struct Done {
    pub(super) live: bool,
    next: u64,
    t_ms: i64,
    trouble: Option<String>,
    events: u64,
    ticks: u64,
    commands: u64,
    decisions: u64,
    took_us: u64,
}

impl Commit {
    pub(super) fn new(
        gathered: Gathered,
        committed: Committed,
        live: bool,
        t_ms: i64,
        trouble: Option<String>,
        listeners: Option<&Sender<Arc<Decision>>>,
    ) -> Self {
        let Gathered { from, commands, decisions, rows, ticks } = gathered;
        let done = Done {
            live,
            next: committed.next,
            t_ms,
            trouble,
            events: committed.next - from,
            ticks,
            commands: commands.len() as u64,
            decisions: decisions.len() as u64,
            took_us: 0,
        };
        let stepped = Stepped { committed, live, commands, decisions, views: rows.into_views() };
        Self { stepped, told: listeners.filter(|told| told.receiver_count() > 0).cloned(), done }
    }

    /// Commits, and tells of it.
    pub(super) fn write(self, backend: &dyn Backend, owner: &Ownership) -> Result<Done> {
        let Self { stepped, told, mut done } = self;
        let news = told.map(|told| (told, stepped.decisions.clone()));
        let began = Instant::now();
        backend.commit_step(owner, stepped)?;
        done.took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        if let Some((told, decisions)) = news {
            for decision in decisions {
                // Who listened may have gone since.
                let _ = told.send(Arc::new(decision));
            }
        }
        Ok(done)
    }
}

impl Done {
    pub(super) fn add_to(self, status: &mut Status) {
        (status.next, status.t_ms, status.live, status.trouble) = (self.next, self.t_ms, self.live, self.trouble);
        status.events += self.events;
        status.ticks += self.ticks;
        status.commands += self.commands;
        status.decisions += self.decisions;
        status.commits += 1;
        status.commit_us = status.commit_us.saturating_add(self.took_us);
    }
}
