//! What every process has, whichever machine it runs: a clock of its own, a moment at which it goes on, and an end.

/// The outside of a process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number among those of its role.
    pub number: usize,
    /// It goes on then.
    pub wake_ms: i64,
    /// Its clock is so far off, milliseconds.
    pub off_ms: i64,
    /// It dies after so many more steps, and is down for so long.
    pub doomed: Option<(u32, i64)>,
    /// It is down, or stopped, until then.
    pub absent_until_ms: i64,
    /// It has, or should have, the partition.
    pub assigned: bool,
}

impl Process {
    /// A process that runs and has nothing to do.
    #[must_use]
    pub fn new(number: usize) -> Self {
        Self { number, wake_ms: i64::MAX, off_ms: 0, doomed: None, absent_until_ms: 0, assigned: false }
    }

    /// Whether it dies now.
    pub fn dies(&mut self, now_ms: i64) -> bool {
        match self.doomed {
            Some((0, down_ms)) => {
                self.doomed = None;
                self.absent_until_ms = now_ms + down_ms;
                self.wake_ms = self.absent_until_ms;
                true
            }
            Some((steps, down_ms)) => {
                self.doomed = Some((steps - 1, down_ms));
                false
            }
            None => false,
        }
    }

    /// Goes on no later than then, but not before it is there again.
    pub fn wake_by(&mut self, at_ms: i64) {
        self.wake_ms = self.wake_ms.min(at_ms).max(self.absent_until_ms);
    }

    /// It stops for a while, and goes on where it was.
    pub fn freeze(&mut self, until_ms: i64) {
        self.absent_until_ms = self.absent_until_ms.max(until_ms);
        self.wake_ms = self.wake_ms.max(self.absent_until_ms);
    }
}
