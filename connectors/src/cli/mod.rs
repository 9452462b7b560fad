//! The command line: `weir` as a person or a script meets it.
//!
//! `main` calls [`main`] and nothing else does. Each command is a file of its own that takes its arguments, does its
//! work through the other rooms, and answers an [`Exit`] or a [`Failure`]. A command must never print a stack, a token
//! (but once, on a terminal, at the first run) or a lone code; `--json` is one object a line.

use clap::{CommandFactory, Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

mod check;
mod failure;
mod files;
mod junit;
mod output;
mod rehearsal;
mod test;
mod timeline;

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
  weir check policies/                       what is wrong with the policies, as a compiler says it
  weir test policies/web.weir                run the tests that stand in the file

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

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Test(test::Args),
    /// Print the completions of a shell: `weir completions bash > /etc/bash_completion.d/weir`
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
    let ended = match cli.command {
        Command::Check(args) => check::run(&args, &mut output),
        Command::Test(args) => test::run(&args, &mut output),
        Command::Completions { shell } => completions(shell, &mut output),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.fail(&failure);
            failure.exit.into()
        }
    }
}

fn completions(shell: clap_complete::Shell, output: &mut Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "weir", &mut script);
    output.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests;
