//! The configured feeds: a poller each, from where the log has it, with a way to tell executors where to look. Executors
//! of other processes are not told; their sweep comes anyway.

use super::{Error, declared::Declared};
use crate::{
    backend::{self, Backend, ViewKind, partition_of},
    clock::Clock,
    config::{self, Config},
    executor::ExecutorHandle,
    source::atom::{self, Feed, Poller, Wanted},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::{JoinSet, spawn_blocking},
};
use weir_engine::event::{Cursor, Notice};

/// How long what policies count is good enough: an entry that comes within it of a deploy may go uncounted.
const FRESH: Duration = Duration::from_secs(1);
/// Between two tries to begin a feed.
const AGAIN: Duration = Duration::from_secs(10);

/// The feeds, and what their pollers work with.
pub(super) struct Feeds {
    feeds: Vec<config::Feed>,
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
    executor: ExecutorHandle,
}

impl Feeds {
    /// Refuses a feed that cannot be read at all.
    pub(super) fn new(
        config: &Config,
        backend: Arc<dyn Backend>,
        clock: Arc<dyn Clock>,
        executor: ExecutorHandle,
    ) -> Result<Self, Error> {
        for feed in &config.feeds {
            Feed::configured(feed).map_err(|error| failed(feed, error))?;
        }
        Ok(Self { feeds: config.feeds.clone(), backend, clock, executor })
    }

    /// Reads the feeds of a partition's tenants until it is to stop. One partition is read by one process, so that an entry
    /// is not written twice; for a moment it may be by two, and then the engine sees what it knows.
    pub(super) async fn read(self: Arc<Self>, partition: u32, stopping: watch::Receiver<bool>) {
        let partitions = self.backend.partitions();
        let mut pollers = JoinSet::new();
        for feed in self.feeds.iter().filter(|feed| partition_of(&feed.tenant, partitions) == partition) {
            pollers.spawn(Arc::clone(&self).read_one(feed.clone(), stopping.clone()));
        }
        while pollers.join_next().await.is_some() {}
    }

    async fn read_one(self: Arc<Self>, feed: config::Feed, mut stopping: watch::Receiver<bool>) {
        loop {
            match self.poller(&feed).await {
                Ok(poller) => return poller.run(stopping).await,
                Err(error) => tracing::error!(tenant = %feed.tenant, feed = %feed.name, %error, "a feed is not read"),
            }
            if tokio::time::timeout(AGAIN, stopping.wait_for(|stop| *stop)).await.is_ok() {
                return;
            }
        }
    }

    async fn poller(&self, feed: &config::Feed) -> Result<Poller, Error> {
        let (backend, tenant, name) = (Arc::clone(&self.backend), feed.tenant.clone(), feed.name.clone());
        let row = spawn_blocking(move || backend.view(ViewKind::Cursors, &tenant, &name)).await;
        let row =
            row.map_err(|error| backend::Error::Failed(format!("asking for its cursor broke off: {error}")))??;
        // A row that cannot be read would begin the feed at its end and skip what is before.
        let cursor: Option<Cursor> = row
            .map(serde_json::from_value)
            .transpose()
            .map_err(|error| backend::Error::Damaged(format!("the cursor of the feed `{}`: {error}", feed.name)))?;
        let wanted = wanted(Arc::clone(&self.backend), feed.tenant.clone());
        let configured = Feed::configured(feed).map_err(|error| failed(feed, error))?;
        let (executor, tenant) = (self.executor.clone(), feed.tenant.clone());
        let look = Arc::new(move |notice: &Notice| executor.look_at_server(&tenant, &notice.server));
        let log = Arc::clone(&self.backend);
        let poller = Poller::new(configured, log, Arc::clone(&self.clock), cursor, wanted, look);
        poller.map_err(|error| failed(feed, error))
    }
}

fn failed(feed: &config::Feed, error: atom::Error) -> Error {
    Error::Feed { tenant: feed.tenant.clone(), name: feed.name.clone(), error }
}

/// Whether a policy of the tenant counts events of a type (rule 7), as of a moment ago.
fn wanted(backend: Arc<dyn Backend>, tenant: String) -> Wanted {
    let declared = Declared::new(backend, tenant, FRESH, |policies| {
        policies.iter().flat_map(|policy| &policy.events).map(|event| event.from.clone()).collect::<BTreeSet<_>>()
    });
    Arc::new(move |kind| declared.with(|kinds| kinds.contains(kind)))
}
