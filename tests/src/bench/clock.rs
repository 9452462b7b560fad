//! How long something took: by the wall, and in time of the processor that this thread had. The second says what the
//! code costs also where other programs run beside it, so ratios are taken of it.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// What something took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Took {
    /// Of this thread, on the processor.
    pub cpu: Duration,
    /// By the wall.
    pub wall: Duration,
}

impl Took {
    /// Does it and says what it took.
    pub fn of<T>(work: impl FnOnce() -> T) -> (T, Self) {
        let (wall, cpu) = (Instant::now(), on_the_processor());
        let done = work();
        (done, Self { cpu: on_the_processor().saturating_sub(cpu), wall: wall.elapsed() })
    }

    /// The median by time on the processor; nothing where there are none.
    #[must_use]
    pub fn median(mut rounds: Vec<Self>) -> Self {
        rounds.sort();
        rounds.get(rounds.len() / 2).copied().unwrap_or_default()
    }
}

/// Time that this thread has had on a processor so far.
fn on_the_processor() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
