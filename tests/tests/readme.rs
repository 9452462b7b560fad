//! The README's commands work as they stand: each `sh` block is run, line by line, from a fresh folder.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use weir_tests::{process::PATIENCE, service::free_port, tree};

/// The address in the README.
const ADDRESS: &str = "localhost:8460";

/// Before a block that another suite runs.
const ELSEWHERE: &str = "<!-- the test `program` runs these lines -->";

/// The blocks of one kind that are run here.
fn blocks(readme: &str, kind: &str) -> Vec<String> {
    let fence = format!("\n```{kind}\n");
    let here = readme.replace(&format!("{ELSEWHERE}{fence}"), "");
    here.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

/// Runs a block as a shell does, in `folder`; every command must end well.
fn shell(folder: &Path, block: &str) -> Output {
    let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", block]).current_dir(folder).env("PATH", path).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{block}\n{output:?}");
    output
}

/// The program, running.
struct Server(Child);

impl Server {
    /// Starts it with the README's arguments, and answers once it has a group.
    fn start(folder: &Path, line: &str, address: &str) -> Self {
        let arguments = line.split('#').next().unwrap().split_whitespace();
        let said = fs::File::create(folder.join("said")).unwrap();
        let mut command = Command::new(folder.join("bin/weir"));
        command.arg("run").args(arguments).args(["--listen", address]).current_dir(folder).stdin(Stdio::null());
        let server = Self(command.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap());
        let began = Instant::now();
        while !shell(folder, "weir status 2>/dev/null || true").stdout.starts_with(b"GROUP") {
            assert!(began.elapsed() < PATIENCE, "{}", fs::read_to_string(folder.join("said")).unwrap());
            thread::sleep(Duration::from_millis(100));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The README's `sh` lines that a test can run where it is: those that build the project or test it are other suites'
/// work.
fn runnable(block: &str, address: &str) -> String {
    let others = |line: &&str| ["cargo ", "tests/", "WEIR_"].iter().any(|start| line.starts_with(start));
    let lines = block.lines().filter(|line| !others(line)).collect::<Vec<_>>().join("\n");
    lines.replace(ADDRESS, address)
}

#[test]
fn every_command_works() {
    let readme = fs::read_to_string(tree::root().join("README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_weir-under-test"), folder.join("bin/weir")).unwrap();
    symlink(tree::root().join("policies"), folder.join("policies")).unwrap();
    // Its own address, since the usual one may be somebody's.
    let address = format!("127.0.0.1:{}", free_port().unwrap());

    let (mut server, mut told) = (None, String::new());
    for block in blocks(&readme, "sh").iter().map(|block| runnable(block, &address)) {
        // The server takes the terminal, so it ends its block.
        let (before, run) = match block.split_once("\nweir run ") {
            Some((before, run)) => (before, Some(run)),
            None => (block.as_str(), None),
        };
        told += &String::from_utf8(shell(folder, before).stdout).unwrap();
        if let Some(run) = run {
            server = Some(Server::start(folder, run, &address));
        }
    }
    assert!(server.is_some(), "README.md starts the program");
    // And they did something: the alarm was heard, the force had its effect. (Whether `outage` changes
    // the size depends on the day: the policy has windows and freezes.)
    for wanted in ["no findings", "passed", "{\"position\":\"0:", "site_down is critical: yes", "surge forced by"] {
        assert!(told.contains(wanted), "`{wanted}` is not in:\n{told}");
    }
}

#[test]
fn what_it_points_to_is_there() {
    let readme = fs::read_to_string(tree::root().join("README.md")).unwrap();
    let links: Vec<&str> = readme.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() >= 10, "{links:?}");
    for link in links {
        assert!(tree::root().join(link).exists(), "README.md points to `{link}`, which is not there");
    }
    let first = &blocks(&readme, "sh")[0];
    assert!(first.contains("cargo run -- demo") && first.contains("tests/run "), "{first}");
}
