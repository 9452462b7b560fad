//! Who asks: an account's user name, with its key or password, as a file has them.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{fs, path::Path};

/// What proves it.
#[derive(Clone, Debug)]
pub enum Secret {
    /// The account's API key.
    ApiKey(SecretString),
    /// The user's password.
    Password(SecretString),
}

/// A user, and what proves it.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user's name.
    pub username: String,
    /// What proves it.
    pub secret: Secret,
    /// The account's number, where the user has more than one.
    pub tenant: Option<String>,
}

/// Why a file gives no credentials. Never quotes the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("the credentials in `{path}` cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It says something else.
    #[error(
        "`{path}` holds no credentials: write `username = \"…\"`, and either `api_key = \"…\"` or `password = \"…\"`; \
         `tenant = \"…\"` may follow"
    )]
    Unfit {
        /// The file.
        path: String,
    },
}

/// The file, as written. No `Debug`: it is plain text for a moment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    username: String,
    api_key: Option<String>,
    password: Option<String>,
    tenant: Option<String>,
}

impl Credentials {
    /// Reads them from a TOML file.
    ///
    /// # Errors
    /// The file is not there, or says something else.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let shown = path.display().to_string();
        let text = match fs::read_to_string(path) {
            Ok(text) => SecretString::from(text),
            Err(source) => return Err(Error::Unreadable { path: shown, source }),
        };
        // The parser's own message would quote the line, and with it the key.
        let Ok(file) = toml::from_str::<File>(text.expose_secret()) else { return Err(Error::Unfit { path: shown }) };
        let secret = match (file.api_key, file.password) {
            (Some(key), None) => Secret::ApiKey(key.into()),
            (None, Some(password)) => Secret::Password(password.into()),
            _ => return Err(Error::Unfit { path: shown }),
        };
        Ok(Self { username: file.username, secret, tenant: file.tenant })
    }

    /// The secret itself, to be kept out of messages.
    pub(super) fn exposed(&self) -> &str {
        match &self.secret {
            Secret::ApiKey(secret) | Secret::Password(secret) => secret.expose_secret(),
        }
    }

    /// The body of a request for a token.
    pub(super) fn request(&self) -> Value {
        let mut auth = match &self.secret {
            Secret::ApiKey(key) => json!({
                "RAX-KSKEY:apiKeyCredentials": { "username": self.username, "apiKey": key.expose_secret() }
            }),
            Secret::Password(password) => json!({
                "passwordCredentials": { "username": self.username, "password": password.expose_secret() }
            }),
        };
        if let Some(tenant) = &self.tenant {
            auth["tenantId"] = json!(tenant);
        }
        json!({ "auth": auth })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn read(text: &str) -> Result<Credentials, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lon.toml");
        fs::write(&path, text).unwrap();
        Credentials::read(&path)
    }

    #[test]
    fn a_key_or_a_password_asks_for_a_token_in_its_own_way() {
        let key = read("username = \"ops\"\napi_key = \"canary\"\ntenant = \"91111\"").unwrap();
        let expected = json!({ "auth": {
            "RAX-KSKEY:apiKeyCredentials": { "username": "ops", "apiKey": "canary" }, "tenantId": "91111",
        } });
        assert_eq!(key.request(), expected);
        let password = read("username = \"ops\"\npassword = \"canary\"").unwrap();
        let expected = json!({ "auth": { "passwordCredentials": { "username": "ops", "password": "canary" } } });
        assert_eq!(password.request(), expected);
        assert!(!format!("{key:?} {password:?}").contains("canary"));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_quoting_it() {
        for text in [
            "",
            "username = \"ops\"",
            "api_key = \"canary\"",
            "username = \"ops\"\napi_key = \"canary\"\npassword = \"canary\"",
            "username = \"ops\"\napi_key = \"canary\"\ntoken = \"canary\"",
            "username = \"ops\"\napi_key = [\"canary\"]",
            "username = \"ops\"\napi_key = canary",
        ] {
            let error = read(text).unwrap_err();
            assert!(matches!(error, Error::Unfit { .. }), "{text}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
        assert!(matches!(Credentials::read(Path::new("/nowhere/lon.toml")), Err(Error::Unreadable { .. })));
    }
}
