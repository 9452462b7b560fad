//! `[store]`: where snapshots, history, views and policies are kept.

use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

/// Most characters of a keyspace's name, by Cassandra's rule.
const KEYSPACE_MAX: usize = 48;

/// Which store; embedded if left out. What follows the kind is for Cassandra.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// `embedded` or `cassandra`.
    pub kind: Option<String>,
    /// Nodes to ask first, `HOST` or `HOST:PORT`; the others are learnt from them.
    pub nodes: Vec<String>,
    /// The keyspace. `weir setup` makes it.
    pub keyspace: String,
    /// How many nodes keep each row.
    pub replication: Replication,
    /// The datacenter whose nodes are asked; any where left out.
    pub datacenter: Option<String>,
    /// Holds the user and the password.
    pub credentials_file: Option<PathBuf>,
    /// Whether the way there is encrypted; needs a build with the feature `tls`.
    pub tls: bool,
    /// Holds the certificates that sign the nodes', for `tls`.
    pub ca_file: Option<PathBuf>,
}

/// How many nodes keep each row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "write `replication = 3`, or how many in which datacenter: `{ east = 3, west = 3 }`")]
pub enum Replication {
    /// So many in every datacenter.
    Everywhere(u8),
    /// So many in each of these.
    Datacenters(BTreeMap<String, u8>),
}

impl Replication {
    /// The copies of what is kept the least often.
    #[must_use]
    pub fn least(&self) -> u8 {
        match self {
            Self::Everywhere(copies) => *copies,
            Self::Datacenters(copies) => copies.values().copied().min().unwrap_or_default(),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            kind: None,
            nodes: Vec::new(),
            keyspace: "weir".to_owned(),
            replication: Replication::Everywhere(3),
            datacenter: None,
            credentials_file: None,
            tls: false,
            ca_file: None,
        }
    }
}

impl Store {
    /// Whether it is Cassandra.
    #[must_use]
    pub fn is_cassandra(&self) -> bool {
        self.kind.as_deref() == Some("cassandra")
    }

    /// What is wrong with it by itself.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.kind.as_deref() {
            Some("cassandra") => self.check_cassandra(),
            None | Some("embedded") if *self == Self { kind: self.kind.clone(), ..Self::default() } => Ok(()),
            None | Some("embedded") => {
                Err("`[store]` has settings of Cassandra's; add `kind = \"cassandra\"`, or take them out".to_owned())
            }
            Some(kind) => Err(format!("`[store]` of kind `{kind}`: there are `embedded` and `cassandra`")),
        }
    }

    fn check_cassandra(&self) -> Result<(), String> {
        if self.nodes.is_empty() || self.nodes.iter().any(String::is_empty) {
            return Err("`[store]` of kind `cassandra` needs `nodes = [\"HOST:9042\"]`".to_owned());
        }
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let starts = self.keyspace.starts_with(|c: char| c.is_ascii_lowercase());
        if !starts || self.keyspace.len() > KEYSPACE_MAX || !self.keyspace.chars().all(fine) {
            return Err(format!(
                "`{}` cannot be a keyspace's name; use up to {KEYSPACE_MAX} small letters, digits and `_`, a letter first",
                self.keyspace
            ));
        }
        let good =
            |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let sane = match &self.replication {
            Replication::Everywhere(factor) => *factor > 0,
            Replication::Datacenters(factors) => {
                !factors.is_empty() && factors.iter().all(|(name, factor)| good(name) && *factor > 0)
            }
        };
        if !sane {
            return Err("`replication` of `[store]` keeps nothing; write `3`, or `{ east = 3, west = 3 }`".to_owned());
        }
        match (self.tls, &self.ca_file) {
            (true, None) => Err("`tls` of `[store]` needs a `ca_file`".to_owned()),
            (false, Some(_)) => {
                Err("`ca_file` of `[store]` is for `tls = true`; add it, or take the file out".to_owned())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn wrong(text: &str) -> String {
        let text = format!("kind = \"cassandra\"\n{text}");
        match toml::from_str::<Store>(&text) {
            Ok(store) => store.check().unwrap_err(),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn what_cassandra_needs_is_asked_for() {
        let nodes = "nodes = [\"127.0.0.1:9042\"]\n";
        assert_eq!(toml::from_str::<Store>(&format!("kind = \"cassandra\"\n{nodes}")).unwrap().check(), Ok(()));
        for (text, said) in [
            ("", "needs `nodes"),
            ("nodes = [\"\"]", "needs `nodes"),
            (&format!("{nodes}keyspace = \"Weir\""), "`Weir` cannot be a keyspace's name"),
            (&format!("{nodes}keyspace = \"weir; DROP\""), "cannot be a keyspace's name"),
            (&format!("{nodes}keyspace = \"1\""), "a letter first"),
            (&format!("{nodes}replication = 0"), "keeps nothing"),
            (&format!("{nodes}replication = {{ }}"), "keeps nothing"),
            (&format!("{nodes}replication = {{ \"a'\" = 1 }}"), "keeps nothing"),
            (&format!("{nodes}replication = \"3\""), "write `replication = 3`"),
            (&format!("{nodes}tls = true"), "needs a `ca_file`"),
            (&format!("{nodes}ca_file = \"ca.pem\""), "is for `tls = true`"),
        ] {
            assert!(wrong(text).contains(said), "{text}: {}", wrong(text));
        }
    }

    #[test]
    fn settings_without_their_store_are_refused() {
        let text = "nodes = [\"127.0.0.1:9042\"]";
        let said = toml::from_str::<Store>(text).unwrap().check().unwrap_err();
        assert!(said.contains("add `kind = \"cassandra\"`"), "{said}");
        assert!(toml::from_str::<Store>("kind = \"redis\"").unwrap().check().unwrap_err().contains("`redis`"));
    }
}
