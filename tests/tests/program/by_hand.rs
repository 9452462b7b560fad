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
    let log = done(server.ask(&["log", "export"]));
    assert!(log.contains("overridden, floor 4 by admin@acme until"), "{log}");
    assert_eq!(server.end("-TERM"), Some(0));
}

#[test]
fn a_server_is_protected_removed_detached_and_adopted_by_name() {
    let folder = folder();
    let server = Server::start(folder.path(), &["app.weir"]);
    let at_rest = |server: &Server| server.ask_until(&["status"], |ended| ended.code == 0 && ended.out.contains(" ok"));
    at_rest(&server);
    done(server.ask(&["force", "app", "surge"]));
    at_rest(&server);
    let list = || done(server.ask(&["server", "list", "app"]));
    assert!(list().starts_with("SLOT  STATE") && list().lines().count() == 6, "{}", list());

    let protected = done(server.ask(&["server", "protect", "app", "app-1-1", "--for", "1h", "--reason", "a dump"]));
    assert_eq!(protected.trim_end(), "app stays at 5: protect app-1-1 (1.1) by admin@acme: \"a dump\"");
    server.ask_until(&["server", "list", "app"], |ended| ended.out.contains("protected"));
    assert!(done(server.ask(&["why", "app"])).contains("server 1.1 is protected until "), "why");
    let refused = server.ask(&["server", "remove", "app", "1.1", "--reason", "x"]);
    assert_eq!(refused.code, 1);
    assert!(refused.out.contains("remove app-1-1 (1.1) was refused: it is protected by admin@acme"), "{}", refused.out);

    let removed = done(server.ask(&["server", "remove", "app", "2.1", "--reason", "it swaps"]));
    assert_eq!(removed.trim_end(), "app: 5 → 4, remove app-2-1 (2.1) by admin@acme: \"it swaps\"");
    server.ask_until(&["server", "list", "app"], |ended| !ended.out.contains("app-2-1"));
    let typo = server.ask(&["server", "detach", "app", "app-3-2", "--reason", "x"]);
    assert!(typo.code == 1 && typo.err.contains("has no server `app-3-2`; nearest: app-3-1"), "{}", typo.err);

    // Let go it runs on, so that it can be taken in again, by its id alone.
    let line = list().lines().find(|line| line.contains("app-3-1")).unwrap().to_owned();
    let id = line.split_whitespace().find(|word| word.starts_with("sim") || word.ends_with("-3")).unwrap().to_owned();
    let detached = done(server.ask(&["server", "detach", "app", "app-3-1", "--reason", "to look at it"]));
    assert!(detached.starts_with("app: 4 → 3, detach app-3-1 (3.1)"), "{detached}");
    server.ask_until(&["server", "list", "app"], |ended| !ended.out.contains("app-3-1"));
    let adopted = done(server.ask(&["server", "adopt", "app", &id, "--reason", "seen enough"]));
    assert!(adopted.starts_with(&format!("app: 3 → 4, adopt {id} by admin@acme")), "{adopted}");
    server.ask_until(&["server", "list", "app"], |ended| {
        ended.out.lines().any(|line| line.starts_with("6.1") && line.contains("ready") && line.contains("app-3-1"))
    });
    at_rest(&server);

    // Who is not there is not adopted, and its place is given back.
    done(server.ask(&["server", "adopt", "app", "nobody", "--reason", "x"]));
    server.ask_until(&["log", "export"], |ended| ended.out.contains("server nobody not adopted: "));
    let status = at_rest(&server).out;
    assert!(status.contains("app         4      4"), "{status}");
    assert_eq!(server.end("-TERM"), Some(0));
}

#[test]
fn a_kill_switch_says_beforehand_whom_it_would_hold() {
    let folder = folder();
    let server = Server::start(folder.path(), &["app.weir"]);
    server.ask_until(&["status"], |ended| ended.code == 0 && ended.out.contains(" ok"));
    let ask = |words: &[&str]| {
        let all: Vec<&str> = ["kill-switch"].iter().chain(words).copied().collect();
        done(server.ask(&all))
    };
    let would = ask(&["LON", "--adding", "--for", "1h", "--reason", "images", "--dry-run"]);
    assert!(would.starts_with("nothing would be added in LON until "), "{would}");
    assert!(would.ends_with("; one group there:\n  app, LON: 2 ready of 2\n"), "{would}");
    let nobody = ask(&["SYD", "--adding", "--removing", "--reason", "images", "--dry-run"]);
    assert_eq!(nobody, "nothing would be added or removed in SYD; no group there\n");
    assert!(
        ask(&["--all", "--lift", "--dry-run"])
            .starts_with("adding and removing would be allowed again in every region; one")
    );
    // None of it holds anything.
    done(server.ask(&["force", "app", "surge"]));
    assert!(ask(&["LON", "--adding", "--reason", "images"]).starts_with("nothing is added in LON"));
    assert_eq!(server.ask(&["force", "app", "surge"]).code, 1);
    assert_eq!(server.end("-TERM"), Some(0));
}
