//! The command line: `weir` as a person or a script meets it.
//!
//! `main` calls [`main`] and nothing else does. Each command is a file of its own that takes its arguments, does its
//! work through the other rooms, and answers an [`Exit`] or a [`Failure`]. A command must never print a stack, a token
//! (but once, on a terminal, at the first run) or a lone code; `--json` is one object a line.

use crate::config::Config;
use clap::{CommandFactory, Parser, Subcommand};
use std::{future::Future, path::PathBuf, pin::Pin, process::ExitCode, time::Duration};
use tokio::runtime::Builder;

mod backtest;
mod check;
mod client;
mod clock;
mod demo;
mod deploy;
mod doctor;
mod export;
mod failure;
mod files;
mod import;
mod journal;
mod junit;
mod kill_switch;
mod load;
mod log;
mod moving;
mod orders;
mod output;
mod overrides;
mod record;
mod rehearsal;
mod replay;
mod run;
mod servers;
mod setup;
mod skip;
mod stage;
mod status;
mod stretch;
mod test;
mod ticker;
mod timeline;
mod upgrade;
mod walk;
mod why;

pub use failure::{Exit, Failure};
pub use output::Output;

/// Weir scales groups of servers by rules that one can read, test and ask why.
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  weir demo                                  a simulated day in a minute
  weir check policies/                       what is wrong with the policies, as a compiler says it
  weir test policies/web.weir                run the tests that stand in the file
  weir run policies/web.weir                 everything in one process, with a simulated cloud
  weir why web --at 09:20                    which rule fired or was nearest to firing, and what held it

Exit codes: 0 done, 1 found something, 2 wrong usage, 3 could not reach the server."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Print JSON, one object a line, with times in UTC and ids whole
    #[arg(long, global = true)]
    pub json: bool,
    /// The configuration; `weir.toml` in this folder where it is left out and there is one
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data folder, in place of the configuration's
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl Global {
    /// The configuration, with the data folder as the command line has it.
    ///
    /// # Errors
    /// Where the file cannot be read or says something wrong.
    pub fn config(&self) -> Result<Config, Failure> {
        let mut config = Config::load(self.config.as_deref()).map_err(Failure::usage)?;
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        Ok(config)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Run(run::Args),
    Setup(setup::Args),
    Doctor(doctor::Args),
    Move(moving::Args),
    Check(check::Args),
    Test(test::Args),
    Deploy(deploy::Args),
    Status(status::Args),
    Why(why::Args),
    Force(orders::Force),
    Pause(orders::Pause),
    Resume(orders::Resume),
    Override(overrides::Override),
    Remove(orders::Remove),
    Server(servers::Server),
    KillSwitch(kill_switch::Args),
    Skip(skip::Args),
    Upgrade(upgrade::Args),
    Log(log::Args),
    Replay(replay::Args),
    Backtest(backtest::Args),
    Record(record::Args),
    /// Print the completions of a shell
    #[command(after_help = "\
Examples:
  weir completions bash > ~/.local/share/bash-completion/completions/weir
  weir completions zsh > ~/.zfunc/_weir")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut output = Output::standard(cli.global.json);
    match obey(cli, &mut output) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.fail(&failure);
            failure.exit.into()
        }
    }
}

fn obey(cli: Cli, output: &mut Output) -> Result<Exit, Failure> {
    let Cli { global, command } = cli;
    match command {
        Command::Demo(args) => wait(true, demo::run(&args, &global, output)),
        Command::Run(args) => wait(true, run::run(&args, &global, output)),
        Command::Setup(args) => wait(false, setup::run(&args, &global, output)),
        Command::Doctor(args) => wait(false, doctor::run(&args, &global, output)),
        Command::Move(args) => wait(false, moving::run(&args, &global, output)),
        Command::Check(args) => check::run(&args, output),
        Command::Test(args) => test::run(&args, output),
        Command::Deploy(args) => wait(false, deploy::run(&args, &global, output)),
        Command::Status(args) => wait(false, status::run(&args, &global, output)),
        Command::Why(args) => wait(false, why::run(&args, &global, output)),
        Command::Force(args) => wait(false, orders::force(&args, &global, output)),
        Command::Pause(args) => wait(false, orders::pause(&args, &global, output)),
        Command::Resume(args) => wait(false, orders::resume(&args, &global, output)),
        Command::Override(args) => wait(false, overrides::run(&args, &global, output)),
        Command::Remove(args) => wait(false, orders::remove(&args, &global, output)),
        Command::Server(args) => wait(false, servers::run(&args, &global, output)),
        Command::KillSwitch(args) => wait(false, kill_switch::run(&args, &global, output)),
        Command::Skip(args) => wait(false, skip::run(&args, &global, output)),
        Command::Upgrade(args) => wait(false, upgrade::run(&args, &global, output)),
        Command::Log(args) => wait(false, log::run(&args, &global, output)),
        Command::Replay(args) => wait(false, replay::run(&args, &global, output)),
        Command::Backtest(args) => backtest::run(&args, output),
        Command::Record(args) => wait(false, record::run(&args, &global, output)),
        Command::Completions { shell } => completions(shell, output),
    }
}

/// Runs what waits: a server on all cores, a client on this one.
fn wait(server: bool, work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let mut builder = if server { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|error| Failure::found(format!("this machine gives no threads: {error}")))?;
    // Boxed, so that the runtime's own code is compiled once and not for each command.
    let ended = runtime.block_on(Box::pin(work) as Pin<Box<dyn Future<Output = _>>>);
    // What still blocks has had its time.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

fn completions(shell: clap_complete::Shell, output: &mut Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "weir", &mut script);
    output.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests;
