//! Which cloud is whose, by the configuration: one client an account and region, made at the start.

use crate::{
    clock::Clock,
    config::{self, CloudKind, Config},
    executor::{
        Cloud, Clouds, LaunchBudget,
        rackspace::{self, Credentials, CredentialsError, Rackspace, RackspaceSettings},
        simulated::{self, Simulated},
    },
};
use std::{fmt, sync::Arc};

/// An installation's name in the marks of its servers: so much of the name of the log that they were first made under.
const INSTALLATION_CHARS: usize = 16;

/// Why a cloud of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its credentials.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Its address.
    #[error(transparent)]
    Rackspace(#[from] rackspace::Error),
    /// Its file.
    #[error(transparent)]
    Simulated(#[from] simulated::Error),
}

/// The clouds of a configuration.
pub struct ConfiguredClouds {
    config: Config,
    /// In the order of the configuration.
    clouds: Vec<Arc<dyn Cloud>>,
}

impl ConfiguredClouds {
    /// Makes a client for each. Nothing is asked of a cloud yet.
    ///
    /// # Errors
    /// Where credentials cannot be read, or a simulated cloud's file cannot be used.
    pub fn open(config: &Config, installation: &str, clock: &Arc<dyn Clock>) -> Result<Self, Error> {
        let clouds = config.clouds.iter().map(|cloud| open(config, cloud, installation, clock));
        Ok(Self { clouds: clouds.collect::<Result<_, _>>()?, config: config.clone() })
    }
}

fn open(
    config: &Config,
    cloud: &config::Cloud,
    installation: &str,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Cloud>, Error> {
    let region = cloud.region.as_deref().unwrap_or_default();
    match cloud.kind {
        CloudKind::Simulated => {
            let dash = if region.is_empty() { "" } else { "-" };
            let settings = cloud.simulated.clone().unwrap_or_default();
            let path = settings.file.clone();
            let path =
                path.unwrap_or_else(|| config.data.join(format!("simulated-{}{dash}{region}.ndjson", cloud.tenant)));
            Ok(Arc::new(Simulated::open(&path, settings, Arc::clone(clock))?))
        }
        CloudKind::Rackspace => {
            // The configuration was checked: both are there.
            let credentials = Credentials::read(cloud.credentials_file.as_deref().unwrap_or(&config.data))?;
            let installation: String = installation.chars().take(INSTALLATION_CHARS).collect();
            let auth_url = cloud.auth_url.as_deref().unwrap_or_default();
            let settings = RackspaceSettings::new(auth_url, region, credentials, &installation);
            Ok(Arc::new(Rackspace::new(settings, Arc::clone(clock))?))
        }
    }
}

impl Clouds for ConfiguredClouds {
    fn cloud(&self, tenant: &str, region: &str) -> Option<Arc<dyn Cloud>> {
        let wanted = self.config.cloud(tenant, region)?;
        let at = self.config.clouds.iter().position(|cloud| std::ptr::eq(cloud, wanted))?;
        self.clouds.get(at).map(Arc::clone)
    }

    fn launch_budget(&self, tenant: &str, region: &str) -> Option<LaunchBudget> {
        let budget = self.config.cloud(tenant, region)?.launch_budget;
        Some(LaunchBudget { count: budget.count, per_ms: budget.per.ms() })
    }
}

impl fmt::Debug for ConfiguredClouds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfiguredClouds").field("clouds", &self.clouds.len()).finish_non_exhaustive()
    }
}
