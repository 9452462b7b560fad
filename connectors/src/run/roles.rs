//! What a process does of the four things there are to do.

use std::{collections::BTreeSet, fmt};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Role {
    /// Reads feeds.
    Source,
    /// Decides.
    Engine,
    /// Calls clouds.
    Executor,
    /// Takes facts and orders, and answers questions.
    Api,
}

/// Some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// Whether this is one of them.
    #[must_use]
    pub fn have(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether these are all there are.
    #[must_use]
    pub fn are_all(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Roles {
    fn default() -> Self {
        [Role::Source, Role::Engine, Role::Executor, Role::Api].into_iter().collect()
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().collect())
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(|role| format!("{role:?}").to_lowercase()).collect();
        f.write_str(&words.join(","))
    }
}
