//! Prometheus, asked: `metric queue.depth: number every 30s shared from source "prometheus" query "sum(…)"` (rule 3).
//!
//! ```text
//! answer  the body of an instant query -> series          fetch  an address and a token -> a body
//! poll    a tenant's questions, each at its own period, into the log
//! ```
//!
//! A sample is known to the engine by source and query, so that two policies which call two questions by one name do not
//! hear each other's answers. Nothing is kept: a sample that was missed is missed, and one that is written twice has one
//! effect, since a series only takes what is newer. Whether every question was answered goes into the log as a heartbeat,
//! so that no rule takes our own deafness for the customer's silence (rule 19).

use crate::{backend, config};
use std::{path::PathBuf, time::Duration};

pub mod answer;
mod fetch;
mod poll;

pub use poll::{Asked, Labelled, Poller, Questions, Round};

/// A Prometheus that is asked.
#[derive(Clone, Debug)]
pub struct Source {
    /// What policies call it.
    pub name: String,
    /// Its address; `/api/v1/query` is put behind it.
    pub url: reqwest::Url,
    /// Holds the bearer token that it wants; read anew each time, so that it may be replaced.
    pub token_file: Option<PathBuf>,
}

impl Source {
    /// The source of a configuration.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn configured(source: &config::Source) -> Result<Self, Error> {
        let url = reqwest::Url::parse(&source.url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| Error::Address(source.url.clone()))?;
        Ok(Self { name: source.name.clone(), url, token_file: source.token_file.clone() })
    }
}

/// What a policy asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// Of which source.
    pub source: String,
    /// In its own language.
    pub query: String,
    /// What the engine knows the answer's samples by.
    pub metric: String,
    /// One series is wanted, not one a server.
    pub shared: bool,
    /// How often.
    pub every: Duration,
}

/// Why a question has no answer. It is asked again at its next time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no address.
    #[error("`{0}` is no http or https URL")]
    Address(String),
    /// No `[[source]]` has the name.
    #[error("no `[[source]]` of the configuration is called `{0}`")]
    Unknown(String),
    /// The token cannot be had.
    #[error("the token in `{path}` cannot be used: {text}")]
    Token {
        /// The file.
        path: String,
        /// Why.
        text: String,
    },
    /// No answer, or not all of it.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// Prometheus's own words.
    #[error("the answer is {status}: {text}")]
    Refused {
        /// The status.
        status: u16,
        /// What it says about it.
        text: String,
    },
    /// The answer is not what a metric can be made of.
    #[error(transparent)]
    Answer(#[from] answer::Error),
    /// The log did not take it.
    #[error("the log: {0}")]
    Log(#[from] backend::Error),
}
