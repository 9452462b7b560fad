//! What the harness needs of a machine. There is one, [`Partition`]; tests put others in, which panic or disagree with
//! themselves.

use crate::backend::Line;
use weir_engine::partition::{self, Effects, Partition};

/// A pure machine that a log drives.
pub trait Engine: Sized + Send + 'static {
    /// The state before the first record.
    fn new(log_id: &str, partition: u32) -> Self;

    /// The state that gave these bytes.
    ///
    /// # Errors
    /// Where this build cannot read them, in words.
    fn restore(bytes: &[u8]) -> Result<Self, String>;

    /// As [`Engine::restore`], for who is going to step it: what takes long may be made once a record needs it.
    ///
    /// # Errors
    /// As for `restore`.
    fn restore_to_step(bytes: &[u8]) -> Result<Self, String> {
        Self::restore(bytes)
    }

    /// The whole state as bytes.
    fn snapshot(&self) -> Vec<u8>;

    /// Applies the next record, from its line.
    ///
    /// # Errors
    /// Where the partition must stop, in words; nothing of the record is applied then.
    fn step(&mut self, line: &Line) -> Result<Effects, String>;

    /// Applies records one after the other, as [`Engine::step`] does each of them, and hands on each one's effects.
    ///
    /// # Errors
    /// As for `step`; the records before that one are applied and handed on.
    fn step_all(&mut self, lines: &[Line], each: &mut dyn FnMut(Effects)) -> Result<(), String> {
        lines.iter().try_for_each(|line| self.step(line).map(&mut *each))
    }

    /// The next offset to apply.
    fn next(&self) -> u64;

    /// The log's time, epoch milliseconds.
    fn t(&self) -> i64;

    /// The instant of the earliest timer; at or before [`Engine::t`] where timers remain due.
    fn next_timer(&self) -> Option<i64>;

    /// The rolling digest of all commands.
    fn digest(&self) -> String;

    /// The meaning of the rules by which it decides.
    fn semantics(&self) -> u32;
}

impl Engine for Partition {
    fn new(log_id: &str, partition: u32) -> Self {
        Self::new(log_id, partition)
    }

    fn restore(bytes: &[u8]) -> Result<Self, String> {
        Self::restore(bytes).map_err(|damaged| damaged.to_string())
    }

    fn restore_to_step(bytes: &[u8]) -> Result<Self, String> {
        Self::restore_at_rest(bytes).map_err(|damaged| damaged.to_string())
    }

    fn snapshot(&self) -> Vec<u8> {
        self.snapshot()
    }

    fn step(&mut self, line: &Line) -> Result<Effects, String> {
        // No event of ours is empty.
        if line.bytes.is_empty() {
            return Err("there is nothing to read: something other than Weir wrote into the log".into());
        }
        self.step_line(line.offset, line.appended_ms, &line.bytes).map_err(|halt| halt.to_string())
    }

    fn step_all(&mut self, lines: &[Line], each: &mut dyn FnMut(Effects)) -> Result<(), String> {
        let whole = lines.iter().position(|line| line.bytes.is_empty()).unwrap_or(lines.len());
        let (whole, empty) = lines.split_at(whole);
        let whole = whole.iter().map(|line| partition::Line {
            offset: line.offset,
            appended_ms: line.appended_ms,
            bytes: &line.bytes,
        });
        self.step_lines(whole, &mut *each).map_err(|halt| halt.to_string())?;
        // It says why an empty one is refused.
        empty.first().map_or(Ok(()), |line| Engine::step(self, line).map(each))
    }

    fn next(&self) -> u64 {
        self.next()
    }

    fn t(&self) -> i64 {
        self.t()
    }

    fn next_timer(&self) -> Option<i64> {
        self.next_timer()
    }

    fn digest(&self) -> String {
        self.digest()
    }

    fn semantics(&self) -> u32 {
        self.semantics()
    }
}
