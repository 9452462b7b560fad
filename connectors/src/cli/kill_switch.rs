//! `weir kill-switch`: stops adding or removing in a region, whatever the policies wish.

use super::{
    Exit, Failure, Global, Output,
    client::{Client, Connect},
    clock::Reader,
    orders::{end, read},
};
use crate::{
    clock::{Clock, WallClock},
    config::Length,
};
use reqwest::Method;
use serde_json::{Map, Value, json};
use weir_engine::{time, view::GroupRow};

/// Stop adding or removing in a region, in every group
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir kill-switch LON --adding --for 2h --reason \"image service is down\"
  weir kill-switch --all --adding --removing --reason \"we are looking\"
  weir kill-switch LON --adding --reason \"image service is down\" --dry-run   which groups that would hold
  weir kill-switch LON --lift")]
pub struct Args {
    /// The region
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    region: Option<String>,
    /// Every region
    #[arg(long)]
    all: bool,
    /// No server is added
    #[arg(long)]
    adding: bool,
    /// No server is removed
    #[arg(long)]
    removing: bool,
    /// Both are allowed again
    #[arg(long, conflicts_with_all = ["adding", "removing"], required_unless_present_any = ["adding", "removing"])]
    lift: bool,
    /// How long: `90s`, `1h30m`, `7d`
    #[arg(long = "for", value_name = "DURATION", conflicts_with_all = ["until", "lift"])]
    length: Option<Length>,
    /// Until when
    #[arg(long, value_name = "TIME", conflicts_with = "lift")]
    until: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", required_unless_present = "lift", default_value = "", hide_default_value = true)]
    reason: String,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Orders it, or says what it would hold.
pub async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let client = Client::open(global, &args.connect)?;
    let until = end(&client, args.length, args.until.as_deref()).await?;
    if args.dry_run {
        return dry_run(args, until, &client, output).await;
    }
    let mut body = Map::new();
    body.insert("region".into(), args.region.clone().unwrap_or_default().into());
    body.insert("adding".into(), args.adding.into());
    body.insert("removing".into(), args.removing.into());
    body.insert("reason".into(), args.reason.clone().into());
    until.map(|until| body.insert("until".into(), time::rfc3339(until).into()));
    let answer = client.order(Method::POST, &["v1", "kill-switch"], &[], &Value::Object(body)).await??;
    if output.json {
        output.object(&answer)?;
        return Ok(Exit::Done);
    }
    let (place, until) = (args.place(), words(until));
    output.line(&match args.stops() {
        Some(what) => format!("nothing is {what} in {place}{until}"),
        None => format!("adding and removing are allowed again in {place}"),
    })?;
    Ok(Exit::Done)
}

/// Prints each group that it would be about, and how far that group is from its target now.
async fn dry_run(args: &Args, until: Option<i64>, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let mut answer = client.get(&["v1", "groups"], &[]).await?;
    let all: Vec<GroupRow> = read(answer.get_mut("groups").map_or_else(|| json!([]), Value::take))?;
    let within = |row: &GroupRow| args.region.as_ref().is_none_or(|region| row.region == *region);
    let rows: Vec<GroupRow> = all.into_iter().filter(within).collect();
    if output.json {
        let groups: Vec<&str> = rows.iter().map(|row| row.group.as_str()).collect();
        output.object(&json!({
            "dry_run": true, "region": args.region.as_deref().unwrap_or_default(), "adding": args.adding,
            "removing": args.removing, "until": until.map(time::rfc3339), "groups": groups,
        }))?;
        return Ok(Exit::Done);
    }
    let (place, until) = (args.place(), words(until));
    let count = match rows.len() {
        0 => "no group there".to_owned(),
        1 => "one group there:".to_owned(),
        many => format!("{many} groups there:"),
    };
    output.line(&match args.stops() {
        Some(what) => format!("nothing would be {what} in {place}{until}; {count}"),
        None => format!("adding and removing would be allowed again in {place}; {count}"),
    })?;
    for GroupRow { group, region, target, ready, .. } in &rows {
        output.line(&format!("  {group}, {region}: {ready} ready of {target}"))?;
    }
    Ok(Exit::Done)
}

impl Args {
    fn place(&self) -> &str {
        self.region.as_deref().unwrap_or("every region")
    }

    fn stops(&self) -> Option<&'static str> {
        match (self.adding, self.removing) {
            (true, true) => Some("added or removed"),
            (true, false) => Some("added"),
            (false, true) => Some("removed"),
            (false, false) => None,
        }
    }
}

fn words(until: Option<i64>) -> String {
    let reader = Reader::on_day_of(WallClock.now_ms());
    until.map(|until| format!(" until {}", reader.minute(until))).unwrap_or_default()
}
