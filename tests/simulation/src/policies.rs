//! Policies drawn from a seed: valid text, with rules of every kind, and new versions of it.
//!
//! A file is drawn as lines that are kept apart by group, so that a new version changes some of them and keeps the rest.
//! What the checker refuses is drawn again.

use crate::dice::Dice;
use weir_engine::time;

/// Zones whose clocks change, and one whose does not.
const ZONES: [&str; 5] = ["UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"];

/// A file as drawn.
#[derive(Clone, Debug)]
pub struct Draft {
    header: String,
    groups: Vec<GroupDraft>,
    /// The instant at which the run begins, so that schedules fall within it.
    start_ms: i64,
}

#[derive(Clone, Debug)]
struct GroupDraft {
    name: String,
    launch: String,
    min: i64,
    max: i64,
    settings: String,
    limits: Vec<String>,
    windows: Vec<String>,
    freezes: Vec<String>,
    rules: Vec<(String, String)>,
}

impl Draft {
    /// A valid file with `groups` groups, whose names begin with `prefix`.
    #[must_use]
    pub fn draw(dice: &mut Dice, prefix: &str, groups: usize, start_ms: i64) -> Self {
        loop {
            let every = *dice.pick(&["1m", "2m", "5m"]);
            let often = *dice.pick(&["1m", "2m"]);
            let stale = if dice.percent(50) { " stale after 30m" } else { "" };
            let header = format!(
                "edition 2026\n\nmetric cpu.usage: percent every {every}\nmetric queue.depth: number every {often} \
                 shared\nalarm sick: from \"sick\"{stale}\nalarm down: shared from \"down\"\nevent deploy.done: from \
                 \"com.example.deploy.done\"\n"
            );
            let groups = (0..groups).map(|at| GroupDraft::draw(dice, format!("{prefix}{at}"), start_ms)).collect();
            let draft = Self { header, groups, start_ms };
            if draft.is_valid() {
                return draft;
            }
        }
    }

    /// A valid new version.
    #[must_use]
    pub fn next(&self, dice: &mut Dice) -> Self {
        loop {
            let mut next = self.clone();
            for group in &mut next.groups {
                group.change(dice, self.start_ms);
            }
            if next.is_valid() {
                return next;
            }
        }
    }

    fn is_valid(&self) -> bool {
        weir_engine::grammar::check("drawn.weir", &self.text()).policy.is_some()
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        let launches: String = self.groups.iter().map(|group| format!("\n{}", group.launch)).collect();
        let groups: String = self.groups.iter().map(|group| format!("\n{}", group.text())).collect();
        format!("{}{launches}{groups}", self.header)
    }
}

impl GroupDraft {
    fn draw(dice: &mut Dice, name: String, start_ms: i64) -> Self {
        let min = *dice.pick(&[0, 1, 1, 2, 3]);
        let max = min + dice.between(1, 8);
        let balancer = if dice.percent(60) { format!("  balancer \"lb-{name}\" port 80\n") } else { String::new() };
        let zone = if dice.percent(30) { "  zone \"a\", \"b\"\n" } else { "" };
        let launch = format!("launch l_{name} {{\n  image \"img\"\n  flavor \"f1\"\n{zone}{balancer}}}\n");
        let mut group = Self {
            settings: settings(dice, &name),
            name,
            launch,
            min,
            max,
            limits: limits(dice),
            windows: Vec::new(),
            freezes: Vec::new(),
            rules: Vec::new(),
        };
        for index in 0..dice.between(2, 5) {
            group.rules.push((format!("r{index}"), rule(dice, group.min, group.max, start_ms)));
        }
        group.levels(dice, start_ms);
        group
    }

    /// Windows and freezes anew.
    fn levels(&mut self, dice: &mut Dice, start_ms: i64) {
        (self.windows, self.freezes) = (Vec::new(), Vec::new());
        if dice.percent(50) {
            let floor = dice.between(self.min, self.max);
            let ceiling = dice.between(floor, self.max);
            self.windows.push(format!("{}\n    capacity {floor}..{ceiling}", span(dice, start_ms)));
        }
        if dice.percent(30) {
            let what = *dice.pick(&["all", "add", "remove"]);
            let except = if dice.percent(40) { "\n    except r0" } else { "" };
            self.freezes.push(format!("{}\n    blocks {what}{except}", span(dice, start_ms)));
        }
    }

    fn change(&mut self, dice: &mut Dice, start_ms: i64) {
        match dice.below(6) {
            0 => self.settings = settings(dice, &self.name),
            1 => self.limits = limits(dice),
            2 => self.levels(dice, start_ms),
            3 => self.max += 1,
            4 => {
                let at = usize::try_from(dice.below(self.rules.len() as u64)).unwrap_or(0);
                self.rules[at].1 = rule(dice, self.min, self.max, start_ms);
            }
            _ => {}
        }
    }

    fn text(&self) -> String {
        let Self { name, min, max, settings, .. } = self;
        let mut text = format!("group {name} {{\n  capacity {min}..{max}\n  launch l_{name}\n{settings}");
        for limit in &self.limits {
            text.push_str(&format!("  {limit}\n"));
        }
        for (at, window) in self.windows.iter().enumerate() {
            text.push_str(&format!("  window w{at} {{\n    {window}\n  }}\n"));
        }
        for (rule, body) in &self.rules {
            text.push_str(&format!("  rule {rule} {{\n    {body}\n  }}\n"));
        }
        for (at, freeze) in self.freezes.iter().enumerate() {
            text.push_str(&format!("  freeze f{at} {{\n    {freeze}\n  }}\n"));
        }
        text + "}\n"
    }
}

fn settings(dice: &mut Dice, name: &str) -> String {
    let mut text = format!("  region \"LON\"\n  timezone \"{}\"\n", dice.pick(&ZONES));
    text.push_str(&format!("  ready within {}\n", dice.pick(&["5m", "10m", "20m"])));
    if dice.percent(60) {
        text.push_str(&format!("  drain {}\n", dice.pick(&["10s", "1m", "2m"])));
    }
    text.push_str(&format!("  remove {} first\n", dice.pick(&["oldest", "newest"])));
    text.push_str(&format!("  cooldown {}\n", dice.pick(&["30s", "2m", "5m", "15m"])));
    if dice.percent(60) {
        text.push_str(&format!("  warmup {}\n", dice.pick(&["30s", "1m", "3m"])));
    }
    if dice.percent(20) {
        text.push_str(&format!("  notify \"https://ops.example.com/{name}\" on ready, failed\n"));
    }
    text
}

fn limits(dice: &mut Dice) -> Vec<String> {
    let mut limits = Vec::new();
    for direction in ["add", "remove"] {
        if dice.percent(55) {
            let amount = if dice.percent(80) { dice.between(1, 5).to_string() } else { "50%".to_owned() };
            limits.push(format!("limit {direction} {amount} per {}", dice.pick(&["10m", "30m", "2h"])));
        }
    }
    limits
}

/// A cron expression whose instants fall within the run.
fn cron(dice: &mut Dice, start_ms: i64) -> String {
    let at_ms = start_ms + dice.between(0, 9 * 60) * 60_000;
    let minute = at_ms.div_euclid(60_000).rem_euclid(60);
    // In the zone that the group has it is another hour; so all of them are drawn.
    let hour = (at_ms.div_euclid(3_600_000) + dice.between(-5, 11)).rem_euclid(24);
    match dice.below(6) {
        0 => format!("{minute} * * * *"),
        1 => "*/20 * * * *".to_owned(),
        2 => format!("{minute} */2 * * *"),
        3 => format!("30 {} * * *", dice.between(0, 2)),
        _ => format!("{minute} {hour} * * *"),
    }
}

fn instant(dice: &mut Dice, start_ms: i64) -> String {
    let at_ms = start_ms + dice.between(1, 7 * 60) * 60_000;
    time::rfc3339(at_ms).get(..16).map(|text| format!("{text}Z")).unwrap_or_default()
}

fn span(dice: &mut Dice, start_ms: i64) -> String {
    let lasting = *dice.pick(&["10m", "40m", "2h"]);
    if dice.percent(70) {
        format!("cron \"{}\" lasting {lasting}", cron(dice, start_ms))
    } else {
        format!("at {} lasting {lasting}", instant(dice, start_ms))
    }
}

fn change(dice: &mut Dice, word: &str) -> String {
    match dice.below(4) {
        0 => format!("{word} {}%, at least 1", dice.pick(&["10", "25", "33", "50"])),
        1 => format!("{word} {}%", dice.pick(&["15", "34", "0.5"])),
        _ => format!("{word} {}", dice.between(1, 3)),
    }
}

fn either(dice: &mut Dice, min: i64, max: i64) -> String {
    match dice.below(5) {
        0 => change(dice, "add"),
        1 => change(dice, "remove"),
        2 => format!("raise to {}", dice.between(min.max(1), max)),
        3 => format!("lower to {}", dice.between(min, max)),
        _ => format!("set {}", dice.between(min, max)),
    }
}

fn rule(dice: &mut Dice, min: i64, max: i64, start_ms: i64) -> String {
    let hold = *dice.pick(&["", " for 1m", " for 3m", " for 10m"]);
    let mut steady = false;
    let mut body = match dice.below(14) {
        0 => format!("when avg(cpu.usage over 5m) > {}%{hold}\n    {}", dice.between(50, 80), change(dice, "add")),
        1 => format!("when avg(cpu.usage over 10m) < {}%{hold}\n    {}", dice.between(20, 45), change(dice, "remove")),
        2 => {
            steady = true;
            let only = if dice.percent(40) { "\n    add only" } else { "" };
            format!("track avg(cpu.usage over 5m) at {}%, within 10%{only}", dice.between(40, 70))
        }
        3 => {
            steady = true;
            format!(
                "step avg(queue.depth per server over 4m){hold} {{\n      below 10 remove 25%, at most 2\n      below 30 \
                 remove 1\n      from 80 add 1\n      from 200 {}\n    }}",
                change(dice, "add")
            )
        }
        4 => {
            let quorum = *dice.pick(&["", " on 1 servers", " on 40% of servers"]);
            format!("when alarm sick is critical{quorum}{hold}\n    {}", change(dice, "add"))
        }
        5 => format!("when alarm down is not ok{hold}\n    raise to {}", dice.between(min.max(1), max)),
        6 => format!("when count(server.lost over 30m) >= {}\n    {}", dice.between(1, 3), change(dice, "add")),
        7 => {
            format!("when count(deploy.done over 10m) >= {}{hold}\n    {}", dice.between(1, 3), change(dice, "remove"))
        }
        8 => format!("when missing(cpu.usage for 12m)\n    {}", change(dice, "add")),
        13 => {
            let percent = *dice.pick(&["p50", "p90", "p95"]);
            format!("when {percent}(cpu.usage over 10m) > {}%{hold}\n    {}", dice.between(55, 85), change(dice, "add"))
        }
        9 => format!("webhook \"hook\"\n    {}", either(dice, min, max)),
        10 => format!("manual\n    {}", either(dice, min, max)),
        11 => format!("at {}\n    {}", instant(dice, start_ms), either(dice, min, max)),
        _ => format!("cron \"{}\"\n    {}", cron(dice, start_ms), either(dice, min, max)),
    };
    let scheduled = body.starts_with("cron") || body.starts_with("at ");
    if dice.percent(65) && !scheduled {
        body.push_str(&format!("\n    cooldown {}", dice.pick(&["1m", "5m", "20m"])));
    }
    if steady && dice.percent(40) {
        body.push_str("\n    stabilize 10m");
    }
    if scheduled && dice.percent(30) {
        body.push_str("\n    late by 3m");
    }
    if dice.percent(6) {
        body.push_str("\n    observe");
    }
    if dice.percent(8) {
        body.push_str("\n    no force");
    }
    body
}
