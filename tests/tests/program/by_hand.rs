//! What an operator sets by hand, from the command line.

use super::{
    server::Server,
    serving::{done, folder},
};

#[test]
fn bounds_are_overridden_for_a_time_and_the_override_lifted() {
    let folder = folder();
    let server = Server::start(folder.path(), &["app.weir"]);
    server.ask_until(&["status"], |ended| ended.code == 0 && ended.out.contains(" ok "));
    let set = done(server.ask(&["override", "app", "--floor", "4", "--for", "2h", "--reason", "the launch"]));
    assert!(set.starts_with("app is at 4 of 4..9, 2 building, floor 4 by admin@acme until "), "{set}");
    assert!(set.trim_end().ends_with(": \"the launch\""), "{set}");
    server.ask_until(&["status"], |ended| ended.out.contains("ok, floor 4"));
    let why = done(server.ask(&["why", "app"]));
    assert!(why.contains("The bounds are overridden: floor 4 by admin@acme until "), "{why}");

    let long = server.ask(&["override", "app", "--size", "3", "--for", "31d", "--reason", "x"]);
    assert_eq!(long.code, 1);
    assert!(long.err.contains("30 days at most"), "{}", long.err);
    let wide = server.ask(&["override", "app", "--ceiling", "12", "--for", "1h", "--reason", "x"]);
    assert!(wide.err.contains("12 is outside of the policy's capacity 2..9"), "{}", wide.err);
    for wrong in
        [&["--floor", "4", "--reason", "x"][..], &["--for", "1h", "--reason", "x"], &["--floor", "4", "--for", "1h"]]
    {
        let mut words = vec!["override", "app"];
        words.extend(wrong);
        assert_eq!(server.ask(&words).code, 2, "{wrong:?}");
    }

    let size = done(server.ask(&["override", "app", "--size", "3", "--for", "1h", "--reason", "a load test"]));
    assert!(size.starts_with("app is at 3 of 3..3, "), "{size}");
    let lifted = done(server.ask(&["override", "app", "--lift"]));
    assert!(lifted.starts_with("app is at 3 of 2..9, ") && !lifted.contains("by admin"), "{lifted}");
    assert!(server.ask(&["override", "app", "--lift"]).err.contains("has no override to lift"));
    let log = done(server.ask(&["log"]));
    assert!(log.contains("overridden, floor 4 by admin@acme until"), "{log}");
    assert_eq!(server.end("-TERM"), Some(0));
}
