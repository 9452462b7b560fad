//! `weir log`: a stretch of the log as a file that stands alone, and a new log that begins where such files end.

use super::{
    Exit, Failure, Global, Output,
    client::{Client, Connect},
    clock, import,
    why::server_now,
};
use clap::Subcommand;
use weir_engine::time;

/// Take a stretch of the log out, to replay it elsewhere; or begin a new log with it
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Export(Export),
    Import(import::Args),
}

/// Write records and decisions to the standard output, a line each, with the state before the first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir log export > all.ndjson
  weir log export --group web --from 02:00 --to 04:00 > night.ndjson
  weir log export --from 0:188213            from a position on, as `weir why` names it

It holds the tenant's policies and facts, and nothing of other tenants. `weir replay` reads it.")]
struct Export {
    /// Only this group's decisions; the tenant's records are all there, since groups share them
    #[arg(long)]
    group: Option<String>,
    /// The first record: a time, or a position
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// What is no longer in it: a time, or a position
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

/// Asks and passes on.
pub async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let export = match &args.what {
        What::Export(export) => export,
        What::Import(import) => return import::run(import, global, output).await,
    };
    let client = Client::open(global, &export.connect)?;
    let mut query = Vec::new();
    for (name, bound) in [("from", &export.from), ("to", &export.to)] {
        if let Some(text) = bound {
            query.push((name, edge(&client, text).await?));
        }
    }
    query.extend(export.group.iter().map(|group| ("group", group.clone())));
    let mut response = client.stream(&["v1", "log", "export"], &query).await?;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => output.bytes(&chunk)?,
            Ok(None) => return Ok(Exit::Done),
            Err(error) => {
                let why = crate::http::causes(error);
                return Err(Failure::found(format!("the export broke off and is not whole: {why}")));
            }
        }
    }
}

/// A position as it is, a time as the server reads it. `02:00` is a time, `2:00` a position.
async fn edge(client: &Client, text: &str) -> Result<String, Failure> {
    let digits = |part: &str, least: usize| part.len() >= least && part.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((partition, offset)) = text.split_once(':')
        && digits(partition, 1)
        && digits(offset, 1)
        && !(partition.len() == 2 && offset.len() == 2)
    {
        return Ok(text.to_owned());
    }
    Ok(time::rfc3339(clock::past(text, server_now(client).await?)?.from_ms))
}
