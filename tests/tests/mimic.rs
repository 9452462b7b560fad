//! The Rackspace executor against Mimic, which speaks as Rackspace's own clouds were seen to speak.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use secrecy::SecretString;
use serde_json::json;
use std::{collections::BTreeSet, sync::Arc};
use weir::{
    clock::WallClock,
    executor::{
        Cloud, CloudErrorKind, SeenState, ServerOrder,
        rackspace::{Credentials, Rackspace, RackspaceSettings, Secret},
    },
};
use weir_engine::{
    command::Spec,
    id::{GroupUid, Slot},
};
use weir_grammar::policy::{Balancer, Launch, RemoveOrder, Volume};
use weir_tests::mimic::Mimic;

const WEB: GroupUid = GroupUid(0xa1);
const WORKERS: GroupUid = GroupUid(0xb2);

fn settings(mimic: &Mimic, user: &str) -> RackspaceSettings {
    let secret = Secret::ApiKey(SecretString::from("any"));
    let credentials = Credentials { username: user.to_owned(), secret, tenant: None };
    RackspaceSettings::new(&mimic.auth_url(), "ORD", credentials, "prod")
}

fn cloud(mimic: &Mimic, user: &str) -> Rackspace {
    Rackspace::new(settings(mimic, user), Arc::new(WallClock)).unwrap()
}

fn order(uid: GroupUid, serial: u32, metadata: &[(&str, &str)]) -> ServerOrder {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ServerOrder {
        uid,
        slot: Slot { serial, incarnation: 1 },
        name: format!("web-{serial}-1"),
        zone: None,
        spec: Spec {
            region: "ORD".to_owned(),
            launch: Launch {
                image: "CentOS 6 (PV)".to_owned(),
                flavor: "1 GB Performance".to_owned(),
                metadata,
                ..Launch::default()
            },
            setup: Some("#!/bin/sh\necho hello\n".to_owned()),
            ready_within_ms: 600_000,
            drain_ms: 0,
            remove: RemoveOrder::OldestFirst,
            notify: None,
        },
    }
}

#[tokio::test]
async fn a_server_is_built_seen_and_deleted() {
    let mimic = Mimic::shared().unwrap();
    let cloud = cloud(&mimic, "life");
    assert_eq!(cloud.list(WEB).await.unwrap(), []);

    let id = cloud.create(&order(WEB, 1, &[("server_building", "30"), ("role", "web")])).await.unwrap();
    let seen = cloud.list(WEB).await.unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].id.as_str(), seen[0].name.as_str()), (id.as_str(), "web-1-1"));
    assert_eq!(seen[0].slot, Some(Slot { serial: 1, incarnation: 1 }));
    assert_eq!(seen[0].state, SeenState::Building);

    mimic.tick(31).await.unwrap();
    let seen = cloud.list(WEB).await.unwrap();
    assert_eq!(seen[0].state, SeenState::Active);
    assert!(seen[0].addresses[0].starts_with("10.180."), "the inner address first: {:?}", seen[0].addresses);
    assert_eq!(seen[0].addresses.len(), 3);

    cloud.delete(&id).await.unwrap();
    assert_eq!(cloud.list(WEB).await.unwrap(), []);
    cloud.delete(&id).await.unwrap();
}

#[tokio::test]
async fn a_listing_is_followed_over_all_its_pages_and_shows_each_its_own() {
    let mimic = Mimic::shared().unwrap();
    let whole = cloud(&mimic, "pages");
    for serial in 1..=5 {
        whole.create(&order(WEB, serial, &[])).await.unwrap();
        whole.create(&order(WORKERS, serial, &[])).await.unwrap();
    }
    let elsewhere = RackspaceSettings { region: "DFW".to_owned(), ..settings(&mimic, "pages") };
    let others = RackspaceSettings { installation: "test".to_owned(), ..settings(&mimic, "pages") };
    let others = Rackspace::new(others, Arc::new(WallClock)).unwrap();
    others.create(&order(WEB, 9, &[])).await.unwrap();

    let expected: BTreeSet<_> = whole.list(WEB).await.unwrap().into_iter().map(|seen| (seen.id, seen.slot)).collect();
    assert_eq!(expected.len(), 5);
    // Eleven servers: pages that come out even, pages that do not, one page exactly, one page with room.
    for page_size in [1, 2, 3, 10, 11, 12] {
        let settings = RackspaceSettings { page_size, ..settings(&mimic, "pages") };
        let paged = Rackspace::new(settings, Arc::new(WallClock)).unwrap();
        let seen: BTreeSet<_> = paged.list(WEB).await.unwrap().into_iter().map(|seen| (seen.id, seen.slot)).collect();
        assert_eq!(seen, expected, "{page_size} a page");
        assert_eq!(paged.survey().await.unwrap().len(), 10, "{page_size} a page");
    }
    assert_eq!(others.survey().await.unwrap().len(), 1);
    let elsewhere = Rackspace::new(elsewhere, Arc::new(WallClock)).unwrap();
    assert_eq!(elsewhere.survey().await.unwrap(), []);
}

#[tokio::test]
async fn two_servers_for_one_slot_are_both_seen() {
    let mimic = Mimic::shared().unwrap();
    let cloud = cloud(&mimic, "twice");
    let first = cloud.create(&order(WEB, 1, &[])).await.unwrap();
    mimic.tick(1).await.unwrap();
    // Nova made it and answers that it failed: the reason to look before doing anything twice.
    let report = json!({ "code": 500, "message": "The server has erred" });
    mimic.behave("twice", "ORD", "web-1-1", "false-negative", report).await.unwrap();
    let error = cloud.create(&order(WEB, 1, &[])).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unclear);
    assert_eq!(error.text, "The server has erred (create a server: 500)");

    let seen = cloud.list(WEB).await.unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].slot, seen[1].slot);
    let older = seen.iter().min_by_key(|seen| seen.created_ms).unwrap();
    assert_eq!(older.id, first);
}

#[tokio::test]
async fn a_refusal_says_why_in_the_clouds_words_and_makes_no_server() {
    let mimic = Mimic::shared().unwrap();
    let cloud = cloud(&mimic, "refused");
    let quota = "Quota exceeded for cores: Requested 2, but already used 40 of 40 cores";
    for (code, kind) in [
        (400, CloudErrorKind::Refused),
        (403, CloudErrorKind::Refused),
        (404, CloudErrorKind::Refused),
        (413, CloudErrorKind::Refused),
        (429, CloudErrorKind::Later { after_ms: 0 }),
        (500, CloudErrorKind::Unclear),
        (503, CloudErrorKind::Unclear),
    ] {
        let failure = json!({ "type": "forbidden", "code": code, "message": quota }).to_string();
        let error = cloud.create(&order(WEB, 1, &[("create_server_failure", &failure)])).await.unwrap_err();
        assert_eq!(error.kind, kind, "{code}");
        assert_eq!(error.text, format!("{quota} (create a server: {code})"));
    }
    // Mimic's own limit, not one that we asked for.
    let many: Vec<_> = (0..41).map(|number| format!("key-{number}")).collect();
    let many: Vec<_> = many.iter().map(|key| (key.as_str(), "value")).collect();
    let error = cloud.create(&order(WEB, 1, &many)).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Refused);
    assert!(error.text.starts_with("Maximum number of metadata items exceeds 40"), "{error}");
    assert_eq!(cloud.survey().await.unwrap(), []);
}

#[tokio::test]
async fn a_failed_build_and_a_broken_server_are_errors_and_a_failed_delete_is_unclear() {
    let mimic = Mimic::shared().unwrap();
    let cloud = cloud(&mimic, "broken");
    cloud.create(&order(WEB, 1, &[("server_error", "1")])).await.unwrap();
    mimic.behave("broken", "ORD", "web-2-1", "active-then-error", json!({ "duration": 10 })).await.unwrap();
    cloud.create(&order(WEB, 2, &[])).await.unwrap();
    let once = json!({ "code": 500, "times": 1 }).to_string();
    let stubborn = cloud.create(&order(WEB, 3, &[("delete_server_failure", &once)])).await.unwrap();

    let states = async || -> Vec<SeenState> {
        let mut seen = cloud.list(WEB).await.unwrap();
        seen.sort_by_key(|seen| seen.slot);
        seen.into_iter().map(|seen| seen.state).collect()
    };
    assert_eq!(states().await, [SeenState::Error, SeenState::Active, SeenState::Active]);
    mimic.tick(11).await.unwrap();
    assert_eq!(states().await, [SeenState::Error, SeenState::Error, SeenState::Active]);

    assert_eq!(cloud.delete(&stubborn).await.unwrap_err().kind, CloudErrorKind::Unclear);
    assert_eq!(states().await.len(), 3);
    cloud.delete(&stubborn).await.unwrap();
    assert_eq!(states().await.len(), 2);
}

#[tokio::test]
async fn images_and_flavors_go_by_id_or_name_and_a_wrong_one_is_named() {
    let mimic = Mimic::shared().unwrap();
    let cloud = cloud(&mimic, "names");
    let with = |image: &str, flavor: &str| {
        let mut order = order(WEB, 1, &[]);
        (order.spec.launch.image, order.spec.launch.flavor) = (image.to_owned(), flavor.to_owned());
        order
    };
    cloud.create(&with("CentOS 6 (PV)", "performance1-1")).await.unwrap();
    let id = mimic.image_id("names", "ORD", "CentOS 6 (PV)").await.unwrap();
    cloud.create(&with(&id, "2")).await.unwrap();
    for (order, words) in [
        (with("CentOS 60", "2"), "the cloud has no image with the id or name `CentOS 60`"),
        (with("CentOS 6 (PV)", "huge"), "the cloud has no flavor with the id or name `huge`"),
        (with("../servers", "2"), "the cloud has no image with the id or name `../servers`"),
        (with("", "2"), "the cloud has no image with the id or name ``"),
    ] {
        let error = cloud.create(&order).await.unwrap_err();
        assert_eq!((error.kind, error.text.as_str()), (CloudErrorKind::Refused, words));
    }
    assert_eq!(cloud.survey().await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_not_offered_says_so() {
    let mimic = Mimic::shared().unwrap();
    let cloud = cloud(&mimic, "offered");
    let mut with_volume = order(WEB, 1, &[]);
    with_volume.spec.launch.volumes = vec![Volume { bytes: 1 << 30, kind: None, device: None }];
    assert_eq!(cloud.create(&with_volume).await.unwrap_err().kind, CloudErrorKind::NotOffered);
    assert_eq!(cloud.survey().await.unwrap(), []);
    let balancer = Balancer { name: "lb-1".to_owned(), port: 80 };
    assert_eq!(cloud.members(&balancer).await.unwrap_err().kind, CloudErrorKind::NotOffered);
    assert_eq!(cloud.join(&balancer, "10.0.0.1").await.unwrap_err().kind, CloudErrorKind::NotOffered);

    let nowhere = RackspaceSettings { region: "LON".to_owned(), ..settings(&mimic, "offered") };
    let error = Rackspace::new(nowhere, Arc::new(WallClock)).unwrap().survey().await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Refused);
    assert_eq!(error.text, "the account of `offered` has no servers in region `LON`; its regions: ORD, DFW, IAD");
}
