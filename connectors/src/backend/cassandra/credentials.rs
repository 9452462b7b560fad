//! The user of Weir's at Cassandra, as a file has it.

use super::super::{Error, Result};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{fs, path::Path};

/// A user and its password.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user's name.
    pub username: String,
    /// What proves it.
    pub password: SecretString,
}

/// The file, as written. No `Debug`: it is plain text for a moment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    username: String,
    password: String,
}

impl Credentials {
    /// Reads them from a TOML file.
    ///
    /// # Errors
    /// It is not there, or says something else; never quotes it.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| Error::Failed(format!("the credentials in `{shown}` cannot be read: {error}")))?;
        let text = SecretString::from(text);
        // The parser's own message would quote the line, and with it the password.
        let file: File = toml::from_str(text.expose_secret()).map_err(|_| {
            Error::Failed(format!(
                "`{shown}` holds no credentials for Cassandra: write `username = \"…\"` and `password = \"…\"`"
            ))
        })?;
        Ok(Self { username: file.username, password: file.password.into() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_password_is_read_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cassandra.toml");
        fs::write(&path, "username = \"weir\"\npassword = \"canary\"\n").unwrap();
        let credentials = Credentials::read(&path).unwrap();
        assert_eq!(credentials.password.expose_secret(), "canary");
        assert!(!format!("{credentials:?}").contains("canary"));
        for text in
            ["", "username = \"weir\"", "username = \"weir\"\npassword = canary", "password = \"canary\"\nx = 1"]
        {
            fs::write(&path, text).unwrap();
            let error = Credentials::read(&path).unwrap_err().to_string();
            assert!(error.contains("cassandra.toml` holds no credentials") && !error.contains("canary"), "{error}");
        }
    }
}
