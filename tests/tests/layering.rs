//! The arrows between the packages, and the purity of the two below: read from Cargo's own resolution, and from the
//! sources where Cargo cannot know.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};
use weir_tests::tree::{self, Source};

/// What each package may know of the others, whether in its code, its tests or its build.
const ARROWS: [(&str, &[&str]); 5] = [
    ("weir-grammar", &[]),
    ("weir-engine", &["weir-grammar"]),
    ("weir", &["weir-grammar", "weir-engine"]),
    ("weir-tests", &["weir-grammar", "weir-engine", "weir"]),
    ("weir-simulation", &["weir-engine"]),
];

/// The packages that touch nothing.
const PURE: [&str; 2] = ["weir-grammar", "weir-engine"];

/// Crates that open sockets or files, draw random bytes, or run tasks. None may be in a pure package's tree, however deep.
const WORLDLY: [&str; 24] = [
    "async-std",
    "axum",
    "clap",
    "crossbeam",
    "futures-util",
    "getrandom",
    "h2",
    "hyper",
    "mio",
    "quick-xml",
    "quinn",
    "rand",
    "rayon",
    "redb",
    "reqwest",
    "rustix",
    "rustls",
    "smol",
    "socket2",
    "tempfile",
    "tokio",
    "toml",
    "tracing",
    "ureq",
];

/// A hash map that offers no way to walk it, so its order is nobody's.
const LIFTS_A_BAN: &str = "engine/src/index.rs";

/// Modules of `std` that touch the world. `clippy.toml` bans single names of them; here it is all that is in them.
const WORLDLY_STD: [&str; 7] = ["env", "fs", "net", "os", "process", "thread", "time"];

/// What Cargo resolves for this machine; for others it would have to fetch crates that no build here needs.
fn metadata() -> Metadata {
    let said = Command::new("rustc").arg("-vV").output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let options = ["--offline", "--locked", "--filter-platform", host].map(str::to_owned);
    MetadataCommand::new().manifest_path(tree::root().join("Cargo.toml")).other_options(options).exec().unwrap()
}

/// The names of all crates that are linked into `package`, itself included. What only runs while it is built (build
/// scripts, macros) is not in it.
fn linked(metadata: &Metadata, package: &str) -> BTreeSet<String> {
    let nodes: BTreeMap<&PackageId, _> =
        metadata.resolve.as_ref().unwrap().nodes.iter().map(|node| (&node.id, node)).collect();
    let root = metadata.packages.iter().find(|one| one.name.as_str() == package).unwrap();
    let (mut found, mut waiting) = (BTreeSet::from([&root.id]), vec![&root.id]);
    while let Some(id) = waiting.pop() {
        for dependency in &nodes[id].deps {
            let is_macro = metadata[&dependency.pkg].targets.iter().any(cargo_metadata::Target::is_proc_macro);
            let normal = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if normal && !is_macro && found.insert(&dependency.pkg) {
                waiting.push(&dependency.pkg);
            }
        }
    }
    found.into_iter().map(|id| metadata[id].name.to_string()).collect()
}

#[test]
fn the_arrows_between_the_packages_go_one_way() {
    let metadata = metadata();
    let members: Vec<_> = metadata.workspace_packages();
    let names: BTreeSet<&str> = members.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ARROWS.iter().map(|(name, _)| *name).collect(), "a package without a place among the arrows");
    for package in members {
        let may = ARROWS.iter().find(|(name, _)| *name == package.name.as_str()).unwrap().1;
        let knows = package.dependencies.iter().map(|one| one.name.as_str()).filter(|name| names.contains(name));
        let wrong: Vec<&str> = knows.filter(|name| !may.contains(name)).collect();
        assert!(wrong.is_empty(), "`{}` must know nothing of {wrong:?}", package.name);
    }
}

#[test]
fn nothing_worldly_is_linked_into_the_pure_packages() {
    let metadata = metadata();
    for package in PURE {
        let linked = linked(&metadata, package);
        let worldly: Vec<_> = WORLDLY.iter().filter(|name| linked.contains(**name)).collect();
        assert!(worldly.is_empty(), "the tree of `{package}` has {worldly:?}; it must stay free of them");
    }
    // The same walk over the program finds plenty, so it does not find nothing because it looks nowhere.
    let linked = linked(&metadata, "weir");
    assert!(["tokio", "redb", "axum", "mio"].iter().all(|name| linked.contains(*name)), "{linked:?}");
}

#[test]
fn the_pure_packages_name_nothing_worldly_of_std() {
    let worldly = |source: &Source| -> Vec<String> {
        let text = source.code();
        let named = |module: &str| {
            let (path, import) = (format!("std::{module}::"), format!("std::{module};"));
            text.contains(&path) || text.contains(&import) || imported_in_braces(&text).contains(module)
        };
        WORLDLY_STD
            .iter()
            .filter(|module| named(module))
            .map(|module| format!("{}: std::{module}", source.path))
            .collect()
    };
    let pure = tree::sources(&["grammar/src", "engine/src"]);
    assert!(pure.len() > 50, "only {} files found", pure.len());
    let found: Vec<String> = pure.iter().flat_map(worldly).collect();
    assert!(found.is_empty(), "{found:#?}");
    let there: Vec<String> = tree::sources(&["connectors/src"]).iter().flat_map(worldly).collect();
    assert!(there.len() > 10, "the connectors do touch the world, and only these were found: {there:?}");
}

/// First names after `std::{`: `use std::{fs, net::SocketAddr}` gives `fs` and `net`.
fn imported_in_braces(text: &str) -> BTreeSet<&str> {
    let blocks = text.split("std::{").skip(1).filter_map(|rest| rest.split(';').next());
    blocks.flat_map(|block| block.split(|c: char| !(c.is_alphanumeric() || c == '_'))).collect()
}

#[test]
fn the_engine_bans_what_would_make_two_runs_differ() {
    let text = std::fs::read_to_string(tree::root().join("engine/clippy.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let banned: BTreeSet<&str> = ["disallowed-types", "disallowed-methods"]
        .iter()
        .flat_map(|list| table[*list].as_array().unwrap())
        .map(|entry| entry["path"].as_str().unwrap())
        .collect();
    for path in [
        "std::collections::HashMap",
        "std::collections::HashSet",
        "std::time::Instant",
        "std::time::SystemTime",
        "chrono::Utc::now",
        "chrono::Local::now",
        "std::env::var",
        "std::thread::spawn",
    ] {
        assert!(banned.contains(path), "engine/clippy.toml does not ban `{path}`");
    }
    for source in tree::sources(&["engine/src"]).iter().filter(|source| source.path != LIFTS_A_BAN) {
        assert!(!source.text.contains("clippy::disallowed_"), "{} lifts a ban of engine/clippy.toml", source.path);
    }
}
