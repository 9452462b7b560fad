//! `weir demo`: a shop's busiest day in a minute, through the real door, log, engine and executors, on a simulated cloud.
//!
//! The clock of the process is moved by hand, a minute of the day at a time: the load of the minute is posted, what came
//! of it is told, and the next minute begins when the wall says so. So a slow machine makes the day longer, and not
//! another one.

use super::{
    Exit, Failure, Global, Output,
    client::Client,
    clock::{self, Reader},
    deploy::{self, Parcel},
    files::Source,
    journal,
    load::{self, DAY},
    run::{Announced, Signals, explained, own_client},
    stage::Stage,
    ticker::Ticker,
};
use crate::{
    clock::{Clock, HeldClock},
    config::{Config, Length},
    executor::simulated,
    run::{Error, Options, Process},
};
use chrono::{Local, NaiveDate, TimeZone};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::broadcast::error::TryRecvError;
use weir_engine::{decision::Verdict, grammar::schedule::Zone, id::GroupUid, time, view::GroupRow};

/// What is deployed.
const POLICY: &str = include_str!("../../../policies/demo.weir");
/// Its name on the server.
const NAME: &str = "demo.weir";
/// The zone that the policy names, which becomes the reader's.
const ZONE: &str = "timezone \"UTC\"";
/// A minute of the day, milliseconds.
const MINUTE_MS: i64 = 60_000;
/// The door where nothing else is there yet.
const TENANT: &str = "default";
/// Executors look this often while servers are built, in the day's time.
const LOOK: Length = Length::seconds(20);
/// The log may lag by a step of the clock; executors act all the same.
const LIVE_MS: i64 = 3 * MINUTE_MS;

/// Watch a simulated day, and ask about it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir demo                                  a day in a minute; then ask: weir why web --at 14:12
  weir demo --seconds 300                    more slowly
  weir demo --exit                           end with the day

Everything is real but the cloud and the clock. Meanwhile, in another terminal:
  weir status
  weir force web surge")]
pub struct Args {
    /// How long the day takes
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// How many times as fast as the wall, in place of --seconds
    #[arg(long, value_name = "TIMES", conflicts_with = "seconds", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    speed: Option<u32>,
    /// End with the day, in place of serving on
    #[arg(long)]
    exit: bool,
    /// Where to listen; a free port where this one is taken
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

/// Runs the day, and serves on.
pub async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    journal::begin(true, false, output.colour);
    let mut signals = Signals::new()?;
    let stage = Stage::set(global.data.as_deref())?;
    let day = Day::begin(args);
    let config = configured(args, &stage);
    let process = start(config.clone(), &day, args.listen.is_none()).await?;
    let announced = Announced::write(stage.path(), process.address())?;
    let mut show = Show::open(&process, &config, day, stage.path().to_owned(), stage.is_usual())?;
    let ended = tokio::select! {
        ended = show.run(args.exit, output) => ended,
        () = signals.next() => Ok(()),
    };
    drop(show);
    tokio::select! {
        () = process.stop() => {}
        () = signals.next() => std::process::exit(130),
    }
    drop(announced);
    drop(stage);
    ended.map(|()| Exit::Done)
}

/// The simulated day: its clock, and how fast it goes.
#[derive(Clone, Debug)]
struct Day {
    clock: HeldClock,
    begins_ms: i64,
    /// A minute of it takes so long.
    minute: Duration,
    /// In which its schedules are read.
    zone: String,
}

impl Day {
    fn begin(args: &Args) -> Self {
        // The last Friday of November, by the reader's clock.
        let date = NaiveDate::from_ymd_opt(2026, 11, 27).unwrap_or_default();
        let midnight = date.and_hms_opt(0, 0, 0).unwrap_or_default();
        let local = Local.from_local_datetime(&midnight).earliest();
        let begins_ms = local.map_or(midnight.and_utc().timestamp_millis(), |at| at.timestamp_millis());
        let minute = match args.speed {
            Some(speed) => Duration::from_secs(60) / speed,
            None => Duration::from_secs(u64::from(args.seconds)) / DAY,
        };
        Self { clock: HeldClock::at(begins_ms), begins_ms, minute, zone: zone(begins_ms) }
    }
}

/// The reader's zone by name, where it can be had; schedules then open when the reader's clock says so.
fn zone(at_ms: i64) -> String {
    // As chrono asks: the environment first, then the machine.
    let named = std::env::var("TZ").ok().map(|name| name.trim_start_matches(':').to_owned());
    let name = named.filter(|name| !name.is_empty()).or_else(|| iana_time_zone::get_timezone().ok());
    let same = |zone: &Zone| {
        let local = Local.timestamp_millis_opt(at_ms).single();
        local.is_some_and(|local| local.naive_local() == zone.local(at_ms))
    };
    let zone = name.and_then(|name| Zone::parse(&name)).filter(same);
    zone.map_or("UTC", Zone::name).to_owned()
}

fn configured(args: &Args, stage: &Stage) -> Config {
    let mut config = Config::default();
    config.data = stage.path().to_owned();
    config.listen = args.listen.unwrap_or(config.listen);
    config.tenants = vec![crate::config::Tenant::named(TENANT)];
    let mut cloud = crate::config::Cloud::simulated(TENANT);
    cloud.simulated = Some(simulated::Settings { build_ms: (70_000, 160_000), ..simulated::Settings::default() });
    config.clouds = vec![cloud];
    config.executor.look = LOOK;
    config
}

/// Starts; on another port where the usual one is taken and nobody asked for it.
async fn start(mut config: Config, day: &Day, anywhere: bool) -> Result<Process, Failure> {
    let options = Options { clock: Arc::new(day.clock.clone()), live_ms: LIVE_MS, ..Options::default() };
    match Process::start(config.clone(), options.clone()).await {
        Err(Error::Listen { error, .. }) if anywhere && error.kind() == io::ErrorKind::AddrInUse => {
            config.listen.set_port(0);
            Process::start(config, options).await.map_err(explained)
        }
        started => started.map_err(explained),
    }
}

/// The demonstration under way.
struct Show<'a> {
    process: &'a Process,
    client: Client,
    day: Day,
    decisions: tokio::sync::broadcast::Receiver<Arc<weir_engine::decision::Decision>>,
    ticker: Ticker,
    uids: BTreeMap<String, GroupUid>,
    /// The servers whose alarms were raised.
    alarmed: Vec<String>,
    /// When a wish was held last, to ask about.
    example: Option<i64>,
    data: PathBuf,
    usual: bool,
}

impl<'a> Show<'a> {
    fn open(process: &'a Process, config: &Config, day: Day, data: PathBuf, usual: bool) -> Result<Self, Failure> {
        let client = own_client(process, config, TENANT)?;
        let decisions = process.decisions();
        let (ticker, uids, alarmed) = (Ticker::new(true), BTreeMap::new(), Vec::new());
        Ok(Self { process, client, day, decisions, ticker, uids, alarmed, example: None, data, usual })
    }

    async fn run(&mut self, exit: bool, output: &mut Output) -> Result<(), Failure> {
        let (version, address) = (env!("CARGO_PKG_VERSION"), self.process.address());
        let seconds = (self.day.minute * DAY).as_secs_f64().round();
        if !output.json {
            let day = format!("a simulated day in {seconds} seconds");
            output.line(&format!("weir {version} · {day} · http://{address} · Ctrl-C ends it\n"))?;
        }
        self.deploy().await?;
        let began = Instant::now();
        for minute in 0..DAY {
            self.minute(minute).await?;
            self.tell(output)?;
            tokio::time::sleep((self.day.minute * (minute + 1)).saturating_sub(began.elapsed())).await;
            self.day.clock.pass(MINUTE_MS);
        }
        self.sum_up(output)?;
        if exit {
            return Ok(());
        }
        self.invite(output)?;
        self.go_on(output).await
    }

    async fn deploy(&self) -> Result<(), Failure> {
        let text = POLICY.replace(ZONE, &format!("timezone \"{}\"", self.day.zone));
        let source = Source { path: NAME.into(), shown: NAME.into(), text };
        let parcel = Parcel { source, name: NAME.to_owned(), setup: BTreeMap::new() };
        deploy::send(&self.client, &parcel, false).await?.map_err(Failure::from)?;
        Ok(())
    }

    /// A minute of the day: what monitoring says, and until the engine has heard it.
    async fn minute(&mut self, minute: u32) -> Result<(), Failure> {
        for uid in self.uids.values() {
            self.process.executor().look(*uid);
        }
        let servers = self.servers().await?;
        let at = time::rfc3339(self.day.clock.now_ms());
        let mut samples: Vec<Value> = servers
            .iter()
            .enumerate()
            .map(|(index, server)| {
                let percent = (load::cpu(minute % DAY, index, servers.len()) * 10.0).round() / 10.0;
                json!({ "metric": "cpu.usage", "value": percent, "server": server, "at": at })
            })
            .collect();
        samples.push(json!({ "metric": "queue.depth", "value": load::queue(minute % DAY).round(), "at": at }));
        let mut position = self.post(&["v1", "samples"], &json!({ "samples": samples })).await?;
        if let Some(alerts) = self.alerts(minute % DAY, &servers, &at) {
            let body = json!({ "version": "4", "status": "firing", "alerts": alerts });
            position = self.post(&["v1", "alarms", "alertmanager"], &body).await?.or(position);
        }
        let after: Vec<(&str, String)> = position.map(|position| ("after", position)).into_iter().collect();
        let answer = self.client.get(&["v1", "groups"], &after).await?;
        for row in answer.get("groups").and_then(Value::as_array).into_iter().flatten() {
            if let Ok(row) = serde_json::from_value::<GroupRow>(row.clone()) {
                self.uids.insert(row.group, row.uid);
            }
        }
        Ok(())
    }

    /// The names of the web servers that take their part.
    async fn servers(&self) -> Result<Vec<String>, Failure> {
        if !self.uids.contains_key(load::WEB) {
            return Ok(Vec::new());
        }
        let answer = self.client.get(&["v1", "groups", load::WEB, "servers"], &[]).await?;
        let rows = answer.get("servers").and_then(Value::as_array).into_iter().flatten();
        let ready = rows.filter(|row| row.get("state").and_then(Value::as_str) == Some("ready"));
        Ok(ready.filter_map(|row| row.get("name")?.as_str().map(str::to_owned)).collect())
    }

    /// Alerts that begin or end at this minute.
    fn alerts(&mut self, minute: u32, servers: &[String], at: &str) -> Option<Vec<Value>> {
        let failing = load::failing(minute);
        if (failing > 0) != self.alarmed.is_empty() {
            return None;
        }
        let alert = |server: &String, status: &str| {
            json!({ "status": status, "labels": { "alertname": "web-5xx", "severity": "critical", "server_id": server },
                "annotations": { "summary": "too many answers are 5xx" }, "startsAt": at, "endsAt": at,
                "fingerprint": server })
        };
        if failing > 0 {
            self.alarmed = servers.iter().take(failing).cloned().collect();
            return Some(self.alarmed.iter().map(|server| alert(server, "firing")).collect());
        }
        Some(std::mem::take(&mut self.alarmed).iter().map(|server| alert(server, "resolved")).collect())
    }

    /// Posts facts; answers their position.
    async fn post(&self, path: &[&str], body: &Value) -> Result<Option<String>, Failure> {
        let answer = self.client.order(Method::POST, path, &[], body).await?.map_err(Failure::from)?;
        Ok(answer.get("position").and_then(Value::as_str).map(str::to_owned))
    }

    fn tell(&mut self, output: &mut Output) -> Result<(), Failure> {
        loop {
            let decision = match self.decisions.try_recv() {
                Ok(decision) => decision,
                Err(TryRecvError::Lagged(_)) => continue,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(()),
            };
            if let Some(line) = self.ticker.tell(&decision, output) {
                if matches!(decision.outcome, Verdict::Held { .. }) && decision.group == load::WEB {
                    self.example = Some(decision.at);
                }
                if output.json {
                    output.object(&*decision)?;
                } else {
                    output.line(&line)?;
                }
            }
        }
    }

    fn sum_up(&mut self, output: &mut Output) -> Result<(), Failure> {
        let (were, fixed) = self.ticker.server_hours(self.day.begins_ms + i64::from(DAY) * MINUTE_MS);
        let Ticker { changes, held, missed, .. } = self.ticker;
        if output.json {
            return Ok(output.object(&json!({ "changes": changes, "held": held, "missed": missed,
                "server_hours": were.round(), "server_hours_fixed": fixed.round() }))?);
        }
        let (were, fixed) = (were.round(), fixed.round());
        output.line(&format!(
            " 24:00  {changes} changes · {held} held · {missed} missed · {were} server-hours, {fixed} if fixed at the peak"
        ))?;
        Ok(())
    }

    fn invite(&self, output: &mut Output) -> Result<(), Failure> {
        let Some(at_ms) = self.example.filter(|_| !output.json) else { return Ok(()) };
        let at = Reader::on_day_of(self.day.begins_ms).minute(at_ms);
        let data = if self.usual { String::new() } else { format!(" --data {}", self.data.display()) };
        output.line(&format!("\nAsk about any line:  weir why {} --at {at}{data}", load::WEB))?;
        output.line(&format!("It serves on, times in {}; Ctrl-C ends it.", clock::zone(at_ms)))?;
        Ok(())
    }

    /// The next day, as slowly as days go, so that one can ask and force.
    async fn go_on(&mut self, output: &mut Output) -> Result<(), Failure> {
        const TICK: Duration = Duration::from_millis(250);
        let mut said = Instant::now();
        self.ticker = Ticker::new(true);
        for minute in DAY.. {
            self.minute(minute).await?;
            for _ in 0..240 {
                tokio::time::sleep(TICK).await;
                let passed = said.elapsed();
                said += passed;
                self.day.clock.pass(i64::try_from(passed.as_millis()).unwrap_or(0));
                self.tell(output)?;
            }
        }
        Ok(())
    }
}
