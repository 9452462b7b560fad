//! Sources: bytes that others send, into events. Each file reads one sender's shape, strictly, and knows nothing of the
//! log; the door writes what they make. Which field of each sender becomes what stands in `README.md` beside this file.

use serde::Deserialize;
use weir_engine::{
    event::{Event, Fact, Version},
    names::NAMES_MAX,
};

pub mod alertmanager;
pub mod atom;
pub mod event;
pub mod json;
pub mod labels;
pub mod maas;
pub mod prometheus;
pub mod sample;

/// A fact read from a sender's bytes, before the door says whose it is and when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Making {
    /// The sender's own key for it, or one made of what it says; the same fact sent again has the same key.
    pub id: String,
    /// What happened.
    pub fact: Fact,
}

impl Making {
    /// The event, once the door knows the rest. `time` is the door's clock, epoch milliseconds.
    #[must_use]
    pub fn event(self, source: &str, tenant: &str, time: i64) -> Event {
        let (id, source, tenant) = (self.id, source.to_owned(), tenant.to_owned());
        Event { specversion: Version::V1, id, source, time, tenant, fact: self.fact }
    }
}

/// Why bytes are no fact. Always the sender's mistake, and always the same for the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no JSON, or not of the sender's shape.
    #[error("line {line}, column {column}: {text}")]
    Malformed {
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
        /// What is wrong there.
        text: String,
    },
    /// It is of the shape, and one field says what cannot be.
    #[error("`{field}` {text}")]
    Field {
        /// The path of the field: `details.state`.
        field: String,
        /// What is wrong with it.
        text: String,
    },
}

impl Error {
    fn field(field: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Field { field: field.into(), text: text.into() }
    }
}

/// The longest name of an alarm, metric, server or group, in bytes.
pub const NAME_MAX: usize = 256;
/// The longest text that is kept of a sender's words, in bytes.
pub const TEXT_MAX: usize = 300;

/// One name of a server, or several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a name or a list of names")]
enum Names {
    One(String),
    Many(Vec<String>),
}

impl Names {
    fn all(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// A name that must be there.
fn name(field: impl Into<String>, name: String) -> Result<String, Error> {
    match name.len() {
        0 => Err(Error::field(field, "is empty")),
        length if length > NAME_MAX => Err(Error::field(field, format!("has {length} bytes; at most {NAME_MAX}"))),
        _ => Ok(name),
    }
}

/// Names of one server: in the order of preference, each once, those too long or empty left out.
fn server_names(candidates: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for candidate in candidates {
        let fits = (1..=NAME_MAX).contains(&candidate.len()) && names.len() < NAMES_MAX;
        if fits && !names.contains(&candidate) {
            names.push(candidate);
        }
    }
    names
}

/// The beginning of a text, cut between characters.
fn beginning(mut text: String) -> String {
    if text.len() > TEXT_MAX {
        let cut = (0..=TEXT_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(cut);
    }
    text
}
