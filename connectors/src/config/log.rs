//! `[log]`: where facts are written.

use crate::backend::kafka::PARTITIONS_MAX;
use serde::Deserialize;
use std::path::PathBuf;

/// Most characters of a prefix: Kafka's topics have 249, and ours end in a word.
const PREFIX_MAX: usize = 100;
/// How a user's password is proved.
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Which log; embedded if left out. What follows the kind is for Kafka.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `embedded` or `kafka`.
    pub kind: Option<String>,
    /// Brokers to ask first, `HOST:PORT`; the others are learnt from them.
    pub brokers: Vec<String>,
    /// Names this installation: its topics, groups and transactions begin with it.
    pub prefix: String,
    /// Partitions of a log that is made, which is fixed then; 16 where left out.
    pub partitions: Option<u32>,
    /// How many brokers keep each record.
    pub replication: u32,
    /// Holds the user and the password.
    pub credentials_file: Option<PathBuf>,
    /// How the password is proved.
    pub mechanism: String,
    /// Whether the way there is encrypted; needs a build with the feature `tls`.
    pub tls: bool,
    /// Holds the certificates that sign the brokers', for `tls`; the system's where left out.
    pub ca_file: Option<PathBuf>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            kind: None,
            brokers: Vec::new(),
            prefix: "weir".to_owned(),
            partitions: None,
            replication: 3,
            credentials_file: None,
            mechanism: "SCRAM-SHA-512".to_owned(),
            tls: false,
            ca_file: None,
        }
    }
}

impl Log {
    /// Whether it is Kafka.
    #[must_use]
    pub fn is_kafka(&self) -> bool {
        self.kind.as_deref() == Some("kafka")
    }

    /// What is wrong with it by itself.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.kind.as_deref() {
            Some("kafka") => self.check_kafka(),
            None | Some("embedded") if *self == Self { kind: self.kind.clone(), ..Self::default() } => Ok(()),
            None | Some("embedded") => {
                Err("`[log]` has settings of Kafka's; add `kind = \"kafka\"`, or take them out".to_owned())
            }
            Some(kind) => Err(format!("`[log]` of kind `{kind}`: there are `embedded` and `kafka`")),
        }
    }

    fn check_kafka(&self) -> Result<(), String> {
        if self.brokers.is_empty() || self.brokers.iter().any(String::is_empty) {
            return Err("`[log]` of kind `kafka` needs `brokers = [\"HOST:9092\"]`".to_owned());
        }
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.prefix.is_empty() || self.prefix.len() > PREFIX_MAX || !self.prefix.chars().all(fine) {
            return Err(format!(
                "`{}` cannot be a prefix of topics; use up to {PREFIX_MAX} letters, digits, `-`, `_` and `.`",
                self.prefix
            ));
        }
        if self.partitions.is_some_and(|partitions| !(1..=PARTITIONS_MAX).contains(&partitions)) {
            return Err(format!("`partitions` of `[log]` must be 1 to {PARTITIONS_MAX}"));
        }
        if self.replication == 0 {
            return Err("`replication` of `[log]` keeps nothing; write `3`".to_owned());
        }
        if !MECHANISMS.contains(&self.mechanism.as_str()) {
            let known = MECHANISMS.join("`, `");
            return Err(format!("`mechanism` of `[log]` is `{}`; there are `{known}`", self.mechanism));
        }
        if !self.tls && self.ca_file.is_some() {
            return Err("`ca_file` of `[log]` is for `tls = true`; add it, or take the file out".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn what_kafka_needs_is_asked_for() {
        let check = |text: &str| toml::from_str::<Log>(&format!("kind = \"kafka\"\n{text}")).unwrap().check();
        let brokers = "brokers = [\"127.0.0.1:9092\"]\n";
        assert_eq!(check(brokers), Ok(()));
        for (text, said) in [
            ("", "needs `brokers"),
            ("brokers = [\"\"]", "needs `brokers"),
            (&format!("{brokers}prefix = \"a b\""), "`a b` cannot be a prefix"),
            (&format!("{brokers}partitions = 0"), "must be 1 to 1024"),
            (&format!("{brokers}partitions = 1025"), "must be 1 to 1024"),
            (&format!("{brokers}replication = 0"), "keeps nothing"),
            (&format!("{brokers}mechanism = \"GSSAPI\""), "there are `PLAIN`"),
            (&format!("{brokers}ca_file = \"ca.pem\""), "is for `tls = true`"),
        ] {
            assert!(check(text).unwrap_err().contains(said), "{text}");
        }
        let lonely = toml::from_str::<Log>(brokers).unwrap().check().unwrap_err();
        assert!(lonely.contains("add `kind = \"kafka\"`"), "{lonely}");
        assert!(toml::from_str::<Log>("kind = \"pulsar\"").unwrap().check().unwrap_err().contains("`pulsar`"));
    }
}
