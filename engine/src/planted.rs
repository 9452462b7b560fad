//! Mistakes that somebody could make in this package, for the simulator to find.
//!
//! A simulator that finds nothing proves nothing, so it is shown bugs that are known. They exist only in a build with the
//! feature `planted`, which no program that ships has: there [`is`] is `false`, and the compiler drops what it guards.

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A command that only holds or respecifies has the generation of the one before it.
    ForgottenGeneration,
    /// A ceiling lets through one too many.
    CeilingOffByOne,
    /// A percentage is rounded toward zero.
    RoundedDown,
    /// Cooldowns do not survive a snapshot.
    CooldownForgotten,
    /// Only the group's own cooldown is asked, never the rule's.
    RuleCooldownIgnored,
    /// A limit counts the net change.
    LimitNet,
    /// A window's end takes the group to its minimum.
    WindowShrinks,
    /// A timer fires a second late.
    LateTimer,
    /// A schedule found late fires, and once more in time.
    ScheduleTwice,
    /// A schedule found too late is silently skipped.
    ScheduleSkipped,
    /// A force sent again counts again.
    ForceTwice,
    /// A pause does not hold a force.
    PauseForced,
    /// A kill switch does not hold what the bounds want.
    KillSwitchBounds,
    /// The quota is asked of each change by itself.
    QuotaPerChange,
    /// An outcome that comes again is applied again.
    OutcomeAgain,
    /// An executor takes a command that is older than the one it has.
    OldGeneration,
    /// A server of unknown mark is deleted with the strays.
    ForeignDeleted,
    /// A server is deleted while its balancers send it connections.
    DeletedServing,
    /// A server that runs and is not in its balancers is ready.
    ReadyTooSoon,
    /// A deletion's server need not have been seen.
    DeletedUnseen,
    /// `for` is over after half of its time.
    ForHalved,
    /// A removal asks only whether it was watched for long enough, never what was wished meanwhile.
    StableAnyway,
    /// A percentile is counted from the other end.
    PercentileTurned,
    /// A server's samples count before it is warm.
    ColdSample,
    /// A mean is known although most servers are silent.
    FewKnown,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::ForgottenGeneration,
        Self::CeilingOffByOne,
        Self::RoundedDown,
        Self::CooldownForgotten,
        Self::RuleCooldownIgnored,
        Self::LimitNet,
        Self::WindowShrinks,
        Self::LateTimer,
        Self::ScheduleTwice,
        Self::ScheduleSkipped,
        Self::ForceTwice,
        Self::PauseForced,
        Self::KillSwitchBounds,
        Self::QuotaPerChange,
        Self::OutcomeAgain,
        Self::OldGeneration,
        Self::ForeignDeleted,
        Self::DeletedServing,
        Self::ReadyTooSoon,
        Self::DeletedUnseen,
        Self::ForHalved,
        Self::StableAnyway,
        Self::PercentileTurned,
        Self::ColdSample,
        Self::FewKnown,
    ];
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Turns a bug on for this thread, or all of them off.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether a bug is on.
#[cfg(feature = "planted")]
#[must_use]
pub fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether a bug is on: never, in this build.
#[cfg(not(feature = "planted"))]
#[must_use]
#[inline(always)]
pub const fn is(_: Bug) -> bool {
    false
}
