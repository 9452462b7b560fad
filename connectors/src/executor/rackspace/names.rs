//! Images and flavors by id or name. What was found is kept for some minutes: names move to newer images.

use super::{
    Rackspace,
    call::Call,
    failure::Failure,
    page::{Listed, is_id},
};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an answer is good for.
const KEPT: Duration = Duration::from_secs(600);
/// How many are kept; beyond, all are forgotten and asked again.
const KEPT_MAX: usize = 1_000;

/// What has names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Thing {
    Image,
    Flavor,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<(Thing, String), (String, Instant)>>);

impl Names {
    fn get(&self, thing: Thing, name: &str) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, since) = kept.get(&(thing, name.to_owned()))?;
        (since.elapsed() < KEPT).then(|| id.clone())
    }

    fn keep(&self, thing: Thing, name: &str, id: &str) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert((thing, name.to_owned()), (id.to_owned(), Instant::now()));
    }

    /// The cloud did not know an id any more.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[derive(Deserialize)]
struct Named<const IMAGE: bool> {
    id: String,
    name: String,
}

impl Listed for Named<true> {
    const PLURAL: &'static str = "images";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for Named<false> {
    const PLURAL: &'static str = "flavors";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Rackspace {
    /// The id of what a policy calls `name`: an id, or the name of exactly one.
    pub(super) async fn id_of(&self, thing: Thing, name: &str) -> Result<String, Failure> {
        if let Some(id) = self.names.get(thing, name) {
            return Ok(id);
        }
        let id = if self.is_there(thing, name).await? { name.to_owned() } else { self.by_name(thing, name).await? };
        self.names.keep(thing, name, &id);
        Ok(id)
    }

    async fn is_there(&self, thing: Thing, id: &str) -> Result<bool, Failure> {
        if !is_id(id) {
            return Ok(false);
        }
        let (call, folder) = match thing {
            Thing::Image => ("get an image", "images"),
            Thing::Flavor => ("get a flavor", "flavors"),
        };
        match self.call(Call::new(call, Method::GET, &[folder, id])).await {
            Ok(_) => Ok(true),
            // Some answer 400 to what does not look like their ids.
            Err(Failure { status: Some(StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST), .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    async fn by_name(&self, thing: Thing, name: &str) -> Result<String, Failure> {
        let mut found = match thing {
            Thing::Image => named(self.pages::<Named<true>>(&["images"]).await?, name),
            Thing::Flavor => named(self.pages::<Named<false>>(&["flavors"]).await?, name),
        };
        let (one, more) = match thing {
            Thing::Image => ("image", "images"),
            Thing::Flavor => ("flavor", "flavors"),
        };
        match (found.pop(), found.len()) {
            (Some(id), 0) => Ok(id),
            (None, _) => Err(Failure::refused(format!("the cloud has no {one} with the id or name `{name}`"))),
            (Some(_), others) => {
                Err(Failure::refused(format!("the cloud has {} {more} named `{name}`; give the id of one", others + 1)))
            }
        }
    }
}

fn named<const IMAGE: bool>(all: Vec<Named<IMAGE>>, name: &str) -> Vec<String> {
    all.into_iter().filter(|one| one.name == name).map(|one| one.id).collect()
}
