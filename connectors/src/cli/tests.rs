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
    let cost = "DIR/good/app.weir: an evaluation of `app` costs at most 24 of 10000\n1 policy checked: no findings\n";
    assert_eq!(in_folder(&folder, &["check", "--cost", "DIR/good"]), (Exit::Done, cost.into()));
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

/// An instant of 24 November 2026, on a clock that stands in UTC wherever the test runs.
fn at(time: &str) -> i64 {
    weir_engine::time::parse_rfc3339(&format!("2026-11-24T{time}Z")).unwrap()
}

fn minutes(at_ms: i64) -> String {
    weir_engine::time::rfc3339(at_ms)[11..16].to_owned()
}

fn seconds(at_ms: i64) -> String {
    weir_engine::time::rfc3339(at_ms)[11..19].to_owned()
}

#[test]
fn the_table_of_groups_fits_a_page_and_shortens_only_what_is_long() {
    use weir_engine::{
        id::GroupUid,
        view::{GroupRow, LastChange},
    };
    let row = |group: &str, sizes: [u32; 4], state: &str, last: Option<(&str, &str, u32, u32)>| GroupRow {
        group: group.into(),
        uid: GroupUid(1),
        policy: "web.weir".into(),
        version: 3,
        region: "LON".into(),
        target: sizes[0],
        ready: sizes[1],
        building: sizes[0] - sizes[1],
        min: sizes[2],
        max: sizes[3],
        overridden: None,
        generation: 7,
        state: state.into(),
        last_change: last.map(|(time, by, from, to)| LastChange { at: at(time), by: by.into(), from, to }),
        rules: Vec::new(),
        at: at("09:13:00"),
    };
    let rows = [
        row("web", [11, 9, 8, 24], "2 building", Some(("09:12:00", "cpu", 8, 11))),
        row("workers", [4, 4, 0, 50], "ok", Some(("08:40:10", "backlog", 5, 4))),
        row("batch", [6, 2, 2, 6], "degraded: Quota exceeded for cores, 40 of 40", Some(("07:55:00", "nightly", 2, 6))),
        row(
            "nightly",
            [0, 0, 0, 20],
            "paused by ops@acme until 2026-11-24T12:00:00.000Z: \"database move, ask Kim or Robin before you touch it\"",
            None,
        ),
    ];
    let table = status::table(&rows, &minutes, &Output::to(Paper::default(), false));
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    insta::assert_snapshot!(table);
}

/// Runs a policy's hot quarter of an hour through the engine; answers its state and what it decided.
fn hot_quarter() -> (weir_engine::partition::Partition, Vec<weir_engine::decision::Decision>) {
    use weir_engine::{
        event::{About, Deploy, Event, Fact, Record, Sample, Version},
        grammar::quantity::Quantity,
        partition::Partition,
    };
    let policy = POLICY.replace("every 1m", "every 1m shared");
    let mut state = Partition::new("log", 0);
    let mut decisions = Vec::new();
    let mut tell = |at_ms: i64, fact| {
        let (id, source, tenant) = (at_ms.to_string(), "/test".to_owned(), "acme".to_owned());
        let event = Event { specversion: Version::V1, id, source, time: at_ms, tenant, fact };
        let offset = state.next();
        decisions.extend(state.step(&Record { offset, appended_ms: at_ms, event }).unwrap().decisions);
    };
    let begins = at("09:00:00");
    tell(
        begins,
        Fact::Policy(Deploy {
            name: "app.weir".into(),
            text: policy,
            setup: [].into(),
            capabilities: Vec::new(),
            actor: "test".into(),
        }),
    );
    for minute in 0..15 {
        let (at_ms, about) = (begins + minute * 60_000, About::default());
        let value = Quantity::whole(if minute < 5 { 40 } else { 90 }).unwrap();
        tell(at_ms, Fact::Samples(vec![Sample { metric: "cpu.usage".into(), value, at: at_ms, about }]));
    }
    (state, decisions)
}

#[test]
fn decisions_are_calm_lines() {
    let (_, decisions) = hot_quarter();
    let output = Output::to(Paper::default(), false);
    let mut ticker = ticker::Ticker::new(true);
    let lines: Vec<String> = decisions.iter().filter_map(|decision| ticker.tell(decision, &output)).collect();
    // Local to the reader: the test's machine may be anywhere, so its clock is taken out.
    let timeless = |line: &String| {
        let line = line.split_once("  ").map_or(line.as_str(), |(_, line)| line);
        line.split(" until ").next().unwrap_or_default().to_owned()
    };
    let lines: Vec<String> = lines.iter().map(timeless).collect();
    insta::assert_snapshot!(lines.join("\n"));
    assert_eq!((ticker.changes, ticker.held, ticker.missed), (1, 1, 0));
    let (were, fixed) = ticker.server_hours(at("10:00:00"));
    assert!(were < fixed && (fixed - 3.0).abs() < 1e-9, "{were} of {fixed}");
}

#[test]
fn why_is_told_in_words_with_numbers() {
    use crate::why::{Account, Next, Source, words};
    let (state, _) = hot_quarter();
    let why = weir_engine::explain::explain(&state, "acme", "app", at("09:14:30")).unwrap();
    let position = weir_engine::id::Position { partition: 4, offset: 188_212 };
    let next = Some(Next { at: at("09:18:00"), from: 3, to: 5, because: "busy: it is still hot".into() });
    insta::assert_snapshot!(words(&Account { why, position, source: Source::RerunEqual, next }, &seconds));
}
