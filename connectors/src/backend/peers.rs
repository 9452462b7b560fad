//! Which processes work on an installation now, as they say themselves.
//!
//! Each says so every few seconds in a place that all read. How long ago somebody spoke is told by the broker's clock alone,
//! which stamps what they say and what we say.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// What a process says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Peer {
    /// For people: which process of which machine.
    pub name: String,
    /// The newest meaning of the rules that it knows.
    pub semantics: u32,
}

impl Default for Peer {
    /// One that does not say: a build from before there was anything to choose.
    fn default() -> Self {
        Self { name: "a process of an older build".into(), semantics: 1 }
    }
}

impl Peer {
    /// This process.
    #[must_use]
    pub fn this() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "this machine" } else { host.trim() };
        Self { name: format!("process {} on {host}", std::process::id()), semantics: weir_engine::semantics::newest() }
    }
}

/// Who has spoken, and when by the broker's clock.
#[derive(Debug, Default)]
pub(super) struct Peers {
    spoke: BTreeMap<String, (i64, Peer)>,
    /// When we were heard last ourselves.
    ours_ms: i64,
}

impl Peers {
    /// A process says that it works.
    pub(super) fn speaks(&mut self, process: &str, at_ms: i64, peer: Peer) {
        self.spoke.insert(process.to_owned(), (at_ms, peer));
    }

    /// We do.
    pub(super) fn we_speak(&mut self, at_ms: i64) {
        self.ours_ms = self.ours_ms.max(at_ms);
    }

    /// A process has ended.
    pub(super) fn leaves(&mut self, process: &str) {
        self.spoke.remove(process);
    }

    /// Those that were heard within `silence` of our own newest word.
    pub(super) fn within(&self, silence: Duration) -> Vec<Peer> {
        let since_ms = self.ours_ms.saturating_sub(i64::try_from(silence.as_millis()).unwrap_or(i64::MAX));
        self.spoke.values().filter(|(at_ms, _)| *at_ms > since_ms).map(|(_, peer)| peer.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_silent_for_long_or_has_left_does_not_work_here() {
        let mut peers = Peers::default();
        let peer = |name: &str| Peer { name: name.to_owned(), semantics: 1 };
        for (process, at_ms) in [("a", 1_000), ("b", 31_000), ("c", 40_000)] {
            peers.speaks(process, at_ms, peer(process));
        }
        peers.we_speak(61_000);
        assert_eq!(peers.within(Duration::from_secs(30)), [peer("c")], "31 s is 30 s ago");
        peers.speaks("a", 62_000, peer("a"));
        peers.leaves("c");
        assert_eq!(peers.within(Duration::from_secs(30)), [peer("a")]);
    }
}
