//! A ledger as bytes: a format number, then postcard, then what is remembered of what people did by hand. Shapes that skip or flatten fields for JSON's sake ride inside as
//! JSON text, since postcard has no field names to skip by.

use super::{Ledger, hands::Remembered};

/// The format that this build writes.
const FORMAT: u8 = 2;
/// The one before there was anything by hand, which is still read: a ledger has no log to be made from again.
const FORMAT_BEFORE_HANDS: u8 = 1;

/// Bytes that are no ledger of a format this build knows.
#[derive(Debug, thiserror::Error)]
#[error("a ledger cannot be read back: {0}")]
pub struct Damaged(String);

impl Ledger {
    /// The bytes to commit. Equal ledgers have equal bytes.
    ///
    /// # Errors
    /// Never for a ledger that this package made; the type cannot say so.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Damaged> {
        let damaged = |error: postcard::Error| Damaged(error.to_string());
        postcard::to_extend(&self.remembered, postcard::to_extend(self, vec![FORMAT]).map_err(damaged)?)
            .map_err(damaged)
    }

    /// A ledger that was committed, by this process or another.
    ///
    /// # Errors
    /// Where the bytes are of another format or cut short.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let damaged = |error: postcard::Error| Damaged(error.to_string());
        let (format, rest) = bytes.split_first().ok_or_else(|| Damaged("it is empty".to_owned()))?;
        if ![FORMAT, FORMAT_BEFORE_HANDS].contains(format) {
            return Err(Damaged(format!("format {format} is not {FORMAT}, the one this build reads")));
        }
        let (mut ledger, rest): (Self, _) = postcard::take_from_bytes(rest).map_err(damaged)?;
        if *format == FORMAT {
            ledger.remembered = postcard::from_bytes::<Remembered>(rest).map_err(damaged)?;
        }
        Ok(ledger)
    }
}

/// `#[serde(with = "json")]`: a value as JSON text.
pub(super) mod json {
    use serde::{
        Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error as _, ser::Error as _,
    };

    pub(crate) fn serialize<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(value).map_err(S::Error::custom)?)
    }

    pub(crate) fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        serde_json::from_str(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
