//! A partition that cannot go on: the program stays, answers, and says so everywhere it is asked.

use super::server::Server;
use std::fs;
use weir::backend::{
    Committed, Machine, Machines as _, Stepped,
    embedded::{Embedded, Settings},
};

#[test]
fn a_halted_partition_is_said_and_the_api_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.weir"), super::serving::POLICY).unwrap();
    fs::write(folder.path().join("setup.sh"), "").unwrap();
    let server = Server::start(folder.path(), &["app.weir"]);
    server.ask_until(&["status"], |ended| ended.out.contains("app "));
    assert_eq!(server.end("-TERM"), Some(0));
    // Somebody committed what no replay gives: as another build would that means something else by a rule.
    let store = Embedded::open(&folder.path().join("weir-data"), Settings::default()).unwrap();
    let (owner, committed) = store.take_over(Machine::Step, 0).unwrap();
    let committed = Committed { digest: "another".into(), ..committed };
    store.commit_step(&owner, Stepped { committed, ..Stepped::default() }).unwrap();
    drop(store);

    let server = Server::start(folder.path(), &[]);
    let status = server.ask_until(&["status"], |ended| ended.out.contains("not ready"));
    assert_eq!(status.code, 1);
    assert!(status.out.contains("app ") && status.out.contains("partition 0 has halted"), "{}", status.out);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ready = runtime.block_on(async {
        let answer = weir::http::client().unwrap().get(format!("{}/readyz", server.url())).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    });
    assert_eq!(ready.0, 503);
    assert!(ready.1.contains("gives other commands"), "{}", ready.1);
    assert!(server.said().contains("the partition has halted"), "{}", server.said());
    assert_eq!(server.end("-TERM"), Some(0));
}
