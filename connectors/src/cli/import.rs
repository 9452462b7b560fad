//! `weir log import`: a new installation that begins where exports end.

use super::{
    Exit, Failure, Global, Output,
    export::Export,
    moving::{explained, must_know},
    run, setup,
};
use crate::{
    moving::{Carried, Moved, begin},
    worker,
};
use serde_json::json;
use std::path::PathBuf;
use tokio::task::spawn_blocking;
use weir_engine::{
    id::Position,
    partition::{Effects, Partition},
};

/// Begin a new installation where exports end, without their servers
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir log import acme.ndjson beta.ndjson --dry-run
  weir log import acme.ndjson --config new.toml

Each file is one tenant's, as `weir log export --tenant NAME` wrote it, from an embedded log or from Kafka. Its records are run
through the engine again, and the new log, embedded or in Kafka, begins with the state at their end: policies, sizes, generations
and what rules remember. Servers stay with the installation that has them: this one makes its own as soon as it runs, so give it
another cloud. `weir move` carries an installation with its servers. What breaks off is repeated with the same words.
Exit codes: 0 done, 1 refused, and nothing was begun.")]
pub struct Args {
    /// What `weir log export` wrote, one file a tenant; `-` for the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Say what would be begun, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Reads, replays, begins.
pub async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let config = global.config()?;
    let (mut carried, mut read, mut records) = (Carried::default(), Vec::new(), 0);
    for file in &args.files {
        let export = Export::open(file)?;
        let (tenant, until) = (&export.header.tenant, export.header.until);
        if carried.tenants().contains(tenant.as_str()) {
            let shown = file.display();
            return Err(Failure::usage(format!("`{shown}` is of tenant `{tenant}`, as a file before it")));
        }
        read.push(format!(
            "`{tenant}` of the log `{}` up to {}:{until}",
            export.header.log_id, export.header.partition
        ));
        records += export.records.len();
        let state = end(&export).map_err(|why| Failure::found(format!("`{}`: {why}", file.display())))?;
        let Effects { commands, rows, .. } = state.told();
        carried.commands.extend(commands);
        let mut newest = worker::Rows::default();
        newest.extend(rows);
        carried.views.extend(newest.into_views());
        carried.states.push(state);
    }
    carried.of = format!("exports of {}", read.join(", "));
    must_know(&carried, &config).map_err(explained)?;
    let begun = if args.dry_run {
        Moved::Done(carried.counts().map_err(explained)?)
    } else {
        if config.log.is_kafka() {
            setup::make(&config).await?;
        }
        let new = crate::run::open(&config).await.map_err(run::explained)?;
        spawn_blocking(move || begin(&*new, &carried)).await.map_err(Failure::found)?.map_err(explained)?
    };
    if output.json {
        let counts = match &begun {
            Moved::Done(counts) => Some(counts),
            Moved::Before => None,
        };
        output.object(&json!({ "dry_run": args.dry_run, "records": records, "begun": counts }))?;
        return Ok(Exit::Done);
    }
    output.line(&match &begun {
        Moved::Done(counts) if args.dry_run => format!("would begin after {records} records, with {counts}"),
        Moved::Done(counts) => format!("begun after {records} records, with {counts}; next: weir run"),
        Moved::Before => "it was begun with these before; next: weir run".to_owned(),
    })?;
    Ok(Exit::Done)
}

/// The tenant's state after the last record, without its servers.
fn end(export: &Export) -> Result<Partition, String> {
    let Export { header, start, records } = export;
    let mut state = start.only(&header.tenant).map_err(|damaged| damaged.to_string())?;
    for record in records {
        let at = Position { partition: header.partition, offset: record.offset };
        state.step(record).map_err(|halt| format!("record `{at}`: {halt}"))?;
    }
    state.without_servers(&format!("import of {}", header.log_id)).map_err(|damaged| damaged.to_string())
}
