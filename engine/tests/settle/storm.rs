//! Everything goes wrong at once, for a while, from many seeds.

use crate::{
    cloud::Faults,
    dice::Dice,
    world::{World, balancer},
};
use weir_engine::{id::Slot, observation::SeenState};

/// Something happens to the group that nobody here asked for, or the engine decides something.
fn disturb(world: &mut World, dice: &mut Dice) {
    let now_ms = world.now_ms;
    let active = world.cloud.active(now_ms).into_iter();
    let ids: Vec<String> = active.filter(|(slot, _)| slot.serial != 999).map(|(_, id)| id).collect();
    let some = dice.pick(&ids);
    match dice.below(10) {
        0..=2 => {
            let target = u32::try_from(dice.below(9)).unwrap();
            world.order(|command| command.target = target);
        }
        3 | 4 => {
            if let Some(id) = some {
                world.cloud.vanish(&id, now_ms);
            }
        }
        5 | 6 => {
            let state = dice.pick(&[SeenState::Error, SeenState::Deleting, SeenState::Other]);
            if let (Some(id), Some(state)) = (some, state) {
                world.cloud.servers.get_mut(&id).unwrap().state = Some(state);
            }
        }
        7 => {
            // Somebody takes a node out of the balancer, or out of service.
            let places = world.cloud.balancers.get_mut(&balancer()).unwrap();
            if dice.percent(50) {
                places.pop_first();
            } else if let Some(mut place) = places.last_entry() {
                place.get_mut().serving = false;
            }
        }
        8 => {
            // A second server for a slot, by whatever accident.
            if let Some(id) = some {
                let slot = world.cloud.servers[&id].slot;
                world.cloud.spawn(slot, "web-again", None, now_ms, 0, false);
            }
        }
        _ => world.cloud.quota = usize::try_from(dice.below(12)).unwrap(),
    }
}

fn storm(seed: u64) {
    let mut dice = Dice::new(seed ^ 0xD1CE);
    let mut world = World::new(seed, u32::try_from(dice.below(8)).unwrap());
    world.cloud.faults = Faults {
        unclear: dice.below(30),
        failed_build: dice.below(30),
        doubled: dice.below(10),
        later: dice.below(15),
        no_list: dice.below(20),
        empty_list: dice.below(10),
        lag_ms: dice.below(20_000),
    };
    world.crash = dice.below(8);
    // Not ours to touch: a mark that cannot be read, and one that was never given out.
    let unread = world.cloud.spawn(None, "pet", None, world.now_ms, 0, false);
    let never = world.cloud.spawn(Some(Slot { serial: 999, incarnation: 1 }), "odd", None, world.now_ms, 0, false);
    for _ in 0..dice.below(25) {
        let pause_ms = i64::try_from(dice.below(60_000)).unwrap();
        world.run(pause_ms);
        disturb(&mut world, &mut dice);
    }
    world.calm();
    world.cloud.quota = usize::MAX;
    for server in world.cloud.servers.values_mut() {
        // Who was stopped is started again.
        server.state = server.state.filter(|state| *state != SeenState::Other);
    }
    // Those that somebody else deletes go in the end.
    let going = |server: &crate::cloud::Server| server.state == Some(SeenState::Deleting);
    let ids: Vec<String> = world.cloud.servers.iter().filter(|(_, s)| going(s)).map(|(id, _)| id.clone()).collect();
    for id in ids {
        world.cloud.vanish(&id, world.now_ms);
    }
    world.run(3_600_000);
    assert!(world.cloud.servers[&unread].gone_ms.is_none(), "a server without a mark was deleted");
    assert!(world.cloud.servers[&never].gone_ms.is_none(), "a server that was never ordered was deleted");
    world.cloud.servers.remove(&never);
    world.settled(60_000);
    let calls = world.run(3_600_000);
    assert_eq!(calls, 0, "a group at rest is left alone: {:?}", &world.cloud.calls[world.cloud.calls.len() - calls..]);
}

#[test]
fn whatever_went_wrong_a_group_comes_to_its_target() {
    for seed in 0..150 {
        if let Err(why) = std::panic::catch_unwind(|| storm(seed)) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(why);
        }
    }
}
