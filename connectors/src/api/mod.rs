//! The door: HTTP under `/v1`, the only way in for facts, policies and orders.
//!
//! `main` builds one [`Door`] and serves it; the console and the command line are its clients. It authenticates, reads
//! strictly, writes to the log, and answers 2xx only for what is in the log, synced. It never decides anything about a
//! group, and never tells a tenant about another's.
//!
//! Paths, rights and statuses stand in `README.md` beside this file.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{delete, get, post, put},
    serve::ListenerExt,
};
use std::{future::Future, io, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Notify, time::timeout};

mod auth;
mod body;
mod control;
mod declared;
mod door;
mod execute;
pub mod export;
mod facts;
mod groups;
mod health;
mod keys;
mod metrics;
mod overrides;
mod pace;
mod policies;
mod problem;
mod quota;
mod refused;
mod servers;
mod upgrade;
mod why;

pub use door::{Door, Hooks, Moment, PartitionStatus, Said, StateHook, StatusHook, WhyHook};
pub use problem::{Problem, Reason};

/// The largest body that is read, bytes.
pub const BODY_MAX: usize = 1 << 20;
/// How long requests under way may take once the process is asked to stop.
const FAREWELL: Duration = Duration::from_secs(10);

/// How the process stands, without a token.
fn vitals() -> Router<Arc<Door>> {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
}

/// All routes.
pub fn router(door: Arc<Door>) -> Router {
    Router::new()
        .route("/v1/alarms/maas", post(facts::maas))
        .route("/v1/alarms/alertmanager", post(facts::alertmanager))
        .route("/v1/samples", post(facts::samples))
        .route("/v1/events", post(facts::event))
        .route("/v1/execute/{capability}", post(execute::execute))
        .route("/v1/policies", get(policies::list))
        .route("/v1/policies/{name}", put(policies::deploy).get(policies::one))
        .route("/v1/groups", get(groups::list))
        .route("/v1/groups/{group}", get(groups::one).merge(delete(control::remove)))
        .route("/v1/groups/{group}/servers", get(groups::servers))
        .route("/v1/groups/{group}/servers/{server}/{act}", post(servers::act))
        .route("/v1/groups/{group}/decisions", get(groups::decisions))
        .route("/v1/groups/{group}/why", get(why::why))
        .route("/v1/groups/{group}/rules/{rule}/force", post(control::force))
        .route("/v1/groups/{group}/pause", post(control::pause))
        .route("/v1/groups/{group}/resume", post(control::resume))
        .route("/v1/groups/{group}/override", post(overrides::set).delete(overrides::lift))
        .route("/v1/kill-switch", post(control::kill_switch))
        .route("/v1/upgrade", get(upgrade::ask).post(upgrade::order))
        .route("/v1/tenant", get(groups::tenant))
        .route("/v1/refused", get(refused::list))
        .route("/v1/log/export", get(export::export))
        .merge(vitals())
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&door), auth::watch))
        .with_state(door)
}

/// Serves until `shutdown` is done, then lets what is under way finish for at most ten seconds.
///
/// # Errors
/// The listener's.
pub async fn serve(
    listener: TcpListener,
    door: Arc<Door>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    quota::declare(&door).await;
    answer(listener, router(door), shutdown).await
}

/// Serves nothing but whether the process lives and how it stands, where others serve the rest.
///
/// # Errors
/// As for [`serve`].
pub async fn serve_vitals(
    listener: TcpListener,
    door: Arc<Door>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    answer(listener, vitals().fallback(problem::no_such_path).with_state(door), shutdown).await
}

async fn answer(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let stop = Arc::new(Notify::new());
    let stopping = Arc::clone(&stop);
    // Answers are small and each is waited for: no point in gathering them into larger packets.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move { stopping.notified().await });
    let mut serving = std::pin::pin!(serving.into_future());
    tokio::select! {
        ended = &mut serving => return ended,
        () = shutdown => stop.notify_one(),
    }
    timeout(FAREWELL, serving).await.unwrap_or(Ok(()))
}
