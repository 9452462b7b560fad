//! A disk that fills up, and is made room on. Runs in a process that has a small filesystem to itself.

use crate::{conformance::log::all, sample::event};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    time::{Duration, Instant},
};
use weir::backend::{
    Backend, Error, Log, Machines,
    embedded::{Embedded, Settings},
};
use weir_engine::event::Event;

/// Long enough for a store that looks at its disk once a second.
const SOON: Duration = Duration::from_secs(20);

/// Fills the filesystem of `folder`, twice: up to the part at which no event is taken, then up to the last block.
///
/// # Panics
/// Where something that was answered is lost, a read fails, or the store does not recover.
pub fn fill(folder: &Path) {
    let mut written = Vec::new();
    let store = Embedded::open(folder, Settings::default()).unwrap();
    let why = until_full(&store, &mut written);
    assert!(why.contains("no event is taken from 95 % on"), "{why}");
    assert_eq!(all(&store, 0, 100), written);
    println!("stopped at 95 %, with {} events", written.len());
    // What is there can still be worked off.
    let (owner, _) = store.take_over(weir::backend::Machine::Step, 0).unwrap();
    store.commit_step(&owner, crate::conformance::machines::up_to(written.len() as u64)).unwrap();
    drop(store);

    // Now without that margin, and with hardly any room: the disk itself says so.
    let ballast = folder.join("ballast");
    let store = Embedded::open(folder, Settings { full_percent: 101, ..Settings::default() }).unwrap();
    fill_up(&ballast);
    let why = until_full(&store, &mut written);
    assert!(why.contains("is full"), "{why}");
    assert_eq!(all(&store, 0, 100), written, "reads go on, and all that was answered is there");
    for _ in 0..5 {
        assert!(matches!(store.append(0, &[heavy(0)]), Err(Error::Full(_))));
    }
    println!("stopped at the last block, with {} events", written.len());

    // Also a start on a full disk finds what is there.
    drop(store);
    let store = Embedded::open(folder, Settings { full_percent: 101, ..Settings::default() }).unwrap();
    assert_eq!(all(&store, 0, 100), written);

    fs::remove_file(&ballast).unwrap();
    let until = Instant::now() + SOON;
    let after = event("after");
    while let Err(error) = store.append(0, std::slice::from_ref(&after)) {
        assert!(matches!(error, Error::Full(_)), "{error}");
        assert!(Instant::now() < until, "room was made and it still says: {error}");
        std::thread::sleep(Duration::from_millis(100));
    }
    written.push(after);
    assert_eq!(all(&store, 0, 100), written);
    drop(store);
    let store = Embedded::open(folder, Settings::default()).unwrap();
    assert_eq!(all(&store, 0, 100), written);
    println!("done");
}

/// Appends until it is refused; answers the reason.
fn until_full(store: &dyn Backend, written: &mut Vec<Event>) -> String {
    loop {
        let events = vec![heavy(written.len())];
        match store.append(0, &events) {
            Ok(offset) => {
                assert_eq!(offset, written.len() as u64, "what was refused took no offset");
                written.extend(events);
            }
            Err(Error::Full(why)) => return why,
            Err(error) => panic!("neither written nor full: {error}"),
        }
    }
}

fn heavy(n: usize) -> Event {
    event(format!("{n}-{}", "x".repeat(20_000)))
}

/// Takes all room but a little.
fn fill_up(ballast: &Path) {
    let mut file = OpenOptions::new().create(true).append(true).open(ballast).unwrap();
    let block = vec![7; 4_096];
    while file.write_all(&block).is_ok() {}
    let bytes = file.metadata().unwrap().len();
    file.set_len(bytes.saturating_sub(256 << 10)).unwrap();
}
