//! What must not be left behind, told as the simulation found it.

use crate::world::{World, balancer};
use weir_engine::{call::Call, observation::SeenState};

/// A group was paused, and somebody deleted one of its servers. Its address had to stay in the balancer as long as the
/// pause held; after five minutes of it the balancer's time to let go was over, the slot was struck, and when the pause
/// ended nobody knew of the address any more. A later server of somebody else got it, and the customers' connections.
#[test]
fn a_pause_that_outlasts_our_patience_leaves_no_address_in_a_balancer() {
    let mut world = World::new(1, 3);
    world.settled(3_600_000);
    world.order(|command| (command.hold.add, command.hold.remove, command.hold.repair) = (true, true, true));
    let (id, address) = world.cloud.living().map(|(id, server)| (id.clone(), server.address.clone())).next().unwrap();
    world.cloud.vanish(&id, world.now_ms);
    world.run(1_800_000);
    assert!(world.cloud.balancers[&balancer()].contains_key(&address), "a pause leaves balancers alone");
    world.order(|command| (command.hold.add, command.hold.remove, command.hold.repair) = (false, false, false));
    world.settled(3_600_000);
    assert!(!world.cloud.balancers[&balancer()].contains_key(&address));
}

/// The address of one of a group's servers.
fn one_of(world: &World) -> (String, String) {
    world.cloud.living().map(|(id, server)| (id.clone(), server.address.clone())).next().unwrap()
}

/// A server broke while its group was paused. When the pause ended, the balancer's time to let go had run out in it, and the
/// server was deleted before the balancer was asked once.
#[test]
fn a_server_that_broke_in_a_pause_leaves_its_balancer_before_it_is_deleted() {
    let mut world = World::new(2, 3);
    world.settled(3_600_000);
    world.order(|command| (command.hold.add, command.hold.remove, command.hold.repair) = (true, true, true));
    let (id, address) = one_of(&world);
    world.cloud.servers.get_mut(&id).unwrap().state = Some(SeenState::Error);
    world.run(1_800_000);
    world.order(|command| (command.hold.add, command.hold.remove, command.hold.repair) = (false, false, false));
    let before = world.cloud.calls.len();
    world.settled(3_600_000);
    let calls = &world.cloud.calls[before..];
    let left = calls.iter().position(|(_, call)| matches!(call, Call::Leave { address: of, .. } if *of == address));
    let deleted = calls.iter().position(|(_, call)| matches!(call, Call::Delete { server, .. } if *server == id));
    let (left, deleted) = (left.unwrap(), deleted.unwrap());
    assert!(calls[left].0 < calls[deleted].0, "{calls:#?}");
}

/// A server vanished while its balancer took no requests. After five minutes its slot was struck, with the last request to
/// let go of its address on its way: it came to nothing, and nobody knew of the address any more.
#[test]
fn a_balancer_that_takes_no_requests_is_asked_until_it_does() {
    let mut world = World::new(3, 3);
    world.settled(3_600_000);
    let (id, address) = one_of(&world);
    world.cloud.vanish(&id, world.now_ms);
    world.cloud.faults.later = 100;
    world.run(1_800_000);
    assert!(world.cloud.balancers[&balancer()].contains_key(&address), "it takes no requests");
    world.cloud.faults.later = 0;
    world.settled(3_600_000);
    assert!(!world.cloud.balancers[&balancer()].contains_key(&address));
}
