//! Rackspace Cloud Servers: Identity v2 and Nova v2.
//!
//! Nova has no token that makes a create happen once, and Rackspace no tags. So a server carries whose it is in its
//! metadata (`weir_install`, `weir_group`, `weir_slot`), and who is unsure whether a create happened lists. A listing
//! is whole or an error. Nothing is tried again here but a call whose token had ended, which is known not to have
//! happened. Balancers and volumes are not offered.

mod call;
mod credentials;
mod failure;
mod identity;
mod mark;
mod names;
mod page;
mod server;

pub use credentials::{Credentials, Error as CredentialsError, Secret};

use super::{Answer, Cloud, CloudError, CloudErrorKind, Member, Seen, ServerOrder};
use crate::{clock::Clock, http};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use call::Call;
use failure::Failure;
use identity::Identity;
use names::{Names, Thing};
use reqwest::{Client, Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use server::Server;
use std::{sync::Arc, time::Duration};
use weir_engine::id::{GroupUid, Slot};
use weir_grammar::policy::Balancer;

/// For a listing, all of its pages.
const LIST_WITHIN: Duration = Duration::from_secs(300);
/// Rackspace's own networks, which have names only in its papers.
const NETWORKS: &[(&str, &str)] =
    &[("public", "00000000-0000-0000-0000-000000000000"), ("private", "11111111-1111-1111-1111-111111111111")];

/// One account in one region.
#[derive(Clone, Debug)]
pub struct RackspaceSettings {
    /// Where tokens are had, `https://identity.api.rackspacecloud.com/v2.0`.
    pub auth_url: String,
    /// The region, as the catalog has it.
    pub region: String,
    /// Who asks.
    pub credentials: Credentials,
    /// This installation's name, in the mark of each server. Two that share an account must differ in it.
    pub installation: String,
    /// Servers on a page of a listing; Rackspace gives at most 1,000.
    pub page_size: usize,
    /// For one exchange.
    pub answer_within: Duration,
}

impl RackspaceSettings {
    /// With the usual page size and patience.
    #[must_use]
    pub fn new(auth_url: &str, region: &str, credentials: Credentials, installation: &str) -> Self {
        Self {
            auth_url: auth_url.to_owned(),
            region: region.to_owned(),
            credentials,
            installation: installation.to_owned(),
            page_size: 1_000,
            answer_within: Duration::from_secs(60),
        }
    }
}

/// Why an account cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of Identity is none.
    #[error(
        "`{url}` is no http or https URL of an Identity service; Rackspace's is https://identity.api.rackspacecloud.com/v2.0"
    )]
    AuthUrl {
        /// As given.
        url: String,
    },
    /// No client can be made.
    #[error("no HTTP client: {0}")]
    Client(String),
}

/// The cloud.
#[derive(Debug)]
pub struct Rackspace {
    settings: RackspaceSettings,
    client: Client,
    clock: Arc<dyn Clock>,
    identity: Identity,
    names: Names,
}

impl Rackspace {
    /// Nothing is asked yet: a wrong key shows at the first call.
    ///
    /// # Errors
    /// The address is none, or the machine has no certificates of authorities.
    pub fn new(mut settings: RackspaceSettings, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        // Pages of nothing would follow each other for ever.
        settings.page_size = settings.page_size.max(1);
        let tokens_url = Url::parse(&format!("{}/tokens", settings.auth_url.trim_end_matches('/')))
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| Error::AuthUrl { url: settings.auth_url.clone() })?;
        let client = http::builder().timeout(settings.answer_within).build();
        let client = client.map_err(|error| Error::Client(http::causes(error)))?;
        let identity = Identity::new(
            client.clone(),
            Arc::clone(&clock),
            tokens_url,
            settings.region.clone(),
            settings.credentials.clone(),
        );
        Ok(Self { settings, client, clock, identity, names: Names::default() })
    }

    /// Every server of this installation, with its group: one listing for a whole sweep. Whole, or an error.
    ///
    /// # Errors
    /// Any page is missing, odd or late.
    pub async fn survey(&self) -> Result<Vec<(GroupUid, Seen)>, CloudError> {
        const CALL: &str = "list servers";
        let listing = self.pages::<Server>(&["servers", "detail"]);
        let servers = tokio::time::timeout(LIST_WITHIN, listing)
            .await
            .map_err(|_| Failure::odd(CALL, format!("no end after {} s", LIST_WITHIN.as_secs())))??;
        let ours = servers.into_iter().filter_map(|server| Some((server.group(&self.settings.installation)?, server)));
        let seen = ours.map(|(uid, server)| server.seen().map(|seen| (uid, seen)));
        seen.collect::<Result<_, _>>().map_err(|what| Failure::odd(CALL, what).into())
    }

    async fn order(&self, order: &ServerOrder) -> Result<String, Failure> {
        const CALL: &str = "create a server";
        // Whatever goes wrong up to here, no server was made.
        let body = self.body(order).await.map_err(Failure::before_the_work)?;
        match self.call(Call { body: Some(&body), ..Call::new(CALL, Method::POST, &["servers"]) }).await {
            Ok(bytes) => {
                let Created { server } = call::parse(CALL, &bytes)?;
                if page::is_id(&server.id) { Ok(server.id) } else { Err(Failure::odd(CALL, "the id is not one")) }
            }
            Err(failure) => {
                if matches!(failure.status, Some(StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND)) {
                    // It may be that the image behind a name was replaced.
                    self.names.forget();
                }
                Err(failure)
            }
        }
    }

    /// What a create says.
    async fn body(&self, order: &ServerOrder) -> Result<Value, Failure> {
        let launch = &order.spec.launch;
        if !launch.volumes.is_empty() {
            // A server without its disk is not the server that was asked for.
            let text =
                format!("launch `{}` asks for volumes, which are not made on Rackspace; take them out", launch.name);
            return Err(Failure { status: None, kind: CloudErrorKind::NotOffered, text });
        }
        let mut metadata: Map<String, Value> =
            launch.metadata.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        // Last, so that no policy can give a server to another group.
        for (key, value) in mark::of(&self.settings.installation, order.uid, order.slot) {
            metadata.insert(key.to_owned(), json!(value));
        }
        let mut server = json!({
            "name": order.name,
            "imageRef": self.id_of(Thing::Image, &launch.image).await?,
            "flavorRef": self.id_of(Thing::Flavor, &launch.flavor).await?,
            "metadata": metadata,
            "config_drive": false,
        });
        if let Some(key) = &launch.key {
            server["key_name"] = json!(key);
        }
        if !launch.networks.is_empty() {
            let networks: Vec<_> = launch.networks.iter().map(|name| json!({ "uuid": network(name) })).collect();
            server["networks"] = json!(networks);
        }
        if let Some(setup) = &order.spec.setup {
            server["user_data"] = json!(STANDARD.encode(setup));
        }
        if let Some(zone) = &order.zone {
            server["availability_zone"] = json!(zone);
        }
        Ok(json!({ "server": server }))
    }
}

/// The answer to a create. The password in it is not read.
#[derive(Deserialize)]
struct Created {
    server: CreatedServer,
}

#[derive(Deserialize)]
struct CreatedServer {
    id: String,
}

/// A network's id: Rackspace's own by name, others by id.
fn network(name: &str) -> &str {
    NETWORKS.iter().find(|(known, _)| *known == name).map_or(name, |(_, id)| id)
}

impl Cloud for Rackspace {
    fn list<'a>(&'a self, uid: GroupUid) -> Answer<'a, Vec<Seen>> {
        Box::pin(async move {
            let all = self.survey().await?;
            Ok(all.into_iter().filter(|(group, _)| *group == uid).map(|(_, seen)| seen).collect())
        })
    }

    fn create<'a>(&'a self, order: &'a ServerOrder) -> Answer<'a, String> {
        Box::pin(async move { Ok(self.order(order).await?) })
    }

    fn delete<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            if !page::is_id(id) {
                return Err(Failure::refused(format!("`{id}` is no server's id")).into());
            }
            match self.call(Call::new("delete a server", Method::DELETE, &["servers", id])).await {
                Ok(_) | Err(Failure { status: Some(StatusCode::NOT_FOUND), .. }) => Ok(()),
                // Nova is at it with something else, and lets go of it.
                Err(Failure { status: Some(StatusCode::CONFLICT), text, .. }) => {
                    Err(CloudError { kind: CloudErrorKind::Later { after_ms: 0 }, text })
                }
                Err(failure) => Err(failure.into()),
            }
        })
    }

    fn mark<'a>(&'a self, id: &'a str, uid: GroupUid, slot: Slot) -> Answer<'a, ()> {
        Box::pin(async move { Ok(self.set_mark(id, uid, slot).await?) })
    }

    fn unmark<'a>(&'a self, id: &'a str, uid: GroupUid, slot: Slot) -> Answer<'a, ()> {
        Box::pin(async move { Ok(self.take_mark(id, uid, slot).await?) })
    }

    fn members<'a>(&'a self, balancer: &'a Balancer) -> Answer<'a, Vec<Member>> {
        Box::pin(std::future::ready(Err(no_balancers(balancer))))
    }

    fn join<'a>(&'a self, balancer: &'a Balancer, _: &'a str) -> Answer<'a, ()> {
        Box::pin(std::future::ready(Err(no_balancers(balancer))))
    }

    fn drain<'a>(&'a self, balancer: &'a Balancer, _: &'a str) -> Answer<'a, ()> {
        Box::pin(std::future::ready(Err(no_balancers(balancer))))
    }

    fn leave<'a>(&'a self, balancer: &'a Balancer, _: &'a str) -> Answer<'a, ()> {
        Box::pin(std::future::ready(Err(no_balancers(balancer))))
    }
}

fn no_balancers(balancer: &Balancer) -> CloudError {
    let text = format!("balancer `{}`: load balancers are not offered on Rackspace yet", balancer.name);
    CloudError { kind: CloudErrorKind::NotOffered, text }
}
