//! What was refused lately, for a tenant to look at: a sender's log says little, and often nobody can read it.

use super::{Door, Problem, Reason, auth::Reads};
use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};
use weir_engine::time;

/// Refusals kept of a tenant.
pub(super) const KEPT_MAX: usize = 100;

/// One refusal. No body and no path: either may hold what is nobody's to read.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Refusal {
    #[serde(with = "time::wire")]
    at: i64,
    request: String,
    reason: Reason,
    detail: String,
}

/// The newest refusals of every tenant, in memory.
#[derive(Default)]
pub(super) struct Refusals {
    tenants: Mutex<BTreeMap<String, VecDeque<Refusal>>>,
}

impl Refusals {
    pub(super) fn keep(&self, tenant: &str, at: i64, request: String, problem: &Problem) {
        let refusal = Refusal { at, request, reason: problem.reason, detail: problem.detail.clone() };
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = tenants.entry(tenant.to_owned()).or_default();
        kept.push_front(refusal);
        kept.truncate(KEPT_MAX);
    }

    fn of(&self, tenant: &str) -> Vec<Refusal> {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.get(tenant).map(|kept| kept.iter().cloned().collect()).unwrap_or_default()
    }
}

/// `GET /v1/refused`: newest first.
pub(super) async fn list(State(door): State<Arc<Door>>, Reads(caller): Reads) -> Json<Value> {
    Json(json!({ "refused": door.refused.of(&caller.tenant) }))
}
