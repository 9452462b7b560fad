//! A tenant's standing, as a decision of one of its groups sees it: kill switches and what the quota leaves.

use serde::{Deserialize, Serialize};
use weir_grammar::policy::Direction;

/// What of a tenant a group's decision depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing<'a> {
    /// Servers that the tenant's other groups leave to this one beyond its target; `None` without a quota.
    pub quota_left: Option<u32>,
    /// Kill switches.
    pub switches: &'a [KillSwitch],
}

/// No adding, or no removing, in a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillSwitch {
    /// The region; empty for all.
    pub region: String,
    /// No server is added.
    pub adding: bool,
    /// No server is removed.
    pub removing: bool,
    /// Until then, else until ordered otherwise.
    pub until_ms: Option<i64>,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

impl KillSwitch {
    /// Whether it still holds at `now_ms`.
    #[must_use]
    pub fn on(&self, now_ms: i64) -> bool {
        (self.adding || self.removing) && self.until_ms.is_none_or(|until| now_ms < until)
    }
}

impl<'a> Standing<'a> {
    /// The switch that holds `direction` in `region`, if any.
    #[must_use]
    pub fn switched_off(&self, region: &str, direction: Direction, now_ms: i64) -> Option<&'a KillSwitch> {
        self.switches.iter().find(|switch| {
            let holds = match direction {
                Direction::Add => switch.adding,
                Direction::Remove => switch.removing,
            };
            holds && switch.on(now_ms) && (switch.region.is_empty() || switch.region == region)
        })
    }

    /// The next instant at which a switch in `region` ends.
    #[must_use]
    pub fn next_end(&self, region: &str, now_ms: i64) -> Option<i64> {
        let here = self.switches.iter().filter(|switch| switch.region.is_empty() || switch.region == region);
        here.filter_map(|switch| switch.until_ms).filter(|until| *until > now_ms).min()
    }
}
