//! Why a group is looked at, as a decision tells it: put into words only where there is a decision to tell, since most
//! looks find nothing new.

use std::fmt;

/// A reason to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'a> {
    /// In words.
    Words(&'a str),
    /// An alarm's state was heard, by its name in the policy.
    Alarm(&'a str),
    /// A counted event happened, by its name in the policy.
    Event(&'a str),
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => f.write_str(words),
            Self::Alarm(name) => write!(f, "alarm {name}"),
            Self::Event(name) => write!(f, "event {name}"),
        }
    }
}

impl<'a> From<&'a str> for Cause<'a> {
    fn from(words: &'a str) -> Self {
        Self::Words(words)
    }
}

impl<'a> From<&'a String> for Cause<'a> {
    fn from(words: &'a String) -> Self {
        Self::Words(words)
    }
}
