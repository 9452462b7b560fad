//! An installation carried to another data folder, and begun there by an export, as a person does it.

use super::{
    server::{Server, run},
    serving::{done, folder},
};
use std::fs;

const TENANT: &str = "[[tenant]]\nname = \"acme\"\n[[cloud]]\ntenant = \"acme\"\nkind = \"simulated\"\n";

#[test]
fn an_installation_is_moved_once_and_only_where_its_servers_are_seen() {
    let folder = folder();
    let path = folder.path();
    let cloud = "[cloud.simulated]\nfile = \"cloud\"\nbuild_ms = [10, 20]\n[executor]\nlook = \"100ms\"\n";
    fs::write(path.join("weir.toml"), format!("{TENANT}{cloud}")).unwrap();
    fs::write(path.join("new.toml"), format!("data = \"new\"\n{TENANT}{cloud}")).unwrap();
    fs::write(path.join("blind.toml"), format!("data = \"blind\"\n{TENANT}")).unwrap();
    fs::write(path.join("stranger.toml"), format!("data = \"stranger\"\n{}", TENANT.replace("acme", "beta"))).unwrap();

    let server = Server::start(path, &["app.weir"]);
    server.ask_until(&["status"], |ended| ended.out.contains(" ok "));
    let export = done(server.ask(&["log", "export"]));
    fs::write(path.join("acme.ndjson"), export).unwrap();
    let refused = run(path, &["move", "--to", "new.toml"]);
    assert!(refused.code == 1 && refused.err.contains("is in use by process"), "{refused:?}");
    assert_eq!(server.end("-TERM"), Some(0));

    let said = |words: &[&str], code: i32| {
        let ended = run(path, words);
        assert_eq!(ended.code, code, "{words:?}: {ended:?}");
        ended.out + &ended.err
    };
    for (to, why) in [
        ("blind.toml", "tenant `acme` has servers in region"),
        ("stranger.toml", "has no `[[tenant]]` named `acme`"),
        ("weir.toml", "the same data folder"),
    ] {
        let code = if to == "weir.toml" { 2 } else { 1 };
        let refused = said(&["move", "--to", to], code);
        assert!(refused.contains(why), "{to}: {refused}");
    }
    assert!(said(&["move", "--give-up"], 1).contains("no move was begun"));
    assert!(
        said(&["move", "--to", "new.toml", "--dry-run"], 0)
            .contains("would be carried: 1 tenants, 1 groups, 2 servers")
    );
    assert!(said(&["move", "--to", "new.toml", "--json"], 0).contains("\"servers\":2"));
    assert!(said(&["run", "--listen", "127.0.0.1:0"], 1).contains("run it with `new.toml`, and this one no more"));

    fs::remove_file(path.join("weir.toml")).unwrap();
    fs::rename(path.join("new.toml"), path.join("weir.toml")).unwrap();
    fs::rename(path.join("weir-data"), path.join("left")).unwrap();
    std::os::unix::fs::symlink("new", path.join("weir-data")).unwrap();
    let moved = Server::start(path, &[]);
    moved.ask_until(&["status"], |ended| ended.out.contains(" ok "));
    let list = done(moved.ask(&["server", "list", "app"]));
    assert!(list.contains("sim-1 ") && list.contains("sim-2 ") && !list.contains("sim-3 "), "{list}");
    assert_eq!(moved.end("-TERM"), Some(0));

    // The same tenant begun elsewhere by what was exported, with servers of its own.
    fs::write(path.join("copy.toml"), format!("data = \"copy\"\n{TENANT}")).unwrap();
    let twice = said(&["log", "import", "acme.ndjson", "acme.ndjson", "--config", "copy.toml"], 2);
    assert!(twice.contains("is of tenant `acme`, as a file before it"), "{twice}");
    let begun = said(&["log", "import", "acme.ndjson", "--config", "copy.toml"], 0);
    assert!(begun.contains("with 1 tenants, 1 groups, 0 servers"), "{begun}");
    assert!(said(&["log", "import", "acme.ndjson", "--config", "copy.toml"], 0).contains("begun with these before"));
    let taken = said(&["log", "import", "acme.ndjson"], 1);
    assert!(taken.contains("is filled with the log") && taken.contains("already"), "{taken}");
}
