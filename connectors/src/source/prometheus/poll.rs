//! The poller of one tenant: every question of its policies, each at its own period, into the log.
//!
//! Questions that are due at once are asked at once, and what they answer is one append. A question without an answer
//! keeps the others waiting for [`ANSWER_WITHIN`] at most. The poller decides nothing and keeps nothing but when each
//! question is due.

use super::{Error, Question, Source, answer, fetch::Fetch};
use crate::{
    backend::{self, Log, partition_of},
    clock::Clock,
    source::labels::Labels,
};
use futures_util::{StreamExt, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;
use weir_engine::event::{Event, Fact, Heartbeat, SAMPLES_MAX, Sample, Version};

/// For a whole answer. A Prometheus that needs longer would be asked again before it has said.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Questions of one tenant that are under way at once.
const AT_ONCE: usize = 4;
/// While all is well a heartbeat is due this often, milliseconds; after a round that failed, at once.
const BEAT_MS: i64 = 60_000;
/// The longest sleep between two looks at what policies ask, and with it how long a new policy's question waits.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What the tenant's policies ask now. It may wait for a store.
pub type Questions = Arc<dyn Fn() -> Vec<Question> + Send + Sync>;

/// Labels that name a tenant's servers and groups, in order of preference.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// Of servers.
    pub server: Vec<String>,
    /// Of groups.
    pub group: Vec<String>,
}

/// Whom a poller asks, and for whom.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Whose questions.
    pub tenant: String,
    /// Labels in the answers.
    pub labels: Labelled,
    /// Whom they may ask.
    pub sources: Vec<Source>,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Questions that were due.
    pub asked: usize,
    /// Of them, those without a useful answer.
    pub failed: usize,
    /// Samples that went into the log.
    pub samples: usize,
}

/// Asks the questions of one tenant.
pub struct Poller {
    tenant: String,
    labels: Labelled,
    sources: Vec<Fetch>,
    questions: Questions,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    /// When each is asked next, epoch milliseconds.
    due: BTreeMap<Question, i64>,
    /// Those whose last answer was useless: said once, until they are well again.
    ill: BTreeSet<Question>,
    beat_ms: i64,
    /// The log did not take what was last written: something was heard that the engine will never know.
    deaf: bool,
}

impl Poller {
    /// A poller; it asks nothing yet.
    ///
    /// # Errors
    /// No client can be made.
    pub fn new(asked: Asked, questions: Questions, log: Arc<dyn Log>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let Asked { tenant, labels, sources } = asked;
        let sources = sources.into_iter().map(Fetch::new).collect::<Result<_, _>>()?;
        let (due, ill) = (BTreeMap::new(), BTreeSet::new());
        Ok(Self { tenant, labels, sources, questions, log, clock, due, ill, beat_ms: 0, deaf: false })
    }

    /// Asks until told to stop.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            () = self.rounds() => {}
            // Told, or nobody is left who could.
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    async fn rounds(&mut self) {
        loop {
            if let Err(error) = self.round().await {
                tracing::warn!(tenant = %self.tenant, "what sources answered is not in the log: {error}");
            }
            let next_ms = self.due.values().min().map_or(i64::MAX, |due_ms| due_ms - self.clock.now_ms());
            let next = Duration::from_millis(u64::try_from(next_ms).unwrap_or(0));
            // Never in no time: a log that is away fails at once.
            tokio::time::sleep(next.clamp(Duration::from_millis(20), LOOK_AGAIN)).await;
        }
    }

    /// Asks what is due, once.
    ///
    /// # Errors
    /// [`Error::Log`]; what was to be written is given up, and comes anew with the next answers.
    pub async fn round(&mut self) -> Result<Round, Error> {
        let now_ms = self.clock.now_ms();
        let due = self.due(now_ms);
        let mut round = Round { asked: due.len(), ..Round::default() };
        let (sources, labels) = (&self.sources, &self.labels);
        let answers = stream::iter(due).map(|question| async move {
            let answer = ask(sources, labels, &question).await;
            (question, answer)
        });
        let mut answers: Vec<_> = answers.buffer_unordered(AT_ONCE).collect().await;
        // In the questions' own order, whoever answered first.
        answers.sort_by(|one, other| one.0.cmp(&other.0));
        let mut samples = Vec::new();
        for (question, answer) in answers {
            match answer {
                Ok(reading) => samples.extend(self.well(question, reading)),
                Err(error) => {
                    round.failed += 1;
                    self.ail(question, &error);
                }
            }
        }
        round.samples = samples.len();
        let mut events: Vec<Event> =
            samples.chunks(SAMPLES_MAX).enumerate().map(|at| self.samples(now_ms, at)).collect();
        let healthy = round.failed == 0 && !self.deaf;
        let beats = round.asked > 0 && (!healthy || now_ms.saturating_sub(self.beat_ms) >= BEAT_MS);
        if beats {
            events.push(self.event(format!("heartbeat:{now_ms}"), Fact::Heartbeat(Heartbeat { healthy }), now_ms));
        }
        if !events.is_empty() {
            self.deaf = true;
            self.append(events).await?;
            self.deaf = !beats && !healthy;
        }
        if beats {
            self.beat_ms = now_ms;
        }
        Ok(round)
    }

    /// The questions whose time has come, each with its next time already written down.
    fn due(&mut self, now_ms: i64) -> Vec<Question> {
        let questions: BTreeSet<Question> = (self.questions)().into_iter().collect();
        self.due.retain(|question, _| questions.contains(question));
        self.ill.retain(|question| questions.contains(question));
        let mut due = Vec::new();
        for question in questions {
            let every_ms = i64::try_from(question.every.as_millis()).unwrap_or(i64::MAX).max(1);
            let next_ms = self.due.entry(question.clone()).or_insert(now_ms);
            if *next_ms <= now_ms {
                // From its own time and not from ours, so that periods do not drift; what was slept through is not made up.
                let passed = (now_ms - *next_ms) / every_ms + 1;
                *next_ms = next_ms.saturating_add(every_ms.saturating_mul(passed));
                due.push(question);
            }
        }
        due
    }

    fn well(&mut self, question: Question, reading: answer::Reading) -> Vec<Sample> {
        let answer::Reading { samples, unnamed, unmeasured } = reading;
        let Question { source, query, .. } = &question;
        if unnamed > 0 {
            if self.ill.insert(question.clone()) {
                let wanted = self.labels.server.join("`, `");
                tracing::warn!(tenant = %self.tenant, %source, %query, unnamed, unmeasured,
                    "series without a label that names a server are left out; one of `{wanted}` is wanted");
            }
        } else {
            self.ill.remove(&question);
        }
        samples
    }

    fn ail(&mut self, question: Question, error: &Error) {
        let Question { source, query, .. } = &question;
        if !self.ill.contains(&question) {
            tracing::warn!(tenant = %self.tenant, %source, %query, "a question without an answer: {error}");
        }
        self.ill.insert(question);
    }

    async fn append(&self, events: Vec<Event>) -> Result<(), Error> {
        let (log, partition) = (Arc::clone(&self.log), partition_of(&self.tenant, self.log.partitions()));
        match tokio::task::spawn_blocking(move || log.append(partition, &events)).await {
            Ok(result) => Ok(result.map(drop)?),
            Err(error) => Err(backend::Error::Unclear(format!("a call to the log did not come back: {error}")).into()),
        }
    }

    fn samples(&self, now_ms: i64, (at, samples): (usize, &[Sample])) -> Event {
        self.event(format!("samples:{now_ms}:{at}"), Fact::Samples(samples.to_vec()), now_ms)
    }

    fn event(&self, id: String, fact: Fact, time: i64) -> Event {
        let source = "/prometheus".to_owned();
        Event { specversion: Version::V1, id, source, time, tenant: self.tenant.clone(), fact }
    }
}

async fn ask(sources: &[Fetch], labels: &Labelled, question: &Question) -> Result<answer::Reading, Error> {
    let Question { source, query, metric, shared, every } = question;
    let unknown = || Error::Unknown(source.clone());
    let fetch = sources.iter().find(|fetch| fetch.name() == source).ok_or_else(unknown)?;
    let within = (*every).clamp(Duration::from_secs(1), ANSWER_WITHIN);
    let bytes = fetch.query(query, within).await?;
    let labels = Labels { server: &labels.server, group: &labels.group };
    Ok(answer::read(&bytes, metric, *shared, labels)?)
}
