//! The wall's time, behind a trait, so that a test or a demonstration can hold it or let it run faster.
//!
//! Sources, workers and the simulated cloud are given one. The engine never is: it knows only the log's time.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Tells the time.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Epoch milliseconds. It may stand still or step back, as machines' clocks do.
    fn now_ms(&self) -> i64;

    /// How long the wall takes for `ms` of this clock, as far as it is known.
    fn wall(&self, ms: u64) -> Duration {
        Duration::from_millis(ms)
    }
}

/// How wrong this process is made to believe the machine's clock to be, milliseconds.
#[cfg(feature = "wrong-clock")]
static WRONG_MS: AtomicI64 = AtomicI64::new(0);

/// From now on the [`WallClock`] of this process is wrong by so much, as that of a machine that was set badly.
#[cfg(feature = "wrong-clock")]
pub fn set_wrong(ms: i64) {
    WRONG_MS.store(ms, Ordering::SeqCst);
}

fn wrong_ms() -> i64 {
    #[cfg(feature = "wrong-clock")]
    return WRONG_MS.load(Ordering::Relaxed);
    #[cfg(not(feature = "wrong-clock"))]
    0
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn now_ms(&self) -> i64 {
        // A machine whose clock is before 1970 is told apart from one at 1970 by nobody.
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis);
        now_ms.saturating_add(wrong_ms())
    }
}

/// A clock that starts at an instant of one's choice and runs `speed` times as fast as the wall, for demonstrations: a
/// day in a minute is 1440.
#[derive(Clone, Copy, Debug)]
pub struct ScaledClock {
    /// When it was started. Monotonic, so a stepped machine clock does not throw a demonstration about.
    started: Instant,
    /// What it showed then, epoch milliseconds.
    origin_ms: i64,
    /// Its milliseconds per real one.
    speed: u32,
}

impl ScaledClock {
    /// Starts now, showing `origin_ms`.
    #[must_use]
    pub fn starting_at(origin_ms: i64, speed: u32) -> Self {
        Self { started: Instant::now(), origin_ms, speed }
    }
}

impl Clock for ScaledClock {
    fn now_ms(&self) -> i64 {
        // Scaled before it is cut to milliseconds, else a fast clock would jump by `speed` at a time.
        self.origin_ms.saturating_add(millis(self.started.elapsed().saturating_mul(self.speed)))
    }

    /// Zero speed never gets there.
    fn wall(&self, ms: u64) -> Duration {
        if self.speed == 0 {
            return Duration::MAX;
        }
        Duration::from_micros(ms.saturating_mul(1_000) / u64::from(self.speed))
    }
}

/// A clock that stands until somebody moves it. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct HeldClock(Arc<AtomicI64>);

impl HeldClock {
    /// Shows `now_ms`, epoch milliseconds.
    #[must_use]
    pub fn at(now_ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(now_ms)))
    }

    /// Moves on, or back, by `ms`.
    pub fn pass(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for HeldClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_clock_starts_at_its_origin_and_runs_ahead_of_the_wall() {
        let clock = ScaledClock::starting_at(1_000_000, 1_000);
        std::thread::sleep(Duration::from_millis(20));
        let shown = clock.now_ms() - 1_000_000;
        assert!(shown >= 20_000, "20 ms of wall are at least 20 s at speed 1000, not {shown} ms");
        assert_eq!(clock.wall(60_000), Duration::from_millis(60));
    }

    #[test]
    fn a_stopped_clock_stands() {
        let clock = ScaledClock::starting_at(5, 0);
        assert_eq!(clock.now_ms(), 5);
        assert_eq!(clock.wall(1), Duration::MAX);
    }
}
