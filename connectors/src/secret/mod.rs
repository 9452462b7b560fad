//! Tokens: made, kept, compared. Whoever holds one speaks for its tenant.
//!
//! A [`Keyring`] is what the door compares with; it holds hashes only. Tokens that Weir made itself are kept in
//! `tokens.toml` in the data folder, readable by its owner alone, so that the command line on the same machine can use
//! them. No token is ever in a log, a message or a `Debug`.

use crate::config::{Config, Role, Tenant};
use secrecy::{ExposeSecret, SecretString};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;

mod file;

pub use file::FILE;

/// The way a fact or an order came in, which decides which tokens it may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// `Authorization: Bearer …`.
    Api,
    /// `x-rackspace-webhook-token: …`.
    Maas,
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// For whom; nothing in a body can change it.
    pub tenant: String,
    /// The token's name.
    pub name: String,
    /// What it permits.
    pub role: Role,
}

impl Caller {
    /// As decisions and `status` show who did it: `ops@acme`.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("{}@{}", self.name, self.tenant)
    }
}

/// What can go wrong with tokens.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file with a token cannot be read, or not be written.
    #[error("`{path}` cannot be {verb}: {error}")]
    File {
        /// The file.
        path: String,
        /// `read` or `written`.
        verb: &'static str,
        /// The system's words.
        error: std::io::Error,
    },
    /// A file is readable by others.
    #[error("`{path}` can be read by others (mode {mode:04o}); chmod 600 it")]
    Open {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// What a file holds is no token.
    #[error("`{path}` holds no usable token: {text}")]
    Unfit {
        /// The file.
        path: String,
        /// Why, without the token.
        text: String,
    },
    /// Two tenants, or two roles, would have one token.
    #[error("the token in `{path}` is also {other}'s; every token is its own")]
    Shared {
        /// The file.
        path: String,
        /// Whose it is too.
        other: String,
    },
    /// The machine gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

/// A token that was made just now, to be shown once.
#[derive(Debug)]
pub struct Fresh {
    /// Whose.
    pub tenant: String,
    /// What for.
    pub gate: Gate,
    /// The token.
    pub token: SecretString,
}

/// Hashes of all tokens, with who has them.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    hash: [u8; 32],
    gate: Gate,
    caller: Caller,
}

impl Keyring {
    /// Reads the tokens that `config` names files for, and those made before; makes the ones that are missing and
    /// answers them, to be shown once on a terminal.
    ///
    /// # Errors
    /// Where a file cannot be read or written, is open to others, or holds something else.
    pub fn open(config: &Config) -> Result<(Self, Vec<Fresh>), Error> {
        let mut made = file::Made::read(&config.data)?;
        let mut fresh = Vec::new();
        let mut ring = Self::default();
        for tenant in &config.tenants {
            for gate in [Gate::Api, Gate::Maas] {
                let files = files(tenant, gate);
                if files.is_empty() {
                    let (token, is_new) = made.get_or_make(&tenant.name, gate)?;
                    let role = if gate == Gate::Api { Role::Admin } else { Role::Sender };
                    ring.add(&token, gate, caller(tenant, default_name(gate), role), Path::new(FILE))?;
                    if is_new {
                        fresh.push(Fresh { tenant: tenant.name.clone(), gate, token });
                    }
                }
                for (name, role, path) in files {
                    ring.add(&file::token(path, gate)?, gate, caller(tenant, name, role), path)?;
                }
            }
        }
        if !fresh.is_empty() {
            made.write(&config.data)?;
        }
        Ok((ring, fresh))
    }

    /// Who has this token. Looks at every key, whichever fits, so the time taken says nothing.
    #[must_use]
    pub fn who(&self, gate: Gate, token: &[u8]) -> Option<&Caller> {
        let hash = digest(token);
        let mut found = None;
        for key in &self.keys {
            let same = bool::from(key.hash.ct_eq(&hash));
            if same && key.gate == gate {
                found = Some(&key.caller);
            }
        }
        found
    }

    fn add(&mut self, token: &SecretString, gate: Gate, caller: Caller, path: &Path) -> Result<(), Error> {
        let hash = digest(token.expose_secret().as_bytes());
        if let Some(other) = self.keys.iter().find(|key| key.hash == hash) {
            return Err(Error::Shared { path: path.display().to_string(), other: other.caller.actor() });
        }
        self.keys.push(Key { hash, gate, caller });
        Ok(())
    }
}

/// The administrator's token of a tenant, where this machine has it: what a client command on it may use.
///
/// # Errors
/// Where a file is there and cannot be used.
pub fn local_token(config: &Config, tenant: &str) -> Result<Option<SecretString>, Error> {
    match config.tenant(tenant).and_then(|tenant| tenant.token_file.as_deref()) {
        Some(path) => file::token(path, Gate::Api).map(Some),
        None => Ok(file::Made::read(&config.data)?.get(tenant, Gate::Api)),
    }
}

/// 32 random bytes as text that survives shells, URLs and double-clicks: `weir_` and 52 letters and digits, 57 in all,
/// within the 64 that Rackspace Monitoring allows.
///
/// # Errors
/// Where the machine gives no random bytes.
pub fn make() -> Result<SecretString, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(SecretString::from(format!("weir_{}", base32(&bytes))))
}

/// What is kept of a capability URL's last part, hexadecimal.
#[must_use]
pub fn capability_hash(secret: &str) -> String {
    blake3::hash(secret.as_bytes()).to_hex().to_string()
}

fn digest(token: &[u8]) -> [u8; 32] {
    blake3::derive_key("weir token 1", token)
}

fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let (mut text, mut pending, mut bits) = (String::new(), 0_u32, 0);
    let mut push = |value: u32| text.push(char::from(LETTERS[(value & 31) as usize]));
    for byte in bytes {
        pending = pending << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            push(pending >> bits);
        }
    }
    if bits > 0 {
        push(pending << (5 - bits));
    }
    text
}

fn files(tenant: &Tenant, gate: Gate) -> Vec<(&str, Role, &PathBuf)> {
    match gate {
        Gate::Maas => tenant.maas_token_file.iter().map(|path| (default_name(gate), Role::Sender, path)).collect(),
        Gate::Api => {
            let main = tenant.token_file.iter().map(|path| (default_name(gate), Role::Admin, path));
            main.chain(tenant.tokens.iter().map(|token| (token.name.as_str(), token.role, &token.file))).collect()
        }
    }
}

fn caller(tenant: &Tenant, name: &str, role: Role) -> Caller {
    Caller { tenant: tenant.name.clone(), name: name.to_owned(), role }
}

fn default_name(gate: Gate) -> &'static str {
    match gate {
        Gate::Api => "admin",
        Gate::Maas => "maas",
    }
}

#[cfg(test)]
mod tests;
