//! How long to wait after a round that failed.

use super::Error;
use std::time::Duration;

/// Failed rounds are tried again after the feed's own period, then twice that, and so on up to this.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);

/// Without chance in it: pollers of different feeds are no crowd, and a test can say when the next try is.
pub(super) fn back_off(every: Duration, failures: u32, error: &Error) -> Duration {
    let doubled = every.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16)));
    let own = doubled.min(BACK_OFF_MAX.max(every));
    match error {
        Error::Status { after: Some(after), .. } => own.max(*after),
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn delays_double_up_to_a_bound_and_heed_the_server() {
        let down = |after| Error::Status { status: 503, after };
        let seconds = |every, failures, error: &Error| back_off(Duration::from_secs(every), failures, error).as_secs();
        let delays: Vec<u64> = (1..8).map(|failures| seconds(5, failures, &down(None))).collect();
        assert_eq!(delays, [5, 10, 20, 40, 60, 60, 60]);
        assert_eq!(seconds(5, u32::MAX, &down(None)), 60);
        assert_eq!(seconds(90, 9, &down(None)), 90, "never faster than the feed's own period");
        assert_eq!(seconds(5, 1, &down(Some(Duration::from_secs(100)))), 100);
        assert_eq!(seconds(5, 9, &down(Some(Duration::from_secs(1)))), 60);
    }
}
