//! Lanes: the way to one cloud, shared by all groups of a tenant in a region. It bounds how many calls are under way at
//! once and how many builds start in a while, so that a cloud in trouble is not buried under new ones.

use super::{Cloud, CloudError, CloudErrorKind};
use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};

/// Which cloud is whose.
pub trait Clouds: Send + Sync {
    /// The account for a tenant's groups in a region; `None` where none is configured.
    fn cloud(&self, tenant: &str, region: &str) -> Option<Arc<dyn Cloud>>;

    /// How many builds may start there; `None` for no bound.
    fn launch_budget(&self, tenant: &str, region: &str) -> Option<LaunchBudget> {
        let _ = (tenant, region);
        None
    }
}

/// How many builds may start: all at once after a quiet while, then evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunchBudget {
    /// This many.
    pub count: u32,
    /// In so long, milliseconds.
    pub per_ms: i64,
}

/// The way to one cloud.
pub(super) struct Lane {
    pub(super) cloud: Arc<dyn Cloud>,
    permits: Semaphore,
    patience: Duration,
    budget: Option<LaunchBudget>,
    /// When the launches so far would be paid for at an even pace, epoch microseconds.
    paid_us: Mutex<i64>,
}

impl Lane {
    pub(super) fn new(cloud: Arc<dyn Cloud>, budget: Option<LaunchBudget>, at_once: usize, patience: Duration) -> Self {
        Self { cloud, permits: Semaphore::new(at_once.max(1)), patience, budget, paid_us: Mutex::new(0) }
    }

    /// Waits for its turn, then for the cloud's answer, but not for ever.
    pub(super) async fn call<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, CloudError>>,
    ) -> Result<T, CloudError> {
        // The semaphore is never closed; were it, the call would go out unbounded, which is not worse than not at all.
        let _permit = self.permits.acquire().await;
        timeout(self.patience, call).await.unwrap_or_else(|_| {
            let text = format!("{what} was not answered within {} ms", self.patience.as_millis());
            Err(CloudError { kind: CloudErrorKind::Unclear, text })
        })
    }

    /// Takes a launch from the budget, or says how long to wait for one, milliseconds.
    pub(super) fn launch(&self, now_ms: i64) -> Result<(), u64> {
        let Some(LaunchBudget { count, per_ms }) = self.budget else { return Ok(()) };
        let (now_us, per_us) = (now_ms.saturating_mul(1_000), per_ms.saturating_mul(1_000));
        let each_us = per_us / i64::from(count.max(1));
        let mut paid_us = self.paid_us.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that stepped back must not lock the lane for as long as it stepped.
        *paid_us = (*paid_us).clamp(now_us, now_us.saturating_add(per_us));
        let over_us = paid_us.saturating_add(each_us) - now_us.saturating_add(per_us);
        if over_us > 0 {
            return Err(u64::try_from(over_us / 1_000 + 1).unwrap_or(u64::MAX));
        }
        *paid_us = paid_us.saturating_add(each_us);
        Ok(())
    }
}

/// The lanes of an installation, made when they are first needed.
pub(super) struct Lanes {
    clouds: Arc<dyn Clouds>,
    at_once: usize,
    patience: Duration,
    lanes: Mutex<BTreeMap<(String, String), Arc<Lane>>>,
}

impl Lanes {
    pub(super) fn new(clouds: Arc<dyn Clouds>, at_once: usize, patience: Duration) -> Self {
        Self { clouds, at_once, patience, lanes: Mutex::default() }
    }

    /// The lane to a tenant's cloud in a region, or what is missing for there to be one.
    pub(super) fn lane(&self, tenant: &str, region: &str) -> Result<Arc<Lane>, CloudError> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tenant.to_owned(), region.to_owned());
        if let Some(lane) = lanes.get(&key) {
            return Ok(Arc::clone(lane));
        }
        let cloud = self.clouds.cloud(tenant, region).ok_or_else(|| CloudError {
            kind: CloudErrorKind::NotOffered,
            text: format!(
                "no cloud is configured for tenant `{tenant}` in region `{region}`: add a `[[cloud]]` entry with \
                 tenant = \"{tenant}\" and region = \"{region}\""
            ),
        })?;
        let budget = self.clouds.launch_budget(tenant, region);
        let lane = Arc::new(Lane::new(cloud, budget, self.at_once, self.patience));
        lanes.insert(key, Arc::clone(&lane));
        Ok(lane)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::{clock::WallClock, executor::simulated::Simulated};

    fn lane(budget: Option<LaunchBudget>) -> Lane {
        let cloud = Simulated::in_memory(super::super::simulated::Settings::default(), Arc::new(WallClock));
        Lane::new(Arc::new(cloud), budget, 1, Duration::from_millis(20))
    }

    #[test]
    fn a_budget_may_be_spent_at_once_and_comes_back_evenly() {
        let lane = lane(Some(LaunchBudget { count: 3, per_ms: 60_000 }));
        let launches = |at_ms: i64| (0..9).take_while(|_| lane.launch(at_ms).is_ok()).count();
        assert_eq!(launches(1_000_000), 3);
        let wait_ms = i64::try_from(lane.launch(1_000_000).unwrap_err()).unwrap();
        assert!((20_000..=20_001).contains(&wait_ms), "{wait_ms}");
        assert_eq!(launches(1_000_000 + wait_ms), 1);
        assert_eq!(launches(2_000_000), 3, "what is not used does not pile up");
        assert_eq!(launches(1_000_000), 0, "a clock that stepped back gives nothing away");
        assert_eq!(launches(1_060_000), 3, "and is forgiven after one span");
    }

    #[test]
    fn no_budget_is_no_bound() {
        let lane = lane(None);
        assert!((0..10_000).all(|_| lane.launch(0).is_ok()));
    }

    #[tokio::test]
    async fn a_call_without_an_answer_is_unclear() {
        let error = lane(None).call("list", std::future::pending::<Result<(), _>>()).await.unwrap_err();
        assert_eq!(error.kind, CloudErrorKind::Unclear);
        assert!(error.text.contains("list"), "{error}");
    }
}
