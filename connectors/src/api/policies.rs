//! Policies: checked at the door, judged once more by the engine in the log's order. A file with errors never reaches
//! the log, and the version before stays live.

use super::{
    Door, Problem, Reason,
    auth::{Administers, Reads},
    body::{Asked, Key, Named, Whole},
    control,
    groups::{self, After},
};
use crate::{
    backend::ViewKind,
    secret::{self, Caller, capability_hash},
    source::json,
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use weir_engine::{
    event::{Capability, Deploy, Fact},
    grammar::{
        self, Checked,
        policy::{Policy, Trigger},
    },
    view::PolicyRow,
};

/// How long a deploy waits for the engine's word.
const DEPLOY_PATIENCE: Duration = Duration::from_secs(10);
/// The most of one `setup` file, bytes: what clouds take as user data, before base64.
pub(super) const SETUP_MAX: usize = 48 * 1024;

/// A policy with its files, where it comes as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    text: String,
    #[serde(default)]
    setup: BTreeMap<String, String>,
}

/// How to deploy.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct How {
    #[serde(default)]
    dry_run: bool,
}

/// `GET /v1/policies`: without texts.
pub(super) async fn list(
    State(door): State<Arc<Door>>,
    Reads(caller): Reads,
    Asked(After { after }): Asked<After>,
) -> Result<Json<Value>, Problem> {
    door.after(&caller, after.map(|place| place.0)).await?;
    let rows = door.ask(move |door| Ok(door.backend.views(ViewKind::Policies, &caller.tenant)?)).await?;
    let rows: Vec<Value> = rows.into_iter().map(|(_, row)| shown(row, false)).collect();
    Ok(Json(json!({ "policies": rows })))
}

/// `GET /v1/policies/{name}`.
pub(super) async fn one(
    State(door): State<Arc<Door>>,
    Reads(caller): Reads,
    Named(name): Named<String>,
    Asked(After { after }): Asked<After>,
) -> Result<Json<Value>, Problem> {
    door.after(&caller, after.map(|place| place.0)).await?;
    let rows = door.ask(move |door| Ok(door.backend.views(ViewKind::Policies, &caller.tenant)?)).await?;
    match rows.iter().find(|(known, _)| *known == name) {
        Some((_, row)) => Ok(Json(shown(row.clone(), true))),
        None => {
            let known = rows.iter().map(|(known, _)| known.as_str());
            Err(groups::unknown(&format!("there is no policy `{name}`"), &name, known))
        }
    }
}

/// A row without the hashes of its capabilities, which are nobody's business.
fn shown(mut row: Value, whole: bool) -> Value {
    if let Some(fields) = row.as_object_mut() {
        if !whole {
            fields.remove("text");
            fields.remove("setup");
        }
        if let Some(Value::Array(capabilities)) = fields.get_mut("capabilities") {
            for capability in capabilities.iter_mut().filter_map(Value::as_object_mut) {
                capability.remove("hash");
            }
        }
    }
    row
}

/// `PUT /v1/policies/{name}`: the text, or JSON with `text` and `setup`.
pub(super) async fn deploy(
    State(door): State<Arc<Door>>,
    Administers(caller): Administers,
    Named(name): Named<String>,
    Asked(How { dry_run }): Asked<How>,
    Key(key): Key,
    headers: HeaderMap,
    Whole(body): Whole,
) -> Result<(StatusCode, Json<Value>), Problem> {
    file_name(&name)?;
    let Files { text, setup } = files(&headers, &body)?;
    let checking = (name.clone(), text.clone());
    let checked = door.ask(move |_| Ok(grammar::check(&checking.0, &checking.1))).await?;
    let diagnostics = diagnostics(&checked, &text);
    let Some(policy) = &checked.policy else {
        let errors = checked.diagnostics.iter().filter(|found| found.severity == grammar::Severity::Error).count();
        let first = checked.diagnostics.first().map(|found| format!("; first: {}", found.message)).unwrap_or_default();
        let live = "what was deployed before stays live";
        let detail = format!("`{name}` has {errors} errors{first}; {live}");
        return Err(Problem::new(Reason::Unprocessable, detail).with("diagnostics", diagnostics));
    };
    setup_files(policy, &setup)?;
    let before = stored(&door, &caller, &name).await?;
    if dry_run {
        let warning = foreseen(&door, &caller, &name, policy).await?;
        let groups: Vec<&str> = policy.groups.iter().map(|group| group.name.as_str()).collect();
        let answer = json!({ "accepted": warning.is_none(), "dry_run": true, "refused": warning, "groups": groups,
            "diagnostics": diagnostics });
        return Ok((StatusCode::OK, Json(answer)));
    }
    let offers = offers(policy, before.as_ref())?;
    let capabilities = offers.iter().map(|(capability, _)| capability.clone()).collect();
    let actor = caller.actor();
    let deploy = Deploy { name: name.clone(), text: text.clone(), setup: setup.clone(), capabilities, actor };
    let digest = blake3::hash(&body).to_hex();
    let fact = Fact::Policy(deploy);
    let (position, again) =
        control::enter(&door, &caller.tenant, key, &format!("deploy {name} {digest}"), fact).await?;
    if !again {
        door.counters.facts("policy", 1);
    }
    if !door.applied(position, DEPLOY_PATIENCE).await? {
        let note = "in the log, and not applied yet: no live engine, or one that is catching up";
        let read = format!("/v1/policies/{name}?after={position}");
        let answer = json!({ "position": position.to_string(), "note": note, "read": read });
        return Ok((StatusCode::ACCEPTED, Json(answer)));
    }
    door.declared.forget(&caller.tenant);
    match stored(&door, &caller, &name).await? {
        Some(row) if row.text == text && row.setup == setup => {
            let urls: Vec<Value> = offers
                .iter()
                // One that the rule already had stays instead, and its URL cannot be shown again.
                .filter(|(offered, _)| row.capabilities.contains(offered))
                .map(|(offered, secret)| {
                    let path = format!("/v1/execute/{}", secret.expose_secret());
                    json!({ "group": offered.group, "rule": offered.rule, "path": path })
                })
                .collect();
            Ok((
                StatusCode::OK,
                Json(json!({ "accepted": true, "position": position.to_string(), "name": name, "version": row.version,
                    "hash": row.hash, "groups": row.groups, "capabilities": urls, "diagnostics": diagnostics })),
            ))
        }
        row => {
            let why = row.as_ref().and_then(|row| row.refused.clone());
            let why = why.unwrap_or_else(|| "another deploy came after it".to_owned());
            let version = row.map(|row| row.version).filter(|version| *version > 0);
            let live =
                version.map_or("nothing is live under this name".to_owned(), |v| format!("version {v} stays live"));
            Err(Problem::new(Reason::Conflict, format!("`{name}` was not put in force: {why}; {live}"))
                .with("position", position.to_string().into())
                .with("version", version.into()))
        }
    }
}

/// File names go into messages and paths of the API as they are.
fn file_name(name: &str) -> Result<(), Problem> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.len() <= 64 && name.ends_with(".weir") && name.len() > ".weir".len() && name.chars().all(fine) {
        return Ok(());
    }
    let detail = format!("`{name}` cannot be a policy's name; use letters, digits, `-`, `_` and end it in `.weir`");
    Err(Problem::new(Reason::Unprocessable, detail))
}

fn files(headers: &HeaderMap, body: &[u8]) -> Result<Files, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/json") {
        return Ok(json::read(body)?);
    }
    match std::str::from_utf8(body) {
        Ok(text) => Ok(Files { text: text.to_owned(), setup: BTreeMap::new() }),
        Err(error) => {
            let detail = format!("the policy is not UTF-8 from byte {} on", error.valid_up_to());
            Err(Problem::new(Reason::Malformed, detail))
        }
    }
}

fn diagnostics(checked: &Checked, text: &str) -> Value {
    let located = checked.diagnostics.iter().map(|found| grammar::locate(found, &checked.name, text));
    located.map(|located| json!(located)).collect()
}

/// The text of each `setup` file that a launch names comes with the deploy, and nothing else does.
fn setup_files(policy: &Policy, setup: &BTreeMap<String, String>) -> Result<(), Problem> {
    let refuse = |detail: String| Err(Problem::new(Reason::Unprocessable, detail));
    let named = || policy.launches.iter().filter_map(|launch| Some((&launch.name, launch.setup.as_ref()?)));
    if let Some((launch, file)) = named().find(|(_, file)| !setup.contains_key(*file)) {
        return refuse(format!(
            "launch `{launch}` names `{file}`, whose text did not come with it; send it under `setup`"
        ));
    }
    if let Some(file) = setup.keys().find(|file| named().all(|(_, named)| named != *file)) {
        return refuse(format!("`setup` has `{file}`, which no launch names; leave it out"));
    }
    if let Some((file, text)) = setup.iter().find(|(_, text)| text.len() > SETUP_MAX) {
        return refuse(format!("`{file}` has {} bytes; a cloud takes at most {SETUP_MAX} as user data", text.len()));
    }
    Ok(())
}

async fn stored(door: &Arc<Door>, caller: &Caller, name: &str) -> Result<Option<PolicyRow>, Problem> {
    let (tenant, file) = (caller.tenant.clone(), name.to_owned());
    let row = door.ask(move |door| Ok(door.backend.view(ViewKind::Policies, &tenant, &file)?)).await?;
    row.map(serde_json::from_value)
        .transpose()
        .map_err(|error| Problem::new(Reason::Failed, format!("the row of policy `{name}` cannot be read: {error}")))
}

/// What the engine would say against it, as far as the views show (rule 21).
async fn foreseen(door: &Arc<Door>, caller: &Caller, name: &str, policy: &Policy) -> Result<Option<String>, Problem> {
    let tenant = caller.tenant.clone();
    let rows = door.ask(move |door| Ok(door.backend.views(ViewKind::Policies, &tenant)?)).await?;
    let new: Vec<&str> = policy.groups.iter().map(|group| group.name.as_str()).collect();
    for (file, row) in &rows {
        let old = row.get("groups").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for group in old {
            if file == name && !new.contains(&group) {
                return Ok(Some(format!("group `{group}` is missing from the file; remove it first")));
            }
            if file != name && new.contains(&group) {
                return Ok(Some(format!("group `{group}` lives in `{file}`; a group lives in one file")));
            }
        }
    }
    Ok(None)
}

/// A capability for each `webhook` rule that has none, with the secret that its URL ends in.
fn offers(policy: &Policy, before: Option<&PolicyRow>) -> Result<Vec<(Capability, SecretString)>, Problem> {
    let mut offers = Vec::new();
    for group in &policy.groups {
        for rule in &group.rules {
            let has = before
                .is_some_and(|row| row.capabilities.iter().any(|has| has.group == group.name && has.rule == rule.name));
            if matches!(rule.trigger, Trigger::Webhook { .. }) && !has {
                let secret = secret::make().map_err(|error| Problem::new(Reason::Failed, error.to_string()))?;
                let hash = capability_hash(secret.expose_secret());
                offers.push((Capability { group: group.name.clone(), rule: rule.name.clone(), hash }, secret));
            }
        }
    }
    Ok(offers)
}
