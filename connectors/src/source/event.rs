//! Anything that an `event` declaration may count, as a CloudEvents 1.0 envelope in structured JSON:
//! `{"specversion": "1.0", "type": "com.example.deploy.done", "source": "/ci", "id": "4711"}`.

use super::{Error, Making, Names, json, name, server_names};
use serde::Deserialize;
use serde_json::Value;
use weir_engine::event::{About, Fact, Happened};

/// The source of its events.
pub const SOURCE: &str = "/events";

#[derive(Deserialize)]
struct Envelope {
    specversion: String,
    #[serde(rename = "type")]
    kind: String,
    source: String,
    id: String,
    // Whose data it is: any JSON at all, of which two fields may say whom the event is about.
    #[serde(default)]
    data: Value,
}

/// Reads one envelope.
///
/// # Errors
/// Where it is no CloudEvents 1.0 envelope.
pub fn read(bytes: &[u8]) -> Result<Making, Error> {
    let Envelope { specversion, kind, source, id, data } = json::read(bytes)?;
    if specversion != "1.0" {
        return Err(Error::field("specversion", "is not \"1.0\", the one that is read here"));
    }
    let id = format!("{}#{}", name("source", source)?, name("id", id)?);
    let server =
        data.get("server").and_then(|server| Names::deserialize(server).ok()).map_or_else(Vec::new, Names::all);
    let group =
        data.get("group").and_then(Value::as_str).map(|group| name("data.group", group.to_owned())).transpose()?;
    let about = About { server: server_names(server), group };
    Ok(Making { id, fact: Fact::Happened(Happened { kind: name("type", kind)?, about }) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn happened(data: &str) -> (String, Happened) {
        let text = format!(r#"{{"specversion":"1.0","type":"deploy.done","source":"/ci","id":"7"{data}}}"#);
        match read(text.as_bytes()).unwrap() {
            Making { id, fact: Fact::Happened(happened) } => (id, happened),
            making => panic!("{making:?}"),
        }
    }

    #[test]
    fn data_may_say_whom_it_is_about_and_may_be_anything_else() {
        let (id, happened_bare) = happened("");
        assert_eq!((id.as_str(), happened_bare.kind.as_str()), ("/ci#7", "deploy.done"));
        assert_eq!(happened(r#","data":"text""#).1.about, About::default());
        let about = happened(r#","data":{"server":"web-3","group":"web","more":[1]}"#).1.about;
        assert_eq!(about, About { server: vec!["web-3".into()], group: Some("web".into()) });
    }

    #[test]
    fn another_version_is_refused() {
        let error = read(br#"{"specversion":"0.3","type":"t","source":"s","id":"1"}"#).unwrap_err();
        assert_eq!(error.to_string(), "`specversion` is not \"1.0\", the one that is read here");
    }
}
