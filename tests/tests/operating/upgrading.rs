//! A release that means something else by a rule is rolled out process by process, and then the log is upgraded, by the words
//! of the runbook: nothing halts, and a replay across the upgrade decides the same.

use super::{
    moving::commands,
    place::{Place, done, found},
    server::{Server, run},
};
use std::{fs, path::Path};

/// Six tenths of 2 is 1.2: two more by semantics 1, one by the next. Of 4 it is 2.4: three, and two.
const POLICY: &str = r#"edition 2026

launch small {
  image  "app-1"
  flavor "small"
}

group app {
  region   "LON"
  capacity 2..30
  launch   small
  cooldown 1s

  rule share {
    webhook "share"
    add 60%
    cooldown 1s
  }
}
"#;

/// Processes of this folder are of the next release.
fn next_release(folder: &Path) {
    fs::write(folder.join("release"), "next").unwrap();
}

#[test]
fn a_release_is_rolled_out_and_the_log_upgraded_without_a_halt() {
    let place = Place::new(2);
    place.write("share.weir", POLICY);
    let [first, second, third, fourth] = ["first", "second", "third", "fourth"].map(|name| place.process(name));
    next_release(&third);
    next_release(&fourth);
    done(run(&first, &["setup"]));
    let a = Server::start(&first, &[]);
    let b = Server::start(&second, &[]);
    for tenant in &place.tenants {
        done(a.ask_until(&["deploy", "../share.weir", "--tenant", tenant], |ended| ended.code == 0));
    }
    let force = |server: &Server, wanted: &str| {
        for tenant in &place.tenants {
            let said = done(server.ask_until(&["force", "app", "share", "--tenant", tenant], |ended| ended.code == 0));
            assert!(said.contains(wanted), "{said}");
        }
    };
    force(&a, "app: 2 → 4");
    let [shown, upgrade] = &commands("Upgrading")[..] else { panic!("two commands") };
    let (shown, upgrade): (Vec<&str>, Vec<&str>) = (shown.split(' ').collect(), upgrade.split(' ').collect());
    assert!(done(a.ask(&upgrade)).contains("decides by semantics 1 already"));
    let refused = found(a.ask(&["upgrade", "--to", "2"]));
    assert!(refused.contains("this build knows 1: use a build that has it"), "{refused}");

    // One after the other. Beside an old process nothing is upgraded, and all go on deciding as before.
    assert_eq!(a.end("-TERM"), Some(0));
    let c = Server::start(&third, &[]);
    let refused = found(c.ask_until(&upgrade, |ended| ended.err.contains("knows semantics up to 1")));
    assert!(refused.contains(&format!("process {} on ", b.pid())), "{refused}");
    let table = done(c.ask(&shown));
    assert!(
        table.contains("partition 1 decides by semantics 1") && table.contains("knows semantics up to 2"),
        "{table}"
    );
    assert_eq!(b.end("-TERM"), Some(0));
    let d = Server::start(&fourth, &[]);
    let said = done(d.ask_until(&upgrade, |ended| ended.code == 0));
    assert!(said.contains("every partition decides by semantics 2, from 0:"), "{said}");
    assert!(done(c.ask(&upgrade)).contains("decides by semantics 2 already"));
    force(&c, "app: 4 → 6");

    // Who comes back from before starts no more, and says what to do.
    let old = found(run(&first, &["run", "--listen", "127.0.0.1:0"]));
    assert!(old.contains("the log was upgraded") && old.contains("use a build that has it"), "{old}");
    // Killed, so that its partitions are replayed across the upgrade.
    assert_eq!(d.end("-KILL"), None);
    place.wait_ready(&c);
    for tenant in &place.tenants {
        let exported = done(c.ask(&["log", "export", "--tenant", tenant]));
        for number in [1, 2] {
            assert!(
                exported.contains(&format!("\"semantics\":{number},\"zones\"")),
                "decisions say by which: {exported}"
            );
        }
        place.write("upgraded.ndjson", &exported);
        let replay = ["replay", "../upgraded.ndjson", "--verify"];
        let verified = done(run(&third, &replay));
        assert!(verified.contains("decisions: equal to the record"), "{verified}");
        let before = run(&first, &replay);
        assert!(before.code != 0 && before.err.contains("use a build that has it"), "{before:?}");
    }
    let metrics = place.get(&format!("{}/metrics", c.url())).1;
    assert!(
        !metrics.lines().any(|line| line.starts_with("weir_partition_halted") && line.ends_with(" 1")),
        "{metrics}"
    );
    assert!(!c.said().contains("has halted"), "{}", c.said());
    assert_eq!(c.end("-TERM"), Some(0));
}
