//! From an incident to a test, as the README has it: its very lines are run, beside a demonstration that serves on.

use super::server::{Ended, PATIENCE};
use std::{
    env, fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies");

/// The lines of the section, without their remarks.
fn lines() -> Vec<String> {
    let text = fs::read_to_string(README).unwrap();
    let section = text.split("## From an incident to a test in five commands").nth(1).unwrap();
    let block = section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    block.lines().map(|line| line.split("  #").next().unwrap().trim().to_owned()).collect()
}

/// A demonstration of a second; killed when this is dropped.
struct Demo(Child);

impl Demo {
    fn start(folder: &Path) -> Self {
        let arguments = ["demo", "--seconds", "1", "--listen", "127.0.0.1:0"];
        let out = fs::File::create(folder.join("demo.out")).unwrap();
        let demo = Self(shell(folder, &format!("exec weir {}", arguments.join(" "))).stdout(out).spawn().unwrap());
        let began = Instant::now();
        while !fs::read_to_string(folder.join("demo.out")).unwrap().contains("It serves on") {
            assert!(began.elapsed() < PATIENCE, "the day does not end");
            thread::sleep(std::time::Duration::from_millis(50));
        }
        demo
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A line as a shell runs it, with `weir` on its path, in a folder that has the policies beside it. Demonstrations live in
/// the folder for passing things, which is the test's own here.
fn shell(folder: &Path, line: &str) -> Command {
    let path = format!("{}:{}", folder.join("bin").display(), env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command
        .args(["-ec", line])
        .current_dir(folder)
        .env("PATH", path)
        .env("TMPDIR", folder.join("tmp"))
        .env("TZ", "UTC");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(folder: &Path, line: &str) -> Ended {
    shell(folder, line).output().unwrap().into()
}

#[test]
fn an_incident_becomes_a_test_in_five_commands() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("bin")).unwrap();
    fs::create_dir(folder.join("tmp")).unwrap();
    symlink(env!("CARGO_BIN_EXE_weir-under-test"), folder.join("bin/weir")).unwrap();
    symlink(POLICIES, folder.join("policies")).unwrap();
    let demo = Demo::start(folder);

    let lines = lines();
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("weir ")).count(),
        6,
        "five commands, and the test: {lines:#?}"
    );
    let mut said = Vec::new();
    for line in &lines {
        let Ended { code, out, err } = run(folder, line);
        assert_eq!((code, err.as_str()), (0, ""), "{line}\n{out}");
        said.push((line.clone(), out));
    }
    let of = |words: &str| said.iter().find(|(line, _)| line.contains(words)).map(|(_, out)| out.as_str()).unwrap();
    let why = of("weir why");
    assert!(why.contains("because of `failing`") && why.contains("equal to the record"), "{why}");
    assert!(of("--verify").contains("equal to the record"), "{}", of("--verify"));
    let backtest = of("backtest");
    assert!(backtest.contains("server-hours") && backtest.contains("The load of cpu.usage is spread"), "{backtest}");
    assert!(backtest.lines().all(|line| line.chars().count() <= 100), "{backtest}");
    let page = fs::read_to_string(folder.join("incident.html")).unwrap();
    assert!(page.contains("fixed.weir against demo.weir") && page.contains("web_5xx is critical on 2 servers"));
    let recorded = fs::read_to_string(folder.join("demo.weir")).unwrap();
    let block = recorded.rsplit("\ntest ").next().unwrap();
    assert!(block.contains("alarm web_5xx becomes critical on 3 servers"), "{block}");
    assert!(block.contains("expect failing adds 3"), "{block}");
    let tests = of("weir test");
    assert!(tests.contains("as it was") && tests.contains("5 tests in 1 policy: 5 passed"), "{tests}");
    drop(demo);

    // The stretch stands alone from here on: nobody answers any more, and nobody is asked.
    let again = run(folder, "weir record web --from 14:05 --to 14:45 --events incident.ndjson");
    assert_eq!(again.code, 0, "{again:?}");
    assert!(recorded.ends_with(&again.out), "the same test, from a file: {}", again.out);
    let walked = run(folder, "weir replay incident.ndjson --step");
    assert!(walked.out.contains("alarm \"web-5xx\" critical of "), "{}", walked.out);
    let swapped = run(folder, "weir replay incident.ndjson --policy fixed.weir");
    assert!(swapped.out.contains("fires on 2 (for 30s)"), "{}", swapped.out);
    let other = run(folder, "weir replay incident.ndjson --tenant nobody");
    assert_eq!(other.code, 2, "{other:?}");
    // What cannot be compared is said, and how to go on.
    fs::write(
        folder.join("other.weir"),
        recorded.replace("group web {", "group shop {").replace("for web {", "for shop {"),
    )
    .unwrap();
    let refused = run(folder, "weir backtest other.weir --against demo.weir --events incident.ndjson");
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("group `web` is missing from the file"), "{}", refused.err);
    let json = run(folder, "weir backtest demo.weir --events incident.ndjson --json");
    let one: serde_json::Value = serde_json::from_str(json.out.trim()).unwrap();
    let difference = one["difference"].as_object().unwrap();
    assert!(difference.len() > 10 && difference.values().all(|value| value == 0), "{}", one["difference"]);
}
