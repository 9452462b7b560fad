//! How a simulated cloud behaves: how long builds take, which fail, how many servers it has room for.

use super::super::ServerOrder;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Set in the configuration, and by [`super::Simulated::adjust`] while it runs.
///
/// What a build does is drawn from `seed`, the group's uid and the slot, so the same slot takes the same time and
/// fails or not in each run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where it is kept; in the data folder where left out. Processes that name the same file share one cloud.
    pub file: Option<PathBuf>,
    /// Ids begin with it, and end in the server's number: `sim-17`.
    pub name: String,
    /// Another seed, other draws.
    pub seed: u64,
    /// The shortest and the longest build, milliseconds.
    pub build_ms: (u64, u64),
    /// From a delete to when the server is gone, milliseconds.
    pub delete_ms: u64,
    /// Which builds fail, counted from 1 over the life of this cloud.
    pub failing_builds: Vec<u64>,
    /// The share of builds that fails, 0 to 1.
    pub failing: f64,
    /// What a failed build says.
    pub fault: String,
    /// Room for this many servers. Finite by default, as a disk is.
    pub quota: usize,
    /// From each call's deed to its answer, milliseconds of the wall.
    pub answer_ms: u64,
    /// After each change a balancer takes no other for this long, milliseconds.
    pub immutable_ms: u64,
    /// From joining to healthy, milliseconds.
    pub healthy_after_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            file: None,
            name: "sim".to_owned(),
            seed: 1,
            build_ms: (2_000, 5_000),
            delete_ms: 0,
            failing_builds: Vec::new(),
            failing: 0.0,
            fault: "No valid host was found. There are not enough hosts available.".to_owned(),
            quota: 100_000,
            answer_ms: 0,
            immutable_ms: 0,
            healthy_after_ms: 0,
        }
    }
}

/// How a build ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    /// After this long; `None` for never.
    pub build_ms: Option<u64>,
    /// With these words, where it fails.
    pub fault: Option<String>,
}

impl Settings {
    /// How the build of the `number`-th server ends. Images named `fail-…` and `stuck-…` have it in their names, so
    /// that a policy alone can show what a failure looks like.
    pub(super) fn fate(&self, number: u64, order: &ServerOrder) -> Fate {
        let image = &order.spec.launch.image;
        let (shortest, longest) = self.build_ms;
        let span = longest.saturating_sub(shortest).saturating_add(1);
        let build_ms = shortest.saturating_add(self.draw("build", order) % span);
        let fails = image.starts_with("fail-")
            || self.failing_builds.contains(&number)
            || fraction(self.draw("fail", order)) < self.failing;
        Fate { build_ms: (!image.starts_with("stuck-")).then_some(build_ms), fault: fails.then(|| self.fault.clone()) }
    }

    /// A number for this slot and purpose, the same each time.
    fn draw(&self, purpose: &str, order: &ServerOrder) -> u64 {
        let mut hasher = blake3::Hasher::new_derive_key("weir simulated cloud 1");
        hasher.update(purpose.as_bytes());
        for number in [self.seed, order.uid.0, order.slot.key()] {
            hasher.update(&number.to_le_bytes());
        }
        let mut first = [0; 8];
        hasher.finalize_xof().fill(&mut first);
        u64::from_le_bytes(first)
    }
}

/// A draw as a number from 0 up to, but not, 1: the upper 53 bits, all that an `f64` holds exactly.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
fn fraction(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}
