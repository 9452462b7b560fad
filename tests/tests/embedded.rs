//! Hard times for the embedded log and store: a process that is killed, a file that is damaged, a disk that is full, a
//! folder that is taken.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};
use weir::backend::{
    Error, Log, Machine, Machines, Snapshot, Snapshots,
    embedded::{Embedded, Settings},
};
use weir_tests::{
    conformance::{crash, log::all, machines::up_to},
    load::{Load, program},
    sample::events,
};

fn open(folder: &Path) -> Result<Embedded, Error> {
    Embedded::open(folder, Settings::default())
}

#[test]
fn a_killed_process_loses_nothing_that_was_answered() {
    kill_it_often("small");
}

/// Such a store commits in another way, so that a start after a crash is quick.
#[test]
fn a_killed_process_loses_nothing_of_a_large_store() {
    kill_it_often("large");
}

/// Whatever the moment: all that was answered is there, and nothing in part.
fn kill_it_often(size: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    for run in 0..10_usize {
        let mut load = Load::start("crash", folder.path(), &format!("{size}-{run}"));
        // From right after the start to long into it; the exact moment is chance, as it is in life.
        load.hear(run * run);
        if run % 4 == 3 {
            load.hear_of("saved");
        }
        thread::sleep(Duration::from_millis(u64::try_from(run).unwrap()));
        said.extend(load.kill());
        crash::audit(&open(folder.path()).unwrap(), &said);
    }
}

/// With the number of the process that has it, so that a person can stop it.
#[test]
fn a_folder_in_use_says_by_whom() {
    let folder = tempfile::tempdir().unwrap();
    let load = Load::start("crash", folder.path(), "small");
    let (refused, pid) = (open(folder.path()), load.pid());
    load.kill();
    let Err(error @ Error::InUse { .. }) = refused else { panic!("opened twice: {refused:?}") };
    let text = format!("the data folder `{}` is in use by process {pid}", folder.path().display());
    assert_eq!(error.to_string(), text);
    open(folder.path()).unwrap();
}

/// A store with some megabytes of everything, closed in order.
fn filled() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    store.append(0, &events("a", 5_000)).unwrap();
    let (owner, _) = store.take_over(Machine::Step, 0).unwrap();
    store.commit_step(&owner, up_to(5_000)).unwrap();
    store.save_snapshot(&owner, Snapshot { at: up_to(5_000).committed, state: vec![1; 1_000_000] }).unwrap();
    drop(store);
    let file = folder.path().join("weir.redb");
    (folder, file)
}

/// Refused with what to do; never started empty, never a panic.
fn must_be_refused(folder: &Path, how: &str) {
    match open(folder) {
        Err(Error::Damaged(why)) => {
            assert!(why.contains(folder.join("weir.redb").to_str().unwrap()), "{how}: {why}");
            assert!(why.contains("put a backup of it in its place"), "{how}: {why}");
        }
        Ok(store) => panic!("{how}: opened, with the log {:?}", store.range(0)),
        Err(error) => panic!("{how}: {error}"),
    }
}

/// Cut off at any length.
#[test]
fn a_truncated_store_is_refused() {
    let (folder, file) = filled();
    let whole = fs::read(&file).unwrap();
    for kept in [0, 1, 63, 512, 4_096, 70_000, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..kept]).unwrap();
        must_be_refused(folder.path(), &format!("{kept} of {} bytes", whole.len()));
    }
    fs::write(&file, &whole).unwrap();
    assert_eq!(open(folder.path()).unwrap().range(0).unwrap(), (0, 5_000));
}

/// Zeros, text, and a flipped bit in each stretch of the file: refused, or without any effect on what is read.
#[test]
fn a_store_with_other_bytes_is_refused_or_reads_as_it_was() {
    let (folder, file) = filled();
    let whole = fs::read(&file).unwrap();
    for (how, bytes) in [("zeros", vec![0; whole.len()]), ("text", b"not a store\n".repeat(1_000))] {
        fs::write(&file, bytes).unwrap();
        must_be_refused(folder.path(), how);
    }
    let mut refused = 0;
    for stretch in 0..40 {
        fs::write(&file, &whole).unwrap();
        let at = (whole.len() * stretch / 40) as u64 + 17;
        let handle = fs::OpenOptions::new().read(true).write(true).open(&file).unwrap();
        let mut bytes = [0; 16];
        handle.read_exact_at(&mut bytes, at).unwrap();
        handle.write_all_at(&bytes.map(|byte| byte ^ 0x10), at).unwrap();
        drop(handle);
        match open(folder.path()) {
            Err(Error::Damaged(_)) => refused += 1,
            Err(error) => panic!("byte {at}: {error}"),
            Ok(store) => {
                // A free page, then.
                assert_eq!(all(&store, 0, 1_000), events("a", 5_000), "byte {at}");
                assert_eq!(store.snapshot(0, u64::MAX).unwrap().unwrap().state, vec![1; 1_000_000], "byte {at}");
            }
        }
    }
    assert!(refused >= 10, "only {refused} of 40 damages were seen");
}

/// Refused in time, nothing lost, reads go on, and it goes on by itself once there is room.
#[test]
fn a_full_disk_loses_nothing_and_recovers() {
    let outer = tempfile::tempdir().unwrap();
    let disk = outer.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let script = r#"mount -t tmpfs -o size=24m weir-test "$1" && exec "$2" fill "$1/data""#;
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .arg(&disk)
        .arg(program())
        .output()
        .unwrap_or_else(|error| panic!("this test needs `unshare` (util-linux): {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && out.ends_with("done\n"),
        "this test mounts a small tmpfs in a mount namespace of its own, so it needs root (or CAP_SYS_ADMIN).\n{out}{err}"
    );
}
