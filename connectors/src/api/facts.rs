//! Facts in: alarms, samples, events. What can be read is written to the log and answered 202 with its position, also
//! where nothing hears it: senders try a 4xx again for hours, and a note says the same at once (rule 2).

use super::{
    Door, Problem, Reason,
    auth::Sends,
    body::Whole,
    declared::{Kind, Known},
};
use crate::{
    config::FACTS_PER_SECOND,
    secret::Caller,
    source::{Making, alertmanager, event, labels::Labels, maas, sample},
};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, sync::Arc};
use weir_engine::{
    event::{Event, Fact},
    id::Position,
    time,
};

/// An alarm further ahead of our clock than this is refused, milliseconds. States of an alarm are ordered by the
/// sender's time, so one word from the far future would silence that alarm until then.
const AHEAD_MAX_MS: i64 = 86_400_000;
/// Notes in one answer; a request may have a thousand.
const NOTES_MAX: usize = 5;

/// `POST /v1/alarms/maas`.
pub(super) async fn maas(
    State(door): State<Arc<Door>>,
    Sends(caller): Sends,
    Whole(body): Whole,
) -> Result<Response, Problem> {
    let maas::Reading { tenant_id, making } = maas::read(&body)?;
    let known = &door.tenant(&caller)?.maas_tenant_ids;
    if let Some(id) = tenant_id.filter(|id| !known.is_empty() && !known.contains(id)) {
        let tenant = &caller.tenant;
        let detail =
            format!("`tenant_id` {id:?} is none of the `maas_tenant_ids` of tenant `{tenant}`, whose token this is");
        return Err(Problem::new(Reason::OtherTenant, detail));
    }
    take(&door, &caller, Taken { kind: "alarm", source: maas::SOURCE, makings: vec![making], notes: vec![] }).await
}

/// `POST /v1/alarms/alertmanager`.
pub(super) async fn alertmanager(
    State(door): State<Arc<Door>>,
    Sends(caller): Sends,
    Whole(body): Whole,
) -> Result<Response, Problem> {
    let tenant = door.tenant(&caller)?;
    let labels = Labels { server: &tenant.server_labels, group: &tenant.group_labels };
    let alertmanager::Reading { makings, truncated } = alertmanager::read(&body, labels)?;
    let mut notes = Vec::new();
    if truncated > 0 {
        notes.push(format!("the sender left out {truncated} alerts; raise its `max_alerts`"));
    }
    take(&door, &caller, Taken { kind: "alarm", source: alertmanager::SOURCE, makings, notes }).await
}

/// `POST /v1/events`.
pub(super) async fn event(
    State(door): State<Arc<Door>>,
    Sends(caller): Sends,
    Whole(body): Whole,
) -> Result<Response, Problem> {
    let making = event::read(&body)?;
    let (key, now_ms) = (making.id.clone(), door.clock.now_ms());
    if let Some(position) = door.seen_events.find(&caller.tenant, &key, "", now_ms)? {
        return Ok(accepted(Some(position), &["this event is in the log already".to_owned()]));
    }
    // Counted once however often it is sent: an event has no state that a repetition could merely confirm.
    let taken = Taken { kind: "event", source: event::SOURCE, makings: vec![making], notes: vec![] };
    let (position, notes) = write(&door, &caller, taken).await?;
    if let Some(position) = position {
        door.seen_events.keep(&caller.tenant, &key, "", position, now_ms);
    }
    Ok(accepted(position, &notes))
}

/// `POST /v1/samples`.
pub(super) async fn samples(
    State(door): State<Arc<Door>>,
    Sends(caller): Sends,
    Whole(body): Whole,
) -> Result<Response, Problem> {
    let now_ms = door.clock.now_ms();
    let sample::Reading { samples, off } = sample::read(&body, now_ms)?;
    door.counters.dropped("sample", off.len());
    let notes: Vec<String> = off.iter().map(|(index, at)| too_far(*index, *at, now_ms)).collect();
    if samples.is_empty() {
        let first = notes.first().cloned().unwrap_or_default();
        let detail = format!("no sample is within 30 s of our clock: {first}; set the sender's clock");
        return Err(Problem::new(Reason::Unprocessable, detail).with("now", time::rfc3339(now_ms).into()));
    }
    let making = Making { id: door.fresh_key(), fact: Fact::Samples(samples) };
    take(&door, &caller, Taken { kind: "sample", source: sample::SOURCE, makings: vec![making], notes }).await
}

fn too_far(index: usize, at: i64, now_ms: i64) -> String {
    let off = weir_engine::grammar::quantity::Millis(i64::try_from(at.abs_diff(now_ms)).unwrap_or(i64::MAX));
    let side = if at > now_ms { "ahead of" } else { "behind" };
    format!("sample {index} is of {}, {off} {side} our clock: dropped", time::rfc3339(at))
}

/// What one request brought.
struct Taken {
    kind: &'static str,
    source: &'static str,
    makings: Vec<Making>,
    notes: Vec<String>,
}

async fn take(door: &Arc<Door>, caller: &Caller, taken: Taken) -> Result<Response, Problem> {
    let (position, notes) = write(door, caller, taken).await?;
    Ok(accepted(position, &notes))
}

/// Writes what came, and says what nothing hears.
async fn write(door: &Arc<Door>, caller: &Caller, taken: Taken) -> Result<(Option<Position>, Vec<String>), Problem> {
    let now_ms = door.clock.now_ms();
    let Taken { kind, source, makings, mut notes } = taken;
    let facts = makings.iter().map(|making| size(&making.fact)).sum();
    let per_second = door.tenant(caller)?.quota.facts_per_second.unwrap_or(FACTS_PER_SECOND);
    door.paces.pay(&caller.tenant, facts, per_second, now_ms)?;
    for making in &makings {
        refuse_far_future(&making.fact, now_ms)?;
    }
    if makings.is_empty() {
        notes.push("it carries nothing".to_owned());
        return Ok((None, notes));
    }
    let tenant = caller.tenant.clone();
    let events: Vec<Event> = makings.into_iter().map(|making| making.event(source, &tenant, now_ms)).collect();
    let partition = door.partition(&tenant);
    let (offset, unheard) = door
        .ask(move |door| {
            let first = door.backend.append(partition, &events)?;
            // It is in the log: from here on nothing may fail. Without the policies there is merely no note.
            let known = door.declared.of(door, &tenant).unwrap_or_default();
            let facts = events.iter().map(|event| &event.fact);
            Ok((first + events.len() as u64 - 1, facts.flat_map(|fact| unheard(&known, &tenant, fact)).collect()))
        })
        .await?;
    let unheard: BTreeSet<String> = unheard;
    door.counters.facts(kind, facts);
    notes.extend(unheard);
    if !notes.is_empty() {
        door.counters.noted(kind);
    }
    Ok((Some(Position { partition, offset }), notes))
}

fn size(fact: &Fact) -> usize {
    if let Fact::Samples(samples) = fact { samples.len() } else { 1 }
}

fn refuse_far_future(fact: &Fact, now_ms: i64) -> Result<(), Problem> {
    match fact {
        Fact::Alarm(alarm) if alarm.at.saturating_sub(now_ms) > AHEAD_MAX_MS => {
            let at = time::rfc3339(alarm.at);
            let detail =
                format!("alarm `{}` is of {at}, over a day ahead of our clock; set the sender's clock", alarm.name);
            Err(Problem::new(Reason::Unprocessable, detail).with("now", time::rfc3339(now_ms).into()))
        }
        _ => Ok(()),
    }
}

fn unheard(known: &Known, tenant: &str, fact: &Fact) -> Vec<String> {
    match fact {
        Fact::Alarm(alarm) => known.note(tenant, Kind::Alarm, &alarm.name, &alarm.about).into_iter().collect(),
        Fact::Happened(happened) => {
            known.note(tenant, Kind::Event, &happened.kind, &happened.about).into_iter().collect()
        }
        Fact::Samples(samples) => {
            let mut asked = BTreeSet::new();
            let fresh = samples
                .iter()
                .filter(|sample| asked.insert((&sample.metric, &sample.about.server, sample.about.group.as_ref())));
            fresh.filter_map(|sample| known.note(tenant, Kind::Metric, &sample.metric, &sample.about)).collect()
        }
        _ => Vec::new(),
    }
}

fn accepted(position: Option<Position>, notes: &[String]) -> Response {
    let mut body = Map::new();
    if let Some(position) = position {
        body.insert("position".to_owned(), position.to_string().into());
    }
    if !notes.is_empty() {
        let mut note = notes.iter().take(NOTES_MAX).map(String::as_str).collect::<Vec<_>>().join("; ");
        if notes.len() > NOTES_MAX {
            note.push_str(&format!("; and {} more", notes.len() - NOTES_MAX));
        }
        body.insert("note".to_owned(), note.into());
    }
    (StatusCode::ACCEPTED, Json(Value::Object(body))).into_response()
}
