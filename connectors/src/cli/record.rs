//! `weir record`: an incident as a test, to stand in the policy from now on.

use super::{
    Exit, Failure, Global, Output,
    client::{Client, Connect},
    clock,
    export::Export,
    files,
    why::server_now,
};
use serde_json::json;
use std::path::PathBuf;
use weir_engine::{
    record::{Asked, Error, LEAD_MAX, Recording, record},
    time,
};

/// An export that is held in memory, at most so many bytes.
const EXPORT_MAX: usize = 1 << 30;

/// Turn what happened to a group into a test block that passes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir record web --from 03:05 --to 03:20 >> web.weir        the incident, as a test
  weir record web --from 03:05 --to 03:20 --events night.ndjson
  weir test web.weir                                         and it passes, for now

The test begins early enough for look-backs to be full. What was measured, alarms, events, forces and pauses become
given; changes, and what was held, become expected. Where a test cannot say something, or does something else than
was recorded, a comment in it says so: in a test servers are ready at once, and there is no past.

Exit codes: 0 done; 1 no test can be made; 2 the group was not there then; 3 could not reach the server.")]
pub struct Args {
    /// The group
    group: String,
    /// Where the stretch begins
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Where it ends
    #[arg(long, value_name = "TIME")]
    to: String,
    /// What `weir log export` wrote, in place of asking a server; `-` for the standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["server", "token_file"])]
    events: Option<PathBuf>,
    /// The policy that the test is for; the one that was in force then where it is left out
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    connect: Connect,
}

/// Asks or reads, makes the test, prints it.
pub async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let (export, from_ms, until_ms) = match &args.events {
        Some(path) => {
            let export = Export::open(path)?;
            // What is over, as seen from the end of the export.
            let last_ms = export.records.last().map_or_else(|| export.start.t(), |last| last.appended_ms);
            let (from_ms, until_ms) = stretch(args, last_ms)?;
            (export, from_ms, until_ms)
        }
        None => asked(args, global).await?,
    };
    let policy = args.policy.as_ref().map(|path| files::read(std::slice::from_ref(path))).transpose()?;
    let text = policy.as_ref().and_then(|sources| sources.first()).map(|source| source.text.as_str());
    let asked = Asked { stretch: export.stretch(), group: &args.group, from_ms, until_ms, text };
    let Recording { block, recorded, same, notes } = record(&asked).map_err(failed)?;
    if output.json {
        output.object(&json!({ "block": block, "recorded": recorded, "same": same, "notes": notes }))?;
    } else {
        // An empty line, since the block is mostly put behind what a file has already.
        output.text(&format!("\n{block}"))?;
    }
    Ok(Exit::Done)
}

fn stretch(args: &Args, now_ms: i64) -> Result<(i64, i64), Failure> {
    Ok((clock::past(&args.from, now_ms)?.from_ms, clock::past(&args.to, now_ms)?.from_ms))
}

/// The stretch and an hour before it, from the server.
async fn asked(args: &Args, global: &Global) -> Result<(Export, i64, i64), Failure> {
    let client = Client::open(global, &args.connect)?;
    let (from_ms, until_ms) = stretch(args, server_now(&client).await?)?;
    let from = time::rfc3339(from_ms.saturating_sub(LEAD_MAX.0));
    let query = [("from", from), ("to", time::rfc3339(until_ms)), ("group", args.group.clone())];
    let mut response = client.stream(&["v1", "log", "export"], &query).await?;
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() > EXPORT_MAX => {
                return Err(Failure::found("the stretch is too large to be a test").help("name a shorter one"));
            }
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => {
                let why = crate::http::causes(error);
                return Err(Failure::found(format!("the export broke off and is not whole: {why}")));
            }
        }
    }
    Ok((Export::read(&mut bytes.as_slice(), "the server's export")?, from_ms, until_ms))
}

fn failed(error: Error) -> Failure {
    match error {
        Error::NoGroup(_) | Error::Empty => Failure::usage(error),
        Error::Policy(_) => Failure::found(error).help("`weir check` says what is wrong with it"),
        Error::Halted(_) | Error::Unfit(_) => Failure::found(error),
    }
}
