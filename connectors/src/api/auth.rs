//! Who speaks, and what may they do. A token fixes the tenant (rule 2); nothing in a path or body changes it.
//!
//! A handler says in its signature which right it needs ([`Sends`], [`Reads`], [`Operates`], [`Administers`]); without
//! one of them it serves everybody. [`watch`] sees every answer on its way out and keeps the refusals.

use super::{Door, Problem, Reason};
use crate::{
    config::Role,
    secret::{Caller, Gate},
};
use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::Response,
};
use std::sync::Arc;

/// The header that carries Rackspace Monitoring's token.
const MAAS_HEADER: &str = "x-rackspace-webhook-token";
/// The one path on which that token opens anything.
const MAAS_PATH: &str = "/v1/alarms/maas";

/// Finds out who speaks before the handler, and counts what was refused after it.
pub(super) async fn watch(
    State(door): State<Arc<Door>>,
    path: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    // The route and not the path: a capability's path is a secret.
    let route = path.as_ref().map_or("(no such path)", |path| path.as_str()).to_owned();
    let caller = who(&door, request.headers(), &route);
    let tenant = caller.as_ref().map(|caller| caller.tenant.clone());
    let method = request.method().clone();
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    let response = next.run(request).await;
    if let Some(problem) = response.extensions().get::<Problem>() {
        door.counters.refused(problem.reason);
        if let Some(tenant) = tenant.as_ref().or(problem.tenant.as_ref()) {
            door.refused.keep(tenant, door.clock.now_ms(), format!("{method} {route}"), problem);
        }
    }
    response
}

fn who(door: &Door, headers: &HeaderMap, route: &str) -> Option<Caller> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| door.keys.who(Gate::Api, token.trim().as_bytes()))?
            .cloned();
    }
    let token = headers.get(MAAS_HEADER).filter(|_| route == MAAS_PATH)?;
    door.keys.who(Gate::Maas, token.as_bytes()).cloned()
}

macro_rules! rights {
    ($($(#[$doc:meta])* $right:ident: $($role:ident)|+, $deed:literal;)*) => {$(
        $(#[$doc])*
        pub(super) struct $right(pub Caller);

        impl FromRequestParts<Arc<Door>> for $right {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _: &Arc<Door>) -> Result<Self, Problem> {
                let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(unauthorized)?;
                match caller.role {
                    $(Role::$role)|+ => Ok(Self(caller)),
                    _ => Err(Problem::new(
                        Reason::Forbidden,
                        format!("the token `{}` may not {}; use one with another role", caller.name, $deed),
                    )),
                }
            }
        }
    )*};
}

rights! {
    /// May send facts.
    Sends: Sender | Operator | Admin, "send facts";
    /// May read.
    Reads: Viewer | Operator | Admin, "read";
    /// May force, pause and resume.
    Operates: Operator | Admin, "give orders";
    /// May do everything.
    Administers: Admin, "change policies, remove groups, upgrade or read the log";
}

fn unauthorized() -> Problem {
    Problem::new(
        Reason::Unauthorized,
        format!(
            "no token, or one that nobody has; send `Authorization: Bearer …` (Rackspace Monitoring: `{MAAS_HEADER}`)"
        ),
    )
}
