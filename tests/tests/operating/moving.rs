//! An installation grows out of the embedded log into Kafka, and there into another number of partitions, by the words of the
//! runbook.

use super::{
    place::{Place, done, found},
    server::{Server, run},
};
use serde_json::Value;
use std::{fs, path::Path, process::Command, thread, time::Duration};
use weir_tests::tree;

/// The commands of a section of the runbook, as they stand there.
pub fn commands(section: &str) -> Vec<String> {
    let runbook = fs::read_to_string(tree::root().join("connectors/OPERATING.md")).unwrap();
    let section = runbook.split(&format!("\n## {section}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    let block = section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let line = |line: &str| line.trim().strip_prefix("weir ").unwrap().split('#').next().unwrap().trim().to_owned();
    block.lines().filter(|text| !text.trim().is_empty()).map(line).collect()
}

/// How a tenant's group stands once it has come to rest, and its servers: what a move must carry.
fn standing(place: &Place, server: &Server, tenant: &str) -> (Value, Vec<String>) {
    let row = server.ask_until(&["status", "--json", "--tenant", tenant], |ended| {
        let row: Value = serde_json::from_str(ended.out.trim()).unwrap_or_default();
        row["target"].is_u64() && row["target"] == row["ready"]
    });
    let row: Value = serde_json::from_str(row.out.trim()).unwrap();
    let kept =
        ["group", "target", "ready", "generation", "uid", "min"].map(|field| (field.to_owned(), row[field].clone()));
    (Value::Object(kept.into_iter().collect()), place.servers(tenant))
}

/// Each group has its size, and is one command further than it was; the servers that stood stand, and each slot has one.
fn grew(before: &[(Value, Vec<String>)], after: &[(Value, Vec<String>)], by: u64) {
    for ((old, stood), (new, stand)) in before.iter().zip(after) {
        let number = |row: &Value, field: &str| row[field].as_u64().unwrap();
        assert_eq!(number(new, "target"), number(old, "target") + by, "{old} {new}");
        assert!(number(new, "generation") > number(old, "generation"), "{old} {new}");
        assert_eq!(new["uid"], old["uid"]);
        assert_eq!(stand.len() as u64, number(new, "target"), "none is doubled: {stand:?}");
        assert!(stood.iter().all(|id| stand.contains(id)), "none is orphaned: {stood:?} {stand:?}");
    }
}

fn in_words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn replace(folder: &Path, changes: &[(&str, &str)]) {
    let file = folder.join("weir.toml");
    let text = fs::read_to_string(&file).unwrap();
    let text = changes.iter().fold(text, |text, (from, to)| text.replace(from, to));
    fs::write(file, text).unwrap();
}

#[test]
fn an_installation_is_carried_to_kafka_and_to_another_number_of_partitions() {
    let place = Place::new(4);
    let folder = place.process("embedded");
    let clustered = fs::read_to_string(folder.join("weir.toml")).unwrap();
    let embedded: String = clustered.split_inclusive('\n').skip_while(|line| !line.starts_with("[executor]")).collect();
    fs::write(folder.join("cluster.toml"), &clustered).unwrap();
    fs::write(folder.join("weir.toml"), &embedded).unwrap();

    let old = Server::start(&folder, &[]);
    for tenant in &place.tenants {
        done(old.ask(&["deploy", "../app.weir", "--tenant", tenant]));
        done(old.ask(&["force", "app", "surge", "--tenant", tenant]));
    }
    done(old.ask(&["kill-switch", "DFW", "--adding", "--reason", "images", "--tenant", &place.tenants[0]]));
    let stand =
        |server: &Server| -> Vec<_> { place.tenants.iter().map(|name| standing(&place, server, name)).collect() };
    let before = stand(&old);
    assert!(before.iter().all(|(row, servers)| row["target"] == 5 && servers.len() == 5), "{before:?}");
    let exported = done(old.ask(&["log", "export", "--tenant", &place.tenants[0]]));
    let [plan, carry, start] = &commands("Moving")[..] else { panic!("three commands") };
    let refused = found(run(&folder, &in_words(carry)));
    assert!(refused.contains("is in use by process"), "{refused}");
    assert_eq!(old.end("-TERM"), Some(0));

    let planned = done(run(&folder, &in_words(plan)));
    assert!(planned.starts_with("would be carried: 4 tenants, 4 groups, 20 servers, 1 kill switches"), "{planned}");
    let carried = done(run(&folder, &in_words(carry)));
    assert!(
        carried.contains("carried: 4 tenants") && carried.contains("next: weir run --config cluster.toml"),
        "{carried}"
    );
    assert!(done(run(&folder, &in_words(carry))).starts_with("it was carried there before"));
    let gone = found(run(&folder, &["run", "--listen", "127.0.0.1:0"]));
    assert!(gone.contains("was moved to the log") && gone.contains("run it with `cluster.toml`"), "{gone}");
    assert!(found(run(&folder, &["move", "--give-up"])).contains("was moved to the log"));

    // A second process, and then a change of the bounds: the next command of each group.
    let start = in_words(start);
    let first = Server::start(&folder, &start[1..]);
    let second = Server::start(&place.process("second"), &[]);
    assert_eq!(stand(&first), before);
    let change = |server: &Server, floor: &str| {
        for tenant in &place.tenants {
            let with = ["--config", "cluster.toml"].into_iter().filter(|_| server.folder == folder);
            let words =
                ["override", "app", "--floor", floor, "--for", "1h", "--reason", "the_move", "--tenant", tenant];
            let words: Vec<&str> = words.into_iter().chain(with).collect();
            server.ask_until(&words, |ended| ended.code == 0);
        }
    };
    change(&first, "7");
    let grown = stand(&second);
    grew(&before, &grown, 2);
    let switch = done(second.ask(&["why", "app", "--tenant", &place.tenants[0]]));
    assert!(switch.contains("app"), "{switch}");
    for tenant in &place.tenants {
        place.verify(&second, tenant);
    }

    // To three partitions, in another log of the same brokers. One process sleeps through it.
    let wide = place.process("wide");
    let prefix = format!("prefix = \"{}\"", place.prefix());
    replace(&wide, &[("partitions = 4", "partitions = 3"), (&prefix, &prefix.replace("\"t", "\"wide-t"))]);
    let to = ["move", "--config", "cluster.toml", "--to", "../wide/weir.toml"];
    let signal = |server: &Server, signal: &str| {
        assert!(Command::new("kill").args([signal, &server.pid().to_string()]).status().unwrap().success());
    };
    signal(&second, "-STOP");
    assert_eq!(first.end("-TERM"), Some(0));
    let refused = found(run(&folder, &to));
    assert!(
        refused.contains(&format!("process {}", second.pid())) && refused.contains("old installation"),
        "{refused}"
    );
    // What it owned is somebody's, so that all is applied, and then nobody's.
    let other = Server::start(&folder, &start[1..]);
    place.wait_live_but(&other, &second);
    assert_eq!(other.end("-TERM"), Some(0));
    thread::sleep(Duration::from_secs(31));
    done(run(&folder, &to));
    let third = Server::start(&wide, &[]);
    let moved = stand(&third);
    assert_eq!(grown, moved);
    signal(&second, "-CONT");
    change(&third, "9");
    let last = stand(&third);
    grew(&moved, &last, 2);
    let woken = place.wait_not_ready(&second, "was moved to the log");
    assert!(woken.contains("run it with `../wide/weir.toml`"), "{woken}");
    let (status, body, _) = place.alarm(&second, &place.tenants[0]);
    assert!(status != 202 && body.contains("was moved"), "a fact would be lost: {status} {body}");
    thread::sleep(Duration::from_secs(2));
    assert_eq!(stand(&third), last, "who woke up changed nothing");
    second.end("-TERM");
    assert_eq!(third.end("-TERM"), Some(0));

    // What was exported from the embedded log begins an installation in Kafka, and one from there an embedded one.
    place.write("exported.ndjson", &exported);
    let copy = place.process("copy");
    let clouds = [("../cloud-", "../copy-of-cloud-"), (&*prefix, &prefix.replace("\"t", "\"copy-t"))];
    replace(&copy, &clouds);
    let would = done(run(&copy, &["log", "import", "../exported.ndjson", "--dry-run"]));
    assert!(would.contains("would begin after") && would.contains("with 1 tenants, 1 groups, 0 servers"), "{would}");
    done(run(&copy, &["log", "import", "../exported.ndjson"]));
    assert!(done(run(&copy, &["log", "import", "../exported.ndjson"])).contains("was begun with these before"));
    let tenant = &place.tenants[0];
    let copied = Server::start(&copy, &[]);
    let row = standing_in(&copied, tenant);
    assert_eq!((&row["target"], &row["generation"]), (&before[0].0["target"], &before[0].0["generation"]));
    assert_ne!(row["uid"], before[0].0["uid"], "its servers are its own");
    let again = done(copied.ask(&["log", "export", "--tenant", tenant]));
    assert_eq!(copied.end("-TERM"), Some(0));
    place.write("again.ndjson", &again);
    let back = place.process("back");
    fs::write(back.join("weir.toml"), embedded.replace("../cloud-", "../back-cloud-")).unwrap();
    done(run(&back, &["log", "import", "../again.ndjson"]));
    let backed = Server::start(&back, &[]);
    assert_eq!(standing_in(&backed, tenant)["target"], 5);
    assert_eq!(backed.end("-TERM"), Some(0));
    assert_eq!(place.servers(tenant).len(), 9, "copies touched nothing");
}

/// A group that has come to rest in an installation with a cloud of its own.
fn standing_in(server: &Server, tenant: &str) -> Value {
    let row = server.ask_until(&["status", "--json", "--tenant", tenant], |ended| {
        let row: Value = serde_json::from_str(ended.out.trim()).unwrap_or_default();
        row["target"].is_u64() && row["target"] == row["ready"]
    });
    serde_json::from_str(row.out.trim()).unwrap()
}
