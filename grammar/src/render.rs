//! Diagnostics for people and for programs: drawn as rustc draws them, or with lines and columns as data.

use crate::diagnostic::{Diagnostic, Fix, Label, Severity};
use crate::policy::Span;
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;
use std::ops::Range;

/// Draws one finding with the lines it is about. `name` is the file's, as it is to be shown; `text` is what was checked.
#[must_use]
pub fn render(diagnostic: &Diagnostic, name: &str, text: &str, colour: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut snippet = Snippet::source(text).path(name);
    for label in &diagnostic.labels {
        let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let drawn = kind.span(within(text, label.span.start, label.span.end));
        snippet = snippet.annotation(if label.text.is_empty() { drawn } else { drawn.label(label.text.as_str()) });
    }
    let mut group = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code).element(snippet);
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.decor_style(DecorStyle::Ascii).render(&[group])
}

/// Offsets that lie in the text and between characters, whatever was asked for.
fn within(text: &str, start: u32, end: u32) -> Range<usize> {
    let fit = |offset: u32| {
        let offset = (offset as usize).min(text.len());
        (0..=offset).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
    };
    let start = fit(start);
    start..fit(end).max(start)
}

/// A finding with its places as lines and columns, for `--json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Located {
    /// The file, as it was named.
    pub file: String,
    /// Stable, from `codes`.
    pub code: &'static str,
    /// How grave.
    pub severity: Severity,
    /// One line.
    pub message: String,
    /// Where it stands: its first primary label.
    #[serde(flatten)]
    pub at: Place,
    /// All places.
    pub labels: Vec<LocatedText>,
    /// What it rests on.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
    /// The change that does it; `text` replaces the place.
    pub fix: Option<LocatedText>,
}

/// A place and what is said there, or what is to stand there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LocatedText {
    /// Where.
    #[serde(flatten)]
    pub at: Place,
    /// What.
    pub text: String,
    /// The place the finding is about, rather than one that explains it.
    pub primary: bool,
}

/// A place by byte offset, and by line and column, both from 1; a column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Byte offset of the first byte.
    pub start: u32,
    /// Byte offset one past the last byte.
    pub end: u32,
    /// Line it begins in.
    pub line: u32,
    /// Column it begins at.
    pub column: u32,
    /// Line it ends in.
    pub end_line: u32,
    /// Column one past its last character.
    pub end_column: u32,
}

/// Finds the lines and columns of a finding.
#[must_use]
pub fn locate(diagnostic: &Diagnostic, name: &str, text: &str) -> Located {
    let place = |span: Span| {
        let range = within(text, span.start, span.end);
        let ((line, column), (end_line, end_column)) = (position(text, range.start), position(text, range.end));
        Place { start: span.start, end: span.end, line, column, end_line, end_column }
    };
    let label = |label: &Label| LocatedText { at: place(label.span), text: label.text.clone(), primary: label.primary };
    let fix = |fix: &Fix| LocatedText { at: place(fix.span), text: fix.replacement.clone(), primary: true };
    Located {
        file: name.to_owned(),
        code: diagnostic.code,
        severity: diagnostic.severity,
        message: diagnostic.message.clone(),
        at: place(diagnostic.span()),
        labels: diagnostic.labels.iter().map(label).collect(),
        notes: diagnostic.notes.clone(),
        help: diagnostic.help.clone(),
        fix: diagnostic.fix.as_ref().map(fix),
    }
}

/// Line and column of a byte offset.
fn position(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    (narrow(line), narrow(column))
}
