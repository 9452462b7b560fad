//! `weir run`: everything in one process, or one of the processes of a cluster; and a calm line for each decision.

use super::{
    Exit, Failure, Global, Output,
    client::{ADDRESS, Client},
    deploy::{self, Deployed, Parcel},
    journal,
    output::Tone,
    ticker::Ticker,
    timeline,
};
use crate::{
    backend,
    config::Config,
    run::{Error, Options, Process, Role, Roles},
    secret::{self, Fresh, Gate, local_token},
};
use reqwest::Url;
use secrecy::ExposeSecret;
use std::{
    fs,
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::broadcast::{self, error::RecvError},
};
use weir_engine::{decision::Decision, time};

/// Where URLs that were made while nobody looked on are kept, in the data folder.
const URLS: &str = "capability-urls";
/// How often partitions are asked whether they stand still.
const CHECK: Duration = Duration::from_secs(1);

/// Run everything in one process, or one process of a cluster
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir run policies/web.weir                 deploys the policy, and runs on a simulated cloud
  weir run --config /etc/weir/weir.toml      as configured; on a cluster, one of many
  weir run --role engine,executor            a part of it, over a log that others share
  curl -s localhost:8460/readyz              is it of use?

Ctrl-C ends it: what was begun is ended, and a second Ctrl-C does not wait for that.
On a terminal it prints decisions; elsewhere, and with --json, it writes a log of JSON lines.")]
pub struct Args {
    /// Policy files, and folders with policy files, to deploy where they are not in force yet
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Where to listen, in place of the configuration's address
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Whose the policies are; the configuration's first tenant where it is left out
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// What this process does, of what a cluster's processes do together; all of it where left out
    #[arg(long = "role", value_name = "ROLE", value_enum, value_delimiter = ',')]
    roles: Vec<Role>,
    /// Say more of what goes on inside
    #[arg(long, short)]
    verbose: bool,
}

/// Runs until it is told to stop.
pub async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let people = output.terminal && !output.json;
    journal::begin(people, args.verbose, output.colour);
    let mut signals = Signals::new()?;
    let mut config = global.config()?;
    config.listen = args.listen.unwrap_or(config.listen);
    let Some(parcels) = deploy::pack(&args.paths, output)? else { return Ok(Exit::Found) };
    let tenant = whose(&config, args.tenant.as_deref())?;

    let options = Options { roles: roles(args, &config)?, ..Options::default() };
    let process = Process::start(config.clone(), options).await.map_err(explained)?;
    let decisions = process.decisions();
    let announced = Announced::write(&config.data, process.address())?;
    greet(&process, &config, people, output)?;
    let ended = tokio::select! {
        ended = async {
            deploy_all(&process, &config, &tenant, &parcels, people, output).await?;
            watch(&process, decisions, people, output).await
        } => ended,
        () = signals.next() => Ok(()),
    };
    if people {
        output.line("\nending: what was begun is ended; Ctrl-C again ends at once")?;
    } else {
        tracing::info!("ending");
    }
    tokio::select! {
        () = process.stop() => {}
        () = signals.next() => std::process::exit(130),
    }
    drop(announced);
    ended.map(|()| Exit::Done)
}

/// What this process does.
fn roles(args: &Args, config: &Config) -> Result<Roles, Failure> {
    if args.roles.is_empty() {
        return Ok(Roles::default());
    }
    let roles: Roles = args.roles.iter().copied().collect();
    if !config.log.is_kafka() && !roles.are_all() {
        return Err(Failure::usage(format!(
            "`--role {roles}` leaves work to other processes, and the embedded log has none"
        ))
        .help("leave --role out, or configure `[log]` of kind `kafka` and `[store]` of kind `cassandra`"));
    }
    if !args.paths.is_empty() && !roles.have(Role::Api) {
        return Err(Failure::usage("a process without the role `api` deploys nothing")
            .help("add it to --role, or use `weir deploy`"));
    }
    Ok(roles)
}

/// Ctrl-C, and what a service manager sends.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on neither ends the process by itself.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::found(format!("no signals can be had: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The file that says where the door is, for as long as it is there.
pub struct Announced(PathBuf);

impl Announced {
    /// Writes it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(data: &Path, address: SocketAddr) -> Result<Self, Failure> {
        let path = data.join(ADDRESS);
        let write = fs::write(&path, format!("{address}\n"));
        write.map_err(|error| Failure::found(format!("`{}` cannot be written: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        // One that stays behind sends clients to where nobody answers, and they say so.
        let _ = fs::remove_file(&self.0);
    }
}

fn whose(config: &Config, tenant: Option<&str>) -> Result<String, Failure> {
    match tenant {
        Some(tenant) if config.tenant(tenant).is_none() => {
            Err(Failure::usage(format!("the configuration has no tenant `{tenant}`")))
        }
        Some(tenant) => Ok(tenant.to_owned()),
        None => Ok(config.tenants.first().map(|tenant| tenant.name.clone()).unwrap_or_default()),
    }
}

/// What cannot start, and what to do.
pub fn explained(error: Error) -> Failure {
    let failure = Failure::found(&error);
    match error {
        Error::Backend(backend::Error::InUse { .. }) => failure.help("stop it, or choose another folder with --data"),
        Error::Backend(backend::Error::Away(_)) => {
            failure.help("start it, or correct its addresses in `[log]` and `[store]`; then start this again")
        }
        Error::Listen { address, error } if error.kind() == io::ErrorKind::AddrInUse => {
            Failure::found(format!("`{address}` is in use by another program"))
                .help("stop it, or choose another address with --listen")
        }
        _ => failure,
    }
}

fn greet(process: &Process, config: &Config, people: bool, output: &mut Output) -> Result<(), Failure> {
    let (version, address, data) = (env!("CARGO_PKG_VERSION"), process.address(), config.data.display());
    let tokens = config.data.join(secret::FILE);
    if !people {
        tracing::info!(version, %address, data = %data, "serving");
        if !process.fresh().is_empty() {
            // A log is read by many; the tokens stay in the file that only its owner can read.
            tracing::info!(file = %tokens.display(), "tokens were made");
        }
        return Ok(());
    }
    output.line(&format!("weir {version} · http://{address} · data in {data} · Ctrl-C ends it\n"))?;
    if !process.fresh().is_empty() {
        output.line(&format!("Tokens, shown this once and kept in {}:", tokens.display()))?;
        for Fresh { tenant, gate, token } in process.fresh() {
            let what = match gate {
                Gate::Api => "Authorization: Bearer",
                Gate::Maas => "x-rackspace-webhook-token:",
            };
            output.line(&format!("  {tenant}  {what} {}", token.expose_secret()))?;
        }
        output.line("")?;
    }
    Ok(())
}

/// A client of this process itself.
pub fn own_client(process: &Process, config: &Config, tenant: &str) -> Result<Client, Failure> {
    let mut address = process.address();
    if address.ip().is_unspecified() {
        address.set_ip([127, 0, 0, 1].into());
    }
    let base = Url::parse(&format!("http://{address}")).map_err(Failure::found)?;
    let token = local_token(config, tenant).map_err(Failure::found)?;
    let token = token.ok_or_else(|| {
        Failure::usage(format!(
            "no administrator's token of tenant `{tenant}` is known here, so nothing can be deployed"
        ))
        .help("give the tenant a `token_file`, or deploy with `weir deploy --token-file`")
    })?;
    Client::new(base, token)
}

/// Deploys what is not in force yet. What the server refuses is said, and what was there before stays.
async fn deploy_all(
    process: &Process,
    config: &Config,
    tenant: &str,
    parcels: &[Parcel],
    people: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    if parcels.is_empty() {
        return Ok(());
    }
    let client = own_client(process, config, tenant)?;
    for parcel in parcels {
        if deploy::is_in_force(&client, parcel).await? {
            continue;
        }
        match deploy::send(&client, parcel, false).await? {
            Ok(answer) if people => drop(deploy::say(&client, parcel, &answer, false, output)?),
            Ok(answer) => {
                let deployed: Deployed = serde_json::from_value(answer).map_err(Failure::found)?;
                tracing::info!(policy = parcel.name, version = deployed.version, "deployed");
                keep_urls(&config.data, &client, &deployed)?;
            }
            Err(refusal) if people => deploy::refuse(parcel, &refusal, output)?,
            Err(refusal) => {
                let failure = Failure::from(refusal);
                tracing::error!(policy = parcel.name, reason = failure.message, "not deployed");
            }
        }
    }
    if people {
        output.line("")?;
    }
    Ok(())
}

/// A URL is a secret that is told once. Where nobody looks on it goes into a file of its owner's.
fn keep_urls(data: &Path, client: &Client, deployed: &Deployed) -> Result<(), Failure> {
    if deployed.capabilities.is_empty() {
        return Ok(());
    }
    let path = data.join(URLS);
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        for url in &deployed.capabilities {
            writeln!(file, "{} {} {}", url.group, url.rule, client.url(&url.path))?;
        }
        file.sync_all()
    };
    write().map_err(|error| Failure::found(format!("`{}` cannot be written: {error}", path.display())))?;
    tracing::info!(file = %path.display(), "URLs of `webhook` rules were made");
    Ok(())
}

/// Tells decisions, and partitions that stand still, until it is dropped.
async fn watch(
    process: &Process,
    mut decisions: broadcast::Receiver<Arc<Decision>>,
    people: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut ticker = Ticker::new(false);
    let mut check = tokio::time::interval(CHECK);
    let mut halted = Vec::new();
    loop {
        tokio::select! {
            decision = decisions.recv() => match decision {
                Ok(decision) if people => {
                    if let Some(line) = ticker.tell(&decision, output) {
                        output.line(&line)?;
                    }
                }
                Ok(decision) => {
                    journal::decision(&decision, &timeline::reason(&decision, &|at_ms| time::rfc3339(at_ms)));
                }
                Err(RecvError::Lagged(missed)) if people => output.line(&format!(" … {missed} decisions not shown"))?,
                Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "decisions not logged"),
                Err(RecvError::Closed) => return Ok(()),
            },
            _ = check.tick() => {
                for status in process.status() {
                    let Some(why) = status.not_ready().filter(|_| status.halted.is_some()) else { continue };
                    if !halted.contains(&status.partition) {
                        halted.push(status.partition);
                        if people {
                            output.line(&format!("{} {why}", output.paint(Tone::Bad, "error:")))?;
                            output.line("  = help: the API still answers; the log must be mended, or another build used")?;
                        }
                    }
                }
            }
        }
    }
}
