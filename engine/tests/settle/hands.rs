//! What people do with single servers: protected ones stay, named ones go, detached ones run on, adopted ones come.

use crate::{
    cloud::error,
    world::{World, balancer},
};
use weir_engine::{
    call::Call,
    command::{Hold, Retired},
    id::Slot,
    ledger::{Phase, RELEASED_KEPT_MS},
    observation::{CloudErrorKind, SeenState},
    outcome::Happening,
};

const HOUR_MS: i64 = 3_600_000;

fn at_rest(target: u32) -> World {
    let mut world = World::new(7, target);
    world.settled(HOUR_MS);
    world
}

fn slot(serial: u32) -> Slot {
    Slot { serial, incarnation: 1 }
}

fn serials(world: &World) -> Vec<u32> {
    world.heard.ready.keys().map(|slot| slot.serial).collect()
}

fn id_of(world: &World, serial: u32) -> String {
    world.heard.ready[&slot(serial)].clone()
}

fn deleted(world: &World) -> Vec<String> {
    let deletion = |(_, call): &(i64, Call)| match call {
        Call::Delete { server, .. } => Some(server.clone()),
        _ => None,
    };
    world.cloud.calls.iter().filter_map(deletion).collect()
}

fn runs(world: &World, id: &str) -> bool {
    world.cloud.living().any(|(known, _)| known == id)
}

#[test]
fn a_protected_server_is_passed_over_and_a_group_of_such_stands_over_its_target() {
    let mut world = at_rest(4);
    world.order(|command| {
        command.by_hand.protected.extend([slot(1), slot(2)]);
        command.target = 3;
    });
    world.settled(HOUR_MS);
    assert_eq!(serials(&world), [1, 2, 4], "the oldest that is not protected went");
    world.order(|command| command.target = 1);
    world.run(HOUR_MS);
    assert_eq!(serials(&world), [1, 2]);
    assert_eq!(world.run(10 * HOUR_MS), 0, "and nothing is tried");
    world.order(|command| command.by_hand.protected.clear());
    world.settled(HOUR_MS);
    assert_eq!(serials(&world), [2]);
}

#[test]
fn a_protected_server_that_broke_is_replaced_all_the_same() {
    let mut world = at_rest(2);
    world.order(|command| command.by_hand.protected.extend([slot(1)]));
    let id = id_of(&world, 1);
    world.cloud.servers.get_mut(&id).unwrap().state = Some(SeenState::Error);
    world.settled(HOUR_MS);
    assert!(!runs(&world, &id));
    assert!(world.heard.ready.contains_key(&Slot { serial: 1, incarnation: 2 }));
}

#[test]
fn a_named_server_goes_and_no_other() {
    let mut world = at_rest(4);
    world.order(|command| {
        command.by_hand.removed.insert(slot(3));
        command.target = 3;
    });
    world.settled(HOUR_MS);
    assert_eq!(serials(&world), [1, 2, 4]);
    world.recover();
    assert_eq!(world.run(HOUR_MS), 0, "seen again, the order is done");
    world.order(|command| {
        command.by_hand.removed.insert(slot(1));
    });
    world.settled(HOUR_MS);
    assert_eq!(serials(&world), [2, 4, 5], "with a replacement the target stays");
}

#[test]
fn a_named_server_waits_until_removing_is_allowed() {
    let mut world = at_rest(3);
    world.order(|command| {
        command.by_hand.removed.insert(slot(2));
        (command.target, command.hold) = (2, Hold { remove: true, ..Hold::default() });
    });
    world.run(HOUR_MS);
    assert_eq!(serials(&world), [1, 2, 3]);
    world.order(|command| command.hold = Hold::default());
    world.settled(HOUR_MS);
    assert_eq!(serials(&world), [1, 3]);
}

#[test]
fn a_detached_server_leaves_its_balancers_loses_its_mark_and_runs_on() {
    let mut world = at_rest(3);
    let id = id_of(&world, 2);
    let from = world.cloud.calls.len();
    world.order(|command| {
        command.by_hand.detached.insert(slot(2));
        command.target = 2;
    });
    world.settled(HOUR_MS);
    let calls: Vec<&Call> = world.cloud.calls[from..].iter().map(|(_, call)| call).collect();
    assert!(matches!(calls[..], [Call::Drain { .. }, Call::Leave { .. }, Call::Unmark { .. }]), "{calls:?}");
    assert!(runs(&world, &id) && world.cloud.strangers.contains(&id));
    assert!(!world.cloud.balancers[&balancer()].contains_key(&world.cloud.servers[&id].address));
    assert!(matches!(world.heard.all.last(), Some(Happening::Removed { slot: gone }) if *gone == slot(2)));
}

/// A listing lagged and showed the old mark again, after the slot was forgotten.
#[test]
fn a_mark_that_shows_up_again_is_taken_off_again_and_nothing_deleted() {
    let mut world = at_rest(2);
    let id = id_of(&world, 1);
    world.order(|command| {
        command.by_hand.detached.insert(slot(1));
        command.target = 1;
    });
    world.settled(HOUR_MS);
    world.order(|command| command.by_hand.detached.clear());
    world.cloud.servers.get_mut(&id).unwrap().slot = Some(slot(1));
    world.cloud.strangers.remove(&id);
    world.recover();
    world.settled(HOUR_MS);
    assert!(runs(&world, &id) && world.cloud.strangers.contains(&id), "also by a worker that only has the ledger");
    assert_eq!(deleted(&world), Vec::<String>::new());
    // A day without it, and the slot is one that is gone like any other.
    world.run(RELEASED_KEPT_MS + HOUR_MS);
    world.cloud.servers.get_mut(&id).unwrap().slot = Some(slot(1));
    world.cloud.strangers.remove(&id);
    world.run(HOUR_MS);
    assert!(!runs(&world, &id));
}

#[test]
fn one_that_was_leaving_already_is_kept_as_long_as_its_deletion_was_not_asked_for() {
    let mut world = at_rest(3);
    world.order(|command| command.target = 2);
    world.look();
    assert_eq!(world.ledger.entries()[&slot(1)].phase, Phase::Draining);
    let id = world.ledger.entries()[&slot(1)].server.clone().unwrap();
    world.order(|command| {
        command.by_hand.detached.insert(slot(1));
    });
    world.settled(HOUR_MS);
    assert!(runs(&world, &id));
}

#[test]
fn a_group_that_is_removed_leaves_its_detached_servers_running() {
    let mut world = at_rest(3);
    let id = id_of(&world, 2);
    world.order(|command| {
        command.by_hand.detached.insert(slot(2));
        (command.target, command.retired) = (0, Some(Retired::Delete));
    });
    world.run(HOUR_MS);
    assert!(world.ledger.is_over(), "{:#?}", world.ledger);
    assert_eq!(world.cloud.living().map(|(id, _)| id.clone()).collect::<Vec<_>>(), [id]);
}

#[test]
fn an_adopted_server_gets_a_slot_then_our_mark_then_joins() {
    let mut world = at_rest(2);
    let id = world.cloud.stranger(world.now_ms);
    let from = world.cloud.calls.len();
    world.order(|command| {
        command.by_hand.adopted.insert(id.clone(), 11);
        command.target = 3;
    });
    world.settled(HOUR_MS);
    let calls: Vec<&Call> = world.cloud.calls[from..].iter().map(|(_, call)| call).collect();
    assert!(matches!(calls[..], [Call::Mark { .. }, Call::Join { .. }]), "{calls:?}");
    assert_eq!(id_of(&world, 3), id);
    // The engine's next command names it no more, or still does: either way it is a server like any other.
    world.cloud.vanish(&id, world.now_ms);
    world.settled(HOUR_MS);
    assert_eq!(serials(&world), [1, 2, 3]);
    assert_ne!(world.heard.ready[&Slot { serial: 3, incarnation: 2 }], id);
}

#[test]
fn a_mark_whose_answer_is_lost_is_set_again_on_the_same_slot() {
    let mut world = at_rest(1);
    let id = world.cloud.stranger(world.now_ms);
    world.cloud.faults.unclear = 60;
    world.order(|command| {
        command.by_hand.adopted.insert(id.clone(), 11);
        command.target = 2;
    });
    world.run(120_000);
    world.recover();
    world.calm();
    world.settled(HOUR_MS);
    assert_eq!(serials(&world), [1, 2]);
    assert_eq!(world.cloud.living().count(), 2, "nothing was made in its place");
}

#[test]
fn what_cannot_be_adopted_is_left_alone_and_its_place_is_not_filled() {
    let mut world = at_rest(2);
    let (foreign, gone) = (world.cloud.stranger(world.now_ms), "srv-9999".to_owned());
    world.cloud.servers.get_mut(&foreign).unwrap().slot = Some(Slot { serial: 900, incarnation: 1 });
    world.order(|command| {
        command.by_hand.adopted.extend([(foreign.clone(), 11), (gone.clone(), 12)]);
        command.target = 4;
    });
    world.run(HOUR_MS);
    let refused: Vec<&Happening> =
        world.heard.all.iter().filter(|happening| matches!(happening, Happening::NotAdopted { .. })).collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert_eq!((serials(&world), world.run(HOUR_MS)), (vec![1, 2], 0), "until the engine answers, nobody comes");
    world.recover();
    assert_eq!(world.run(HOUR_MS), 0);
    world.order(|command| {
        command.by_hand.adopted.clear();
        command.target = 2;
    });
    world.run(HOUR_MS);
    assert!(runs(&world, &foreign));
    assert_eq!(deleted(&world), Vec::<String>::new());
}

#[test]
fn a_server_that_breaks_while_it_is_adopted_is_let_go_and_not_deleted() {
    let mut world = at_rest(1);
    let id = world.cloud.stranger(world.now_ms);
    world.order(|command| {
        command.by_hand.adopted.insert(id.clone(), 11);
        command.target = 2;
    });
    world.look();
    world.cloud.servers.get_mut(&id).unwrap().state = Some(SeenState::Error);
    world.run(HOUR_MS);
    assert!(runs(&world, &id) && world.cloud.strangers.contains(&id));
    assert_eq!(serials(&world), [1]);
    assert_eq!(deleted(&world), Vec::<String>::new());
}

#[test]
fn a_cloud_without_marks_says_so_once() {
    let mut world = at_rest(1);
    let id = world.cloud.stranger(world.now_ms);
    world.order(|command| {
        command.by_hand.adopted.insert(id.clone(), 11);
        command.target = 2;
    });
    let look = world.cloud.look(&mut world.dice, world.now_ms).unwrap();
    let calls = weir_engine::settle::settle(&mut world.ledger, &look, world.now_ms);
    let [call @ Call::Mark { .. }] = calls.as_slice() else { panic!("{calls:?}") };
    let said = weir_engine::call::Answer::Failed(error(CloudErrorKind::NotOffered, "this cloud has no marks"));
    weir_engine::settle::answer(&mut world.ledger, call, &said, world.now_ms);
    let outbox = world.ledger.outbox();
    assert!(
        matches!(&outbox[..], [outcome] if outcome.happening
        == Happening::NotAdopted { server: id, reason: "this cloud has no marks".to_owned() }),
        "{outbox:?}"
    );
}
