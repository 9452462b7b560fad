//! A newer meaning of the rules for the whole log: asked about, and ordered. It holds for all tenants, in every partition from
//! a record of its own on.
//!
//! It is ordered only where every process knows it that works on the log now. That it was is written down before the first
//! record, where each process looks at its start; so who comes later refuses to start rather than halt at the record.

use super::{Door, Problem, Reason, auth::Administers, body::Whole, control::Answered, door::PATIENCE};
use crate::backend::{Lineage, Peer};
use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};
use weir_engine::{
    event::{Event, Fact, Upgrade, Version},
    id::Position,
    semantics,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// The newest that this process knows, where left out.
    semantics: Option<u32>,
}

/// `GET /v1/upgrade`: by what each partition decides, and what each process knows.
pub(super) async fn ask(State(door): State<Arc<Door>>, Administers(_): Administers) -> Result<Json<Value>, Problem> {
    door.ask(|door| {
        let (partitions, mut processes) = (by_partition(door)?, door.backend.others()?);
        processes.insert(0, Peer::this());
        Ok(Json(json!({ "newest": semantics::newest(), "partitions": partitions, "processes": processes })))
    })
    .await
}

/// `POST /v1/upgrade`: done again it is done.
pub(super) async fn order(State(door): State<Arc<Door>>, Administers(caller): Administers, body: Whole) -> Answered {
    let Order { semantics } = body.order()?;
    let wanted = semantics.unwrap_or_else(semantics::newest);
    if !semantics::knows(wanted) {
        let detail = format!("semantics {wanted} is none that this process knows: {}", semantics::unknown(wanted));
        return Err(Problem::new(Reason::Unprocessable, detail));
    }
    let actor = caller.actor();
    let ordered = door.ask(move |door| upgrade(door, wanted, &actor)).await?;
    let mut applied = true;
    for position in ordered.values() {
        applied &= door.applied(*position, PATIENCE).await?;
    }
    let positions: Vec<String> = ordered.values().map(ToString::to_string).collect();
    let mut answer = json!({ "semantics": wanted, "positions": positions });
    if applied {
        return Ok((StatusCode::OK, Json(answer)));
    }
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("note".into(), "in the log, and not applied everywhere yet".into());
    }
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Writes the record into each partition that does not decide by it yet. Answers where.
fn upgrade(door: &Door, wanted: u32, actor: &str) -> Result<BTreeMap<u32, Position>, Problem> {
    let before = by_partition(door)?;
    if let Some((partition, newer)) = before.iter().find(|(_, semantics)| **semantics > wanted) {
        let detail = format!("partition {partition} decides by semantics {newer}; there is no way back to {wanted}");
        return Err(Problem::new(Reason::Conflict, detail));
    }
    must_be_known(door, wanted)?;
    let lineage = door.backend.lineage()?;
    let said = lineage.semantics;
    door.backend.set_lineage(&Lineage { semantics: said.max(Some(wanted)), ..lineage.clone() })?;
    // Who started a moment before may have read no word of it.
    if let Err(problem) = must_be_known(door, wanted) {
        door.backend.set_lineage(&lineage)?;
        return Err(problem);
    }
    let mut ordered = BTreeMap::new();
    for (partition, _) in before.into_iter().filter(|(_, semantics)| *semantics < wanted) {
        let event = Event {
            specversion: Version::V1,
            id: format!("upgrade-{wanted}"),
            source: "/api".to_owned(),
            time: door.clock.now_ms(),
            tenant: String::new(),
            fact: Fact::Upgrade(Upgrade { semantics: wanted, actor: actor.to_owned() }),
        };
        ordered.insert(partition, Position { partition, offset: door.backend.append(partition, &[event])? });
    }
    Ok(ordered)
}

fn by_partition(door: &Door) -> Result<BTreeMap<u32, u32>, Problem> {
    let of = |partition| {
        let semantics = door.backend.stepped(partition)?.0.semantics;
        // One that has applied nothing yet says nothing.
        Ok((partition, semantics.max(semantics::FIRST)))
    };
    (0..door.backend.partitions()).map(of).collect()
}

fn must_be_known(door: &Door, wanted: u32) -> Result<(), Problem> {
    let others = door.backend.others()?;
    match others.into_iter().find(|peer| peer.semantics < wanted) {
        None => Ok(()),
        Some(Peer { name, semantics }) => Err(Problem::new(
            Reason::Conflict,
            format!(
                "{name} knows semantics up to {semantics}, so it would halt: start the new build in its place, and ask again; \
                 one that was killed counts for half a minute"
            ),
        )),
    }
}
