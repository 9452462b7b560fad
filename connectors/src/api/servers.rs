//! What people do with one server: protect, unprotect, remove, detach, adopt. The engine judges in the log's order, and the
//! answer is its decision; whether the group has such a server is looked up here too, for the sake of a misspelt name.

use super::{
    Door, Problem, Reason,
    auth::Operates,
    body::{Instant, Key, Named, Whole},
    control::{Answered, control, enter, judged},
    groups,
};
use crate::backend::ViewKind;
use axum::extract::State;
use serde::Deserialize;
use std::sync::Arc;
use weir_engine::{
    event::{Act, Fact, Order},
    id::{GroupUid, Slot},
};

/// The longest name of a server, bytes.
const NAME_MAX: usize = 255;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Of a protection.
    #[serde(default)]
    until: Option<Instant>,
    /// Another server takes the place of one that leaves.
    #[serde(default)]
    replace: bool,
    reason: String,
}

/// What a row of the servers says of names; the rest is for people.
#[derive(Deserialize)]
struct Row {
    slot: Option<Slot>,
    server: Option<String>,
    name: String,
    addresses: Vec<String>,
}

/// `POST /v1/groups/{group}/servers/{server}/{act}`.
pub(super) async fn act(
    State(door): State<Arc<Door>>,
    Operates(caller): Operates,
    Named((group, server, act)): Named<(String, String, String)>,
    Key(key): Key,
    body: Whole,
) -> Answered {
    let Body { until, replace, reason } = body.order()?;
    let until = until.map(|Instant(ms)| ms);
    let meant = match act.as_str() {
        "protect" => Act::Protect { until },
        "unprotect" => Act::Unprotect,
        "remove" => Act::Remove { replace },
        "detach" => Act::Detach { replace },
        "adopt" => Act::Adopt,
        other => {
            let known = ["protect", "unprotect", "remove", "detach", "adopt"];
            return Err(groups::unknown(&format!("nothing is called `{other}` here"), other, known.into_iter()));
        }
    };
    let refuse = |detail: String| Err(Problem::new(Reason::Unprocessable, detail));
    if replace && !matches!(meant, Act::Remove { .. } | Act::Detach { .. }) {
        return refuse(format!("`replace` is for a server that leaves, not for `{act}`"));
    }
    match until {
        Some(_) if !matches!(meant, Act::Protect { .. }) => return refuse(format!("`until` is not for `{act}`")),
        Some(until) if until <= door.clock.now_ms() => return refuse("`until` is past; name a moment to come".into()),
        Some(_) | None => {}
    }
    if reason.trim().is_empty() {
        return refuse("`reason` is empty; whoever meets the group will ask".to_owned());
    }
    if server.len() > NAME_MAX {
        return refuse(format!("a server's name has at most {NAME_MAX} bytes"));
    }
    let row = groups::row(&door, &caller.tenant, &group).await?;
    if meant != Act::Adopt {
        is_there(&door, &caller.tenant, row.uid, &group, &server).await?;
    }
    let order = Order::Server { group: group.clone(), server, act: meant };
    let control = control(caller.actor(), reason, order)?;
    let deed = serde_json::to_string(&control).unwrap_or_default();
    let (position, again) = enter(&door, &caller.tenant, key, &deed, Fact::Control(control)).await?;
    if !again {
        door.counters.facts("control", 1);
    }
    judged(&door, &caller.tenant, &group, position).await
}

/// Refuses a server that the group's ledger does not have, with the nearest name.
async fn is_there(door: &Arc<Door>, tenant: &str, uid: GroupUid, group: &str, server: &str) -> Result<(), Problem> {
    let tenant = tenant.to_owned();
    let rows = door.ask(move |door| Ok(door.backend.view(ViewKind::Servers, &tenant, &uid.to_string())?)).await?;
    let rows: Vec<Row> = rows.and_then(|rows| serde_json::from_value(rows).ok()).unwrap_or_default();
    let names = rows.into_iter().flat_map(|row| {
        let slot = row.slot.iter().flat_map(|slot| [slot.to_string(), slot.serial.to_string()]).collect::<Vec<_>>();
        row.server.into_iter().chain([row.name]).chain(row.addresses).chain(slot)
    });
    let names: Vec<String> = names.collect();
    if names.iter().any(|name| name == server) {
        return Ok(());
    }
    Err(groups::unknown(&format!("group `{group}` has no server `{server}`"), server, names.iter().map(String::as_str)))
}
