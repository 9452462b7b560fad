//! JSON at the door: one reading of every body. A key that stands twice in one object is refused, since two readers
//! would take different ones; depth is bounded by the parser (128). Every complaint says line and column.

use super::Error;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{collections::BTreeSet, fmt};

/// Reads a whole body as `T`.
///
/// # Errors
/// [`Error::Malformed`] where it is no JSON, says a key twice, or is not of `T`'s shape.
pub fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice::<EachKeyOnce>(bytes).map_err(malformed)?;
    serde_json::from_slice(bytes).map_err(malformed)
}

fn malformed(error: serde_json::Error) -> Error {
    let (line, column) = (error.line(), error.column());
    // The place is said once, in front.
    let text = error.to_string();
    let text = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text).to_owned();
    Error::Malformed { line: line.max(1), column, text }
}

/// Any JSON in which no object says a key twice.
struct EachKeyOnce;

impl<'de> Deserialize<'de> for EachKeyOnce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = EachKeyOnce;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EachKeyOnce, A::Error> {
                let mut keys = BTreeSet::new();
                while let Some(key) = map.next_key::<String>()? {
                    if keys.contains(&key) {
                        let key: String = key.chars().take(64).collect();
                        return Err(A::Error::custom(format!("the key `{key}` stands twice in one object")));
                    }
                    keys.insert(key);
                    map.next_value::<EachKeyOnce>()?;
                }
                Ok(EachKeyOnce)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<EachKeyOnce, A::Error> {
                while seq.next_element::<EachKeyOnce>()?.is_some() {}
                Ok(EachKeyOnce)
            }
            fn visit_bool<E>(self, _: bool) -> Result<EachKeyOnce, E> {
                Ok(EachKeyOnce)
            }
            fn visit_i64<E>(self, _: i64) -> Result<EachKeyOnce, E> {
                Ok(EachKeyOnce)
            }
            fn visit_u64<E>(self, _: u64) -> Result<EachKeyOnce, E> {
                Ok(EachKeyOnce)
            }
            fn visit_f64<E>(self, _: f64) -> Result<EachKeyOnce, E> {
                Ok(EachKeyOnce)
            }
            fn visit_str<E>(self, _: &str) -> Result<EachKeyOnce, E> {
                Ok(EachKeyOnce)
            }
            fn visit_unit<E>(self) -> Result<EachKeyOnce, E> {
                Ok(EachKeyOnce)
            }
        }
        deserializer.deserialize_any(Walk)
    }
}

/// Null where a list or table is expected is an empty one: senders write both.
///
/// # Errors
/// The deserializer's.
pub fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Whether a body is JSON at all, to tell a text from it.
#[must_use]
pub fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn said(text: &str) -> String {
        read::<serde_json::Value>(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_mistake_is_said_with_line_and_column() {
        assert_eq!(said("{\n  \"a\": 1,\n}"), "line 3, column 1: trailing comma");
        assert!(said("").starts_with("line 1, column 0: EOF"), "{}", said(""));
        assert!(said("{} {}").contains("trailing characters"));
        assert!(said("{\"a\": NaN}").contains("expected value"));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_however_deep_and_however_written() {
        assert!(said("{\"a\": 1, \"a\": 2}").contains("the key `a` stands twice"));
        assert!(said("{\"x\": [{\"b\": {}}, {\"b\": 1, \"\\u0062\": 2}]}").contains("the key `b` stands twice"));
        assert!(read::<serde_json::Value>(b"[{\"a\":1},{\"a\":1}]").is_ok());
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "[".repeat(100_000);
        assert!(said(&deep).contains("recursion limit"));
    }
}
