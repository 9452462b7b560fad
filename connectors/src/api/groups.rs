//! What is: groups, their servers and decisions, the tenant. Read from the views and the history, never computed here.

use super::{
    Door, Problem, Reason,
    auth::Reads,
    body::{Asked, Named, Place},
};
use crate::{backend::ViewKind, nearest::nearest};
use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use weir_engine::{
    time,
    view::{GroupRow, TenantRow},
};

/// Decisions on one page, unless asked for fewer or more.
const PAGE: usize = 50;
/// And at most.
const PAGE_MAX: usize = 1_000;

type Answered = Result<Json<Value>, Problem>;

/// How fresh a read must be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    pub(super) after: Option<Place>,
}

/// Which decisions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    after: Option<Place>,
    before: Option<u64>,
    limit: Option<usize>,
}

/// `GET /v1/groups`.
pub(super) async fn list(
    State(door): State<Arc<Door>>,
    Reads(caller): Reads,
    Asked(After { after }): Asked<After>,
) -> Answered {
    door.after(&caller, after.map(|Place(position)| position)).await?;
    let rows = door.ask(move |door| Ok(door.backend.views(ViewKind::Groups, &caller.tenant)?)).await?;
    let rows: Vec<Value> = rows.into_iter().map(|(_, row)| row).collect();
    // What a client's "today" and "in two hours" mean; a demonstration's clock is not the wall's.
    Ok(Json(json!({ "groups": rows, "now": time::rfc3339(door.clock.now_ms()) })))
}

/// `GET /v1/groups/{group}`.
pub(super) async fn one(
    State(door): State<Arc<Door>>,
    Reads(caller): Reads,
    Named(group): Named<String>,
    Asked(After { after }): Asked<After>,
) -> Answered {
    door.after(&caller, after.map(|Place(position)| position)).await?;
    Ok(Json(json!(row(&door, &caller.tenant, &group).await?)))
}

/// `GET /v1/groups/{group}/servers`: the ledger's servers, as the executor last wrote them.
pub(super) async fn servers(
    State(door): State<Arc<Door>>,
    Reads(caller): Reads,
    Named(group): Named<String>,
    Asked(After { after }): Asked<After>,
) -> Answered {
    door.after(&caller, after.map(|Place(position)| position)).await?;
    let uid = row(&door, &caller.tenant, &group).await?.uid;
    let servers = door
        .ask(move |door| Ok(door.backend.view(ViewKind::Servers, &caller.tenant, &uid.to_string())?))
        .await?
        .unwrap_or_else(|| json!([]));
    Ok(Json(json!({ "group": group, "uid": uid, "servers": servers })))
}

/// `GET /v1/groups/{group}/decisions?before=&limit=`: newest first; `before` of the answer asks for the next page. Also
/// for a group that is gone.
pub(super) async fn decisions(
    State(door): State<Arc<Door>>,
    Reads(caller): Reads,
    Named(group): Named<String>,
    Asked(Page { after, before, limit }): Asked<Page>,
) -> Answered {
    door.after(&caller, after.map(|Place(position)| position)).await?;
    let most = limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&most) {
        return Err(Problem::new(Reason::Malformed, format!("`limit` is {most}; it may be 1 to {PAGE_MAX}")));
    }
    let (tenant, name) = (caller.tenant.clone(), group.clone());
    let kept = door.ask(move |door| Ok(door.backend.decisions(&tenant, &name, before, most)?)).await?;
    if kept.is_empty() && before.is_none() {
        row(&door, &caller.tenant, &group).await?;
    }
    let next = kept.last().filter(|_| kept.len() == most).map(|last| last.serial);
    Ok(Json(json!({ "decisions": kept, "before": next })))
}

/// `GET /v1/tenant`: quota, servers, dropped facts, kill switches.
pub(super) async fn tenant(
    State(door): State<Arc<Door>>,
    Reads(caller): Reads,
    Asked(After { after }): Asked<After>,
) -> Answered {
    door.after(&caller, after.map(|Place(position)| position)).await?;
    let name = caller.tenant.clone();
    let rows = door.ask(move |door| Ok(door.backend.views(ViewKind::Tenants, &name)?)).await?;
    // There is one row, and none before the first fact.
    let row = rows.into_iter().next().map_or_else(|| json!(TenantRow::default()), |(_, row)| row);
    Ok(Json(json!({ "tenant": caller.tenant, "standing": row })))
}

/// A group's row, where there is such a group.
pub(super) async fn find(door: &Arc<Door>, tenant: &str, group: &str) -> Result<Option<GroupRow>, Problem> {
    let (tenant, name) = (tenant.to_owned(), group.to_owned());
    let row = door.ask(move |door| Ok(door.backend.view(ViewKind::Groups, &tenant, &name)?)).await?;
    row.map(serde_json::from_value)
        .transpose()
        .map_err(|error| Problem::new(Reason::Failed, format!("the row of group `{group}` cannot be read: {error}")))
}

/// A group's row, or 404 with the nearest name.
pub(super) async fn row(door: &Arc<Door>, tenant: &str, group: &str) -> Result<GroupRow, Problem> {
    if let Some(row) = find(door, tenant, group).await? {
        return Ok(row);
    }
    let owner = tenant.to_owned();
    let rows = door.ask(move |door| Ok(door.backend.views(ViewKind::Groups, &owner)?)).await?;
    let known = rows.iter().map(|(name, _)| name.as_str());
    Err(unknown(&format!("tenant `{tenant}` has no group `{group}`"), group, known))
}

/// 404 for a name, with the nearest one.
pub(super) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Problem {
    let hint = nearest(name, known).map(|name| format!("; nearest: {name}")).unwrap_or_default();
    Problem::new(Reason::NotFound, format!("{what}{hint}"))
}
