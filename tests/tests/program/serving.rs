//! A server's life: the first run, orders, questions, an export, its end and its next beginning.

use super::server::{Ended, Server, run};
use serde_json::Value;
use std::fs;

pub const POLICY: &str = r#"edition 2026

metric cpu.usage: percent every 1m

launch small {
  image  "app-1"
  flavor "small"
  setup  "setup.sh"
}

group app {
  region   "LON"
  capacity 2..9
  launch   small

  rule busy {
    track avg(cpu.usage over 5m) at 60%
    cooldown 10m
  }

  rule surge {
    webhook "surge"
    add 3
    cooldown 2m
  }
}
"#;

pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.weir"), POLICY).unwrap();
    fs::write(folder.path().join("setup.sh"), "#!/bin/sh\necho hello\n").unwrap();
    // Fast builds: the test waits for them.
    fs::write(
        folder.path().join("weir.toml"),
        "[[tenant]]\nname = \"acme\"\n[[cloud]]\ntenant = \"acme\"\nkind = \"simulated\"\n[cloud.simulated]\nbuild_ms = [10, 50]\n",
    )
    .unwrap();
    folder
}

pub fn done(ended: Ended) -> String {
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.out);
    ended.out
}

fn target(server: &Server) -> u64 {
    let row: Value = serde_json::from_str(&done(server.ask(&["status", "--json"]))).unwrap();
    row["target"].as_u64().unwrap()
}

/// Calls a URL as a customer does, with nothing but the URL.
fn call(url: &str) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { weir::http::client().unwrap().post(url).send().await.unwrap().status().as_u16() })
}

#[test]
fn a_server_lives_is_asked_ends_and_goes_on() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);

    // Nothing is there yet, and that is said with what to do.
    assert!(done(server.ask(&["status"])).contains("no groups yet; deploy a policy"));

    // A deploy that only asks changes nothing; one that is wrong changes nothing either.
    assert!(done(server.ask(&["deploy", "--dry-run", "app.weir"])).contains("app.weir would be accepted: app"));
    assert!(done(server.ask(&["status"])).contains("no groups yet"));
    fs::write(folder.path().join("wrong.weir"), POLICY.replace("at 60%", "at 60")).unwrap();
    let wrong = server.ask(&["deploy", "wrong.weir"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.out.contains("error[E0301]") && wrong.out.contains("wrong.weir:17"), "{}", wrong.out);

    // The URL of a webhook is shown once.
    let deployed = done(server.ask(&["deploy", "app.weir"]));
    assert!(deployed.contains("app.weir version 1: app"), "{deployed}");
    let url = deployed.split_whitespace().last().unwrap().to_owned();
    assert!(url.starts_with(&format!("{}/v1/execute/weir_", server.url())), "{deployed}");
    let ready = |ended: &Ended| ended.code == 0 && ended.out.contains(" ok ");
    let status = server.ask_until(&["status"], ready).out;
    assert!(
        status.starts_with("GROUP  TARGET  READY  BOUNDS  STATE  LAST CHANGE\napp         2      2    2..9  ok "),
        "{status}"
    );

    // A customer's call, an operator's force, and a force that is held.
    assert_eq!(call(&url), 202);
    server.ask_until(&["status"], |ended| ended.out.contains("surge +3"));
    assert!(done(server.ask(&["force", "app", "surge"])).contains("app: 5 → 8, surge forced by admin@acme"));
    assert!(done(server.ask(&["pause", "app", "--for", "1h", "--reason", "a move"])).contains("paused by admin@acme"));
    let held = server.ask(&["force", "app", "surge"]);
    assert_eq!(held.code, 1);
    assert!(
        held.out.starts_with("app stays at 8: surge wishes 11, held by pause (admin@acme: a move)"),
        "{}",
        held.out
    );
    assert!(done(server.ask(&["resume", "app"])).starts_with("app is at 8 of 2..9"));
    let unknown = server.ask(&["force", "app", "serge"]);
    assert_eq!((unknown.code, unknown.err.trim()), (1, "error: group `app` has no rule `serge`; nearest: surge"));

    // Why: now, then, and as data.
    let why = done(server.ask(&["why", "app"]));
    assert!(why.starts_with("app stood at 8 of 2..9 and nothing changed"), "{why}");
    let now: Value = serde_json::from_str(&done(server.ask(&["why", "app", "--json"]))).unwrap();
    assert_eq!(now["source"], "rerun");
    let decisions = done(server.ask(&["log", "export"]));
    let forced =
        decisions.lines().filter_map(|line| serde_json::from_str::<Value>(line).unwrap().get("decision").cloned());
    let forced = forced.into_iter().find(|decision| decision["from"] == 5 && decision["to"] == 8).unwrap();
    let at = forced["at"].as_str().unwrap();
    let then: Value = serde_json::from_str(&done(server.ask(&["why", "app", "--at", at, "--json"]))).unwrap();
    assert_eq!((&then["source"], &then["decision"]), (&Value::from("rerun_equal"), &forced));
    let later = server.ask(&["why", "app", "--at", "2999-01-01T00:00:00Z"]);
    assert_eq!(later.code, 1);
    assert!(later.err.contains("yet to come"), "{}", later.err);

    // The export stands alone, and a decision that was tampered with is found.
    fs::write(folder.path().join("log.ndjson"), &decisions).unwrap();
    let replayed = done(run(folder.path(), &["replay", "log.ndjson"]));
    assert!(replayed.contains("app    5 →  8   surge forced by admin@acme"), "{replayed}");
    let verified = done(run(folder.path(), &["replay", "log.ndjson", "--verify"]));
    assert!(verified.contains("decisions: equal to the record"), "{verified}");
    let line = |line: &str| {
        if line.contains(r#""from":5,"to":8"#) { line.replace(r#""to":8"#, r#""to":9"#) } else { line.to_owned() }
    };
    let tampered: Vec<String> = decisions.lines().map(line).collect();
    fs::write(folder.path().join("tampered.ndjson"), tampered.join("\n")).unwrap();
    let verified = run(folder.path(), &["replay", "tampered.ndjson", "--verify"]);
    assert_eq!(verified.code, 1);
    let place = format!(
        "{}:{} `app`: `to` was recorded as 9, and is 8",
        forced["position"]["partition"], forced["position"]["offset"]
    );
    assert!(verified.out.contains(&place), "{}", verified.out);

    // Its folder is its own.
    let second = server.ask(&["run", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 1);
    let words = format!(
        "error: the data folder `weir-data` is in use by process {}\n  = help: stop it, or choose",
        server.pid()
    );
    assert!(second.err.contains(&words), "{}", second.err);

    // No secret in what it says where nobody may be looking.
    let tokens = fs::read_to_string(folder.path().join("weir-data/tokens.toml")).unwrap();
    let secrets: Vec<&str> = tokens.split('"').filter(|part| part.starts_with("weir_")).collect();
    assert_eq!(secrets.len(), 2);
    let said = server.said();
    assert!(said.contains("tokens were made") && secrets.iter().all(|secret| !said.contains(secret)), "{said}");
    assert!(said.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "a log of JSON lines: {said}");

    // It ends when told to, and goes on where it was.
    assert_eq!(server.end("-TERM"), Some(0));
    let alone = run(folder.path(), &["status"]);
    assert_eq!(alone.code, 3, "nobody answers any more: {alone:?}");
    let server = Server::start(folder.path(), &["app.weir"]);
    server.ask_until(&["status"], ready);
    assert_eq!(target(&server), 8);
    assert!(!server.said().contains("\"deployed\""), "what is in force is not deployed again");

    // And a group goes only with a word about its servers.
    assert_eq!(server.ask(&["remove", "app"]).code, 2);
    assert!(
        done(server.ask(&["remove", "app", "--servers", "delete", "--dry-run"]))
            .contains("its 8 servers would be deleted")
    );
    done(server.ask(&["remove", "app", "--servers", "delete"]));
    assert!(done(server.ask(&["status"])).contains("no groups yet"));
    assert_eq!(server.end("-INT"), Some(0));
}

#[test]
fn policies_of_the_command_line_are_deployed_when_they_changed() {
    let folder = folder();
    let server = Server::start(folder.path(), &["app.weir"]);
    server.ask_until(&["status"], |ended| ended.out.contains("app "));
    let urls = fs::read_to_string(folder.path().join("weir-data/capability-urls")).unwrap();
    assert!(urls.starts_with("app surge http://127.0.0.1:"), "{urls}");
    assert!(!server.said().contains(urls.split_whitespace().last().unwrap()), "a URL that fires a rule is a secret");
    assert_eq!(server.end("-TERM"), Some(0));

    fs::write(folder.path().join("app.weir"), POLICY.replace("2..9", "3..9")).unwrap();
    let server = Server::start(folder.path(), &["app.weir"]);
    server.ask_until(&["status"], |ended| ended.out.contains("3..9"));
    drop(server);
    // Ended hard, it leaves its address behind; who asks is told that nobody is there.
    let asked = run(folder.path(), &["status"]);
    assert_eq!(asked.code, 3, "{asked:?}");
    fs::remove_file(folder.path().join("weir-data/address")).unwrap();
    let server = Server::start(folder.path(), &["app.weir"]);
    server.ask_until(&["status"], |ended| ended.out.contains("3..9"));
    assert_eq!(server.end("-TERM"), Some(0));
}
