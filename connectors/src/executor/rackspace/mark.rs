//! Whose a server is: three items of its metadata, since Rackspace has no tags.
//!
//! A mark is set and taken off by writing the whole metadata, in one call, so that no half of one is ever seen. What
//! somebody else writes there in the same moment may be lost; Nova offers nothing that would show it.

use super::{
    Rackspace,
    call::{self, Call},
    failure::Failure,
    page, server,
    server::Server,
};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use weir_engine::id::{GroupUid, Slot};

/// The items of a mark.
pub(super) fn of(installation: &str, uid: GroupUid, slot: Slot) -> [(&'static str, String); 3] {
    [(server::INSTALL, installation.to_owned()), (server::GROUP, uid.to_string()), (server::SLOT, slot.to_string())]
}

#[derive(Deserialize)]
struct One {
    server: Server,
}

impl Rackspace {
    /// Sets a mark on a server that runs and bears none.
    pub(super) async fn set_mark(&self, id: &str, uid: GroupUid, slot: Slot) -> Result<(), Failure> {
        let Some(found) = self.one(id).await.map_err(Failure::before_the_work)? else {
            return Err(Failure::refused(format!("the cloud has no server `{id}`")));
        };
        let mut metadata = found.metadata;
        let mark = of(&self.settings.installation, uid, slot);
        if mark.iter().all(|(key, value)| metadata.get(*key) == Some(value)) {
            return Ok(());
        }
        // Any installation's: two that share an account must not take each other's.
        if let Some(other) = metadata.get(server::INSTALL) {
            let group = metadata.get(server::GROUP).map_or("?", String::as_str);
            return Err(Failure::refused(format!(
                "server `{id}` bears the mark of group {group} of installation `{other}` already"
            )));
        }
        if found.status != "ACTIVE" {
            return Err(Failure::refused(format!("server `{id}` does not run: the cloud says {}", found.status)));
        }
        metadata.extend(mark.map(|(key, value)| (key.to_owned(), value)));
        self.write(id, "mark a server", metadata).await
    }

    /// Takes a mark off, if the server bears this one.
    pub(super) async fn take_mark(&self, id: &str, uid: GroupUid, slot: Slot) -> Result<(), Failure> {
        let Some(found) = self.one(id).await.map_err(Failure::before_the_work)? else { return Ok(()) };
        let mut metadata = found.metadata;
        let mark = of(&self.settings.installation, uid, slot);
        if !mark.iter().all(|(key, value)| metadata.get(*key) == Some(value)) {
            return Ok(());
        }
        metadata.retain(|key, _| !mark.iter().any(|(known, _)| known == key));
        self.write(id, "unmark a server", metadata).await
    }

    async fn one(&self, id: &str) -> Result<Option<Server>, Failure> {
        const CALL: &str = "get a server";
        if !page::is_id(id) {
            return Err(Failure::refused(format!("`{id}` is no server's id")));
        }
        match self.call(Call::new(CALL, Method::GET, &["servers", id])).await {
            Ok(bytes) => Ok(Some(call::parse::<One>(CALL, &bytes)?.server)),
            // Some answer 400 to what does not look like their ids.
            Err(Failure { status: Some(StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST), .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn write(&self, id: &str, name: &str, metadata: BTreeMap<String, String>) -> Result<(), Failure> {
        let body = json!({ "metadata": metadata });
        let path = ["servers", id, "metadata"];
        self.call(Call { body: Some(&body), ..Call::new(name, Method::PUT, &path) }).await.map(drop)
    }
}
