//! Mimic, started for a test by `tests/services/mimic` and stopped after the last that uses it.
//!
//! Tests share one process and differ in the user they log in as: each user is a tenant of its own.

use crate::service::Service;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError, Weak};

static RUNNING: Mutex<Weak<Mimic>> = Mutex::new(Weak::new());

/// A running Mimic.
#[derive(Debug)]
pub struct Mimic {
    service: Service,
}

impl Mimic {
    /// The one that runs, or a new one. Its clock stands until [`Mimic::tick`].
    ///
    /// # Errors
    /// The script could not start it; what it said is in the error.
    pub fn shared() -> Result<Arc<Self>> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mimic) = running.upgrade() {
            return Ok(mimic);
        }
        let mimic = Arc::new(Self { service: Service::up("mimic", &[])? });
        *running = Arc::downgrade(&mimic);
        Ok(mimic)
    }

    /// One of its own, whose clock runs by itself.
    ///
    /// # Errors
    /// As for [`Mimic::shared`].
    pub fn in_real_time() -> Result<Self> {
        Ok(Self { service: Service::up("mimic", &["--realtime"])? })
    }

    /// Where tokens are had.
    #[must_use]
    pub fn auth_url(&self) -> String {
        format!("{}/identity/v2.0", self.service.url)
    }

    /// Lets its clock run by so many seconds.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn tick(&self, seconds: u32) -> Result<()> {
        let url = format!("{}/mimic/v1.1/tick", self.service.url);
        post(&url, &json!({ "amount": seconds })).await.map(drop)
    }

    /// Makes creates of servers whose name matches `name` behave as Mimic's `behavior` says.
    ///
    /// # Errors
    /// It does not answer, or knows no such behavior.
    pub async fn behave(&self, user: &str, region: &str, name: &str, behavior: &str, with: Value) -> Result<()> {
        let url = self.endpoint(user, "cloudServersBehavior", region).await?;
        let behavior = json!({ "criteria": [{ "server_name": name }], "name": behavior, "parameters": with });
        post(&format!("{url}/behaviors/creation"), &behavior).await.map(drop)
    }

    /// The id of an image, which Mimic draws anew for each user.
    ///
    /// # Errors
    /// It does not answer, or has no such image.
    pub async fn image_id(&self, user: &str, region: &str, name: &str) -> Result<String> {
        let url = self.endpoint(user, "cloudServersOpenStack", region).await?;
        let bytes = weir::http::client()?.get(format!("{url}/images")).send().await?.bytes().await?;
        let answer: Value = serde_json::from_slice(&bytes)?;
        let mut images = answer["images"].as_array().context("images")?.iter();
        let image = images.find(|image| image["name"] == name).context("the image")?;
        Ok(image["id"].as_str().context("its id")?.to_owned())
    }

    /// The ids of all servers that a user has, whoever made them.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn server_ids(&self, user: &str, region: &str) -> Result<Vec<String>> {
        let url = self.endpoint(user, "cloudServersOpenStack", region).await?;
        let bytes = weir::http::client()?.get(format!("{url}/servers")).send().await?.bytes().await?;
        let answer: Value = serde_json::from_slice(&bytes)?;
        let servers = answer["servers"].as_array().context("servers")?;
        servers.iter().map(|server| Ok(server["id"].as_str().context("an id")?.to_owned())).collect()
    }

    /// Where `service` is, in the catalog of `user`.
    async fn endpoint(&self, user: &str, service: &str, region: &str) -> Result<String> {
        let request = json!({ "auth": { "passwordCredentials": { "username": user, "password": "any" } } });
        let answer = post(&format!("{}/tokens", self.auth_url()), &request).await?;
        let catalog = answer["access"]["serviceCatalog"].as_array().context("a catalog")?;
        let endpoints = catalog.iter().filter(|one| one["name"] == service);
        let mut endpoints = endpoints.filter_map(|one| one["endpoints"].as_array()).flatten();
        let ours = endpoints.find(|endpoint| endpoint["region"] == region).context("the region")?;
        Ok(ours["publicURL"].as_str().context("its address")?.to_owned())
    }
}

async fn post(url: &str, body: &Value) -> Result<Value> {
    let response = weir::http::client()?.post(url).json(body).send().await?;
    let status = response.status();
    let bytes = response.bytes().await?;
    ensure!(status.is_success(), "{url}: {status}: {}", String::from_utf8_lossy(&bytes));
    Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}
