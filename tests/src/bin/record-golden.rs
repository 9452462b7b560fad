//! `record-golden NAME…|--all`: records golden logs anew, into `tests/golden`. For a new story, or where the meaning of a rule
//! was changed on purpose; the commit says why.

use std::{env, fs, process::ExitCode};
use weir_tests::golden::{path, stories::STORIES};

fn main() -> ExitCode {
    let names: Vec<String> = env::args().skip(1).collect();
    let all = names == ["--all"];
    let unknown = names.iter().find(|name| !all && !STORIES.iter().any(|(known, _)| known == name));
    if names.is_empty() || unknown.is_some() {
        let known: Vec<&str> = STORIES.iter().map(|(name, _)| *name).collect();
        eprintln!("usage: record-golden --all, or names out of: {}", known.join(" "));
        return ExitCode::from(2);
    }
    for (name, tell) in STORIES.iter().filter(|(name, _)| all || names.iter().any(|wanted| wanted == name)) {
        let text = tell();
        if let Err(error) = fs::write(path(name), &text) {
            eprintln!("`{}` cannot be written: {error}", path(name).display());
            return ExitCode::FAILURE;
        }
        println!("{name}: {} lines", text.lines().count());
    }
    ExitCode::SUCCESS
}
