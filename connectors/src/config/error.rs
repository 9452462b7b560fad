//! What is wrong with the configuration, said with the place and the way out.

use crate::nearest::nearest;
use std::path::Path;

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("the configuration `{path}` cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's words.
        error: std::io::Error,
    },
    /// It says something that this build cannot do or does not understand.
    #[error("{place}: {text}")]
    Wrong {
        /// The file, and the line where it is one line's fault: `weir.toml:12`.
        place: String,
        /// What and what to do.
        text: String,
    },
}

impl Error {
    pub(super) fn from_toml(error: &toml::de::Error, text: &str, path: &Path) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start));
        let place = match before {
            Some(before) => format!("{}:{}", path.display(), before.matches('\n').count() + 1),
            None => path.display().to_string(),
        };
        // The first line says what; the rest repeats the source.
        let message = error.message().lines().next().unwrap_or_default();
        Self::Wrong { place, text: with_nearest(message) }
    }
}

/// Serde says ``unknown field `x`, expected one of `a`, `b` ``: all keys, in no order. A person wants the nearest one.
fn with_nearest(message: &str) -> String {
    if !message.starts_with("unknown field") {
        return message.to_owned();
    }
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next().unwrap_or_default();
    let known: Vec<&str> = names.collect();
    match nearest(unknown, known.iter().copied()) {
        Some(nearest) => format!("unknown key `{unknown}`, did you mean `{nearest}`?"),
        None => format!("unknown key `{unknown}`; known here: {}", known.join(", ")),
    }
}
