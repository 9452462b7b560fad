//! Nova's notifications as their publisher posts them: the notification's JSON as an entry's text.
//!
//! Two shapes matter. `compute.instance.*` names its server in `payload.instance_id`; `compute_task.*`, which reports a
//! build that failed before any host had it, does so there or, in some versions, only inside `request_spec`. Anything
//! else keeps its `event_type` and names nobody. Nothing of a payload is ever logged: some carry tokens.

use serde_json::Value;
use weir_engine::event::Notice;

/// The key of a server's metadata that carries the group's uid.
pub const GROUP_KEY: &str = "weir_group";
/// Bytes of a server's id, a state, a group's uid; what is longer is none of ours.
const WORD_BYTES_MAX: usize = 255;

/// What a notification says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// Its `event_type`.
    pub kind: String,
    /// The server it is about, by the cloud's id.
    pub server: Option<String>,
    /// The state it names.
    pub state: Option<String>,
    /// The group's uid, from the server's metadata.
    pub group_uid: Option<String>,
}

impl Notification {
    /// Reads an entry's text. Nothing where it is not a notification.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let kind = word(value.get("event_type"))?;
        let payload = value.get("payload");
        let of_payload = |key| payload.and_then(|payload| payload.get(key));
        let spec = of_payload("request_spec").and_then(|spec| spec.get("instance_properties"));
        Some(Self {
            kind,
            server: word(of_payload("instance_id")).or_else(|| word(spec.and_then(|spec| spec.get("uuid")))),
            state: word(of_payload("state")),
            group_uid: of_payload("metadata").and_then(group_uid),
        })
    }

    /// The notice for the executor: somebody should look at this server. Nothing where no server's state is the subject:
    /// the scheduler names servers too, and the hourly audit (`exists`) reports no change.
    #[must_use]
    pub fn notice(&self) -> Option<Notice> {
        let about_a_server = self.kind.starts_with("compute.instance.") || self.kind.starts_with("compute_task.");
        if !about_a_server || self.kind.starts_with("compute.instance.exists") {
            return None;
        }
        Some(Notice {
            kind: self.kind.clone(),
            server: self.server.clone()?,
            state: self.state.clone().unwrap_or_default(),
            group_uid: self.group_uid.clone().unwrap_or_default(),
        })
    }
}

/// Metadata is a map in new versions and a list of `{"key": …, "value": …}` in old ones.
fn group_uid(metadata: &Value) -> Option<String> {
    match metadata {
        Value::Object(map) => word(map.get(GROUP_KEY)),
        Value::Array(list) => list
            .iter()
            .find(|item| item.get("key").and_then(Value::as_str) == Some(GROUP_KEY))
            .and_then(|item| word(item.get("value"))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn word(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).filter(|word| !word.is_empty() && word.len() <= WORD_BYTES_MAX).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn notice(text: &str) -> Option<Notice> {
        Notification::read(text).unwrap().notice()
    }

    #[test]
    fn an_update_names_server_state_and_group() {
        let map = r#"{"event_type": "compute.instance.update", "priority": "INFO", "payload": {"instance_id": "s-1",
            "state": "active", "old_state": "building", "metadata": {"weir_group": "00c0ffee00c0ffee", "role": "web"}}}"#;
        let list = r#"{"event_type": "compute.instance.update", "payload": {"instance_id": "s-1", "state": "active",
            "metadata": [{"key": "role", "value": "web"}, {"key": "weir_group", "value": "00c0ffee00c0ffee"}]}}"#;
        for text in [map, list] {
            assert_eq!(
                notice(text).unwrap(),
                Notice {
                    kind: "compute.instance.update".to_owned(),
                    server: "s-1".to_owned(),
                    state: "active".to_owned(),
                    group_uid: "00c0ffee00c0ffee".to_owned(),
                }
            );
        }
    }

    #[test]
    fn a_refused_build_is_noticed_in_either_of_its_shapes() {
        let new = r#"{"event_type": "compute_task.build_instances", "priority": "ERROR", "payload": {
            "instance_id": "s-2", "state": "error", "reason": "no host", "request_spec": {"num_instances": 1}}}"#;
        let old = r#"{"event_type": "compute_task.build_instances", "priority": "ERROR", "payload": {"state": "error",
            "reason": {"message": "no host"}, "request_spec": {"instance_properties": {"uuid": "s-2"}}}}"#;
        for text in [new, old] {
            let notice = notice(text).unwrap();
            assert_eq!((notice.server.as_str(), notice.state.as_str()), ("s-2", "error"));
        }
    }

    #[test]
    fn what_changes_no_server_is_no_notice() {
        for text in [
            r#"{"event_type": "scheduler.select_destinations.end", "payload": {"request_spec":
                {"instance_properties": {"uuid": "s-3"}}}}"#,
            r#"{"event_type": "compute.instance.exists", "payload": {"instance_id": "s-3", "state": "active"}}"#,
            r#"{"event_type": "compute.instance.update", "payload": {"instance_id": null}}"#,
            r#"{"event_type": "compute.instance.update", "payload": ["s-3"]}"#,
            r#"{"event_type": "servergroup.create", "payload": {"server_group_id": "g"}}"#,
        ] {
            assert_eq!(notice(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_notification_is_nothing() {
        for text in ["", "{", "[]", "5", r#"{"payload": {"instance_id": "s"}}"#, r#"{"event_type": 5}"#] {
            assert_eq!(Notification::read(text), None, "{text}");
        }
        let deep = format!(r#"{{"event_type": "a", "payload": {}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(Notification::read(&deep), None);
        let long = format!(
            r#"{{"event_type": "compute.instance.update", "payload": {{"instance_id": "{}"}}}}"#,
            "x".repeat(256)
        );
        assert_eq!(notice(&long), None, "an id of 256 bytes is no server of ours");
    }
}
