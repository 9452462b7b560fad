//! Orders of people and their tools: force, pause, resume, remove, kill switch. Each goes through the log with its
//! actor and answers with what came of it; the engine judges, in the log's order.

use super::{
    Door, Problem, Reason,
    auth::{Administers, Operates},
    body::{Asked, Instant, Key, Named, Whole},
    door::PATIENCE,
    groups,
};
use crate::backend::Switch;
use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use weir_engine::{
    event::{Control, Event, Fact, Force, Order, Right, Version},
    id::Position,
};

/// The source of orders.
const SOURCE: &str = "/api";
/// The longest reason, bytes.
const REASON_MAX: usize = 500;

pub(super) type Answered = Result<(StatusCode, Json<Value>), Problem>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    #[serde(default)]
    until: Option<Instant>,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    #[serde(default)]
    pub(super) reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KillSwitch {
    #[serde(default)]
    region: String,
    #[serde(default)]
    adding: bool,
    #[serde(default)]
    removing: bool,
    #[serde(default)]
    until: Option<Instant>,
    #[serde(default)]
    reason: String,
}

/// What becomes of a removed group's servers. There is no default: either is a mistake for somebody.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Removal {
    servers: Fate,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Fate {
    Delete,
    Keep,
}

/// `POST /v1/groups/{group}/rules/{rule}/force`: answers with the decision.
pub(super) async fn force(
    State(door): State<Arc<Door>>,
    Operates(caller): Operates,
    Named((group, rule)): Named<(String, String)>,
    Key(key): Key,
) -> Answered {
    let row = groups::row(&door, &caller.tenant, &group).await?;
    if !row.rules.iter().any(|known| known.rule == rule) {
        let known = row.rules.iter().map(|known| known.rule.as_str());
        return Err(groups::unknown(&format!("group `{group}` has no rule `{rule}`"), &rule, known));
    }
    let deed = format!("force {group} {rule}");
    let force = Force { group: group.clone(), rule, by: Right::Token, actor: caller.actor() };
    let (position, again) = enter(&door, &caller.tenant, key, &deed, Fact::Force(force)).await?;
    if !again {
        door.counters.facts("force", 1);
    }
    judged(&door, &caller.tenant, &group, position).await
}

/// The decision that an order made at its record.
pub(super) async fn judged(door: &Arc<Door>, tenant: &str, group: &str, position: Position) -> Answered {
    if !door.applied(position, PATIENCE).await? {
        return Ok(not_yet(position, group));
    }
    let (tenant, group) = (tenant.to_owned(), group.to_owned());
    let decision = door
        .ask(move |door| {
            let mut made = door.backend.decisions_at(position)?.into_iter();
            // A timer that was due may have decided at the same record, before; the order's own comes last.
            Ok(made.rfind(|decision| decision.tenant == tenant && decision.group == group))
        })
        .await?;
    Ok((StatusCode::OK, Json(json!({ "position": position.to_string(), "decision": decision }))))
}

/// `POST /v1/groups/{group}/pause`.
pub(super) async fn pause(
    State(door): State<Arc<Door>>,
    Operates(caller): Operates,
    Named(group): Named<String>,
    Key(key): Key,
    body: Whole,
) -> Answered {
    let Pause { until, reason } = body.order()?;
    let until = until.map(|Instant(ms)| ms);
    if until.is_some_and(|until| until <= door.clock.now_ms()) {
        return Err(Problem::new(Reason::Unprocessable, "`until` is past; name a moment to come, or leave it out"));
    }
    groups::row(&door, &caller.tenant, &group).await?;
    let order = Order::Pause { group: group.clone(), until };
    obey(&door, &caller.tenant, key, control(caller.actor(), reason, order)?, &group).await
}

/// `POST /v1/groups/{group}/resume`.
pub(super) async fn resume(
    State(door): State<Arc<Door>>,
    Operates(caller): Operates,
    Named(group): Named<String>,
    Key(key): Key,
    body: Whole,
) -> Answered {
    let Why { reason } = body.order()?;
    groups::row(&door, &caller.tenant, &group).await?;
    let order = Order::Resume { group: group.clone() };
    obey(&door, &caller.tenant, key, control(caller.actor(), reason, order)?, &group).await
}

/// `DELETE /v1/groups/{group}?servers=delete|keep`.
pub(super) async fn remove(
    State(door): State<Arc<Door>>,
    Administers(caller): Administers,
    Named(group): Named<String>,
    Asked(Removal { servers }): Asked<Removal>,
    Key(key): Key,
    body: Whole,
) -> Answered {
    let Why { reason } = body.order()?;
    groups::row(&door, &caller.tenant, &group).await?;
    let order = Order::Remove { group: group.clone(), keep_servers: servers == Fate::Keep };
    obey(&door, &caller.tenant, key, control(caller.actor(), reason, order)?, &group).await
}

/// `POST /v1/kill-switch`: both false lifts it.
pub(super) async fn kill_switch(
    State(door): State<Arc<Door>>,
    Operates(caller): Operates,
    Key(key): Key,
    body: Whole,
) -> Answered {
    let KillSwitch { region, adding, removing, until, reason } = body.order()?;
    let until_ms = until.map(|Instant(ms)| ms);
    let (tenant, actor) = (caller.tenant.clone(), caller.actor());
    let order = Order::KillSwitch { region: region.clone(), adding, removing, until: until_ms };
    let control = control(actor.clone(), reason.clone(), order)?;
    // First where executors look before each call; the events may be far behind. Said twice it is the same, so who hears that
    // the second did not happen says both again.
    let switch = Switch { tenant, region, adding, removing, until_ms, actor, reason };
    let deed = serde_json::to_string(&control).unwrap_or_default();
    let (now_ms, tenant) = (door.clock.now_ms(), caller.tenant.as_str());
    // An order that comes again after another one does not undo it.
    let again = key.as_deref().map(|key| door.seen.find(tenant, key, &deed, now_ms)).transpose()?.flatten();
    if again.is_none() {
        door.ask(move |door| Ok(door.backend.set_switch(switch)?)).await?;
    }
    obey(&door, &caller.tenant, key, control, "").await
}

pub(super) fn control(actor: String, reason: String, order: Order) -> Result<Control, Problem> {
    if reason.len() > REASON_MAX {
        let detail = format!("`reason` has {} bytes; at most {REASON_MAX}", reason.len());
        return Err(Problem::new(Reason::Unprocessable, detail));
    }
    Ok(Control { actor, reason, order })
}

/// Writes an order and answers with its group's row once it is obeyed; null where the group is gone.
pub(super) async fn obey(
    door: &Arc<Door>,
    tenant: &str,
    key: Option<String>,
    control: Control,
    group: &str,
) -> Answered {
    let deed = serde_json::to_string(&control).unwrap_or_default();
    let (position, again) = enter(door, tenant, key, &deed, Fact::Control(control)).await?;
    if !again {
        door.counters.facts("control", 1);
    }
    if !door.applied(position, PATIENCE).await? {
        return Ok(not_yet(position, group));
    }
    let row = groups::find(door, tenant, group).await?;
    Ok((StatusCode::OK, Json(json!({ "position": position.to_string(), "group": row }))))
}

fn not_yet(position: Position, group: &str) -> (StatusCode, Json<Value>) {
    let read = format!("/v1/groups/{group}/decisions?after={position}");
    let note = "in the log, and not applied yet: no live engine, or one that is catching up";
    (StatusCode::ACCEPTED, Json(json!({ "position": position.to_string(), "note": note, "read": read })))
}

/// Writes an order, or finds the one that its key stands for. Answers its place, and whether it was there before.
pub(super) async fn enter(
    door: &Arc<Door>,
    tenant: &str,
    key: Option<String>,
    deed: &str,
    fact: Fact,
) -> Result<(Position, bool), Problem> {
    let now_ms = door.clock.now_ms();
    let id = match key {
        Some(key) => match door.seen.find(tenant, &key, deed, now_ms)? {
            Some(position) => return Ok((position, true)),
            None => key,
        },
        None => door.fresh_key(),
    };
    let event = Event {
        specversion: Version::V1,
        id: id.clone(),
        source: SOURCE.to_owned(),
        time: now_ms,
        tenant: tenant.to_owned(),
        fact,
    };
    let position = door.write(tenant, vec![event]).await?;
    door.seen.keep(tenant, &id, deed, position, now_ms);
    Ok((position, false))
}
