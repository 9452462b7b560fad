//! Cassandra, where it goes away and where it has lost something.

use super::{
    place::{Place, done},
    server::{Server, run},
};

/// While only Cassandra is away facts are taken, decided and acted on; what people read waits, and is whole afterwards.
#[test]
fn without_cassandra_facts_are_taken_and_decided_and_the_history_follows() {
    let place = Place::alone(1);
    let tenant = &place.tenants[0];
    let folder = place.process("one");
    done(run(&folder, &["setup"]));
    let server = Server::start(&folder, &[]);
    place.wait_ready(&server);
    done(server.ask(&["deploy", "../app.weir", "--tenant", tenant]));
    done(server.ask(&["force", "app", "surge", "--tenant", tenant]));

    place.node.kill();
    assert_eq!(place.alarm(&server, tenant).0, 202);
    // Acted on: two at first, three by the force, two by the alarm.
    place.wait_servers(tenant, 7);
    let why = place.wait_said(&server, "the history is not written on");
    assert!(why.contains("Cassandra"), "{why}");
    // An export says so before it begins: without its last decisions it would look like another one.
    let refused = server.ask(&["log", "export", "--tenant", tenant]);
    assert!(refused.code != 0 && refused.err.contains("not in the store yet") && refused.out.is_empty(), "{refused:?}");
    place.node.restart();
    let decided = |ended: &super::server::Ended| ended.code == 0 && ended.out.contains("rescue");
    server.ask_until(&["log", "export", "--tenant", tenant], decided);
    place.wait_ready(&server);
    place.verify(&server, tenant);
    assert_eq!(server.end("-TERM"), Some(0));
}

/// A piece of the newest snapshot is gone: the process begins with the one before, and stands where it stood.
#[test]
fn a_process_whose_newest_snapshot_is_damaged_begins_with_the_one_before() {
    let place = Place::alone(1);
    let tenant = &place.tenants[0];
    let folder = place.process("one");
    done(run(&folder, &["setup"]));
    // Each that ends in order leaves a snapshot.
    for orders in [&["deploy", "../app.weir", "--tenant", tenant][..], &["force", "app", "surge", "--tenant", tenant]] {
        let server = Server::start(&folder, &[]);
        place.wait_ready(&server);
        done(server.ask(orders));
        assert_eq!(server.end("-TERM"), Some(0));
    }
    let newest = place.take_a_piece_of_the_newest_snapshot();
    let server = Server::start(&folder, &[]);
    place.wait_ready(&server);
    let said = place.wait_said(&server, "a snapshot is damaged; using the one before");
    assert!(said.contains(&format!("0:{newest}")), "{said}");
    let forced = done(server.ask(&["force", "app", "surge", "--tenant", tenant]));
    assert!(forced.contains("app: 5 → 8"), "{forced}");
    place.verify(&server, tenant);
    assert_eq!(server.end("-TERM"), Some(0));
}
