//! The way to one Prometheus: an instant query, one request, a bounded body.

use super::{Error, Source, answer};
use crate::http::{body, causes, client};
use reqwest::{
    Client, Url,
    header::{AUTHORIZATION, HeaderValue},
};
use serde::Deserialize;
use std::{path::Path, time::Duration};

/// Asks one source.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    client: Client,
    source: Source,
}

impl Fetch {
    pub(super) fn new(source: Source) -> Result<Self, Error> {
        Ok(Self { client: client().map_err(|error| Error::NoAnswer(causes(error)))?, source })
    }

    pub(super) fn name(&self) -> &str {
        &self.source.name
    }

    /// What a query gives now.
    pub(super) async fn query(&self, query: &str, within: Duration) -> Result<Vec<u8>, Error> {
        let mut request = self.client.get(address(&self.source.url)).query(&[("query", query)]).timeout(within);
        if let Some(path) = &self.source.token_file {
            request = request.header(AUTHORIZATION, bearer(path).await?);
        }
        let response = request.send().await.map_err(|error| Error::NoAnswer(causes(error)))?;
        let status = response.status();
        let bytes =
            body(response, answer::ANSWER_BYTES_MAX).await.map_err(|error| Error::NoAnswer(error.to_string()))?;
        if status.is_success() { Ok(bytes) } else { Err(Error::Refused { status: status.as_u16(), text: why(&bytes) }) }
    }
}

/// The API behind whatever path the server is given under.
fn address(url: &Url) -> Url {
    let mut url = url.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["api", "v1", "query"]);
    }
    url
}

/// Prometheus says in JSON what is wrong with a query; what stands before it may say anything.
fn why(bytes: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Said {
        error: String,
    }
    let words = serde_json::from_slice(bytes).map(|said: Said| said.error);
    crate::source::beginning(words.unwrap_or_else(|_| String::from_utf8_lossy(bytes).trim().to_owned()))
}

async fn bearer(path: &Path) -> Result<HeaderValue, Error> {
    let unusable = |text: String| Error::Token { path: path.display().to_string(), text };
    let text = tokio::fs::read_to_string(path).await.map_err(|error| unusable(error.to_string()))?;
    let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim()))
        .map_err(|_| unusable("it has characters that no header can carry".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_api_stands_behind_the_source_s_own_path() {
        for (url, whole) in [
            ("http://p:9090", "http://p:9090/api/v1/query"),
            ("http://p:9090/", "http://p:9090/api/v1/query"),
            ("https://h/prometheus/", "https://h/prometheus/api/v1/query"),
        ] {
            assert_eq!(address(&Url::parse(url).unwrap()).as_str(), whole);
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_server_s_words() {
        assert_eq!(why(br#"{"status":"error","errorType":"bad_data","error":"1:5: parse error"}"#), "1:5: parse error");
        assert_eq!(why(b"  upstream is away\n"), "upstream is away");
    }
}
