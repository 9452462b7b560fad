//! When to write the time down. A decision depends on the log only, so somebody must tell the log that time has passed:
//! when a timer is due, and now and then.

use super::{Engine, Settings};
use std::time::Duration;
use weir_engine::event::{Event, Fact, Tick, Version};

/// Decides on ticks. One for each ownership.
pub(super) struct Ticks {
    epoch: u64,
    made: u64,
    /// When the last one was made, on the clock.
    last_ms: Option<i64>,
}

/// What to do while the log has nothing new.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// Write the time down.
    Tick,
    /// Sleep for so long, on the clock.
    Sleep(i64),
}

impl Ticks {
    pub(super) fn new(epoch: u64) -> Self {
        Self { epoch, made: 0, last_ms: None }
    }

    /// What to do at `now_ms`, with everything in the log applied.
    pub(super) fn idle(&self, state: &impl Engine, now_ms: i64, settings: &Settings) -> Idle {
        let t_ms = state.t();
        let timer = state.next_timer();
        // More was due at once than one record runs: the rest follows without a pause.
        if timer.is_some_and(|timer| timer <= t_ms) {
            return Idle::Tick;
        }
        // The first of an ownership says that the log's time is the clock's, however long nobody looked after it.
        let Some(last_ms) = self.last_ms else {
            return if now_ms.saturating_sub(t_ms) > settings.live_ms {
                Idle::Tick
            } else {
                self.until(t_ms, timer, now_ms, settings)
            };
        };
        self.until(t_ms.max(last_ms), timer, now_ms, settings)
    }

    fn until(&self, moved_ms: i64, timer: Option<i64>, now_ms: i64, settings: &Settings) -> Idle {
        let next = moved_ms.saturating_add(settings.tick_max_ms);
        let soonest = self.last_ms.map_or(i64::MIN, |last_ms| last_ms.saturating_add(settings.tick_min_ms));
        let next = timer.map_or(next, |timer| next.min(timer.max(soonest)));
        // A clock that was set back sleeps no longer than it would have.
        if next <= now_ms { Idle::Tick } else { Idle::Sleep((next - now_ms).min(settings.tick_max_ms)) }
    }

    /// Whether any was made.
    pub(super) fn has_made(&self) -> bool {
        self.made > 0
    }

    /// A tick at `now_ms`.
    pub(super) fn make(&mut self, partition: u32, now_ms: i64) -> Event {
        self.made += 1;
        self.last_ms = Some(now_ms);
        Event {
            specversion: Version::V1,
            id: format!("{partition}-{}-{}", self.epoch, self.made),
            source: "/clock".into(),
            time: now_ms,
            tenant: String::new(),
            fact: Fact::Tick(Tick {}),
        }
    }
}

/// How long to sleep in the world: what the clock says, and not past `poll`.
pub(super) fn sleep(ms: i64, settings: &Settings) -> Duration {
    settings.clock.wall(u64::try_from(ms).unwrap_or(0)).min(settings.poll)
}
