#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;
use crate::api::export::{FORMAT, Header, Line, Recorded};
use weir_engine::{
    backtest::Stretch,
    event::{About, Deploy, Event, Fact, Record, Sample, Tick, Version},
    grammar::quantity::Quantity,
    id::Slot,
    outcome::{Happening, Outcome},
    partition::Partition,
};

const OLD: &str = r#"edition 2026
metric cpu.usage: percent every 1m
launch small {
  image "app-1"
  flavor "small"
}
group app {
  region "LON"
  capacity 1..12
  launch small
  warmup 0s
  rule busy {
    track avg(cpu.usage over 5m) at 60%, within 10%
    add only
    cooldown 10m
  }
  rule quiet {
    when avg(cpu.usage over 5m) < 40% for 5m
    remove 1
    cooldown 5m
  }
}
"#;

/// A night: quiet, then busy for an hour, then quiet, on servers that are built in two minutes. 2026-11-24T02:00Z on.
fn night() -> (Vec<Record>, Header) {
    const BEGIN_MS: i64 = 1_795_485_600_000;
    let mut state = Partition::new("log", 0);
    let (mut records, mut seq, mut servers) = (Vec::new(), 0, Vec::<(u32, i64)>::new());
    let mut serial = 0;
    for minute in 0..150_i64 {
        let now_ms = BEGIN_MS + minute * 60_000;
        let mut facts = Vec::new();
        if minute == 0 {
            let (name, text, actor) = ("app.weir".into(), OLD.into(), "test".into());
            facts.push(Fact::Policy(Deploy { name, text, setup: [].into(), capabilities: Vec::new(), actor }));
        }
        let ready: Vec<u32> = servers.iter().filter(|(_, at)| *at <= minute).map(|(serial, _)| *serial).collect();
        let load = if (40..100).contains(&minute) { 330 } else { 90 };
        let samples = ready.iter().map(|serial| Sample {
            metric: "cpu.usage".into(),
            value: Quantity(load * Quantity::SCALE / i64::try_from(ready.len()).unwrap()),
            at: now_ms,
            about: About { server: vec![format!("app-{serial}")], group: None },
        });
        let mut samples: Vec<Sample> = samples.collect();
        facts.extend((!samples.is_empty()).then(|| Fact::Samples(std::mem::take(&mut samples))));
        let born: Vec<u32> = servers.iter().filter(|(_, at)| *at == minute).map(|(serial, _)| *serial).collect();
        let mut happenings: Vec<Happening> = born
            .into_iter()
            .map(|serial| {
                let (slot, name) = (Slot { serial, incarnation: 1 }, format!("app-{serial}"));
                Happening::Ready { slot, server: name.clone(), name, addresses: Vec::new() }
            })
            .collect();
        facts.push(Fact::Tick(Tick {}));
        while !facts.is_empty() || !happenings.is_empty() {
            if facts.is_empty() {
                seq += 1;
                let uid = state.uid_of("acme", "app").unwrap();
                facts.push(Fact::Outcome(Outcome { group: "app".into(), uid, seq, happening: happenings.remove(0) }));
            }
            let fact = facts.remove(0);
            let offset = state.next();
            let tenant = if matches!(fact, Fact::Tick(_)) { String::new() } else { "acme".into() };
            let (id, source) = (offset.to_string(), "/test".to_owned());
            let event = Event { specversion: Version::V1, id, source, time: now_ms, tenant, fact };
            let record = Record { offset, appended_ms: now_ms, event };
            let effects = state.step(&record).unwrap();
            records.push(record);
            for command in effects.commands {
                while servers.len() < command.target as usize {
                    serial += 1;
                    servers.push((serial, minute + 2));
                    let slot = Slot { serial, incarnation: 1 };
                    happenings.push(Happening::Building { slot, server: format!("app-{serial}") });
                }
                while servers.len() > command.target as usize {
                    let (serial, _) = servers.remove(0);
                    happenings.push(Happening::Removed { slot: Slot { serial, incarnation: 1 } });
                }
            }
        }
    }
    let (log_id, tenant, group) = ("log".into(), "acme".into(), None);
    let until = state.next();
    (records, Header { format: FORMAT, log_id, partition: 0, tenant, group, from: 0, until, semantics: 1 })
}

fn compared(new: &str, settings: &Settings) -> Comparison {
    let (records, _) = night();
    let start = Partition::new("log", 0);
    let stretch = Stretch { start: &start, tenant: "acme", records: &records };
    let side =
        |name: &str, text: &str| Side { name: name.into(), run: backtest::run(&stretch, text, settings).unwrap() };
    let (load, spread) = (settings.load, spread(new, settings.load));
    Comparison { old: side("app.weir", OLD), new: side("app-calm.weir", new), load, spread, records: records.len() }
}

fn calm() -> String {
    OLD.replace("at 60%", "at 75%").replace("remove 1", "remove 2").replace("cooldown 5m", "cooldown 20m")
}

fn utc(at_ms: i64) -> String {
    weir_engine::time::rfc3339(at_ms)[11..16].to_owned()
}

#[test]
fn two_policies_on_a_terminal() {
    let comparison = compared(&calm(), &Settings::default());
    let (old, new) = comparison.pairs().next().unwrap();
    let mut shown = table::table(&comparison, old, new);
    shown.push('\n');
    shown.push_str(&chart::chart(&comparison, old, new, &utc));
    shown.push('\n');
    shown.push_str(&wrapped(&assumptions(&comparison)));
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn a_policy_against_itself_shows_no_difference() {
    for load in [Load::Spread, Load::AsRecorded] {
        let comparison = compared(OLD, &Settings { build_ms: None, load });
        let (old, new) = comparison.pairs().next().unwrap();
        assert_eq!(old, new);
        assert!(old.figures.changes > 5, "{:?}", old.figures);
        let rows = table::rows(&old.figures, &new.figures);
        assert!(rows.iter().all(|row| row.words()[2] == "·"));
        let difference = table::difference(&old.figures, &new.figures);
        assert!(difference.as_object().unwrap().values().all(|value| value == 0), "{difference}");
        let chart = chart::chart(&comparison, old, new, &utc);
        let line = chart.lines().skip_while(|line| !line.ends_with("more servers +, fewer -")).nth(1).unwrap();
        assert!(line.contains('·') && line.chars().all(|mark| "· ".contains(mark)), "{line}");
    }
}

#[test]
fn the_page_needs_nothing_else_and_holds_what_it_is_told() {
    let mut comparison = compared(&calm(), &Settings::default());
    comparison.new.name = "</script><b>&calm.weir".into();
    let page = page::page(&comparison);
    assert!(page.contains("<title>&#60;/script&#62;&#60;b&#62;&#38;calm.weir against app.weir</title>"));
    assert_eq!(page.matches("</script").count(), 2, "a name ends no script");
    // Names of the markup's language aside, it knows no address.
    let addresses: Vec<&str> = page.match_indices("://").map(|(at, _)| &page[at.saturating_sub(6)..at + 20]).collect();
    assert!(addresses.iter().all(|address| address.contains("www.w3.org")), "{addresses:?}");
    let data = page.split(r#"id="data">"#).nth(1).unwrap().split("</script>").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let group = &data["groups"][0];
    assert_eq!((&group["name"], group["old"]["series"].as_array().unwrap().len()), (&"app".into(), 1));
    let decisions = group["new"]["decisions"].as_array().unwrap();
    let changes = decisions.iter().filter(|decision| decision["from"] != decision["to"]).count();
    assert_eq!(changes, comparison.new.run.groups[0].figures.changes as usize);
    assert!(decisions.iter().all(|decision| decision["why"].as_str().unwrap().starts_with("app stood at")));
}

#[test]
fn an_export_is_read_whole_or_not_at_all() {
    let (records, header) = night();
    let line = |line: &Line| serde_json::to_string(line).unwrap() + "\n";
    let mut text = line(&Line::Header(header)) + &line(&Line::State(String::new()));
    for Record { offset, appended_ms: appended, event } in &records {
        text.push_str(&line(&Line::Record(Recorded { offset: *offset, appended: *appended, event: event.clone() })));
    }
    assert_eq!(Export::read(&mut text.as_bytes(), "it").unwrap().records, records);
    let cut = &text[..text.trim_end().rfind('\n').unwrap() + 1];
    let failure = Export::read(&mut cut.as_bytes(), "it").err().unwrap();
    assert_eq!(failure.exit, Exit::Usage);
    assert!(failure.message.contains("it ends before record"), "{}", failure.message);
}
