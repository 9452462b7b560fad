//! Capability URLs: whoever knows one may fire one rule, and nothing else (rule 15). Only hashes of them are kept, so
//! finding one compares hashes of what was sent, which says nothing about those that exist.

use super::{
    Door, Problem, Reason,
    body::{Key, Named},
    control,
};
use crate::{config::FACTS_PER_SECOND, secret::capability_hash};
use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use weir_engine::event::{Fact, Force, Right};

/// `POST /v1/execute/CAPABILITY`: always 202 for one that exists, with where to read what came of it.
pub(super) async fn execute(
    State(door): State<Arc<Door>>,
    Named(secret): Named<String>,
    Key(key): Key,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let hash = capability_hash(&secret);
    let found = {
        let hash = hash.clone();
        door.ask(move |door| {
            let mut found = None;
            for tenant in &door.config.tenants {
                let known = door.declared.of(door, &tenant.name)?;
                if let Some(capability) = known.capability(&hash) {
                    found = Some((tenant.name.clone(), capability.clone()));
                }
            }
            Ok(found)
        })
        .await?
    };
    let Some((tenant, capability)) = found else {
        let detail = "there is no such capability; whoever deployed the policy was told its URL once";
        return Err(Problem::new(Reason::NotFound, detail));
    };
    let per_second = door.config.tenant(&tenant).and_then(|tenant| tenant.quota.facts_per_second);
    let now_ms = door.clock.now_ms();
    let paid = door.paces.pay(&tenant, 1, per_second.unwrap_or(FACTS_PER_SECOND), now_ms);
    paid.map_err(|problem| problem.of(&tenant))?;
    // Who may only call one URL must not be able to use up another caller's keys.
    let short: String = hash.chars().take(8).collect();
    let key = key.map(|key| format!("capability {short} {key}"));
    let (group, rule) = (capability.group.clone(), capability.rule.clone());
    let force = Force { group, rule, by: Right::Capability, actor: format!("capability {short}") };
    let deed = format!("execute {short}");
    let (position, _) =
        control::enter(&door, &tenant, key, &deed, Fact::Force(force)).await.map_err(|problem| problem.of(&tenant))?;
    door.counters.facts("force", 1);
    let read = format!("/v1/groups/{}/decisions?after={position}", capability.group);
    Ok((StatusCode::ACCEPTED, Json(json!({ "position": position.to_string(), "read": read }))))
}
