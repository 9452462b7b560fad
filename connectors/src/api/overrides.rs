//! Overrides: an operator's own bounds for a group, for a time. What cannot hold is refused here, in words; what stands in
//! the log the engine bounds once more, by the policy of its moment.

use super::{
    Door, Problem, Reason,
    auth::Operates,
    body::{Instant, Key, Named, Whole},
    control::{Answered, Why, control, obey},
    groups,
};
use crate::backend::ViewKind;
use axum::extract::State;
use serde::Deserialize;
use std::sync::Arc;
use weir_engine::{
    by_hand::OVERRIDE_MAX_MS,
    event::Order,
    grammar,
    view::{GroupRow, PolicyRow},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Override {
    floor: Option<u32>,
    ceiling: Option<u32>,
    /// Both at once.
    size: Option<u32>,
    until: Instant,
    reason: String,
}

/// `POST /v1/groups/{group}/override`.
pub(super) async fn set(
    State(door): State<Arc<Door>>,
    Operates(caller): Operates,
    Named(group): Named<String>,
    Key(key): Key,
    body: Whole,
) -> Answered {
    let asked: Override = body.order()?;
    let Instant(until) = asked.until;
    let now_ms = door.clock.now_ms();
    if until <= now_ms {
        return refuse("`until` is past; name a moment to come".to_owned());
    }
    if until.saturating_sub(now_ms) > OVERRIDE_MAX_MS {
        return refuse(
            "an override holds for 30 days at most; what is meant for longer belongs into the policy".into(),
        );
    }
    if asked.reason.trim().is_empty() {
        return refuse("`reason` is empty; whoever meets the override will ask".to_owned());
    }
    let row = groups::row(&door, &caller.tenant, &group).await?;
    let (floor, ceiling) = bounds(&asked, capacity(&door, &caller.tenant, &row).await?)?;
    let order = Order::Override { group: group.clone(), floor, ceiling, until };
    obey(&door, &caller.tenant, key, control(caller.actor(), asked.reason, order)?, &group).await
}

/// `DELETE /v1/groups/{group}/override`. Where there is none, it is lifted already.
pub(super) async fn lift(
    State(door): State<Arc<Door>>,
    Operates(caller): Operates,
    Named(group): Named<String>,
    Key(key): Key,
    body: Whole,
) -> Answered {
    let Why { reason } = body.order()?;
    groups::row(&door, &caller.tenant, &group).await?;
    let order = Order::LiftOverride { group: group.clone() };
    obey(&door, &caller.tenant, key, control(caller.actor(), reason, order)?, &group).await
}

/// What is asked for, where it can be.
fn bounds(asked: &Override, capacity: Option<(u32, u32)>) -> Result<(Option<u32>, Option<u32>), Problem> {
    let (floor, ceiling) = match (asked.size, asked.floor, asked.ceiling) {
        (Some(size), None, None) => (Some(size), Some(size)),
        (Some(_), ..) => return refuse("`size` is floor and ceiling at once; name it alone".to_owned()),
        (None, None, None) => return refuse("name `floor`, `ceiling` or `size`".to_owned()),
        (None, floor, ceiling) => (floor, ceiling),
    };
    if let (Some(floor), Some(ceiling)) = (floor, ceiling)
        && floor > ceiling
    {
        return refuse(format!("the floor {floor} is above the ceiling {ceiling}"));
    }
    let Some((min, max)) = capacity else { return Ok((floor, ceiling)) };
    match floor.into_iter().chain(ceiling).find(|bound| !(min..=max).contains(bound)) {
        Some(bound) => {
            refuse(format!("{bound} is outside of the policy's capacity {min}..{max}; to go there, deploy another one"))
        }
        None => Ok((floor, ceiling)),
    }
}

/// The group's bounds as its policy has them; none where the policy's row is not there yet.
async fn capacity(door: &Arc<Door>, tenant: &str, row: &GroupRow) -> Result<Option<(u32, u32)>, Problem> {
    let (tenant, file, group) = (tenant.to_owned(), row.policy.clone(), row.group.clone());
    door.ask(move |door| {
        let row = door.backend.view(ViewKind::Policies, &tenant, &file)?;
        let row = row.and_then(|row| serde_json::from_value::<PolicyRow>(row).ok());
        let policy = row.and_then(|row| grammar::check(&row.name, &row.text).policy);
        let plan = policy.and_then(|policy| policy.groups.into_iter().find(|plan| plan.name == group));
        Ok(plan.map(|plan| (plan.min, plan.max)))
    })
    .await
}

fn refuse<T>(detail: String) -> Result<T, Problem> {
    Err(Problem::new(Reason::Unprocessable, detail))
}
