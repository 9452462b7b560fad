//! `weir server`: one server of a group, by hand. Each says what came of it.

use super::{
    Exit, Failure, Global, Output,
    client::{Client, Connect},
    clock::Reader,
    orders::{end, read},
    output::Tone,
    timeline,
};
use crate::{
    clock::{Clock as _, WallClock},
    config::Length,
};
use reqwest::Method;
use serde_json::{Map, Value};
use weir_engine::{
    decision::{Decision, Verdict},
    time,
};

/// List a group's servers, or do something with one
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    after_help = "\
Examples:
  weir server list web
  weir server protect web web-3-1 --for 2h --reason \"a dump is running\"
  weir server remove web 3.1 --reason \"it swaps\"
  weir server remove web 3.1 --replace --reason \"an old kernel\"
  weir server detach web web-3-1 --reason \"to look at it in peace\"
  weir server adopt web 4c1d7e0a --reason \"it was made before Weir\"

A server is named by the cloud's id, its name, an address, or its slot; to adopt one, by the id.
Exit codes: 0 done, 1 it was held or refused."
)]
pub struct Server {
    #[command(subcommand)]
    deed: Deed,
}

#[derive(Debug, clap::Subcommand)]
enum Deed {
    /// Show a group's servers: slot, id, name, state
    List {
        /// The group
        group: String,
        #[command(flatten)]
        connect: Connect,
    },
    /// Keep scale-in from choosing a server; one that breaks is replaced all the same
    Protect {
        #[command(flatten)]
        whom: Whom,
        /// How long: `90s`, `1h30m`, `7d`; until it is taken back where it is left out
        #[arg(long = "for", value_name = "DURATION", conflicts_with = "until")]
        length: Option<Length>,
        /// Until when
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
    },
    /// Take a protection back
    Unprotect {
        #[command(flatten)]
        whom: Whom,
    },
    /// Drain and delete a server; the target falls by one
    Remove {
        #[command(flatten)]
        whom: Whom,
        /// Another server takes its place, and the target stays
        #[arg(long)]
        replace: bool,
    },
    /// Let a server go: out of its balancers, no longer the group's, and running on; the target falls by one
    Detach {
        #[command(flatten)]
        whom: Whom,
        /// Another server takes its place, and the target stays
        #[arg(long)]
        replace: bool,
    },
    /// Take a running server in that is nobody's; the target rises by one, and from then on it is as any other
    Adopt {
        #[command(flatten)]
        whom: Whom,
    },
}

#[derive(Debug, clap::Args)]
struct Whom {
    /// The group
    group: String,
    /// The server
    #[arg(value_name = "SERVER")]
    named: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    connect: Connect,
}

/// Does it.
pub async fn run(args: &Server, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let (word, whom, replace) = match &args.deed {
        Deed::List { group, connect } => return list(group, &Client::open(global, connect)?, output).await,
        Deed::Protect { whom, .. } => ("protect", whom, false),
        Deed::Unprotect { whom } => ("unprotect", whom, false),
        Deed::Remove { whom, replace } => ("remove", whom, *replace),
        Deed::Detach { whom, replace } => ("detach", whom, *replace),
        Deed::Adopt { whom } => ("adopt", whom, false),
    };
    let client = Client::open(global, &whom.connect)?;
    let mut body = Map::new();
    body.insert("reason".into(), whom.reason.clone().into());
    if let Deed::Protect { length, until, .. } = &args.deed {
        let until = end(&client, *length, until.as_deref()).await?;
        until.map(|until| body.insert("until".into(), time::rfc3339(until).into()));
    }
    if replace {
        body.insert("replace".into(), true.into());
    }
    let path = ["v1", "groups", &whom.group, "servers", &whom.named, word];
    let answer = client.order(Method::POST, &path, &[], &Value::Object(body)).await??;
    let decision: Option<Decision> =
        answer.get("decision").filter(|decision| !decision.is_null()).cloned().map(read).transpose()?;
    if output.json {
        output.object(&answer)?;
    } else {
        output.line(&match (&decision, answer.get("note").and_then(Value::as_str)) {
            (Some(decision), _) => told(decision),
            (None, Some(note)) => format!("the order is {note}"),
            (None, None) => format!("{} is as it was", whom.group),
        })?;
    }
    Ok(match decision.map(|decision| decision.outcome) {
        Some(Verdict::Held { .. } | Verdict::Refused { .. }) => Exit::Found,
        Some(Verdict::Changed { .. } | Verdict::Still | Verdict::Missed { .. }) | None => Exit::Done,
    })
}

fn told(decision: &Decision) -> String {
    let reader = Reader::on_day_of(decision.at);
    let reason = timeline::reason(decision, &|at_ms| reader.second(at_ms));
    let (group, from, to) = (&decision.group, decision.from, decision.to);
    if from == to { format!("{group} stays at {to}: {reason}") } else { format!("{group}: {from} → {to}, {reason}") }
}

async fn list(group: &str, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let answer = client.get(&["v1", "groups", group, "servers"], &[]).await?;
    let rows = answer.get("servers").and_then(Value::as_array).cloned().unwrap_or_default();
    if output.json {
        rows.iter().try_for_each(|row| output.object(row))?;
        return Ok(Exit::Done);
    }
    let reader = Reader::on_day_of(WallClock.now_ms());
    let mut cells = vec![["SLOT", "STATE", "SINCE", "SERVER", "NAME", "ADDRESS", ""].map(str::to_owned)];
    cells.extend(rows.iter().map(|row| cell(row, &reader)));
    let widths: Vec<usize> = (0..7)
        .map(|column| {
            cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    for (at, row) in cells.iter().enumerate() {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let line = line.join("  ");
        let line = line.trim_end();
        output.line(&if at == 0 { output.paint(Tone::Faint, line) } else { line.to_owned() })?;
    }
    Ok(Exit::Done)
}

fn cell(row: &Value, reader: &Reader) -> [String; 7] {
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |name: &str| row.get("slot").and_then(|slot| slot.get(name)).and_then(Value::as_u64);
    let slot = number("serial").zip(number("incarnation")).map(|(serial, tried)| format!("{serial}.{tried}"));
    let since = time::parse_rfc3339(&text("since")).map(|at_ms| reader.minute(at_ms)).unwrap_or_default();
    let address = row.get("addresses").and_then(|all| all.get(0)).and_then(Value::as_str).unwrap_or_default();
    let protected = row.get("protected").and_then(Value::as_bool).unwrap_or(false);
    let note = if protected { "protected".to_owned() } else { text("detail") };
    [slot.unwrap_or_default(), text("state"), since, text("server"), text("name"), address.to_owned(), note]
}
