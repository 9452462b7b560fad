//! The way out: how every HTTP client of Weir is made, and how much of an answer it reads.
//!
//! Executors and sources start from [`builder`]. It follows no redirect, since a token would go along; asks no proxy,
//! since the environment is nobody's configuration; and repeats nothing, since only who made a call knows whether it
//! may be made twice.

use reqwest::{Client, ClientBuilder, Response, redirect, retry};
use std::{error::Error as _, time::Duration};

/// For a connection to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// For a whole exchange, the body included, where a request does not say otherwise.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A client with the house's settings.
///
/// # Errors
/// The machine has no certificates of authorities: install `ca-certificates`.
pub fn client() -> Result<Client, reqwest::Error> {
    builder().build()
}

/// The house's settings, to be added to.
pub fn builder() -> ClientBuilder {
    // TLS wants one provider a process. The second to install it is refused, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_WITHIN)
        .timeout(ANSWER_WITHIN)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .retry(retry::never())
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It goes on beyond what anyone needs.
    #[error("the answer is longer than {max} bytes")]
    TooLong {
        /// What was allowed.
        max: usize,
    },
    /// It broke off.
    #[error("the answer broke off: {0}")]
    BrokeOff(String),
}

/// Reads the whole body, of at most `max` bytes.
///
/// # Errors
/// It is longer, or ends before it should.
pub async fn body(mut response: Response, max: usize) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if chunk.len() > max - bytes.len() => return Err(BodyError::TooLong { max }),
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return Ok(bytes),
            Err(error) => return Err(BodyError::BrokeOff(causes(error))),
        }
    }
}

/// An error with what is behind it, which is where the reason stands; without the URL, which may carry a secret.
#[must_use]
pub fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(behind) = cause {
        let words = behind.to_string();
        // Layers like to repeat what the one below says.
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = behind.source();
    }
    text
}
