//! The one door: a policy's text in, the checked program or what is wrong with it out.

use crate::diagnostic::{Diagnostic, Severity};
use crate::limits::ERRORS_MAX;
use crate::lower;
use crate::policy::Policy;
use crate::recover;
use crate::scan::scan;
use crate::syntax::{Rule, parse, span};

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The file's name, as it was given.
    pub name: String,
    /// The program, if there is no error.
    pub policy: Option<Policy>,
    /// Errors and warnings, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Checks a policy. `name` is only shown.
#[must_use]
pub fn check(name: &str, text: &str) -> Checked {
    let mut diagnostics = Vec::new();
    let policy = read(text, &mut diagnostics);
    diagnostics.sort_by_key(|found| (found.span().start, found.span().end, found.code));
    diagnostics.dedup();
    let errors = diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
    if errors > ERRORS_MAX {
        // A warning is not worth reading here, and the rest of the errors are most likely of one cause.
        diagnostics.retain(|found| found.severity == Severity::Error);
        diagnostics.truncate(ERRORS_MAX);
        let end = span(text.len(), text.len());
        let message = format!("{} more errors are not shown", errors - ERRORS_MAX);
        diagnostics.push(Diagnostic::error("E0109", end, message));
    }
    Checked { name: name.to_owned(), policy: policy.filter(|_| errors == 0), diagnostics }
}

fn read(text: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Policy> {
    if let Some(found) = scan(text) {
        diagnostics.push(found);
        return None;
    }
    match parse(Rule::file, text, 0) {
        Ok(file) => {
            recover::report(&file, diagnostics);
            Some(lower::policy(&file, diagnostics))
        }
        Err(stop) => {
            diagnostics.push(Diagnostic::error(
                "E0103",
                span(stop.at, stop.at),
                "the file cannot be read from here on",
            ));
            None
        }
    }
}
