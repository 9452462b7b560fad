//! The command line as a client of the API: where the server is, whose token goes along, what its answers mean.

use super::{Exit, Failure, Global, stage};
use crate::{
    api::BODY_MAX,
    config::Config,
    http,
    secret::{self, local_token},
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// In the data folder while a server runs: where its door is.
pub const ADDRESS: &str = "address";
/// The longest answer that is read at once.
const ANSWER_MAX: usize = 16 * BODY_MAX;
/// An order whose fate is not known is sent again with the same key this many times.
const TRIES: u32 = 4;
/// Before the second try; doubles.
const PAUSE: Duration = Duration::from_millis(200);
/// An export may take this long.
const EXPORT_WITHIN: Duration = Duration::from_secs(3_600);

/// Where the server is and who asks.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub struct Connect {
    /// The server, `http://HOST:PORT`; the one of the data folder where it is left out
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// Holds the token; the data folder's own where it is left out
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Whose groups; the configuration's first tenant where it is left out
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,
}

/// A client of one tenant.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: SecretString,
}

/// An answer of the server that is no success.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// The whole answer, where it is JSON.
    pub body: Value,
}

impl Client {
    /// Finds server and token. Nothing is sent yet.
    ///
    /// # Errors
    /// Where there is no token, or the configuration is wrong.
    pub fn open(global: &Global, connect: &Connect) -> Result<Self, Failure> {
        let mut config = global.config()?;
        // Whoever asks from a folder without an installation, with a demonstration under way, means that one.
        if global.data.is_none()
            && global.config.is_none()
            && connect.server.is_none()
            && connect.token_file.is_none()
            && !config.data.join(secret::FILE).exists()
            && let Some(folder) = stage::running()
        {
            config.data = folder;
        }
        let base = match &connect.server {
            Some(server) => server.clone(),
            None => local(&config),
        };
        let base = Url::parse(&base).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.ok_or_else(|| {
            let server = connect.server.as_deref().unwrap_or_default();
            Failure::usage(format!("`{server}` is no http or https URL")).help("write `http://127.0.0.1:8460`")
        })?;
        let token = token(&config, connect)?;
        Self::new(base, token)
    }

    /// A client of a server and a token that are known.
    ///
    /// # Errors
    /// Where the machine has no certificates of authorities.
    pub fn new(base: Url, token: SecretString) -> Result<Self, Failure> {
        let http = http::client().map_err(|error| Failure::found(http::causes(error)))?;
        Ok(Self { http, base, token })
    }

    /// The address of a path, for people.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// Asks.
    ///
    /// # Errors
    /// [`Exit::Unreachable`] where nobody answers; the server's own words where it refuses.
    pub async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value, Failure> {
        let answer = self.answer(self.request(Method::GET, path)?.query(query)).await?;
        answer.map_err(Failure::from)
    }

    /// Orders, under a key of its own: tried again where it is not known whether it was done.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub async fn order(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: &Value,
    ) -> Result<Result<Value, Refusal>, Failure> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| Failure::found(format!("no random bytes: {error}")))?;
        let key = format!("cli-{:032x}", u128::from_be_bytes(key));
        let mut pause = PAUSE;
        for attempt in 1.. {
            let request = self.request(method.clone(), path)?.query(query).header("idempotency-key", &key).json(body);
            let answer = self.answer(request).await;
            let again = match &answer {
                Ok(Err(refusal)) => refusal.status == StatusCode::SERVICE_UNAVAILABLE,
                Err(failure) => failure.exit == Exit::Unreachable,
                Ok(Ok(_)) => false,
            };
            if !again || attempt >= TRIES {
                return answer;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(Failure::found("the order was not sent"))
    }

    /// Asks for what comes piece by piece.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub async fn stream(&self, path: &[&str], query: &[(&str, String)]) -> Result<Response, Failure> {
        let request = self.request(Method::GET, path)?.query(query).timeout(EXPORT_WITHIN);
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response).await?.into())
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Failure> {
        let mut url = self.base.clone();
        // Names go in as they are; this is what encodes them.
        match url.path_segments_mut() {
            Ok(mut segments) => drop(segments.pop_if_empty().extend(path)),
            Err(()) => return Err(Failure::usage(format!("`{}` is no server", self.base))),
        }
        Ok(self.http.request(method, url).bearer_auth(self.token.expose_secret()))
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Result<Value, Refusal>, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        if !response.status().is_success() {
            return Ok(Err(self.refusal(response).await?));
        }
        let body = self.body(response).await?;
        let value = serde_json::from_slice(&body);
        value.map(Ok).map_err(|error| Failure::found(format!("the server's answer cannot be read: {error}")))
    }

    async fn refusal(&self, response: Response) -> Result<Refusal, Failure> {
        let status = response.status();
        let body = self.body(response).await?;
        Ok(Refusal { status, body: serde_json::from_slice(&body).unwrap_or_default() })
    }

    async fn body(&self, response: Response) -> Result<Vec<u8>, Failure> {
        let body = http::body(response, ANSWER_MAX).await;
        body.map_err(|error| Failure::found(format!("the server's answer cannot be read: {error}")))
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        let server = self.base.as_str().trim_end_matches('/');
        if error.is_connect() {
            let message = format!("no server answers at {server}");
            let failure = Failure { exit: Exit::Unreachable, message, help: None };
            return failure.help("start one with `weir run`, or name another with --server");
        }
        let message = format!("{server} was not reached: {}", http::causes(error));
        Failure { exit: Exit::Unreachable, message, help: None }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let failure = match refusal.body.get("detail").and_then(Value::as_str) {
            Some(detail) => Self::found(detail),
            None => Self::found(format!("the server answers {}", refusal.status)),
        };
        match refusal.status {
            StatusCode::UNAUTHORIZED => {
                failure.help("name the right token with --token-file, or its folder with --data")
            }
            _ => failure,
        }
    }
}

/// The server of a data folder: where it says it is, else where the configuration says it will be.
fn local(config: &Config) -> String {
    let said = fs::read_to_string(config.data.join(ADDRESS)).ok();
    let said = said.and_then(|text| text.trim().parse().ok());
    let mut address = said.unwrap_or(config.listen);
    if address.ip().is_unspecified() {
        // Who listens everywhere listens here.
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    format!("http://{address}")
}

fn token(config: &Config, connect: &Connect) -> Result<SecretString, Failure> {
    if let Some(path) = &connect.token_file {
        return read(path);
    }
    if let Some(server) = &connect.server
        && !Url::parse(server).is_ok_and(|url| is_loopback(&url))
    {
        return Err(Failure::usage(format!("no token for {server}"))
            .help("name the file that holds one with --token-file; this machine's own is not sent elsewhere"));
    }
    let tenant = match &connect.tenant {
        Some(tenant) if config.tenant(tenant).is_none() => {
            return Err(Failure::usage(format!("the configuration has no tenant `{tenant}`")));
        }
        Some(tenant) => tenant.clone(),
        None => config.tenants.first().map(|tenant| tenant.name.clone()).unwrap_or_default(),
    };
    let found = local_token(config, &tenant).map_err(Failure::usage)?;
    found.ok_or_else(|| {
        Failure {
            exit: Exit::Unreachable,
            message: format!(
                "no server has run in `{}`: there is no token of tenant `{tenant}`",
                config.data.display()
            ),
            help: None,
        }
        .help("start one with `weir run`, or name its folder with --data, or a token with --token-file")
    })
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        None => false,
    }
}

fn read(path: &Path) -> Result<SecretString, Failure> {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => Ok(SecretString::from(text.trim())),
        Ok(_) => Err(Failure::usage(format!("`{}` is empty", path.display()))),
        Err(error) => Err(Failure::usage(format!("`{}` cannot be read: {error}", path.display()))),
    }
}
