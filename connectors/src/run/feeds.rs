//! The configured feeds: a poller each, from where the log has it, with a way to tell executors where to look.

use super::Error;
use crate::{
    backend::{Backend, ViewKind},
    clock::Clock,
    config::Config,
    executor::ExecutorHandle,
    source::atom::{Feed, Poller, Wanted},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinSet};
use weir_engine::{
    event::{Cursor, Notice},
    grammar,
    view::PolicyRow,
};

/// How long what policies count is good enough: an entry that comes within it of a deploy may go uncounted.
const FRESH: Duration = Duration::from_secs(1);

/// Starts a poller for each feed.
pub(super) fn start(
    config: &Config,
    backend: &Arc<dyn Backend>,
    clock: &Arc<dyn Clock>,
    executor: &ExecutorHandle,
    stopping: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) -> Result<(), Error> {
    for feed in &config.feeds {
        let failed = |error| Error::Feed { tenant: feed.tenant.clone(), name: feed.name.clone(), error };
        let row = backend.view(ViewKind::Cursors, &feed.tenant, &feed.name)?;
        // A row that cannot be read would begin the feed at its end and skip what is before.
        let cursor: Option<Cursor> = row.map(serde_json::from_value).transpose().map_err(|error| {
            crate::backend::Error::Damaged(format!("the cursor of the feed `{}`: {error}", feed.name))
        })?;
        let wanted = wanted(Arc::clone(backend), feed.tenant.clone());
        let configured = Feed::configured(feed).map_err(failed)?;
        let log = Arc::clone(backend);
        let (executor, tenant) = (executor.clone(), feed.tenant.clone());
        let look = Arc::new(move |notice: &Notice| executor.look_at_server(&tenant, &notice.server));
        let poller = Poller::new(configured, log, Arc::clone(clock), cursor, wanted, look).map_err(failed)?;
        tasks.spawn(poller.run(stopping.clone()));
    }
    Ok(())
}

/// Whether a policy of the tenant counts events of a type (rule 7), as of a moment ago.
fn wanted(backend: Arc<dyn Backend>, tenant: String) -> Wanted {
    let known = Mutex::new(Counted::default());
    Arc::new(move |kind| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.read.is_none_or(|read| read.elapsed() >= FRESH) {
            known.refresh(&*backend, &tenant);
        }
        known.kinds.contains(kind)
    })
}

/// What a tenant's policies count.
#[derive(Default)]
struct Counted {
    read: Option<Instant>,
    /// Of the policies it was read from.
    hashes: Vec<String>,
    kinds: BTreeSet<String>,
}

impl Counted {
    fn refresh(&mut self, backend: &dyn Backend, tenant: &str) {
        let rows = match backend.views(ViewKind::Policies, tenant) {
            Ok(rows) => rows,
            Err(error) => {
                // What was known before is better than nothing; the next entry asks again.
                tracing::warn!(%tenant, %error, "what policies count is not known anew");
                return;
            }
        };
        self.read = Some(Instant::now());
        let rows: Vec<PolicyRow> = rows
            .into_iter()
            .filter_map(|(name, row)| {
                let row = serde_json::from_value(row);
                row.inspect_err(
                    |error| tracing::error!(policy = %name, "a row of the policies cannot be read: {error}"),
                )
                .ok()
            })
            .collect();
        let hashes: Vec<String> = rows.iter().map(|row| row.hash.clone()).collect();
        if hashes == self.hashes {
            return;
        }
        let policies = rows.iter().filter_map(|row| grammar::check(&row.name, &row.text).policy);
        self.kinds = policies.flat_map(|policy| policy.events).map(|event| event.from).collect();
        self.hashes = hashes;
    }
}
