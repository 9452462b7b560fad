//! What a tenant's policies declare, as of a moment ago, for those who read on their behalf. The view of policies is asked
//! at most once in a while, and read again only where one of them has changed.

use crate::backend::{Backend, ViewKind};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::task::block_in_place;
use weir_engine::{
    grammar::{self, policy::Policy},
    view::PolicyRow,
};

/// Something that is made of a tenant's policies.
pub(super) struct Declared<T> {
    backend: Arc<dyn Backend>,
    tenant: String,
    /// How long it is good enough: what is declared within it of a deploy may be missed.
    fresh: Duration,
    make: fn(&[Policy]) -> T,
    known: Mutex<Known<T>>,
}

struct Known<T> {
    read: Option<Instant>,
    /// Of the policies it was made of.
    hashes: Vec<String>,
    made: T,
}

impl<T: Default> Declared<T> {
    pub(super) fn new(backend: Arc<dyn Backend>, tenant: String, fresh: Duration, make: fn(&[Policy]) -> T) -> Self {
        let known = Known { read: None, hashes: Vec::new(), made: T::default() };
        Self { backend, tenant, fresh, make, known: Mutex::new(known) }
    }

    /// Looks at it. To be called from a task of a runtime with several threads: a store that is elsewhere may keep it
    /// waiting.
    pub(super) fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.read.is_none_or(|read| read.elapsed() >= self.fresh) {
            block_in_place(|| self.refresh(&mut known));
        }
        look(&known.made)
    }

    fn refresh(&self, known: &mut Known<T>) {
        let tenant = &self.tenant;
        let rows = match self.backend.views(ViewKind::Policies, tenant) {
            Ok(rows) => rows,
            Err(error) => {
                // What was known before is better than nothing; it is asked again at the next look.
                tracing::warn!(%tenant, %error, "what policies declare is not known anew");
                return;
            }
        };
        known.read = Some(Instant::now());
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
        if hashes == known.hashes {
            return;
        }
        let policies: Vec<Policy> = rows.iter().filter_map(|row| grammar::check(&row.name, &row.text).policy).collect();
        (known.made, known.hashes) = ((self.make)(&policies), hashes);
    }
}
