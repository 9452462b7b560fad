//! Names of things that the log made: positions, groups, slots. All derived, none drawn at random, so that a replay
//! gives each thing the name it had.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};

/// A place in one partition's log. Prints as `4:188213`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The partition.
    pub partition: u32,
    /// The record's offset in it.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

impl FromStr for Position {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (partition, offset) = text.split_once(':').unwrap_or(("0", text));
        Ok(Self { partition: partition.parse()?, offset: offset.parse()? })
    }
}

/// Which life of a group this is: a hash of where in the log it was created. A group made again under the same name is
/// another one, so an order for the old cannot reach the new. Prints as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupUid(pub u64);

impl GroupUid {
    /// The uid of the group `name` of `tenant`, created by the record at `position` of the log `log_id`.
    #[must_use]
    pub fn derive(log_id: &str, position: Position, tenant: &str, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("weir group uid 1");
        for part in [log_id, tenant, name] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&position.partition.to_le_bytes());
        hasher.update(&position.offset.to_le_bytes());
        let mut first = [0; 8];
        hasher.finalize_xof().fill(&mut first);
        Self(u64::from_le_bytes(first))
    }
}

impl fmt::Display for GroupUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for GroupUid {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl Serialize for GroupUid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for GroupUid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

/// One server that should exist, the unit of the ledger: a place in the group, and the how-manieth try to fill it.
/// Prints as `3.1`. Serials are never used again within a group uid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// The place, from 1.
    pub serial: u32,
    /// The try, from 1.
    pub incarnation: u32,
}

impl Slot {
    /// One number for both, never 0: the key of this server's samples and alarms.
    #[must_use]
    pub fn key(self) -> u64 {
        u64::from(self.serial) << 32 | u64::from(self.incarnation)
    }

    /// The slot whose key this is.
    #[must_use]
    pub fn of_key(key: u64) -> Self {
        Self { serial: (key >> 32) as u32, incarnation: key as u32 }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.serial, self.incarnation)
    }
}

impl FromStr for Slot {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (serial, incarnation) = text.split_once('.').unwrap_or((text, "1"));
        Ok(Self { serial: serial.parse()?, incarnation: incarnation.parse()? })
    }
}
