//! What the checker says: one [`Diagnostic`] a finding, with the places it is about.
//!
//! Everything the checker, the lints and the editor say is one of these. Offsets are bytes; `render` turns them into
//! lines and columns at the edge.

use crate::policy::Span;
use serde::Serialize;

/// How grave it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Stops a deploy.
    Error,
    /// Wants a reason, `# allow(CODE): reason`.
    Warning,
}

/// A place in the file and what is to be said there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What; may be empty.
    pub text: String,
    /// The place the finding is about, rather than one that explains it.
    pub primary: bool,
}

/// A change to the text that settles a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// What to replace; empty to insert.
    pub span: Span,
    /// With what.
    pub replacement: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable, from `codes`.
    pub code: &'static str,
    /// How grave.
    pub severity: Severity,
    /// One line, lower case, without a full stop.
    pub message: String,
    /// The places; the first primary one is where the finding stands.
    pub labels: Vec<Label>,
    /// What it rests on.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
    /// The change that does it, where one is known.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// An error at `span`.
    #[must_use]
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, span, message.into())
    }

    /// A warning at `span`.
    #[must_use]
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, span, message.into())
    }

    fn new(severity: Severity, code: &'static str, span: Span, message: String) -> Self {
        let labels = vec![Label { span, text: String::new(), primary: true }];
        Self { code, severity, message, labels, notes: Vec::new(), help: None, fix: None }
    }

    /// Says something at the primary place.
    #[must_use]
    pub fn here(mut self, text: impl Into<String>) -> Self {
        if let Some(label) = self.labels.first_mut() {
            label.text = text.into();
        }
        self
    }

    /// Points at another place.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), primary: false });
        self
    }

    /// Adds what the finding rests on.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Says which change of the text settles it.
    #[must_use]
    pub fn fix(mut self, span: Span, replacement: impl Into<String>) -> Self {
        self.fix = Some(Fix { span, replacement: replacement.into() });
        self
    }

    /// Where it stands: its first primary label.
    #[must_use]
    pub fn span(&self) -> Span {
        self.labels
            .iter()
            .find(|label| label.primary)
            .or(self.labels.first())
            .map(|label| label.span)
            .unwrap_or_default()
    }
}
