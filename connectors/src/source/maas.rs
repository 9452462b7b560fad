//! Rackspace Monitoring's webhook: one notification is one alarm in one state.
//!
//! `entity`, `check`, `alarm` and `details.metrics` may be absent (time-outs have no metrics, deleted alarms no alarm).
//! The service sends again whatever was not answered 2xx, so the key is its own: `event_id` and `log_entry_id`.

use super::{Error, Making, beginning, json, name, server_names};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use weir_engine::{
    event::{About, Alarm, Fact},
    grammar::{policy::AlarmState, quantity::Quantity},
};

/// The source of its events.
pub const SOURCE: &str = "/maas";

/// Numbers that are kept of one notification.
pub const NUMBERS_MAX: usize = 64;

/// What one notification says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What the sender calls the tenant, where it says so.
    pub tenant_id: Option<String>,
    /// The alarm.
    pub making: Making,
}

#[derive(Deserialize)]
struct Notification<'a> {
    // The service's own manual calls these two by another name than its payloads do.
    #[serde(alias = "eventID")]
    event_id: String,
    #[serde(alias = "logEntryID")]
    log_entry_id: String,
    #[serde(borrow)]
    details: Details<'a>,
    #[serde(default)]
    entity: Option<Entity>,
    #[serde(default)]
    alarm: Option<AlarmSetting>,
    #[serde(default)]
    tenant_id: Option<String>,
}

#[derive(Deserialize)]
struct Details<'a> {
    timestamp: i64,
    state: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(borrow, default, deserialize_with = "json::null_is_empty")]
    metrics: BTreeMap<String, Metric<'a>>,
}

#[derive(Deserialize)]
struct Metric<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entity {
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    agent_id: Option<String>,
    #[serde(default, deserialize_with = "json::null_is_empty")]
    ip_addresses: BTreeMap<String, Option<String>>,
}

#[derive(Deserialize)]
struct AlarmSetting {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    label: Option<String>,
}

/// Reads one notification.
///
/// # Errors
/// Where it is no notification, names no alarm, or is in no state that is known.
pub fn read(bytes: &[u8]) -> Result<Reading, Error> {
    let Notification { event_id, log_entry_id, details, entity, alarm, tenant_id } = json::read(bytes)?;
    let state = match details.state.as_str() {
        "OK" => AlarmState::Ok,
        "WARNING" => AlarmState::Warning,
        "CRITICAL" => AlarmState::Critical,
        _ => return Err(Error::field("details.state", "is none of `OK`, `WARNING`, `CRITICAL`")),
    };
    let id = format!("{}:{}", name("event_id", event_id.clone())?, name("log_entry_id", log_entry_id)?);
    let numbers = details.metrics.into_iter().filter_map(|(name, metric)| Some((name, number(metric.data?)?)));
    let fact = Fact::Alarm(Alarm {
        name: alarm_name(alarm, &event_id)?,
        state,
        at: details.timestamp,
        about: About { server: entity.map(servers).unwrap_or_default(), group: None },
        text: beginning(details.status.unwrap_or_default()),
        numbers: numbers.filter(|(name, _)| name.len() <= super::NAME_MAX).take(NUMBERS_MAX).collect(),
    });
    Ok(Reading { tenant_id, making: Making { id, fact } })
}

/// The alarm's label, which people choose; else its id; else the id that stands third in the event's.
fn alarm_name(alarm: Option<AlarmSetting>, event_id: &str) -> Result<String, Error> {
    let (label, id) = alarm.map(|alarm| (alarm.label, alarm.id)).unwrap_or_default();
    let third = || event_id.split(':').nth(2).map(str::to_owned);
    let given = |text: &String| !text.is_empty();
    match label.filter(given).or(id.filter(given)).or_else(third).filter(given) {
        Some(found) => name("alarm.label", found),
        None => Err(Error::field("alarm", "is absent, and `event_id` names none either")),
    }
}

/// The agent's id is the cloud's id of the server by default; the entity's URI ends in it; the rest are names.
fn servers(entity: Entity) -> Vec<String> {
    let last = entity.uri.and_then(|uri| uri.trim_end_matches('/').rsplit('/').next().map(str::to_owned));
    let addresses = entity.ip_addresses.into_values().flatten();
    server_names(entity.agent_id.into_iter().chain(last).chain(entity.label).chain(addresses))
}

/// A number as it was written, be it JSON's own or inside a string, as the agent sends large ones.
fn number(data: &RawValue) -> Option<String> {
    let text = data.get();
    let text = match text.strip_prefix('"') {
        Some(_) => serde_json::from_str::<String>(text).ok()?,
        None => text.to_owned(),
    };
    (text.len() <= 64 && Quantity::parse(&text).is_some()).then_some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    const BARE: &str = r#"{"event_id":"ac1:en1:al1:ch1:1700000000000:CRITICAL","log_entry_id":"l1",
        "details":{"timestamp":1700000000123,"state":"CRITICAL"}}"#;

    fn alarm(text: &str) -> (String, Alarm) {
        match read(text.as_bytes()).unwrap().making {
            Making { id, fact: Fact::Alarm(alarm) } => (id, alarm),
            making => panic!("{making:?}"),
        }
    }

    #[test]
    fn what_may_be_absent_is() {
        let (id, alarm) = alarm(BARE);
        assert_eq!(id, "ac1:en1:al1:ch1:1700000000000:CRITICAL:l1");
        assert_eq!((alarm.name.as_str(), alarm.state, alarm.at), ("al1", AlarmState::Critical, 1_700_000_000_123));
        assert_eq!(alarm.about, About::default());
    }

    #[test]
    fn a_server_is_known_by_every_name_that_the_notification_has_for_it() {
        let entity = r#""entity":{"label":"web-3","agent_id":"7f2c","uri":"https://lon.example.com/v2/1/servers/7f2c",
            "ip_addresses":{"private0":"10.1.0.3","public0":"192.0.2.3","gone":null},"metadata":null},"details""#;
        let (_, alarm) = alarm(&BARE.replacen("\"details\"", entity, 1));
        assert_eq!(alarm.about.server, ["7f2c", "web-3", "10.1.0.3", "192.0.2.3"]);
    }

    #[test]
    fn numbers_are_kept_as_they_were_written() {
        let metrics = r#""state":"CRITICAL","metrics":{"load":{"type":"n","data":12.30,"unit":"x"},
            "bytes":{"type":"L","data":"18446744073","unit":"bytes"},"code":{"type":"s","data":"gone","unit":"u"},
            "none":{"type":"i","data":null}}"#;
        let (_, alarm) = alarm(&BARE.replacen("\"state\":\"CRITICAL\"", metrics, 1));
        let numbers: Vec<_> = alarm.numbers.iter().map(|(name, number)| (name.as_str(), number.as_str())).collect();
        assert_eq!(numbers, [("bytes", "18446744073"), ("load", "12.30")]);
    }

    #[test]
    fn what_is_no_notification_is_refused_by_field() {
        let said = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
        assert!(said(&BARE.replace("\"CRITICAL\"", "\"critical\"")).contains("`details.state` is none of"));
        assert!(said(&BARE.replace("\"log_entry_id\":\"l1\",", "")).contains("missing field `log_entry_id`"));
        assert!(said(&BARE.replace("1700000000123", "\"now\"")).contains("invalid type"));
        assert!(said("{}").contains("line 1, column 2"));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, at in 0..BARE.len(), byte: u8) {
            let _ = read(&bytes);
            let mut bent = BARE.as_bytes().to_vec();
            bent[at] = byte;
            let _ = read(&bent);
        }
    }
}
