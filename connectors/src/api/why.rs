//! `GET /v1/groups/{group}/why?at=&until=`: why the group stood as it did at a moment, as JSON, or in words for a terminal
//! that asks for `text/plain`. The engine's explanation is lent by whoever runs it.

use super::{
    Door, Moment, Problem, Reason,
    auth::Reads,
    body::{Asked, Instant, Named},
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use std::sync::Arc;

/// Which moment; now where left out, and one millisecond where it has no end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct When {
    at: Option<Instant>,
    until: Option<Instant>,
}

/// The handler.
pub(super) async fn why(
    State(door): State<Arc<Door>>,
    Reads(caller): Reads,
    Named(group): Named<String>,
    Asked(When { at, until }): Asked<When>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(hook) = door.hooks.why.clone() else {
        return Err(Problem::new(Reason::NotOffered, "this process runs no engine, so it cannot say why"));
    };
    let moment = at.map(|Instant(from_ms)| {
        let until_ms = until.map_or(from_ms.saturating_add(1), |Instant(ms)| ms);
        Moment { from_ms, until_ms }
    });
    let (tenant, name) = (caller.tenant, group.clone());
    let said = door.ask(move |_| Ok(hook(&tenant, &name, moment)?)).await?;
    let Some(said) = said else {
        let detail = format!("there was no group `{group}` at that moment, or its records are no longer kept");
        return Err(Problem::new(Reason::NotFound, detail));
    };
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    Ok(if accepts.starts_with("text/plain") { said.text.into_response() } else { Json(said.json).into_response() })
}
