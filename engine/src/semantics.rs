//! The meaning of the rules, by number: rounding, schedules, time zones, what each guard holds. It is part of a partition's
//! state, so that a log decides the same whichever build reads it.
//!
//! A log begins with [`FIRST`]. A build knows some numbers, at most the one before its newest and that; a logged `upgrade`
//! raises a partition's, once every process knows the new one. Who changes what a rule means raises [`NEWEST`] and keeps the
//! old meaning beside the new one, asked for by number at each place where they differ.

/// By which a log decides until it is upgraded.
pub const FIRST: u32 = 1;

/// The newest that this build knows.
const NEWEST: u32 = 1;

/// The oldest that this build knows.
pub const OLDEST: u32 = 1;

/// The newest that this build knows.
#[cfg(not(feature = "next-semantics"))]
#[must_use]
pub const fn newest() -> u32 {
    NEWEST
}

#[cfg(feature = "next-semantics")]
static KNOWN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(NEWEST);

/// The newest that this process knows: what was rehearsed, where anything was.
#[cfg(feature = "next-semantics")]
#[must_use]
pub fn newest() -> u32 {
    KNOWN.load(std::sync::atomic::Ordering::Relaxed)
}

/// Makes this process one of the next release, which knows one number more. For tests of an upgrade before there is any.
#[cfg(feature = "next-semantics")]
pub fn rehearse() {
    KNOWN.store(NEWEST + 1, std::sync::atomic::Ordering::Relaxed);
}

/// Whether a partition of this number decides by the meaning that no release has: a percentage is rounded toward zero.
#[must_use]
pub(crate) const fn is_rehearsed(semantics: u32) -> bool {
    semantics > NEWEST
}

/// Whether this build can decide by a number.
#[must_use]
pub fn knows(semantics: u32) -> bool {
    (OLDEST..=newest()).contains(&semantics)
}

/// Why this build cannot, and what to do.
#[must_use]
pub fn unknown(semantics: u32) -> String {
    let known = match newest() {
        OLDEST => format!("{OLDEST}"),
        newest => format!("{OLDEST} to {newest}"),
    };
    format!("it is decided by semantics {semantics}, and this build knows {known}: use a build that has it")
}
