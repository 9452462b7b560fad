//! A failed test as a person reads it: what happened, line by line, with a mark under the first one that is wrong.

use super::{
    files::Source,
    timeline::{self, bar},
};
use weir_engine::rehearse::{Failure, Rehearsed};
use weir_grammar::{
    Diagnostic, locate,
    policy::{Span, Test},
    quantity::Millis,
};

/// Lines shown before the wrong one, and after it.
const BEFORE: usize = 24;
const AFTER: usize = 4;

/// Line and column of a span in its file.
#[must_use]
pub fn place(source: &Source, span: Span) -> (u32, u32) {
    let at = locate(&Diagnostic::error("", span, ""), &source.shown, &source.text).at;
    (at.line, at.column)
}

/// The timeline of a test, the mark, and what each line that was not met expected. Empty for a test that passed.
#[must_use]
pub fn failed(source: &Source, test: &Test, rehearsed: &Rehearsed) -> String {
    let mut failures: Vec<&Failure> = rehearsed.failures.iter().collect();
    failures.sort_by_key(|failure| failure.offset);
    let Some((first, others)) = failures.split_first() else { return String::new() };

    let mut lines: Vec<(Millis, u32, String)> = vec![(Millis(0), test.size, "starts".to_owned())];
    let since = |at_ms: i64| Millis(at_ms.saturating_sub(test.start_ms)).to_string();
    lines.extend(
        rehearsed.timeline.iter().map(|row| (row.offset, row.decision.to, timeline::reason(&row.decision, &since))),
    );
    let wrong = wrong_line(&mut lines, first.offset);

    let widest = lines.iter().map(|(_, size, _)| *size).max().unwrap_or(0);
    let columns = bar(widest, widest).chars().count();
    let times = lines.iter().map(|(offset, ..)| offset.to_string().len()).max().unwrap_or(0);
    let begin = wrong.saturating_sub(BEFORE);
    let mut text = String::new();
    if begin > 0 {
        text.push_str(&format!("    … {begin} lines before\n"));
    }
    for (index, (offset, size, reason)) in lines.iter().enumerate().skip(begin).take(BEFORE + AFTER + 1) {
        let bar = bar(*size, widest);
        let rest = " ".repeat(columns.saturating_sub(bar.chars().count()));
        text.push_str(&format!("    {:>times$}  {bar}{rest} {size:>3}  {reason}\n", offset.to_string()));
        if index == wrong {
            let indent = " ".repeat(4 + times + 2);
            let mark = "^".repeat(columns + 4);
            text.push_str(&format!("{indent}{mark}  {}\n", expected(source, test, first)));
            text.push_str(&format!("{indent}{}  {}\n", " ".repeat(columns + 4), localised(first, test)));
        }
    }
    let after = lines.len().saturating_sub(wrong + AFTER + 1);
    if after > 0 {
        text.push_str(&format!("    … {after} lines after\n"));
    }
    for failure in others {
        text.push_str(&format!("\n    and {}\n", expected(source, test, failure)));
        text.push_str(&format!("        {}\n", localised(failure, test)));
    }
    text
}

/// The line of the timeline that is wrong: of those at `offset` the first that changes the size, or else the last. Where
/// nothing was written then, a line is made that says so.
fn wrong_line(lines: &mut Vec<(Millis, u32, String)>, offset: Millis) -> usize {
    let at = |index: usize| lines.get(index).filter(|line| line.0 == offset).map(|line| line.1);
    let before = |index: usize| index.checked_sub(1).and_then(|index| lines.get(index)).map(|line| line.1);
    let changes = (1..lines.len()).find(|index| at(*index).is_some_and(|size| before(*index) != Some(size)));
    if let Some(index) = changes.or_else(|| (0..lines.len()).rfind(|index| at(*index).is_some())) {
        return index;
    }
    let index = lines.partition_point(|line| line.0 <= offset);
    let size = before(index).unwrap_or_default();
    lines.insert(index, (offset, size, "nothing changed".to_owned()));
    index
}

/// `web.weir:95: expect cpu raises to 8 at 15m`.
fn expected(source: &Source, test: &Test, failure: &Failure) -> String {
    let (line, _) = place(source, failure.span);
    let text = source.text.lines().nth((line as usize).saturating_sub(1)).unwrap_or_default();
    let text = text.split(" #").next().unwrap_or_default().trim();
    // A change that no line expects is held against the title, which says nothing of it.
    if failure.span == test.span {
        format!("{}:{line}", source.shown)
    } else {
        format!("{}:{line}: {text}", source.shown)
    }
}

/// Instants of the test's own day become offsets, as everything else in a test is.
fn localised(failure: &Failure, test: &Test) -> String {
    let one = |word: &str| match weir_engine::time::parse_rfc3339(word.trim_end_matches(',')) {
        Ok(at_ms) if word.len() >= 24 => Millis(at_ms.saturating_sub(test.start_ms)).to_string(),
        _ => word.to_owned(),
    };
    failure.words.split(' ').map(one).collect::<Vec<_>>().join(" ")
}
