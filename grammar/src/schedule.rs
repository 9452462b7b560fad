//! Cron expressions and time zones (being written).
use serde::{Deserialize, Serialize};
/// An IANA zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone;
/// A cron expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cron;
