//! Policies by their hash, as decisions name them: a decision that was made under a text that is long replaced can still
//! be read beside it. Never deleted; a text is written once a day at most.

use super::{super::Result, Cassandra, decode, encode, index::Known};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many digits of the hash decisions carry.
const DIGITS: usize = 16;

/// A policy as it was deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPolicy {
    /// The file's name.
    pub name: String,
    /// BLAKE3 of text and setup files, hexadecimal.
    pub hash: String,
    /// Its text.
    pub text: String,
    /// The setup files' texts.
    pub setup: BTreeMap<String, String>,
}

impl Cassandra {
    /// The policy of a tenant whose hash begins with these 16 hexadecimal digits.
    ///
    /// # Errors
    /// Cassandra's.
    pub fn policy(&self, tenant: &str, hash: &str) -> Result<Option<KeptPolicy>> {
        self.link.run(async {
            let rows = self.link.read::<(String,)>(&self.statements.policy, (tenant, short(hash)), 1, 1).await?;
            rows.first().map(|(text,)| decode(text, "a policy")).transpose()
        })
    }

    /// Keeps the policy that a row of the view tells of. A row without a text, as of a file whose first deploy was refused,
    /// tells of none.
    pub(super) async fn keep_policy(&self, tenant: &str, row: &serde_json::Value) -> Result<()> {
        let Ok(policy) = KeptPolicy::deserialize(row) else { return Ok(()) };
        if policy.hash.is_empty() {
            return Ok(());
        }
        let key = Known::key(&["policy", tenant, &policy.hash]);
        if self.known.has(&key) {
            return Ok(());
        }
        self.link.write(&self.statements.put_policy, (tenant, short(&policy.hash), encode(&policy)?)).await?;
        self.known.add(key);
        Ok(())
    }
}

fn short(hash: &str) -> &str {
    hash.get(..DIGITS).unwrap_or(hash)
}
