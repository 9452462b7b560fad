//! Instants as the log writes them. An instant is epoch milliseconds (`i64`, names end in `_ms`); on the wire it is
//! RFC 3339 in UTC with three decimals, always 24 bytes, so that lines of the log compare and scan easily.

use chrono::{DateTime, SecondsFormat, Utc};

/// `2026-11-24T07:12:03.123Z`. Instants outside chrono's 262,000 years are shown as the epoch.
#[must_use]
pub fn rfc3339(ms: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Any RFC 3339 instant, to the millisecond.
///
/// # Errors
/// Chrono's, where the text is no RFC 3339 instant.
pub fn parse_rfc3339(text: &str) -> Result<i64, chrono::ParseError> {
    DateTime::parse_from_rfc3339(text).map(|instant| instant.timestamp_millis())
}

/// For `#[serde(with = "time::wire")]`: text for people and the log, a number in snapshots.
pub mod wire {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    /// Writes an instant.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&super::rfc3339(*ms))
        } else {
            ms.serialize(serializer)
        }
    }

    /// Reads an instant.
    ///
    /// # Errors
    /// Where it is no RFC 3339 text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            super::parse_rfc3339(&text).map_err(|error| D::Error::custom(format!("`{text}`: {error}")))
        } else {
            i64::deserialize(deserializer)
        }
    }
}

/// The same for an optional instant.
pub mod wire_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Wire(#[serde(with = "super::wire")] i64);

    /// Writes an instant or nothing.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(ms: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
        ms.map(Wire).serialize(serializer)
    }

    /// Reads an instant or nothing.
    ///
    /// # Errors
    /// Where it is no RFC 3339 text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
        Ok(Option::<Wire>::deserialize(deserializer)?.map(|Wire(ms)| ms))
    }
}
