//! What must not be left behind, told as the simulation found it.

use crate::world::{World, balancer};

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
