//! What a configuration must be beyond its shape: names that meet, settings that belong together, kinds that exist.

use super::{Cloud, CloudKind, Config, Feed, Tenant};
use crate::nearest::nearest;
use std::collections::BTreeSet;

/// Fills what was left out and answers the first thing that is wrong.
pub(super) fn check(config: &mut Config) -> Result<(), String> {
    config.log.check()?;
    config.store.check()?;
    // Kafka keeps no history, and Cassandra orders nothing.
    match (config.log.is_kafka(), config.store.is_cassandra()) {
        (true, false) => {
            return Err("`[log]` of kind `kafka` needs a store that many processes share; add `[store]` with \
                        `kind = \"cassandra\"`, or leave `[log]` out"
                .to_owned());
        }
        (false, true) => {
            return Err(
                "`[store]` of kind `cassandra` stands behind a log in Kafka; add `[log]` with `kind = \"kafka\"`, or \
                        leave `[store]` out"
                    .to_owned(),
            );
        }
        (true, true) | (false, false) => {}
    }
    if config.tenants.is_empty() {
        config.tenants.push(Tenant::named("default"));
    }
    let mut names = BTreeSet::new();
    for tenant in &config.tenants {
        name("tenant", &tenant.name)?;
        if !names.insert(tenant.name.as_str()) {
            return Err(format!("two tenants are called `{}`; keep one", tenant.name));
        }
        let mut tokens = BTreeSet::new();
        for token in &tenant.tokens {
            name("token", &token.name)?;
            if !tokens.insert(token.name.as_str()) {
                return Err(format!("two tokens of tenant `{}` are called `{}`", tenant.name, token.name));
            }
        }
    }
    outer_ids(&config.tenants)?;
    let mut places = BTreeSet::new();
    for cloud in &config.clouds {
        known_tenant("cloud", &cloud.tenant, &names)?;
        if !places.insert((&cloud.tenant, &cloud.region)) {
            let region = cloud.region.as_deref().unwrap_or("(every region)");
            return Err(format!("two clouds are given for tenant `{}` in region `{region}`", cloud.tenant));
        }
        account(cloud)?;
    }
    let mut feeds = BTreeSet::new();
    for feed in &mut config.feeds {
        known_tenant("feed", &feed.tenant, &names)?;
        name_feed(feed)?;
        if !feeds.insert((feed.tenant.clone(), feed.name.clone())) {
            return Err(format!(
                "two feeds of tenant `{}` are called `{}`; give one another `name`",
                feed.tenant, feed.name
            ));
        }
    }
    let mut sources = BTreeSet::new();
    for source in &config.sources {
        if let Some(tenant) = &source.tenant {
            known_tenant("source", tenant, &names)?;
        }
        name("source", &source.name)?;
        web_address(&source.url)?;
        // One that is everybody's and one that is somebody's would be two answers to one question.
        let mut serving = sources.iter().filter(|(name, _)| *name == &source.name);
        if serving.any(|(_, whose): &(&String, &Option<String>)| {
            whose.is_none() || source.tenant.is_none() || *whose == &source.tenant
        }) {
            return Err(format!("two sources are called `{}`; give one another `name`", source.name));
        }
        sources.insert((&source.name, &source.tenant));
    }
    if config.clouds.is_empty() {
        config.clouds = config.tenants.iter().map(|tenant| Cloud::simulated(&tenant.name)).collect();
    }
    Ok(())
}

/// Names go into URLs, tags and file names as they are.
fn name(what: &str, name: &str) -> Result<(), String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(fine) {
        return Err(format!("`{name}` cannot be a {what}'s name; use 1 to 64 letters, digits, `-`, `_` and `.`"));
    }
    Ok(())
}

/// An outer id that stood for two tenants would let one speak for the other.
fn outer_ids(tenants: &[Tenant]) -> Result<(), String> {
    let mut seen = std::collections::BTreeMap::new();
    for tenant in tenants {
        for id in &tenant.maas_tenant_ids {
            if let Some(other) = seen.insert(id, &tenant.name) {
                return Err(format!("`maas_tenant_ids` of `{other}` and of `{}` both have \"{id}\"", tenant.name));
            }
        }
    }
    Ok(())
}

fn known_tenant(what: &str, tenant: &str, names: &BTreeSet<&str>) -> Result<(), String> {
    if names.contains(tenant) {
        return Ok(());
    }
    let hint = nearest(tenant, names.iter().copied()).map(|name| format!("; nearest: `{name}`")).unwrap_or_default();
    Err(format!("a `[[{what}]]` belongs to tenant `{tenant}`, which no `[[tenant]]` names{hint}"))
}

fn account(cloud: &Cloud) -> Result<(), String> {
    let wrong = |setting: &str| {
        let region = cloud.region.as_deref().unwrap_or_default();
        Err(format!("the cloud of tenant `{}` in region `{region}` {setting}", cloud.tenant))
    };
    match cloud.kind {
        CloudKind::Simulated if cloud.auth_url.is_some() || cloud.credentials_file.is_some() => {
            wrong("is simulated and needs neither `auth_url` nor `credentials_file`; take them out")
        }
        CloudKind::Rackspace if cloud.simulated.is_some() => {
            wrong("is a real one; take `[cloud.simulated]` out, or make it `kind = \"simulated\"`")
        }
        CloudKind::Rackspace if cloud.region.is_none() => wrong("needs a `region`"),
        CloudKind::Rackspace if cloud.credentials_file.is_none() => wrong("needs a `credentials_file`"),
        CloudKind::Rackspace => match cloud.auth_url.as_deref() {
            Some(url) => web_address(url).map(drop),
            None => wrong("needs an `auth_url`"),
        },
        CloudKind::Simulated => Ok(()),
    }
}

fn name_feed(feed: &mut Feed) -> Result<(), String> {
    let url = web_address(&feed.url)?;
    if feed.name.is_empty() {
        let parts: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
        feed.name = if parts.is_empty() { url.host_str().unwrap_or("feed").to_owned() } else { parts.join("-") };
    }
    name("feed", &feed.name)
}

fn web_address(text: &str) -> Result<reqwest::Url, String> {
    match reqwest::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            // A password in a URL ends up in logs; the files for secrets are there to keep it out of them.
            if url.password().is_some() {
                return Err("a URL in the configuration carries a password; put it into a file".to_owned());
            }
            Ok(url)
        }
        _ => Err(format!("`{text}` is no http or https URL")),
    }
}
