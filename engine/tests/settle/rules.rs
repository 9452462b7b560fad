//! Each rule by itself.

use crate::{
    cloud::error,
    world::{PACE, World, balancer, command},
};
use weir_engine::{
    call::Call,
    command::{Hold, Retired},
    grammar::policy::RemoveOrder,
    id::Slot,
    ledger::{Ledger, Phase, SLOW_RETRY_MS},
    observation::{CloudErrorKind, SeenState},
    outcome::Happening,
    plan::ORDERS_MAX,
    settle::blind,
};

const HOUR_MS: i64 = 3_600_000;

fn at_rest(target: u32) -> World {
    let mut world = World::new(7, target);
    world.settled(HOUR_MS);
    world
}

fn creates(world: &World) -> Vec<(i64, Slot)> {
    let create = |(at_ms, call): &(i64, Call)| match call {
        Call::Create { slot, .. } => Some((*at_ms, *slot)),
        _ => None,
    };
    world.cloud.calls.iter().filter_map(create).collect()
}

fn lost(world: &World) -> usize {
    world.heard.all.iter().filter(|happening| matches!(happening, Happening::Lost { .. })).count()
}

fn id_of(world: &World, serial: u32) -> String {
    world.cloud.living().find(|(_, server)| server.slot.is_some_and(|slot| slot.serial == serial)).unwrap().0.clone()
}

#[test]
fn a_group_is_filled_evenly_over_its_zones_and_a_bounded_number_of_orders_at_once() {
    let mut world = World::new(1, 25);
    world.look();
    assert_eq!(creates(&world).len(), ORDERS_MAX);
    world.settled(HOUR_MS);
    assert_eq!(creates(&world).len(), 25, "no server too many on the way");
    let in_a = world.cloud.living().filter(|(_, server)| server.zone.as_deref() == Some("lon-a")).count();
    assert!((12..=13).contains(&in_a), "{in_a} of 25 in one zone");
}

#[test]
fn an_older_or_equal_generation_is_dropped() {
    let mut world = at_rest(3);
    let mut old = world.newest.clone();
    old.target = 9;
    assert!(!world.ledger.command(old.clone()), "an equal one");
    old.generation = 0;
    assert!(!world.ledger.command(old.clone()), "an older one");
    (old.generation, old.uid.0) = (99, 1);
    assert!(!world.ledger.command(old), "one for another life of the group");
    assert_eq!(world.run(HOUR_MS), 0);
}

#[test]
fn a_server_is_ready_only_when_its_balancer_finds_it_healthy() {
    let mut world = World::new(2, 1);
    world.cloud.build_ms = 0;
    world.look();
    for _ in 0..3 {
        world.now_ms += 1_000;
        world.look();
        assert!(world.heard.ready.is_empty(), "it joined less than 4 s ago");
    }
    world.now_ms += 3_000;
    world.look();
    assert_eq!(world.heard.ready.len(), 1);
}

#[test]
fn a_leaving_server_is_drained_then_taken_out_then_deleted() {
    let mut world = at_rest(2);
    let from = world.cloud.calls.len();
    world.order(|command| command.target = 1);
    world.settled(HOUR_MS);
    let calls = &world.cloud.calls[from..];
    let [(drained_ms, Call::Drain { .. }), (left_ms, Call::Leave { .. }), (deleted_ms, Call::Delete { .. })] = calls
    else {
        panic!("{calls:?}");
    };
    assert!(left_ms - drained_ms >= world.newest.spec.drain_ms, "out after {} ms", left_ms - drained_ms);
    assert!(deleted_ms > left_ms, "seen to be out first");
}

#[test]
fn building_servers_leave_first_then_the_policys_order_from_the_fuller_zone() {
    for (order, first) in [(RemoveOrder::OldestFirst, 1), (RemoveOrder::NewestFirst, 5)] {
        let mut world = World::new(3, 0);
        world.order(|command| command.spec.remove = order);
        for target in 1..=5 {
            world.order(|command| command.target = target);
            world.settled(300_000);
        }
        // Zones a b a b a; the sixth, in b, is building when the group shrinks by two.
        world.order(|command| command.target = 6);
        world.look();
        let building = id_of(&world, 6);
        world.order(|command| command.target = 4);
        world.settled(HOUR_MS);
        let gone: Vec<u32> =
            (1..=6).filter(|serial| !world.heard.ready.keys().any(|slot| slot.serial == *serial)).collect();
        assert!(world.cloud.servers[&building].gone_ms.is_some());
        assert_eq!(gone, [first, 6], "of zones with 3 and 2, one of the 3, in order {order:?}");
    }
}

#[test]
fn a_refusing_cloud_is_tried_a_few_times_then_slowly_and_the_group_heals_by_itself() {
    let mut world = World::new(4, 6);
    world.cloud.quota = 4;
    world.run(120_000);
    assert_eq!(world.heard.degraded.as_deref(), Some("quota exceeded for instances"));
    let before = creates(&world).len();
    world.run(10 * SLOW_RETRY_MS);
    let tries = creates(&world).len() - before;
    assert!((8..=12).contains(&tries), "one try each five minutes, not {tries} in fifty");
    // Neither do tries pile up that have not failed yet.
    world.cloud.quota = usize::MAX;
    (world.cloud.faults.failed_build, world.cloud.build_ms) = (100, 280_000);
    let before = creates(&world).len();
    world.run(10 * SLOW_RETRY_MS);
    let tries = creates(&world).len() - before;
    assert!((4..=6).contains(&tries), "one at a time, five minutes after it failed, not {tries} in fifty");
    world.calm();
    world.settled(HOUR_MS);
    assert!(matches!(world.heard.all.iter().rev().find(|h| h.slot().is_none()), Some(Happening::Healed)));
}

#[test]
fn a_degraded_group_that_wants_no_more_is_well() {
    let mut world = World::new(4, 6);
    world.cloud.quota = 4;
    world.run(120_000);
    assert!(world.heard.degraded.is_some());
    world.order(|command| command.target = 4);
    world.settled(120_000);
}

#[test]
fn failed_builds_wait_longer_each_time_and_are_cleaned_away() {
    let mut world = World::new(5, 1);
    world.cloud.faults.failed_build = 100;
    world.run(HOUR_MS / 4);
    let tries = creates(&world);
    let slots: Vec<Slot> = tries.iter().map(|(_, slot)| *slot).collect();
    assert_eq!(slots[..3], [1, 2, 3].map(|incarnation| Slot { serial: 1, incarnation }));
    let waits: Vec<i64> = tries.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(waits[0] < waits[1] && waits[1] < waits[2] && waits[2] >= SLOW_RETRY_MS, "{waits:?}");
    assert_eq!(world.heard.degraded.as_deref(), Some("no valid host was found"));
    assert!(world.cloud.living().count() <= 1, "broken servers are deleted");
    world.calm();
    world.settled(HOUR_MS);
}

#[test]
fn a_build_that_hangs_has_failed_when_its_time_is_over() {
    let mut world = World::new(5, 1);
    world.cloud.build_ms = HOUR_MS;
    world.run(world.newest.spec.ready_within_ms - 1_000);
    assert_eq!(creates(&world).len(), 1);
    world.cloud.build_ms = 10_000;
    world.settled(150_000);
    assert_eq!(creates(&world).len(), 2);
}

#[test]
fn a_lost_server_is_said_and_replaced_under_another_slot_and_leaves_no_member_behind() {
    for state in [None, Some(SeenState::Error)] {
        let mut world = at_rest(4);
        let id = id_of(&world, 2);
        match state {
            None => world.cloud.vanish(&id, world.now_ms),
            some => world.cloud.servers.get_mut(&id).unwrap().state = some,
        }
        world.settled(HOUR_MS);
        assert_eq!(lost(&world), 1);
        assert!(world.heard.ready.contains_key(&Slot { serial: 2, incarnation: 2 }), "{:?}", world.heard.ready);
    }
}

#[test]
fn one_listing_that_lost_most_of_the_group_is_not_believed() {
    let mut world = at_rest(4);
    world.cloud.faults.empty_list = 100;
    world.ledger.hint();
    world.look();
    world.calm();
    world.settled(HOUR_MS);
    assert_eq!((lost(&world), creates(&world).len()), (0, 4), "the second listing had them all");
    for serial in 1..=3 {
        world.cloud.vanish(&id_of(&world, serial), world.now_ms);
    }
    world.settled(HOUR_MS);
    assert_eq!(lost(&world), 3, "two listings without them are believed");
}

/// A group of one whose order had no answer, and did or did not reach the cloud.
fn unanswered(arrived: bool) -> World {
    let unanswered = |seed| {
        let mut world = World::new(seed, 1);
        world.cloud.faults.unclear = 100;
        world.look();
        world.calm();
        world
    };
    (1..).map(unanswered).find(|world| (world.cloud.living().count() == 1) == arrived).unwrap()
}

#[test]
fn an_order_of_unknown_fate_whose_server_is_listed_late_is_found() {
    let mut world = unanswered(true);
    world.cloud.servers.values_mut().for_each(|server| server.listed_ms = world.now_ms + 4_000);
    world.settled(HOUR_MS);
    assert_eq!(creates(&world).len(), 1);
    assert!(matches!(world.heard.all[0], Happening::Building { .. }), "{:?}", world.heard.all);
}

#[test]
fn an_order_of_unknown_fate_is_looked_for_twice_before_its_place_is_tried_again() {
    let mut world = unanswered(false);
    let ordered_ms = world.now_ms;
    world.settled(HOUR_MS);
    let [_, (again_ms, slot)] = creates(&world)[..] else { panic!("{:?}", creates(&world)) };
    assert!(again_ms - ordered_ms >= 5_000);
    assert_eq!(slot, Slot { serial: 1, incarnation: 2 });
    assert!(matches!(&world.heard.all[0], Happening::Failed { reason, .. } if reason.contains("timed out")));
}

#[test]
fn orders_that_died_with_their_process_are_no_fault_of_the_cloud() {
    let mut world = World::new(9, 6);
    world.die_before_the_calls();
    // Long before a cloud that fails builds would be tried again.
    world.settled(SLOW_RETRY_MS / 2);
    assert!(!world.heard.all.iter().any(|happening| matches!(happening, Happening::Degraded { .. })));
    let failed = world.heard.all.iter().filter(|happening| matches!(happening, Happening::Failed { .. })).count();
    assert_eq!(failed, 6, "each is said, and its place is tried again under another incarnation");
}

#[test]
fn a_removed_group_is_not_forgotten_while_an_order_may_have_made_a_server() {
    let mut world = unanswered(true);
    world.cloud.servers.values_mut().for_each(|server| server.listed_ms = world.now_ms + 4_000);
    world.order(|command| command.retired = Some(Retired::Delete));
    world.look();
    assert!(!world.ledger.is_over());
    world.run(HOUR_MS);
    assert!(world.ledger.is_over() && world.cloud.living().count() == 0);
}

#[test]
fn orders_of_unknown_fate_count_among_those_at_once() {
    let mut world = World::new(3, 25);
    world.cloud.faults.unclear = 100;
    for _ in 0..20 {
        world.run(1_000);
        let in_doubt = world.ledger.entries().values().filter(|entry| entry.phase == Phase::Unclear).count();
        assert!(in_doubt <= ORDERS_MAX, "{in_doubt}");
    }
}

#[test]
fn a_server_that_leaves_before_it_was_listed_is_waited_for() {
    let mut world = World::new(1, 1);
    world.look();
    world.cloud.servers.values_mut().for_each(|server| server.listed_ms = world.now_ms + 20_000);
    world.order(|command| command.target = 0);
    world.run(15_000);
    assert!(!world.heard.all.iter().any(|happening| matches!(happening, Happening::Removed { .. })));
    world.settled(HOUR_MS);
}

#[test]
fn an_address_that_another_server_got_is_that_ones() {
    let mut world = at_rest(4);
    let (old, from) = (id_of(&world, 2), world.cloud.calls.len());
    let address = world.cloud.servers[&old].address.clone();
    // The balancer may not be touched, so the old member is still there when the new server has the address.
    world.order(|command| command.hold.repair = true);
    world.cloud.vanish(&old, world.now_ms);
    world.run(20_000);
    let new = id_of(&world, 2);
    world.cloud.servers.get_mut(&new).unwrap().address = address;
    world.run(60_000);
    world.order(|command| command.hold.repair = false);
    world.settled(HOUR_MS);
    let calls = &world.cloud.calls[from..];
    assert!(!calls.iter().any(|(_, call)| matches!(call, Call::Leave { .. })), "{calls:?}");
}

#[test]
fn of_two_servers_for_one_slot_the_older_active_one_stays() {
    let mut world = at_rest(1);
    let old = id_of(&world, 1);
    world.cloud.build_ms = 0;
    let slot = Some(Slot { serial: 1, incarnation: 1 });
    let second = world.cloud.spawn(slot, "web-1-1", None, world.now_ms, 0, false);
    world.ledger.hint();
    world.look();
    let row = world.ledger.rows().into_iter().find(|row| row.state == "stray").unwrap();
    assert!(row.detail.contains("second server for slot 1.1"), "{}", row.detail);
    world.settled(HOUR_MS);
    assert!(world.cloud.servers[&old].gone_ms.is_none() && world.cloud.servers[&second].gone_ms.is_some());

    // Both were there before one of them was ready.
    let mut world = World::new(9, 1);
    world.look();
    let old = id_of(&world, 1);
    let second = world.cloud.spawn(slot, "web-1-1", None, world.now_ms + 1, 0, false);
    world.settled(HOUR_MS);
    assert!(world.cloud.servers[&old].gone_ms.is_none() && world.cloud.servers[&second].gone_ms.is_some());
}

#[test]
fn a_server_of_a_superseded_try_is_deleted_when_it_shows_up() {
    let mut world = at_rest(2);
    world.cloud.vanish(&id_of(&world, 1), world.now_ms);
    world.settled(HOUR_MS);
    let late = world.cloud.spawn(Some(Slot { serial: 1, incarnation: 1 }), "web-1-1", None, world.now_ms, 0, false);
    let never = world.cloud.spawn(Some(Slot { serial: 1, incarnation: 3 }), "web-1-3", None, world.now_ms, 0, false);
    world.run(HOUR_MS);
    assert!(world.cloud.servers[&late].gone_ms.is_some());
    assert!(world.cloud.servers[&never].gone_ms.is_none(), "this try was never made here");
    assert!(world.ledger.rows().iter().any(|row| row.detail.contains("never given out")));
}

#[test]
fn what_is_held_is_not_done() {
    let hold = Hold { add: true, remove: true, repair: true };
    let mut world = at_rest(3);
    world.cloud.vanish(&id_of(&world, 1), world.now_ms);
    let broken = id_of(&world, 2);
    world.cloud.servers.get_mut(&broken).unwrap().state = Some(SeenState::Error);
    world.cloud.balancers.get_mut(&balancer()).unwrap().clear();
    world.order(|command| (command.hold, command.target) = (hold, 1));
    assert_eq!(world.run(HOUR_MS), 0, "{:?}", world.cloud.calls.last());
    assert_eq!(lost(&world), 2, "but it is said");
    world.order(|command| command.target = 9);
    assert_eq!(world.run(HOUR_MS), 0, "{:?}", world.cloud.calls.last());
    world.order(|command| (command.hold, command.target) = (Hold::default(), 3));
    world.settled(HOUR_MS);
}

#[test]
fn where_nothing_may_be_removed_broken_servers_are_not_replaced_either() {
    let mut world = at_rest(3);
    world.order(|command| command.hold.remove = true);
    let broken = id_of(&world, 2);
    world.cloud.servers.get_mut(&broken).unwrap().state = Some(SeenState::Error);
    world.run(HOUR_MS);
    assert_eq!(world.cloud.living().count(), 3);
    // Who is gone altogether is not in the way.
    world.cloud.vanish(&broken, world.now_ms);
    world.settled(HOUR_MS);
}

#[test]
fn a_node_taken_out_of_the_balancer_or_out_of_service_is_put_back() {
    let mut world = at_rest(3);
    world.cloud.balancers.get_mut(&balancer()).unwrap().pop_first();
    world.cloud.balancers.get_mut(&balancer()).unwrap().values_mut().for_each(|place| place.serving = false);
    world.settled(HOUR_MS);
    assert!(world.cloud.balancers[&balancer()].values().all(|place| place.serving));
}

#[test]
fn a_group_that_was_removed_is_emptied_and_forgotten_or_just_forgotten() {
    let mut world = at_rest(3);
    world.order(|command| command.retired = Some(Retired::Delete));
    assert!(!world.ledger.is_over());
    world.run(HOUR_MS);
    assert!(world.ledger.is_over());
    assert_eq!(world.cloud.living().count(), 0);

    let mut world = at_rest(3);
    world.order(|command| command.retired = Some(Retired::Keep));
    assert!(world.ledger.is_over());
    assert_eq!(world.run(HOUR_MS), 0);
}

#[test]
fn a_cloud_that_cannot_be_looked_at_degrades_the_group_until_it_can() {
    let mut world = at_rest(3);
    world.cloud.faults.no_list = 100;
    world.ledger.hint();
    assert_eq!(world.run(HOUR_MS), 0);
    assert_eq!(world.heard.degraded.as_deref(), Some("the list was cut off"));
    world.calm();
    world.settled(HOUR_MS);

    // What asking again cannot help is said at once.
    let mut ledger = Ledger::new(command(1));
    blind(&mut ledger, &error(CloudErrorKind::Unauthorized, "who are you"), 0);
    assert!(matches!(ledger.outbox()[0].happening, Happening::Degraded { .. }));
}

#[test]
fn a_stopped_server_is_left_alone_and_goes_last() {
    let mut world = at_rest(3);
    let stopped = id_of(&world, 1);
    world.cloud.servers.get_mut(&stopped).unwrap().state = Some(SeenState::Other);
    assert_eq!(world.run(HOUR_MS), 0);
    world.order(|command| command.target = 1);
    world.run(HOUR_MS);
    assert!(world.cloud.living().count() == 1 && world.cloud.servers[&stopped].gone_ms.is_none());
}

#[test]
fn a_group_with_servers_does_not_move_to_another_region() {
    let mut world = at_rest(2);
    world.order(|command| (command.spec.region, command.target) = ("DFW".to_owned(), 3));
    world.run(HOUR_MS);
    assert_eq!(world.ledger.region(), "LON");
    assert!(world.heard.degraded.as_deref().unwrap().contains("DFW"));
    assert_eq!(creates(&world).len(), 2);
    world.order(|command| command.target = 0);
    world.settled(HOUR_MS);
    assert_eq!(world.ledger.region(), "DFW");
}

#[test]
fn looks_are_rare_at_rest_and_not_much_later_than_what_they_wait_for() {
    let mut world = at_rest(3);
    let before = world.ledger.looks();
    world.run(HOUR_MS);
    assert_eq!(world.ledger.looks() - before, 12, "one each 300 s");
    let before = world.ledger.looks();
    world.cloud.build_ms = 590_000;
    world.order(|command| command.target = 4);
    world.run(660_000);
    assert!(world.ledger.looks() - before < 120, "{} looks at one build", world.ledger.looks() - before);
    assert!(world.is_settled().is_ok());
}

#[test]
fn who_takes_over_looks_at_what_is_under_way_and_comes_to_the_rest_in_its_turn() {
    let mut world = at_rest(3);
    world.recover();
    let turn_ms = world.ledger.next_look_ms(PACE);
    assert!(turn_ms > world.now_ms && turn_ms <= world.now_ms + PACE.sweep_ms);
    world.order(|command| command.target = 4);
    world.look();
    world.recover();
    assert!(world.ledger.next_look_ms(PACE) <= world.now_ms + PACE.look_ms);
}

#[test]
fn a_ledger_says_by_its_phases_what_people_see() {
    let mut world = World::new(1, 1);
    world.look();
    let rows = world.ledger.rows();
    assert_eq!((rows[0].state.as_str(), rows[0].name.as_str()), ("building", "web-1-1"));
    assert!(world.ledger.entries().values().all(|entry| entry.phase == Phase::Building));
    assert!(world.ledger.next_look_ms(PACE) <= world.now_ms + PACE.look_ms);
}

#[test]
fn bytes_that_are_no_ledger_are_refused() {
    let bytes = at_rest(2).ledger.to_bytes().unwrap();
    assert!(Ledger::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    assert!(Ledger::from_bytes(&[]).is_err());
    let mut other = bytes;
    other[0] += 1;
    assert!(Ledger::from_bytes(&other).unwrap_err().to_string().contains("format"));
}
