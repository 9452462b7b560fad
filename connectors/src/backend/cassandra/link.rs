//! The one way to Cassandra. Every request goes through here: counted, of a bounded number at once, limited in time, and
//! tried again while a node is away, since every statement of ours writes the same rows when it is carried out twice.
//!
//! The client is handed values behind `dyn`, so that its code is compiled once and not for each kind of row.

use super::{
    super::{Error, Result},
    Settings,
    error::{Trouble, no_session},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use scylla::{
    client::{PoolSize, execution_profile::ExecutionProfile, session::Session, session_builder::SessionBuilder},
    deserialize::row::DeserializeRow,
    errors::ExecutionError,
    frame::types::Consistency,
    response::{PagingState, PagingStateResponse, query_result::QueryResult},
    serialize::row::SerializeRow,
    statement::{
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
};
use secrecy::ExposeSecret;
use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::{
    runtime::{self, Runtime},
    sync::Semaphore,
    time::{Instant, sleep},
};

/// A request is given up after this long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// And tried again for this long in all; then it is for the caller to say what waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests of this process at once.
const REQUESTS_MAX: usize = 64;
/// Requests of one call at once.
const FAN_MAX: usize = 16;
/// Rows of one batch at most.
const BATCH_ROWS_MAX: usize = 128;
/// Bytes of one batch, a larger row alone.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// A session, and the threads that serve it.
pub(super) struct Link {
    // `None` only while it is being dropped.
    runtime: Option<Runtime>,
    session: Session,
    permits: Semaphore,
    requests: AtomicU64,
    nodes: String,
}

/// A row to be written, with about how many bytes it has.
pub(super) struct Put<V> {
    pub(super) bytes: usize,
    pub(super) values: V,
}

impl Link {
    /// Logs in.
    pub(super) fn open(settings: &Settings) -> Result<Self> {
        let nodes = settings.nodes.join("`, `");
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("weir-cassandra")
            .enable_all()
            .build()
            .map_err(|error| Error::Failed(format!("cannot start the threads for Cassandra: {error}")))?;
        let profile = ExecutionProfile::builder()
            .consistency(Consistency::LocalQuorum)
            .request_timeout(Some(REQUEST_TIMEOUT))
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(&settings.nodes)
            .default_execution_profile_handle(profile.into_handle())
            .connection_timeout(REQUEST_TIMEOUT)
            .pool_size(PoolSize::PerHost(NonZeroUsize::MIN))
            .keyspaces_to_fetch([&settings.keyspace]);
        if let Some(datacenter) = &settings.datacenter {
            builder = builder.prefer_datacenter(datacenter.clone());
        }
        if let Some(credentials) = &settings.credentials {
            builder = builder.user(&credentials.username, credentials.password.expose_secret());
        }
        let builder = super::tls::apply(builder, settings)?;
        let session = runtime.block_on(builder.build()).map_err(|error| no_session(&error, settings, &nodes))?;
        let (permits, requests) = (Semaphore::new(REQUESTS_MAX), AtomicU64::new(0));
        Ok(Self { runtime: Some(runtime), session, permits, requests, nodes })
    }

    /// Requests sent so far, those of tries after the first too.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Runs `work` to its end on this thread, which must not be one of an asynchronous runtime.
    pub(super) fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(work),
            None => Err(Error::Failed("the connection to Cassandra is closed".into())),
        }
    }

    /// Prepares a statement that may be carried out twice.
    pub(super) async fn prepare(&self, text: &str) -> Result<PreparedStatement> {
        let prepare = || async { Ok(self.session.prepare(text).await?) };
        let mut statement = self.persist(false, prepare).await?;
        statement.set_is_idempotent(true);
        Ok(statement)
    }

    /// Carries out a statement as text: for the schema, which is not prepared.
    pub(super) async fn define(&self, text: &str) -> Result<QueryResult> {
        self.persist(false, || self.session.query_unpaged(text, ())).await
    }

    /// Writes one row.
    pub(super) async fn write(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<()> {
        self.put(statement, &values).await
    }

    async fn put(&self, statement: &PreparedStatement, values: &dyn SerializeRow) -> Result<()> {
        self.persist(true, || self.session.execute_unpaged(statement, values)).await.map(drop)
    }

    /// Writes rows of one partition, in as few requests as are fit. Of an error some may be written.
    pub(super) async fn write_all<V: SerializeRow>(
        &self,
        statement: &PreparedStatement,
        rows: &[Put<V>],
    ) -> Result<()> {
        for rows in pieces(rows) {
            if let [row] = rows {
                self.write(statement, &row.values).await?;
                continue;
            }
            let mut batch = Batch::new(BatchType::Unlogged);
            batch.set_is_idempotent(true);
            rows.iter().for_each(|_| batch.append_statement(statement.clone()));
            let values: Vec<&dyn SerializeRow> = rows.iter().map(|row| &row.values as &dyn SerializeRow).collect();
            self.put_all(&batch, &values).await?;
        }
        Ok(())
    }

    async fn put_all(&self, batch: &Batch, values: &[&dyn SerializeRow]) -> Result<()> {
        self.persist(true, || self.session.batch(batch, values)).await.map(drop)
    }

    /// The first `most` rows, in pages of at most `page`.
    pub(super) async fn read<R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
        page: usize,
        most: usize,
    ) -> Result<Vec<R>>
    where
        R: for<'frame, 'meta> DeserializeRow<'frame, 'meta>,
    {
        let mut statement = statement.clone();
        let (mut rows, mut from) = (Vec::new(), PagingState::start());
        while rows.len() < most {
            statement.set_page_size(i32::try_from(page.min(most - rows.len())).unwrap_or(i32::MAX));
            let (answer, next) = self.page(&statement, &values, &from).await?;
            let answer = answer.into_rows_result().map_err(|error| self.unreadable(&error))?;
            for row in answer.rows::<R>().map_err(|error| self.unreadable(&error))? {
                rows.push(row.map_err(|error| self.unreadable(&error))?);
            }
            match next.into_paging_control_flow() {
                ControlFlow::Break(()) => break,
                ControlFlow::Continue(next) => from = next,
            }
        }
        rows.truncate(most);
        Ok(rows)
    }

    async fn page(
        &self,
        statement: &PreparedStatement,
        values: &dyn SerializeRow,
        from: &PagingState,
    ) -> Result<(QueryResult, PagingStateResponse)> {
        self.persist(false, || self.session.execute_single_page(statement, values, from.clone())).await
    }

    /// All of `work`, a bounded number at once, the answers in their order. The first error ends it.
    pub(super) async fn fan<T, W: Future<Output = Result<T>>>(work: impl IntoIterator<Item = W>) -> Result<Vec<T>> {
        stream::iter(work).buffered(FAN_MAX).try_collect().await
    }

    async fn persist<T, W>(&self, writes: bool, mut attempt: impl FnMut() -> W) -> Result<T>
    where
        W: Future<Output = std::result::Result<T, ExecutionError>>,
    {
        let (until, mut pause, mut may_be_done) = (Instant::now() + PATIENCE, Duration::from_millis(100), false);
        loop {
            // Never closed, so there is always a permit in the end.
            let permit = self.permits.acquire().await;
            self.requests.fetch_add(1, Ordering::Relaxed);
            let error = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            drop(permit);
            let trouble = Trouble::of(&error, &self.nodes);
            may_be_done |= writes && trouble.perhaps_done;
            if !trouble.passing || Instant::now() + pause >= until {
                return Err(trouble.error(may_be_done));
            }
            tracing::debug!(%error, "asking Cassandra again");
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    fn unreadable(&self, error: &dyn std::error::Error) -> Error {
        Error::Damaged(format!("an answer of Cassandra (`{}`) cannot be read: {error}; run `weir setup`", self.nodes))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Not waited for: the last handle may be dropped on a thread that must not block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Cuts rows into batches.
fn pieces<V>(rows: &[Put<V>]) -> impl Iterator<Item = &[Put<V>]> {
    let (mut count, mut bytes) = (0, 0);
    rows.chunk_by(move |one, next| {
        if count == 0 {
            bytes = one.bytes;
            count = 1;
        }
        bytes += next.bytes;
        count += 1;
        let fits = count <= BATCH_ROWS_MAX && bytes <= BATCH_BYTES_MAX;
        if !fits {
            count = 0;
        }
        fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(bytes: &[usize]) -> Vec<usize> {
        let rows: Vec<Put<()>> = bytes.iter().map(|bytes| Put { bytes: *bytes, values: () }).collect();
        pieces(&rows).map(<[Put<()>]>::len).collect()
    }

    #[test]
    fn batches_are_bounded_in_rows_and_bytes() {
        assert_eq!(sizes(&[]), Vec::<usize>::new());
        assert_eq!(sizes(&[1; BATCH_ROWS_MAX]), [BATCH_ROWS_MAX]);
        assert_eq!(sizes(&[1; BATCH_ROWS_MAX + 1]), [BATCH_ROWS_MAX, 1]);
        assert_eq!(sizes(&[BATCH_BYTES_MAX / 2; 5]), [2, 2, 1]);
        assert_eq!(sizes(&[1, BATCH_BYTES_MAX, 1, 1]), [1, 1, 2], "a row that is too large for any goes alone");
    }
}
