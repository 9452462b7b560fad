//! How many facts a second each tenant may send. A partition is a queue, so one tenant's flood would be everybody's wait.

use super::{Problem, Reason};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// All tenants' allowances.
#[derive(Default)]
pub(super) struct Paces {
    tenants: Mutex<BTreeMap<String, Pace>>,
}

/// An allowance, in thousandths of a fact. It fills up to one second's worth and may go below zero: a request is let in
/// whole and paid for afterwards, else one with a thousand samples could never pass a smaller quota.
struct Pace {
    left: i64,
    at_ms: i64,
}

impl Paces {
    /// Lets in a request with so many facts, or says when to come again.
    pub(super) fn pay(&self, tenant: &str, facts: usize, per_second: u32, now_ms: i64) -> Result<(), Problem> {
        let full = i64::from(per_second.max(1)) * 1_000;
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = tenants.entry(tenant.to_owned()).or_insert(Pace { left: full, at_ms: now_ms });
        // Thousandths of a fact a millisecond are facts a second.
        let earned = now_ms.saturating_sub(pace.at_ms).max(0).saturating_mul(i64::from(per_second.max(1)));
        pace.left = pace.left.saturating_add(earned).min(full);
        pace.at_ms = now_ms;
        if pace.left <= 0 {
            let wait_s = pace.left.unsigned_abs() / full.unsigned_abs() + 1;
            let detail = format!("more than {per_second} facts a second of tenant `{tenant}` (its `facts_per_second`)");
            return Err(Problem::new(Reason::TooMany, detail).retry_after(wait_s));
        }
        pace.left = pace.left.saturating_sub(i64::try_from(facts).unwrap_or(i64::MAX).saturating_mul(1_000));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_flood_is_held_to_the_quota_on_average_and_other_tenants_do_not_feel_it() {
        let paces = Paces::default();
        let let_in = (0..10_000).filter(|ms| paces.pay("flood", 1, 50, *ms).is_ok()).count();
        assert!((500..=551).contains(&let_in), "10 s at 50 a second and one second's worth ahead, not {let_in}");
        assert!(paces.pay("calm", 1, 50, 10_000).is_ok());
    }

    #[test]
    fn a_large_request_is_let_in_and_paid_for_afterwards() {
        let paces = Paces::default();
        paces.pay("acme", 1_000, 100, 0).unwrap();
        for (now_ms, let_in) in [(1, false), (9_000, false), (9_001, true)] {
            assert_eq!(paces.pay("acme", 0, 100, now_ms).is_ok(), let_in, "at {now_ms}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_earns_nothing() {
        let paces = Paces::default();
        paces.pay("acme", 10, 10, 5_000).unwrap();
        assert!(paces.pay("acme", 1, 10, 0).is_err());
        assert!(paces.pay("acme", 1, 10, 100).is_ok());
    }
}
