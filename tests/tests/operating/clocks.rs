//! Machines whose clocks disagree by two minutes.

use super::{
    place::{Place, done},
    server::{Server, run},
};

/// A process whose clock is wrong says so and acts on nothing; the other partition goes on, and once the process is gone all of
/// it does.
#[test]
fn a_process_whose_clock_is_two_minutes_off_says_so_and_acts_on_nothing() {
    for (wrong_ms, words) in [("120000", "ahead of the log's"), ("-120000", "behind the log's time")] {
        let place = Place::new(2);
        let folder = place.process("right");
        done(run(&folder, &["setup"]));
        let right = Server::start(&folder, &[]);
        place.wait_ready(&right);
        for tenant in &place.tenants {
            done(right.ask(&["deploy", "../app.weir", "--tenant", tenant]));
            place.wait_servers(tenant, 2);
        }
        let folder = place.process("wrong");
        std::fs::write(folder.join("clock"), wrong_ms).unwrap();
        let wrong = Server::start(&folder, &[]);
        let why = place.wait_not_ready(&wrong, words);
        assert!(why.contains("this machine's clock is 1") && why.contains("set it right"), "{wrong_ms}: {why}");
        let doctor = wrong.ask(&["doctor"]);
        println!("figure: doctor, {wrong_ms} ms off: {}", doctor.out.replace('\n', "; "));
        assert!(doctor.code == 1 && doctor.out.contains("clock"), "{wrong_ms}: {doctor:?}");

        // The partition that the wrong process has is decided for, and nobody acts on that; the other goes on.
        for tenant in &place.tenants {
            assert_eq!(place.alarm(&right, tenant).0, 202, "{wrong_ms}");
        }
        place.wait_not_ready(&wrong, words);
        let grown = |tenant: &&String| place.servers(tenant).len() > 2;
        std::thread::sleep(std::time::Duration::from_secs(5));
        assert_eq!(place.tenants.iter().filter(grown).count(), 1, "{wrong_ms}: who is acted for");
        assert_eq!(wrong.end("-TERM"), Some(0));
        place.wait_ready(&right);
        for tenant in &place.tenants {
            place.wait_servers(tenant, 4);
            place.verify(&right, tenant);
        }
        assert_eq!(right.end("-TERM"), Some(0));
    }
}
