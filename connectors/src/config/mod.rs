//! The one configuration file, `weir.toml`: who the tenants are, which cloud is whose, what is read.
//!
//! `main` loads it once; nothing else reads a file or the environment for settings. Secrets are never in it, only the
//! names of the files that hold them. Every mistake is named with file and line, an unknown key with the nearest known
//! one. What a running engine must know of it (quotas) enters by the log, as everything does.

use crate::executor::simulated;
use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

mod check;
mod error;
mod log;
mod store;
mod value;

pub use error::Error;
pub use log::Log;
pub use store::{Replication, Store};
pub use value::{Budget, CloudKind, Length, Role};

/// The file that is read where none is named.
pub const FILE: &str = "weir.toml";

/// Everything that can be configured, checked, with paths as they are opened.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the API listens. Loopback unless said otherwise.
    pub listen: SocketAddr,
    /// The data folder.
    pub data: PathBuf,
    /// Who owns groups; at least one.
    #[serde(rename = "tenant")]
    pub tenants: Vec<Tenant>,
    /// Which account is whose; none at all means a simulated cloud for everybody.
    #[serde(rename = "cloud")]
    pub clouds: Vec<Cloud>,
    /// Feeds that are read.
    #[serde(rename = "feed")]
    pub feeds: Vec<Feed>,
    /// Where policies may ask for samples.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    /// How executors work.
    pub executor: Executor,
    /// How long what is written is kept.
    pub retention: Retention,
    /// Which log; embedded if left out.
    pub log: Log,
    /// Which store; embedded if left out.
    pub store: Store,
}

/// Who owns groups.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its name, in the API, the log and the tags of servers.
    pub name: String,
    /// Holds the token that Rackspace Monitoring sends; one is made at the first run where it is left out.
    #[serde(default)]
    pub maas_token_file: Option<PathBuf>,
    /// What Rackspace Monitoring calls this tenant; any where empty.
    #[serde(default)]
    pub maas_tenant_ids: Vec<String>,
    /// Labels of an alert that name its server, in order of preference.
    #[serde(default = "default_server_labels")]
    pub server_labels: Vec<String>,
    /// Labels of an alert that name its group, in order of preference.
    #[serde(default = "default_group_labels")]
    pub group_labels: Vec<String>,
    /// Holds an administrator's API token; one is made at the first run where neither this nor a `token` is given.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Further API tokens, each with a name and a role.
    #[serde(default, rename = "token")]
    pub tokens: Vec<NamedToken>,
    /// What it may use.
    #[serde(default)]
    pub quota: Quota,
}

/// An API token of somebody in particular.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedToken {
    /// Whose; the actor of what is done with it.
    pub name: String,
    /// What it permits.
    pub role: Role,
    /// Holds the token.
    pub file: PathBuf,
}

/// What a tenant may use.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Most servers over all groups; no quota where left out.
    pub servers: Option<u32>,
    /// Facts a second that the door takes on average; [`FACTS_PER_SECOND`] where left out.
    pub facts_per_second: Option<u32>,
}

/// Facts a second a tenant may send unless configured: a partition is a queue, so somebody's flood is everybody's wait.
pub const FACTS_PER_SECOND: u32 = 10_000;

/// Which account in which region is whose.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cloud {
    /// Whose.
    pub tenant: String,
    /// The region as policies name it; every region that has no entry of its own where left out.
    #[serde(default)]
    pub region: Option<String>,
    /// Which cloud.
    pub kind: CloudKind,
    /// Where tokens are had.
    #[serde(default)]
    pub auth_url: Option<String>,
    /// Holds the account's user name and key.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
    /// How many builds may be started, so that a cloud in trouble is not buried under new ones.
    #[serde(default = "default_launch_budget")]
    pub launch_budget: Budget,
    /// How a simulated one behaves.
    #[serde(default)]
    pub simulated: Option<simulated::Settings>,
}

/// A feed that is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// Whose facts it carries.
    pub tenant: String,
    /// Its name among the tenant's feeds; made of the URL's path where left out.
    #[serde(default)]
    pub name: String,
    /// Its head.
    pub url: String,
    /// How often it is read.
    #[serde(default = "default_every")]
    pub every: Length,
    /// Holds the token that the feed wants.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

/// A Prometheus that policies may ask: `from source "NAME" query "…"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What policies call it.
    pub name: String,
    /// Its address, without `/api/v1`.
    pub url: String,
    /// Whose policies may ask it; everybody's where left out.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Holds the bearer token that it wants.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

impl Source {
    /// Whether a tenant's policies may ask it.
    #[must_use]
    pub fn serves(&self, tenant: &str) -> bool {
        self.tenant.as_ref().is_none_or(|only| only == tenant)
    }
}

/// How executors work.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Executor {
    /// Everything is visited once in this time, whatever happens.
    pub sweep: Length,
    /// A group with something on its way is looked at this often.
    pub look: Length,
}

/// How long what is written is kept.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Events, and with them exact replay.
    pub events: Length,
    /// Decisions.
    pub decisions: Length,
}

impl Config {
    /// Reads `path`, or [`FILE`] where none is named and one is there, or answers what holds without any.
    ///
    /// # Errors
    /// Where the file cannot be read or says something wrong; the message names file and line.
    pub fn load(path: Option<&Path>) -> Result<Self, Error> {
        let path = match path {
            Some(path) => path,
            None if Path::new(FILE).exists() => Path::new(FILE),
            None => return Self::read("", Path::new(FILE)),
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::Unreadable { path: path.display().to_string(), error })?;
        Self::read(&text, path)
    }

    /// Reads the text of `path`. Paths in it are meant from the file's folder.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub fn read(text: &str, path: &Path) -> Result<Self, Error> {
        let mut config: Self = toml::from_str(text).map_err(|error| Error::from_toml(&error, text, path))?;
        check::check(&mut config).map_err(|text| Error::Wrong { place: path.display().to_string(), text })?;
        config.resolve(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// A tenant.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.name == name)
    }

    /// The account for a tenant's groups in a region; `None` where none is configured.
    #[must_use]
    pub fn cloud(&self, tenant: &str, region: &str) -> Option<&Cloud> {
        let whose = || self.clouds.iter().filter(|cloud| cloud.tenant == tenant);
        whose()
            .find(|cloud| cloud.region.as_deref() == Some(region))
            .or_else(|| whose().find(|cloud| cloud.region.is_none()))
    }

    fn resolve(&mut self, folder: &Path) {
        let tenants = self.tenants.iter_mut().flat_map(|tenant| {
            let named = tenant.tokens.iter_mut().map(|token| &mut token.file);
            tenant.maas_token_file.iter_mut().chain(tenant.token_file.iter_mut()).chain(named)
        });
        let clouds = self.clouds.iter_mut().flat_map(|cloud| {
            let simulated = cloud.simulated.as_mut().and_then(|settings| settings.file.as_mut());
            cloud.credentials_file.iter_mut().chain(simulated)
        });
        let feeds = self.feeds.iter_mut().filter_map(|feed| feed.token_file.as_mut());
        let feeds = feeds.chain(self.sources.iter_mut().filter_map(|source| source.token_file.as_mut()));
        let store = self.store.credentials_file.iter_mut().chain(self.store.ca_file.iter_mut());
        let log = self.log.credentials_file.iter_mut().chain(self.log.ca_file.iter_mut());
        for path in tenants.chain(clouds).chain(feeds).chain(store).chain(log).chain([&mut self.data]) {
            // An absolute path stays as it is.
            *path = folder.join(&*path);
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8460)),
            data: PathBuf::from("weir-data"),
            tenants: Vec::new(),
            clouds: Vec::new(),
            feeds: Vec::new(),
            sources: Vec::new(),
            executor: Executor::default(),
            retention: Retention::default(),
            log: Log::default(),
            store: Store::default(),
        }
    }
}

impl Tenant {
    /// A tenant about whom nothing else is configured.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            maas_token_file: None,
            maas_tenant_ids: Vec::new(),
            server_labels: default_server_labels(),
            group_labels: default_group_labels(),
            token_file: None,
            tokens: Vec::new(),
            quota: Quota::default(),
        }
    }
}

impl Cloud {
    /// The simulated cloud in every region, for a tenant about whose clouds nothing is configured.
    #[must_use]
    pub fn simulated(tenant: &str) -> Self {
        Self {
            tenant: tenant.to_owned(),
            region: None,
            kind: CloudKind::Simulated,
            auth_url: None,
            credentials_file: None,
            launch_budget: default_launch_budget(),
            simulated: None,
        }
    }
}

impl Default for Executor {
    fn default() -> Self {
        Self { sweep: Length::seconds(300), look: Length::seconds(5) }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { events: Length::days(30), decisions: Length::days(90) }
    }
}

fn default_server_labels() -> Vec<String> {
    ["server_id", "instance"].map(str::to_owned).to_vec()
}

fn default_group_labels() -> Vec<String> {
    vec!["weir_group".to_owned()]
}

fn default_launch_budget() -> Budget {
    Budget { count: 20, per: Length::seconds(60) }
}

fn default_every() -> Length {
    Length::seconds(30)
}

#[cfg(test)]
mod tests;
