//! `weir move`: carries an installation to another log and store, or to another number of partitions, while nothing of it runs.

use super::{Exit, Failure, Global, Output, run, setup};
use crate::{
    backend::Backend,
    config::{Cloud, Config},
    moving::{self, Carried, Counts, Error, Moved, carry},
};
use serde_json::json;
use std::{path::PathBuf, sync::Arc};
use tokio::task::spawn_blocking;

/// Carry a stopped installation to another log and store, or to another number of partitions
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir move --to cluster.toml --dry-run      what would be carried
  weir move --to cluster.toml                from the embedded log to Kafka, which it names
  weir move --config 16.toml --to 64.toml    to another `prefix`, with more partitions
  weir move --give-up                        after a move that broke off and is not to be repeated

Stop every process first, with SIGTERM. Groups keep their uids, sizes, generations, servers and all that their rules remember;
policies, URLs of rules, feeds' places, ledgers and kill switches go along. The history of decisions stays in the old store. What
breaks off is repeated with the same words until it is done; until then neither installation starts, and from then on the old one
never again.
Exit codes: 0 done, 1 refused, and nothing was carried.")]
pub struct Args {
    /// The configuration of where it is carried to
    #[arg(long, value_name = "FILE", required_unless_present = "give_up")]
    to: Option<PathBuf>,
    /// Say what would be carried, and write nothing
    #[arg(long, requires = "to")]
    dry_run: bool,
    /// Take a move back that broke off: the installation stays where it was
    #[arg(long, conflicts_with = "to")]
    give_up: bool,
}

/// Reads one installation, writes the other.
pub async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let from = global.config()?;
    let old = crate::run::open(&from).await.map_err(run::explained)?;
    let Some(path) = &args.to else {
        spawn_blocking(move || moving::give_up(&*old)).await.map_err(Failure::found)?.map_err(explained)?;
        output.line("given up: the installation is where it was; next: weir run")?;
        return Ok(Exit::Done);
    };
    let to = Config::load(Some(path)).map_err(Failure::usage)?;
    let shown = path.display().to_string();
    let moved = if args.dry_run { plan(old, from, to).await? } else { go(old, from, to, shown.clone()).await? };
    if output.json {
        let carried = match &moved {
            Moved::Done(counts) => Some(counts),
            Moved::Before => None,
        };
        output.object(&json!({ "to": shown, "dry_run": args.dry_run, "carried": carried }))?;
        return Ok(Exit::Done);
    }
    output.line(&match &moved {
        Moved::Done(counts) if args.dry_run => format!("would be carried: {counts}"),
        Moved::Done(counts) => format!("carried: {counts}"),
        Moved::Before => "it was carried there before".to_owned(),
    })?;
    if !args.dry_run {
        output.line(&format!("next: weir run --config {shown}, and the old configuration never again"))?;
    }
    Ok(Exit::Done)
}

async fn plan(old: Arc<dyn Backend>, from: Config, to: Config) -> Result<Moved, Failure> {
    let planned = spawn_blocking(move || -> Result<Counts, Error> {
        let carried = Carried::take(&*old, names(&from))?;
        must_suit(&carried, &from, &to)?;
        carried.counts()
    });
    planned.await.map_err(Failure::found)?.map(Moved::Done).map_err(explained)
}

async fn go(old: Arc<dyn Backend>, from: Config, to: Config, shown: String) -> Result<Moved, Failure> {
    if !from.log.is_kafka() && !to.log.is_kafka() && from.data == to.data {
        return Err(Failure::usage("both configurations name the same data folder").help("name another in one of them"));
    }
    if to.log.is_kafka() {
        setup::make(&to).await?;
    }
    let new = crate::run::open(&to).await.map_err(run::explained)?;
    let moved = spawn_blocking(move || {
        let known: Vec<String> = names(&from).collect();
        carry(&*old, &*new, &shown, &known, &|carried| must_suit(carried, &from, &to))
    });
    moved.await.map_err(Failure::found)?.map_err(explained)
}

fn names(config: &Config) -> impl Iterator<Item = String> + '_ {
    config.tenants.iter().map(|tenant| tenant.name.clone())
}

/// In words, with what to do.
pub fn explained(error: Error) -> Failure {
    match error {
        Error::Backend(error) => run::explained(error.into()),
        Error::Refused(why) => Failure::found(why),
    }
}

/// Refuses a configuration in which tenants would find no door, or their servers no cloud.
fn must_suit(carried: &Carried, from: &Config, to: &Config) -> Result<(), Error> {
    must_know(carried, to)?;
    for (tenant, region) in carried.regions()? {
        let (old, new) = (from.cloud(&tenant, &region), to.cloud(&tenant, &region));
        let place = |config: &Config, cloud: Option<&Cloud>| cloud.map(|cloud| place(config, cloud));
        if place(from, old) != place(to, new) {
            return Err(Error::Refused(format!(
                "tenant `{tenant}` has servers in region `{region}`, and both configurations do not name the same cloud for it: \
                 give it the same `[[cloud]]` in both, a simulated one with the same `file`"
            )));
        }
    }
    Ok(())
}

/// Refuses a configuration that does not know all tenants.
///
/// # Errors
/// Names them.
pub fn must_know(carried: &Carried, config: &Config) -> Result<(), Error> {
    let missing: Vec<&str> = carried.tenants().into_iter().filter(|name| config.tenant(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join("`, `");
    Err(Error::Refused(format!("the new configuration has no `[[tenant]]` named `{missing}`: add it there first")))
}

/// Where a cloud is: a simulated one in its file, another at its address.
fn place(config: &Config, cloud: &Cloud) -> String {
    let file = cloud.simulated.as_ref().and_then(|settings| settings.file.clone());
    match &cloud.auth_url {
        Some(url) => url.clone(),
        None => {
            let path = file.unwrap_or_else(|| config.data.clone());
            // The same file by two ways is the same file; one that is not there is no other's.
            path.canonicalize().unwrap_or(path).display().to_string()
        }
    }
}
