//! A broker whose disk is full.

use super::{
    place::{Place, done},
    server::{Server, run},
};
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};
use weir_tests::kafka::Broker;

/// Set where the test runs again in a mount namespace of its own, so that its small disk goes with it.
const INSIDE: &str = "WEIR_TEST_INSIDE";
const NAME: &str = "disk::a_broker_whose_disk_is_full_takes_nothing_and_goes_on_once_there_is_room";

/// No fact is acknowledged that the full disk did not take, each refusal says when to come again, and with room all of it goes on.
#[test]
fn a_broker_whose_disk_is_full_takes_nothing_and_goes_on_once_there_is_room() {
    if std::env::var_os(INSIDE).is_some() {
        return on_a_small_disk();
    }
    let mut again = Command::new("unshare");
    again.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe().unwrap());
    let output = again.args(["--exact", NAME, "--nocapture"]).env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "it mounts a small disk, so it needs root: {said}");
    said.lines().filter(|line| line.starts_with("figure: ")).for_each(|line| println!("{line}"));
}

fn on_a_small_disk() {
    let disk = tempfile::tempdir().unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "weir-test"]).arg(disk.path()).status();
    assert!(mount.unwrap().success());
    let place = Place::on(Broker::on(&disk.path().join("kafka")).unwrap().into(), 1);
    let tenant = &place.tenants[0];
    let folder = place.process("one");
    done(run(&folder, &["setup"]));
    let server = Server::start(&folder, &[]);
    place.wait_ready(&server);
    done(server.ask(&["deploy", "../app.weir", "--tenant", tenant]));
    assert_eq!(place.alarm(&server, tenant).0, 202);

    let ballast = disk.path().join("ballast");
    fill(&ballast);
    let (began, mut taken, mut refused) = (Instant::now(), 1, 0);
    // A page that is begun has room for some.
    while refused < 5 {
        let (status, body, retry) = place.alarm(&server, tenant);
        match status {
            202 => taken += 1,
            _ => {
                assert!(status == 503 && retry.is_some(), "{status} {retry:?} {body}");
                refused += 1;
            }
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{taken} facts were taken by a full disk");
        thread::sleep(Duration::from_millis(50));
    }
    println!("figure: a full disk took {taken} more small facts, then none");

    fs::remove_file(&ballast).unwrap();
    // A broker whose only disk failed ends by itself, or stands and serves nothing.
    place.broker.kill().unwrap();
    place.broker.start().unwrap();
    let began = Instant::now();
    while place.alarm(&server, tenant).0 != 202 {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", server.said());
        thread::sleep(Duration::from_millis(200));
    }
    place.wait_ready(&server);
    // What was decided may not be in the store yet.
    let exported = done(server.ask_until(&["log", "export", "--tenant", tenant], |ended| ended.code == 0));
    let alarms = exported.lines().filter(|line| line.contains("\"weir.alarm\"")).count();
    assert!(alarms > taken, "{alarms} alarms are in the log, {taken} were taken before there was room, and one after");
    place.verify(&server, tenant);
    assert_eq!(server.end("-TERM"), Some(0));
}

/// Writes until nothing more fits.
fn fill(ballast: &Path) {
    let mut file = File::create(ballast).unwrap();
    for bytes in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![0x5a; bytes]).is_ok() {}
    }
}
