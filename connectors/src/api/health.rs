//! Whether the process lives, whether it is of use, and its numbers. Without a token: they name no tenant.

use super::{Door, PartitionStatus, Problem, Reason, metrics::Installation};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// `GET /healthz`: it answers, so it lives.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: every partition is applied to its end by a live owner.
pub(super) async fn ready(State(door): State<Arc<Door>>) -> Result<Json<Value>, Problem> {
    let partitions = standing(&door).await?;
    let waits = partitions.iter().find_map(|status| match &status.halted {
        Some(why) => Some(format!("partition {} has halted: {why}", status.partition)),
        None if !status.live => {
            let (partition, behind) = (status.partition, status.end.saturating_sub(status.next));
            Some(match &status.trouble {
                Some(trouble) => format!("partition {partition}: {trouble}"),
                None => format!("partition {partition} has no live owner; {behind} records are to be applied"),
            })
        }
        None => None,
    });
    match waits {
        None => Ok(Json(json!({ "ready": true, "partitions": partitions }))),
        Some(detail) => Err(Problem::new(Reason::Busy, detail).retry_after(1).with("partitions", json!(partitions))),
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(State(door): State<Arc<Door>>) -> Result<Response, Problem> {
    let partitions = standing(&door).await?;
    let installation = Installation {
        partitions: door.backend.partitions(),
        switch_silence: door.backend.switch_silence(),
        now_ms: door.clock.now_ms(),
    };
    let text = door.counters.text(&partitions, &installation);
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}

/// From whoever runs the workers; from the store where this process runs none.
async fn standing(door: &Arc<Door>) -> Result<Vec<PartitionStatus>, Problem> {
    door.ask(|door| match &door.hooks.status {
        Some(status) => Ok(status()),
        None => (0..door.backend.partitions())
            .map(|partition| {
                let (committed, live) = door.backend.stepped(partition)?;
                let (_, end) = door.backend.range(partition)?;
                Ok(PartitionStatus { partition, next: committed.next, end, live, ..PartitionStatus::default() })
            })
            .collect(),
    })
    .await
}
