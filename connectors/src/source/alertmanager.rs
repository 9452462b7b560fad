//! Prometheus Alertmanager's webhook, version 4: one notification carries many alerts.
//!
//! Alerts that differ only in severity are one alarm to a policy. So what one notification says of one alarm on one
//! server is taken together: the worst state that fires, at the newest of their times. Otherwise the end of a critical
//! alert would pass for `ok` while its warning still fires.

use super::{Error, Making, beginning, json, labels::Labels, name};
use serde::Deserialize;
use std::collections::BTreeMap;
use weir_engine::{
    event::{Alarm, Fact},
    grammar::policy::AlarmState,
    time,
};

/// The source of its events.
pub const SOURCE: &str = "/alertmanager";

/// What one notification says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The alarms, in the order in which they first stand in it.
    pub makings: Vec<Making>,
    /// Alerts that the sender left out (its `max_alerts`).
    pub truncated: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    version: String,
    alerts: Vec<Alert>,
    #[serde(default)]
    truncated_alerts: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    status: String,
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "json::null_is_empty")]
    annotations: BTreeMap<String, String>,
    starts_at: String,
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(default)]
    fingerprint: String,
}

/// Reads one notification.
///
/// # Errors
/// Where it is no notification of version 4, or an alert in it has no name, no known status or no time.
pub fn read(bytes: &[u8], labels: Labels<'_>) -> Result<Reading, Error> {
    let Notification { version, alerts, truncated_alerts } = json::read(bytes)?;
    if version != "4" {
        return Err(Error::field("version", "is not \"4\", the one that is read here"));
    }
    let mut said: Vec<(String, Alarm)> = Vec::new();
    let mut places = BTreeMap::new();
    for (index, alert) in alerts.into_iter().enumerate() {
        let (id, alarm) = read_alert(index, alert, labels)?;
        let series = (alarm.name.clone(), alarm.about.server.clone(), alarm.about.group.clone());
        let place = *places.entry(series).or_insert(said.len());
        match said.get_mut(place) {
            Some(before) => worse_and_newer(before, id, alarm),
            None => said.push((id, alarm)),
        }
    }
    let makings =
        said.into_iter().map(|(id, alarm)| Making { id: format!("{id}:{}", alarm.at), fact: Fact::Alarm(alarm) });
    Ok(Reading { makings: makings.collect(), truncated: truncated_alerts.unwrap_or(0) })
}

fn read_alert(index: usize, alert: Alert, labels: Labels<'_>) -> Result<(String, Alarm), Error> {
    let field = |name: &str| format!("alerts[{index}].{name}");
    let instant = |name: &str, text: &str| {
        time::parse_rfc3339(text).map_err(|error| Error::field(field(name), format!("is no RFC 3339 time: {error}")))
    };
    let Some(alert_name) = alert.labels.get("alertname") else {
        return Err(Error::field(field("labels"), "has no `alertname`"));
    };
    let (state, at) = match alert.status.as_str() {
        "resolved" => {
            let ends = alert.ends_at.as_deref().ok_or_else(|| Error::field(field("endsAt"), "is absent"))?;
            (AlarmState::Ok, instant("endsAt", ends)?)
        }
        "firing" => {
            let warning = alert.labels.get("severity").is_some_and(|severity| severity == "warning");
            let state = if warning { AlarmState::Warning } else { AlarmState::Critical };
            (state, instant("startsAt", &alert.starts_at)?)
        }
        _ => return Err(Error::field(field("status"), "is neither `firing` nor `resolved`")),
    };
    let text = alert.annotations.get("summary").or_else(|| alert.annotations.get("description"));
    let alarm = Alarm {
        name: name(field("labels.alertname"), alert_name.clone())?,
        state,
        at,
        about: labels.about(&alert.labels).map_err(|text| Error::field(field("labels"), text))?,
        text: beginning(text.cloned().unwrap_or_default()),
        numbers: BTreeMap::new(),
    };
    let id = if alert.fingerprint.is_empty() { index.to_string() } else { beginning(alert.fingerprint) };
    Ok((format!("{id}:{}", alert.status), alarm))
}

fn worse_and_newer(before: &mut (String, Alarm), id: String, alarm: Alarm) {
    let at = before.1.at.max(alarm.at);
    if alarm.state > before.1.state {
        *before = (id, alarm);
    }
    before.1.at = at;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;
    use weir_engine::event::About;

    fn labels() -> (Vec<String>, Vec<String>) {
        (vec!["server_id".to_owned(), "instance".to_owned()], vec!["weir_group".to_owned()])
    }

    fn reading(text: &str) -> Result<Reading, Error> {
        let (server, group) = labels();
        read(text.as_bytes(), Labels { server: &server, group: &group })
    }

    fn alert(status: &str, more: &str, starts: &str, ends: &str) -> String {
        format!(
            r#"{{"status":"{status}","labels":{{"alertname":"HighCpu"{more}}},"annotations":{{"summary":"hot"}},
            "startsAt":"2026-03-01T10:0{starts}:00.5Z","endsAt":"{ends}","fingerprint":"f{starts}"}}"#
        )
    }

    fn alarms(alerts: &[String]) -> Vec<Alarm> {
        let body = format!(r#"{{"version":"4","status":"firing","alerts":[{}]}}"#, alerts.join(","));
        let facts = reading(&body).unwrap().makings.into_iter().map(|making| making.fact);
        facts.filter_map(|fact| if let Fact::Alarm(alarm) = fact { Some(alarm) } else { None }).collect()
    }

    const NEVER: &str = "0001-01-01T00:00:00Z";

    #[test]
    fn severity_is_the_state_and_start_and_end_are_the_time() {
        let on = |n: u8, severity: &str| format!(r#","instance":"web-{n}:9100","severity":"{severity}""#);
        let read = alarms(&[
            alert("firing", &on(1, "warning"), "1", NEVER),
            alert("firing", &on(2, "page"), "1", NEVER),
            alert("resolved", &on(3, "critical"), "1", "2026-03-01T10:05:00Z"),
        ]);
        let states: Vec<_> = read.iter().map(|alarm| alarm.state).collect();
        assert_eq!(states, [AlarmState::Warning, AlarmState::Critical, AlarmState::Ok]);
        assert_eq!(time::rfc3339(read[0].at), "2026-03-01T10:01:00.500Z");
        assert_eq!(time::rfc3339(read[2].at), "2026-03-01T10:05:00.000Z");
        assert_eq!(read[0].about.server, ["web-1:9100", "web-1"]);
        assert_eq!(read[0].text, "hot");
    }

    #[test]
    fn the_end_of_a_critical_alert_is_no_ok_while_its_warning_fires() {
        let said = |severity: &str| format!(r#","server_id":"s1","severity":"{severity}""#);
        let read = alarms(&[
            alert("firing", &said("warning"), "1", NEVER),
            alert("resolved", &said("critical"), "2", "2026-03-01T10:05:00Z"),
        ]);
        assert_eq!(read.len(), 1);
        assert_eq!(
            (read[0].state, time::rfc3339(read[0].at).as_str()),
            (AlarmState::Warning, "2026-03-01T10:05:00.000Z")
        );
    }

    #[test]
    fn groups_come_from_their_label() {
        let read = alarms(&[alert("firing", r#","weir_group":"web""#, "1", NEVER)]);
        assert_eq!(read[0].about, About { server: vec![], group: Some("web".to_owned()) });
    }

    #[test]
    fn another_version_and_a_nameless_alert_are_refused() {
        let said = |text: &str| reading(text).unwrap_err().to_string();
        assert!(said(r#"{"version":"3","alerts":[]}"#).contains("`version` is not \"4\""));
        let nameless = alert("firing", "", "1", NEVER).replace("alertname", "name");
        let body = format!(r#"{{"version":"4","alerts":[{nameless}]}}"#);
        assert_eq!(said(&body), "`alerts[0].labels` has no `alertname`");
        let body = body.replace("\"name\"", "\"alertname\"").replace("firing", "pending");
        assert!(said(&body).contains("neither `firing` nor `resolved`"));
    }
}
