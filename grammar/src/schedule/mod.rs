//! Cron expressions, time zones, and the spans of windows and freezes.
//!
//! The checker parses and judges them here, the engine asks them for instants. Instants are epoch milliseconds of UTC;
//! wall time is a [`chrono::NaiveDateTime`] and becomes an instant in one place, [`local_to_instant`]. Nothing here
//! reads a clock or the machine's zone: the zone database is compiled in, and [`database_version`] says which.

mod cron;
mod field;
mod recurrence;
mod zone;

pub use cron::{Cron, CronError, OddRun};
pub use field::{Field, FieldError};
pub use zone::{LocalTime, UnknownZone, Zone, database_version, local_to_instant};
