//! What an examination of an installation found, a line each.

use serde::Serialize;
use std::fmt;

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What: `topics`, `clock`, `disk`.
    pub about: &'static str,
    /// It is as it must be.
    pub ok: bool,
    /// How it is; where it is wrong, what to do.
    pub text: String,
}

impl Finding {
    /// It is as it must be.
    pub fn fine(about: &'static str, text: impl fmt::Display) -> Self {
        Self { about, ok: true, text: text.to_string() }
    }

    /// It is not, and something will not work.
    pub fn wrong(about: &'static str, text: impl fmt::Display) -> Self {
        Self { about, ok: false, text: text.to_string() }
    }
}

/// Clocks may be this far apart, milliseconds: an owner further behind the wall than that is not live.
const APART_MS: i64 = 5_000;

/// A clock that showed `theirs_ms` when this machine's showed `ours_ms`.
pub(super) fn clock(about: &'static str, whose: &str, ours_ms: i64, theirs_ms: i64) -> Finding {
    let ahead_ms = ours_ms - theirs_ms;
    let seconds = ahead_ms.unsigned_abs() / 1_000;
    if ahead_ms < -APART_MS {
        return Finding::wrong(about, format!("this machine's clock is {seconds} s behind {whose}'s: set both by NTP"));
    }
    if ahead_ms > APART_MS {
        return Finding::wrong(
            about,
            format!("this machine's clock is {seconds} s ahead of {whose}'s: set both by NTP"),
        );
    }
    Finding::fine(about, format!("this machine's and {whose}'s are {} ms apart at most", ahead_ms.abs()))
}
