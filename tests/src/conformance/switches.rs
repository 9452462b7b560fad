//! Promises to operators: what is stopped stays stopped.

use super::{START_MS, System};
use std::{
    thread,
    time::{Duration, Instant},
};
use weir::backend::{Backend, Deed, Switch};

/// A board that is read from elsewhere takes a moment to be whole.
const SOON: Duration = Duration::from_secs(20);

fn switch(adding: bool, removing: bool) -> Switch {
    Switch {
        tenant: "acme".into(),
        region: "LON".into(),
        adding,
        removing,
        until_ms: Some(START_MS + 1_000),
        actor: "ops".into(),
        reason: "images".into(),
    }
}

fn held(store: &dyn Backend, deed: Deed, at_ms: i64) -> Option<String> {
    store.held("acme", "LON", deed, at_ms)
}

fn wait(store: &dyn Backend, what: &str, so: impl Fn(&dyn Backend) -> bool) {
    let until = Instant::now() + SOON;
    while !so(store) {
        assert!(Instant::now() < until, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Who set it sees it at once, who opens it later before any server is made; and it ends by its own time.
pub fn a_switch_holds_across_reopening_until_it_ends_or_is_lifted(system: &dyn System) {
    let store = system.open();
    wait(&*store, "the switches are read", |store| store.switch_silence().is_some());
    assert_eq!((held(&*store, Deed::Adding, START_MS), held(&*store, Deed::Removing, START_MS)), (None, None));
    store.set_switch(switch(true, false)).unwrap();
    assert!(held(&*store, Deed::Adding, START_MS).unwrap().contains("stopped by ops: \"images\""));
    assert_eq!(held(&*store, Deed::Removing, START_MS), None);
    assert_eq!(store.held("other", "LON", Deed::Adding, START_MS), None);
    drop(store);

    let store = system.open();
    assert!(held(&*store, Deed::Adding, START_MS).is_some(), "held by the switch, or since it is not read yet");
    wait(&*store, "the switches are read", |store| store.switch_silence().is_some());
    assert!(held(&*store, Deed::Adding, START_MS).unwrap().contains("stopped by ops"));
    assert_eq!(held(&*store, Deed::Adding, START_MS + 1_000), None, "it has ended");
    store.set_switch(switch(false, true)).unwrap();
    assert_eq!(held(&*store, Deed::Adding, START_MS), None);
    assert!(held(&*store, Deed::Removing, START_MS).is_some());
    store.set_switch(switch(false, false)).unwrap();
    assert_eq!(held(&*store, Deed::Removing, START_MS), None, "it was lifted");
}
