//! Keys of orders, remembered for ten minutes: the same key is the same deed and gets the same answer. The engine keeps
//! them too, so a key that this process has forgotten still has one effect.

use super::{Problem, Reason};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};
use weir_engine::id::Position;

/// How long a key is kept, milliseconds.
const KEPT_MS: i64 = 600_000;
/// Keys of one tenant that are kept; more are answered 429.
pub(super) const KEYS_MAX: usize = 4_096;

/// All tenants' keys.
#[derive(Default)]
pub(super) struct SeenKeys {
    tenants: Mutex<BTreeMap<String, Tenant>>,
}

#[derive(Default)]
struct Tenant {
    order: VecDeque<(i64, String)>,
    keys: BTreeMap<String, (String, Position)>,
}

impl SeenKeys {
    /// Where the deed of this key is in the log, if it was done. `deed` says what it is, so that a key used for two
    /// deeds is noticed.
    pub(super) fn find(&self, tenant: &str, key: &str, deed: &str, now_ms: i64) -> Result<Option<Position>, Problem> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let tenant = tenants.entry(tenant.to_owned()).or_default();
        tenant.forget(now_ms);
        match tenant.keys.get(key) {
            Some((before, position)) if before == deed => Ok(Some(*position)),
            Some(_) => {
                let detail = format!("`Idempotency-Key: {key}` was used for something else; every deed needs its own");
                Err(Problem::new(Reason::Unprocessable, detail))
            }
            None if tenant.keys.len() >= KEYS_MAX => {
                let detail = format!("{KEYS_MAX} orders in ten minutes; the oldest must be forgotten first");
                Err(Problem::new(Reason::TooMany, detail).retry_after(60))
            }
            None => Ok(None),
        }
    }

    /// Remembers a deed that is in the log.
    pub(super) fn keep(&self, tenant: &str, key: &str, deed: &str, position: Position, now_ms: i64) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let tenant = tenants.entry(tenant.to_owned()).or_default();
        // Requests that passed `find` together may come to a few more than the bound; they are forgotten in time too.
        if tenant.keys.insert(key.to_owned(), (deed.to_owned(), position)).is_none() {
            tenant.order.push_back((now_ms, key.to_owned()));
        }
    }
}

impl Tenant {
    fn forget(&mut self, now_ms: i64) {
        while let Some((_, key)) = self.order.pop_front_if(|(at, _)| now_ms.saturating_sub(*at) >= KEPT_MS) {
            self.keys.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_key_is_one_deed_for_ten_minutes() {
        let seen = SeenKeys::default();
        let place = Position { partition: 0, offset: 7 };
        assert_eq!(seen.find("acme", "k", "force web surge", 0).unwrap(), None);
        seen.keep("acme", "k", "force web surge", place, 0);
        assert_eq!(seen.find("acme", "k", "force web surge", KEPT_MS - 1).unwrap(), Some(place));
        assert_eq!(seen.find("acme", "k", "force web quiet", 1).unwrap_err().reason, Reason::Unprocessable);
        assert_eq!(seen.find("other", "k", "force web quiet", 1).unwrap(), None, "keys are a tenant's own");
        assert_eq!(seen.find("acme", "k", "force web surge", KEPT_MS).unwrap(), None);
    }

    #[test]
    fn a_tenant_has_so_many_keys_and_no_more() {
        let seen = SeenKeys::default();
        let keep = |n: usize| seen.keep("acme", &n.to_string(), "", Position::default(), 0);
        (0..KEYS_MAX - 1).for_each(keep);
        assert!(seen.find("acme", "next", "", 0).is_ok());
        keep(KEYS_MAX - 1);
        assert_eq!(seen.find("acme", "next", "", 0).unwrap_err().reason, Reason::TooMany);
        assert!(seen.find("acme", "next", "", KEPT_MS).is_ok());
    }
}
