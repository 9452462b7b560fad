#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;
use std::{
    fs,
    io::{self, Write},
    sync::{Arc, Mutex},
};

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs a command line, answers how it ended and what it printed. Times are the tests' machine's own nowhere.
fn weir(arguments: &[&str]) -> (Exit, String) {
    let cli = Cli::try_parse_from(std::iter::once("weir").chain(arguments.iter().copied())).unwrap();
    let paper = Paper::default();
    let mut output = Output::to(paper.clone(), cli.global.json);
    let ended = obey(cli, &mut output);
    let printed = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    match ended {
        Ok(exit) => (exit, printed),
        Err(failure) => (failure.exit, format!("{printed}{failure}")),
    }
}

#[test]
fn the_arguments_are_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn help_is_as_read() {
    let mut text = String::new();
    let mut cli = Cli::command();
    cli.build();
    text.push_str(&cli.render_long_help().to_string());
    for command in cli.get_subcommands_mut() {
        let help = command.render_long_help();
        text.push_str(&format!("\n\n=== weir {}\n\n{help}", command.get_name()));
    }
    insta::assert_snapshot!(text);
}

const POLICY: &str = r#"edition 2026

metric cpu.usage: percent every 1m

launch small {
  image "app-1"
  flavor "small"
}

group app {
  region "LON"
  capacity 1..20
  launch small
  warmup 0s
  rule busy {
    when avg(cpu.usage over 5m) > 60%
    add 2
    cooldown 10m
  }
  rule quiet {
    when avg(cpu.usage over 15m) < 20% for 5m
    remove 1
    cooldown 15m
  }
}

test "it grows while it is hot" for app {
  start 2026-11-24T12:00:00Z
  given size 2
  given cpu.usage 40% for 10m, 90% for 20m

  expect busy raises to 4 at 13m
  expect busy adds 3 at 23m      # it adds 2
}

test "it is still while it is warm" for app {
  start 2026-11-24T12:00:00Z
  given size 2
  given cpu.usage 40% for 30m

  expect no action
}
"#;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// What was printed, with the folder's name taken out.
fn in_folder(folder: &tempfile::TempDir, arguments: &[&str]) -> (Exit, String) {
    let path = folder.path().display().to_string();
    let arguments: Vec<String> = arguments.iter().map(|word| word.replace("DIR", &path)).collect();
    let (exit, printed) = weir(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    (exit, printed.replace(&path, "DIR"))
}

#[test]
fn a_failed_test_shows_what_happened_and_marks_the_first_wrong_line() {
    let folder = folder(&[("app.weir", POLICY)]);
    let (exit, printed) = in_folder(&folder, &["test", "--coverage", "DIR/app.weir"]);
    assert_eq!(exit, Exit::Found);
    insta::assert_snapshot!(printed);
}

#[test]
fn results_go_to_build_servers_and_programs_too() {
    let folder = folder(&[("app.weir", POLICY)]);
    let (exit, printed) = in_folder(&folder, &["test", "--json", "--junit", "DIR/report.xml", "DIR"]);
    assert_eq!(exit, Exit::Found);
    let told: Vec<serde_json::Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.iter().map(|one| one["passed"].as_bool().unwrap()).collect::<Vec<_>>(), [false, true]);
    assert_eq!(told[0]["failures"][0]["offset_ms"], 23 * 60_000);
    let report = fs::read_to_string(folder.path().join("report.xml")).unwrap();
    assert!(report.contains(r#"tests="2" failures="1""#), "{report}");
    assert!(report.contains(r#"<testcase classname="app" name="it is still while it is warm"/>"#), "{report}");
}

#[test]
fn exit_codes_say_how_it_went() {
    let wrong = POLICY.replace("capacity 1..20", "capacity 20..1");
    let folder = folder(&[("good/app.weir", POLICY), ("bad/deep/app.weir", &wrong), ("none/readme.txt", "")]);
    assert_eq!(in_folder(&folder, &["check", "DIR/good"]), (Exit::Done, "1 policy checked: no findings\n".into()));
    let (exit, printed) = in_folder(&folder, &["check", "DIR/bad"]);
    assert_eq!(exit, Exit::Found);
    assert!(printed.contains("error[E0302]") && printed.contains("DIR/bad/deep/app.weir:12"), "{printed}");
    let (exit, printed) = in_folder(&folder, &["check", "--json", "DIR/bad"]);
    assert_eq!(exit, Exit::Found);
    let found: serde_json::Value = serde_json::from_str(printed.lines().next().unwrap()).unwrap();
    assert_eq!((found["code"].as_str(), found["line"].as_u64()), (Some("E0302"), Some(12)));
    assert_eq!(in_folder(&folder, &["test", "DIR/bad"]).0, Exit::Found);
    let none = "error: no policy in `DIR/none`\n  = help: policies are files that end in `.weir`";
    assert_eq!(in_folder(&folder, &["check", "DIR/none"]), (Exit::Usage, none.into()));
    assert_eq!(in_folder(&folder, &["test", "DIR/gone"]), (Exit::Usage, "error: there is no `DIR/gone`".into()));
}
