//! The configured sources: for each tenant a poller that asks what its policies want to know.

use super::declared::Declared;
use crate::{
    backend::{Backend, partition_of},
    clock::Clock,
    config::{self, Config},
    source::prometheus::{Asked, Error, Labelled, Poller, Question, Source},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};
use weir_engine::grammar::policy::{Metric, Policy};

/// How long what policies ask is good enough: a new policy's first sample is at most this late.
const FRESH: Duration = Duration::from_secs(5);

/// The label of rule 3, before those that are configured.
const SERVER: &str = "server";

/// The sources, and what their pollers work with.
pub(super) struct Sources {
    sources: Vec<config::Source>,
    tenants: Vec<config::Tenant>,
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
}

impl Sources {
    pub(super) fn new(config: &Config, backend: Arc<dyn Backend>, clock: Arc<dyn Clock>) -> Self {
        // Without any source there is nobody to ask, and no reason to look at what would be asked.
        let tenants = if config.sources.is_empty() { Vec::new() } else { config.tenants.clone() };
        Self { sources: config.sources.clone(), tenants, backend, clock }
    }

    /// Asks for the tenants of a partition until it is to stop. One partition is read by one process; for a moment it may be
    /// by two, and then a series takes the newer of two samples.
    pub(super) async fn read(self: Arc<Self>, partition: u32, stopping: watch::Receiver<bool>) {
        let partitions = self.backend.partitions();
        let mut pollers = JoinSet::new();
        for tenant in self.tenants.iter().filter(|tenant| partition_of(&tenant.name, partitions) == partition) {
            match self.poller(tenant) {
                Ok(poller) => drop(pollers.spawn(poller.run(stopping.clone()))),
                Err(error) => tracing::error!(tenant = %tenant.name, "its sources are not asked: {error}"),
            }
        }
        while pollers.join_next().await.is_some() {}
    }

    fn poller(&self, tenant: &config::Tenant) -> Result<Poller, Error> {
        let sources = self.sources.iter().filter(|source| source.serves(&tenant.name)).map(Source::configured);
        let mut server = vec![SERVER.to_owned()];
        server.extend(tenant.server_labels.iter().filter(|label| *label != SERVER).cloned());
        let labels = Labelled { server, group: tenant.group_labels.clone() };
        let asked = Asked { tenant: tenant.name.clone(), labels, sources: sources.collect::<Result<_, _>>()? };
        let declared = Declared::new(Arc::clone(&self.backend), tenant.name.clone(), FRESH, questions);
        let questions = Arc::new(move || declared.with(Vec::clone));
        Poller::new(asked, questions, Arc::clone(&self.backend) as _, Arc::clone(&self.clock))
    }
}

/// What policies ask; each question once, at the shortest of its periods.
fn questions(policies: &[Policy]) -> Vec<Question> {
    let mut questions: Vec<Question> =
        policies.iter().flat_map(|policy| &policy.metrics).filter_map(question).collect();
    questions.sort_unstable();
    questions.dedup_by(|other, first| (&first.metric, first.shared) == (&other.metric, other.shared));
    questions
}

fn question(metric: &Metric) -> Option<Question> {
    let source = metric.source.as_ref()?;
    Some(Question {
        source: source.name.clone(),
        query: source.query.clone(),
        metric: metric.from.clone(),
        shared: metric.shared,
        every: Duration::from_millis(metric.every.0.unsigned_abs()),
    })
}
