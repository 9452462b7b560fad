//! Files with tokens: the one that Weir keeps, and those that the configuration names.

use super::{Error, Gate, make};
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// In the data folder, mode 0600: the tokens that Weir made.
pub const FILE: &str = "tokens.toml";

/// A token is at least this long; shorter ones are guessed.
const API_MIN: usize = 20;
/// And at most this.
const API_MAX: usize = 256;
/// What Rackspace Monitoring allows.
const MAAS: std::ops::RangeInclusive<usize> = 10..=64;

/// The tokens that Weir made, by tenant and gate.
#[derive(Default)]
pub(super) struct Made {
    tokens: BTreeMap<(String, &'static str), SecretString>,
}

impl Made {
    /// What the data folder has; nothing before the first run.
    pub(super) fn read(data: &Path) -> Result<Self, Error> {
        let path = data.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => SecretString::from(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(&path, "read", error)),
        };
        let mode = fs::metadata(&path).map_err(|error| failed(&path, "read", error))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::Open { path: path.display().to_string(), mode });
        }
        // The parser's own message would quote the line, and with it a token.
        let unfit = || Error::Unfit { path: path.display().to_string(), text: "it is not as Weir wrote it".to_owned() };
        let tables: BTreeMap<String, BTreeMap<String, String>> =
            toml::from_str(text.expose_secret()).map_err(|_| unfit())?;
        let mut tokens = BTreeMap::new();
        for (tenant, table) in tables {
            for (key, token) in table {
                let gate = [Gate::Api, Gate::Maas].into_iter().find(|gate| word(*gate) == key).ok_or_else(unfit)?;
                tokens.insert((tenant.clone(), word(gate)), SecretString::from(token));
            }
        }
        Ok(Self { tokens })
    }

    pub(super) fn get(&self, tenant: &str, gate: Gate) -> Option<SecretString> {
        self.tokens.get(&(tenant.to_owned(), word(gate))).cloned()
    }

    /// The token, and whether it was made just now.
    pub(super) fn get_or_make(&mut self, tenant: &str, gate: Gate) -> Result<(SecretString, bool), Error> {
        if let Some(token) = self.get(tenant, gate) {
            return Ok((token, false));
        }
        let token = make()?;
        self.tokens.insert((tenant.to_owned(), word(gate)), token.clone());
        Ok((token, true))
    }

    /// Writes all of them beside the old file and puts it in its place, so that a crash leaves one or the other.
    pub(super) fn write(&self, data: &Path) -> Result<(), Error> {
        let path = data.join(FILE);
        let beside = data.join(format!("{FILE}.new"));
        let mut text = String::from(
            "# Tokens that Weir made. Whoever reads this file can do everything with every group: keep it to yourself.\n",
        );
        let mut last = None;
        for ((tenant, gate), token) in &self.tokens {
            if last != Some(tenant) {
                text.push_str(&format!("\n[\"{tenant}\"]\n"));
                last = Some(tenant);
            }
            text.push_str(&format!("{gate} = \"{}\"\n", token.expose_secret()));
        }
        let text = SecretString::from(text);
        let write = || -> io::Result<()> {
            fs::create_dir_all(data)?;
            match fs::remove_file(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(text.expose_secret().as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            fs::File::open(data)?.sync_all()
        };
        write().map_err(|error| failed(&path, "written", error))
    }
}

/// The token in a file that the configuration names.
pub(super) fn token(path: &Path, gate: Gate) -> Result<SecretString, Error> {
    let text = SecretString::from(fs::read_to_string(path).map_err(|error| failed(path, "read", error))?);
    let token = text.expose_secret().trim();
    let (min, max) = match gate {
        Gate::Api => (API_MIN, API_MAX),
        Gate::Maas => (*MAAS.start(), *MAAS.end()),
    };
    let unfit = |text: String| Err(Error::Unfit { path: path.display().to_string(), text });
    if !(min..=max).contains(&token.len()) {
        return unfit(format!("it has {} characters, and must have {min} to {max}", token.len()));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return unfit("it has characters that no header can carry".to_owned());
    }
    Ok(SecretString::from(token))
}

fn word(gate: Gate) -> &'static str {
    match gate {
        Gate::Api => "api",
        Gate::Maas => "maas",
    }
}

fn failed(path: &Path, verb: &'static str, error: io::Error) -> Error {
    Error::File { path: path.display().to_string(), verb, error }
}
