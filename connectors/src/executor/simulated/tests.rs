#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;
use crate::{
    clock::HeldClock,
    executor::{SeenState, simulated::settings::Fate},
};
use std::{collections::BTreeSet, fs, io::Write};
use weir_engine::{command::Spec, id::Slot};
use weir_grammar::policy::{Launch, RemoveOrder};

const WEB: GroupUid = GroupUid(0xa1);
const NOON_MS: i64 = 1_800_000_000_000;

fn order(serial: u32) -> ServerOrder {
    order_of(serial, "debian-13")
}

fn order_of(serial: u32, image: &str) -> ServerOrder {
    ServerOrder {
        uid: WEB,
        slot: Slot { serial, incarnation: 1 },
        name: format!("web-{serial}-1"),
        zone: Some("az-1".to_owned()),
        spec: Spec {
            region: "LON".to_owned(),
            launch: Launch { image: image.to_owned(), flavor: "2".to_owned(), ..Launch::default() },
            setup: None,
            ready_within_ms: 600_000,
            drain_ms: 0,
            remove: RemoveOrder::OldestFirst,
            notify: None,
        },
    }
}

fn balancer() -> Balancer {
    Balancer { name: "lb-1".to_owned(), port: 8443 }
}

fn in_memory(settings: Settings) -> (Simulated, HeldClock) {
    let clock = HeldClock::at(NOON_MS);
    (Simulated::in_memory(settings, Arc::new(clock.clone())), clock)
}

async fn states(cloud: &Simulated) -> Vec<SeenState> {
    cloud.list(WEB).await.unwrap().into_iter().map(|seen| seen.state).collect()
}

#[tokio::test]
async fn a_build_takes_its_time_and_ends_with_an_address_of_its_own() {
    let (cloud, clock) = in_memory(Settings { build_ms: (1_000, 4_000), ..Settings::default() });
    for serial in 1..=600 {
        cloud.create(&order(serial)).await.unwrap();
    }
    assert!(cloud.list(WEB).await.unwrap().iter().all(|seen| seen.addresses.is_empty()));

    clock.pass(999);
    assert_eq!(states(&cloud).await, vec![SeenState::Building; 600]);
    clock.pass(1_500);
    let seen: BTreeSet<_> = states(&cloud).await.into_iter().collect();
    assert_eq!(seen, BTreeSet::from([SeenState::Building, SeenState::Active]), "builds differ");
    clock.pass(1_501);
    assert_eq!(states(&cloud).await, vec![SeenState::Active; 600]);

    let servers = cloud.list(WEB).await.unwrap();
    let addresses: BTreeSet<_> = servers.iter().flat_map(|seen| &seen.addresses).collect();
    assert_eq!(addresses.len(), 600);
    assert!(servers.iter().zip(1..).all(|(seen, serial)| seen.slot == Some(order(serial).slot)));
}

#[test]
fn a_slot_has_the_same_fate_in_each_run_and_another_under_another_seed() {
    let fates = |seed| -> Vec<Fate> {
        let settings = Settings { seed, build_ms: (0, 1_000_000), failing: 0.3, ..Settings::default() };
        (1..=200).map(|serial| settings.fate(u64::from(serial), &order(serial))).collect()
    };
    assert_eq!(fates(1), fates(1));
    assert_ne!(fates(1), fates(2));
    let failed = fates(1).iter().filter(|fate| fate.fault.is_some()).count();
    assert!((40..=80).contains(&failed), "{failed} of 200 at 30 %");
}

#[tokio::test]
async fn builds_fail_by_number_and_by_image_and_some_never_end() {
    let settings = Settings { build_ms: (10, 10), failing_builds: vec![2], ..Settings::default() };
    let words = settings.fault.clone();
    let (cloud, clock) = in_memory(settings);
    for (serial, image) in [(1, "debian"), (2, "debian"), (3, "fail-debian"), (4, "stuck-debian")] {
        cloud.create(&order_of(serial, image)).await.unwrap();
    }
    assert!(cloud.list(WEB).await.unwrap().iter().all(|seen| seen.fault.is_none()), "a fault shows when it happens");
    clock.pass(1_000_000_000);
    let seen = cloud.list(WEB).await.unwrap();
    let states: Vec<_> = seen.iter().map(|seen| seen.state).collect();
    assert_eq!(states, [SeenState::Active, SeenState::Error, SeenState::Error, SeenState::Building]);
    assert_eq!(seen[1].fault.as_deref(), Some(words.as_str()));
}

#[tokio::test]
async fn a_full_cloud_says_so_in_its_own_words_and_has_room_again_after_a_delete() {
    let (cloud, _) = in_memory(Settings { quota: 2, ..Settings::default() });
    let first = cloud.create(&order(1)).await.unwrap();
    cloud.create(&order(2)).await.unwrap();
    let error = cloud.create(&order(3)).await.unwrap_err();
    assert_eq!((error.kind, error.text.as_str()), (CloudErrorKind::Refused, "Quota exceeded for cores, 2 of 2"));
    cloud.delete(&first).await.unwrap();
    cloud.create(&order(3)).await.unwrap();
    cloud.adjust(|settings| settings.quota = 3);
    cloud.create(&order(4)).await.unwrap();
    assert_eq!(cloud.made().unwrap(), 4, "what was refused was not made");
}

#[tokio::test]
async fn a_server_is_seen_going_and_then_not_at_all_and_may_be_deleted_again() {
    let (cloud, clock) = in_memory(Settings { delete_ms: 500, ..Settings::default() });
    let id = cloud.create(&order(1)).await.unwrap();
    cloud.delete(&id).await.unwrap();
    clock.pass(400);
    assert_eq!(states(&cloud).await, [SeenState::Deleting]);
    cloud.delete(&id).await.unwrap();
    clock.pass(100);
    assert_eq!(states(&cloud).await, [], "the second delete does not prolong the first");
    cloud.delete(&id).await.unwrap();
    cloud.delete("sim-77").await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_leaves_a_server_and_a_refused_call_does_not() {
    let (cloud, _) = in_memory(Settings::default());
    cloud.trouble(Call::Create, Trouble::AnswerLost, 1);
    assert_eq!(cloud.create(&order(1)).await.unwrap_err().kind, CloudErrorKind::Unclear);
    assert_eq!(cloud.all().unwrap().len(), 1);

    let later = CloudError { kind: CloudErrorKind::Later { after_ms: 3_000 }, text: "slow down".to_owned() };
    cloud.trouble(Call::Create, Trouble::Refuses(later.clone()), 2);
    assert_eq!(cloud.create(&order(2)).await, Err(later.clone()));
    assert!(cloud.list(WEB).await.is_ok(), "trouble with one call is not trouble with another");
    assert_eq!(cloud.create(&order(2)).await, Err(later));
    assert_eq!(cloud.all().unwrap().len(), 1);
    cloud.create(&order(2)).await.unwrap();
}

#[tokio::test]
async fn other_peoples_servers_are_not_listed_and_hands_can_break_and_lose_ours() {
    let (cloud, clock) = in_memory(Settings { build_ms: (10, 10), ..Settings::default() });
    cloud.plant("mail", None).unwrap();
    let unreadable = cloud.plant("odd", Some(WEB)).unwrap();
    let stuck = cloud.create(&order_of(1, "stuck-x")).await.unwrap();
    let lost = cloud.create(&order(2)).await.unwrap();
    clock.pass(10);

    assert!(cloud.break_down(&stuck, "disk on fire").unwrap());
    assert!(cloud.lose(&lost).unwrap());
    assert!(!cloud.lose("sim-77").unwrap());
    let seen = cloud.list(WEB).await.unwrap();
    let ids: Vec<_> = seen.iter().map(|seen| (seen.id.clone(), seen.slot.is_some(), seen.state)).collect();
    assert_eq!(ids, [(unreadable, false, SeenState::Active), (stuck, true, SeenState::Error)]);
    assert_eq!(seen[1].fault.as_deref(), Some("disk on fire"));
    assert_eq!(cloud.all().unwrap().len(), 3);
}

#[tokio::test]
async fn a_member_serves_drains_and_leaves_and_is_healthy_while_its_server_answers() {
    let settings = Settings { build_ms: (10, 10), healthy_after_ms: 50, ..Settings::default() };
    let (cloud, clock) = in_memory(settings);
    let id = cloud.create(&order(1)).await.unwrap();
    clock.pass(10);
    let address = cloud.list(WEB).await.unwrap()[0].addresses[0].clone();
    let look = async || -> Vec<(bool, bool)> {
        let members = cloud.members(&balancer()).await.unwrap();
        members.iter().map(|member| (member.serving, member.healthy)).collect()
    };

    cloud.join(&balancer(), &address).await.unwrap();
    assert_eq!(look().await, [(true, false)]);
    clock.pass(50);
    cloud.join(&balancer(), &address).await.unwrap();
    assert_eq!(look().await, [(true, true)], "joining again changes nothing");
    let other_port = Balancer { port: 80, ..balancer() };
    assert_eq!(cloud.members(&other_port).await.unwrap(), []);

    cloud.drain(&balancer(), &address).await.unwrap();
    assert!(matches!(look().await[..], [(false, _)]));
    cloud.join(&balancer(), &address).await.unwrap();
    clock.pass(50);
    cloud.delete(&id).await.unwrap();
    assert_eq!(look().await, [(true, false)], "nobody answers there any more");
    cloud.leave(&balancer(), &address).await.unwrap();
    cloud.leave(&balancer(), &address).await.unwrap();
    cloud.drain(&balancer(), &address).await.unwrap();
    assert_eq!(look().await, []);
}

#[tokio::test]
async fn a_balancer_takes_one_change_at_a_time() {
    let (cloud, clock) = in_memory(Settings { immutable_ms: 100, ..Settings::default() });
    cloud.join(&balancer(), "10.0.0.1").await.unwrap();
    clock.pass(40);
    let error = cloud.join(&balancer(), "10.0.0.2").await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Later { after_ms: 60 });
    cloud.join(&balancer(), "10.0.0.1").await.unwrap();
    cloud.join(&Balancer { name: "lb-2".to_owned(), port: 80 }, "10.0.0.2").await.unwrap();
    clock.pass(60);
    cloud.leave(&balancer(), "10.0.0.1").await.unwrap();
    assert!(cloud.join(&balancer(), "10.0.0.1").await.is_err(), "also when it is empty");
    clock.pass(100);
    cloud.join(&balancer(), "10.0.0.2").await.unwrap();
}

/// A cloud on a disk, its clock, and the folder that goes when it is dropped.
fn on_disk() -> (Simulated, HeldClock, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let clock = HeldClock::at(NOON_MS);
    (open(&folder, &clock).unwrap(), clock, folder)
}

fn open(folder: &tempfile::TempDir, clock: &HeldClock) -> Result<Simulated, Error> {
    let settings = Settings { build_ms: (100, 100), ..Settings::default() };
    Simulated::open(&folder.path().join("cloud.ndjson"), settings, Arc::new(clock.clone()))
}

#[tokio::test]
async fn a_cloud_survives_its_process_and_builds_go_on_meanwhile() {
    let (cloud, clock, folder) = on_disk();
    let first = cloud.create(&order(1)).await.unwrap();
    let second = cloud.create(&order(2)).await.unwrap();
    cloud.join(&balancer(), "10.0.0.2").await.unwrap();
    cloud.delete(&first).await.unwrap();
    drop(cloud);
    clock.pass(100);

    let names: Vec<_> = read_file(&folder.path().join("cloud.ndjson")).unwrap().into_iter().map(|s| s.id).collect();
    assert_eq!(names, std::slice::from_ref(&second));
    let cloud = open(&folder, &clock).unwrap();
    assert_eq!(states(&cloud).await, [SeenState::Active]);
    assert_eq!(cloud.members(&balancer()).await.unwrap().len(), 1);
    let third = cloud.create(&order(3)).await.unwrap();
    assert!(third != first && third != second, "an id is not given twice");
}

#[tokio::test]
async fn half_a_line_is_a_call_that_never_was_and_a_strange_line_is_an_error() {
    let (cloud, clock, folder) = on_disk();
    cloud.create(&order(1)).await.unwrap();
    cloud.create(&order(2)).await.unwrap();
    drop(cloud);
    let path = folder.path().join("cloud.ndjson");
    let whole = fs::read(&path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;

    for cut in first..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(read_file(&path).unwrap().len(), 1, "cut at {cut}");
        let cloud = open(&folder, &clock).unwrap();
        assert_eq!(cloud.create(&order(2)).await.unwrap(), "sim-2", "cut at {cut}");
        assert_eq!(read_file(&path).unwrap().len(), 2, "cut at {cut}");
    }

    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"server\":7}\n").unwrap();
    let error = open(&folder, &clock).unwrap_err();
    assert!(matches!(error, Error::Damaged { at, .. } if at == whole.len() as u64), "{error}");
    assert!(read_file(&path).is_err());
}

#[tokio::test]
async fn processes_share_a_cloud_also_across_its_rewriting() {
    let (one, clock, folder) = on_disk();
    let other = open(&folder, &clock).unwrap();
    let path = folder.path().join("cloud.ndjson");
    let kept = one.create(&order(1)).await.unwrap();
    assert_eq!(states(&other).await.len(), 1);

    // Enough history that the file is written anew a few times, by either.
    let mut longest = 0;
    for turn in 0..1_500 {
        let (maker, taker) = if turn % 2 == 0 { (&one, &other) } else { (&other, &one) };
        let id = maker.plant("passing", None).unwrap();
        assert!(taker.lose(&id).unwrap());
        longest = longest.max(fs::metadata(&path).unwrap().len());
    }
    assert!(longest < 1_100 * 400, "{longest} bytes for one server");
    for cloud in [&one, &other] {
        let ids: Vec<_> = cloud.all().unwrap().into_iter().map(|server| server.id).collect();
        assert_eq!(ids, std::slice::from_ref(&kept));
        assert_eq!(cloud.made().unwrap(), 1_501);
    }
}
