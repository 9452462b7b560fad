//! Listings, followed to their end. Whole, or an error.

use super::{
    super::CloudErrorKind,
    Rackspace,
    call::{self, Call},
    failure::Failure,
};
use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};
use std::collections::HashSet;

/// A page of a thousand servers with their details is some 4 MiB.
const PAGE_MAX: usize = 32 << 20;
/// More things than this are not listed.
const ITEMS_MAX: usize = 100_000;
/// Longer than any cloud's own.
const ID_MAX: usize = 255;

/// What is listed by pages.
pub(super) trait Listed: DeserializeOwned {
    /// The key of its list.
    const PLURAL: &'static str;

    /// Its id, the marker of the page after it.
    fn id(&self) -> &str;
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(rename = "servers", alias = "images", alias = "flavors")]
    items: Vec<T>,
    #[serde(default = "Vec::new", rename = "servers_links", alias = "images_links", alias = "flavors_links")]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    rel: String,
}

impl Rackspace {
    /// All of them.
    ///
    /// The link to the next page says that there is one, but is not followed, as it may lead anywhere: the marker is
    /// the last id that was seen. A full page without a link is not believed to be the last.
    pub(super) async fn pages<T: Listed>(&self, path: &[&str]) -> Result<Vec<T>, Failure> {
        let mut all: Vec<T> = Vec::new();
        let mut known = HashSet::new();
        let call = format!("list {}", T::PLURAL);
        let limit = self.settings.page_size.to_string();
        loop {
            let marker = all.last().map(|last| last.id().to_owned());
            let query: Vec<_> = [("limit", Some(limit.as_str())), ("marker", marker.as_deref())]
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?)))
                .collect();
            let asked = Call { query: &query, max: PAGE_MAX, ..Call::new(&call, Method::GET, path) };
            let bytes = self.call(asked).await.map_err(|failure| match (&marker, failure.kind) {
                // A marker that was deleted meanwhile is 400: true for this page, not for the listing.
                (Some(_), CloudErrorKind::Refused) => Failure { kind: CloudErrorKind::Unclear, ..failure },
                _ => failure,
            })?;
            let page: Page<T> = call::parse(&call, &bytes)?;
            let linked = page.links.iter().any(|link| link.rel == "next");
            if linked && page.items.is_empty() {
                return Err(Failure::odd(&call, "an empty page says that another follows"));
            }
            let more = linked || page.items.len() >= self.settings.page_size;
            for item in page.items {
                if !is_id(item.id()) {
                    return Err(Failure::odd(&call, "an id is not one"));
                }
                if !known.insert(item.id().to_owned()) {
                    return Err(Failure::odd(
                        &call,
                        format!("`{}` is listed twice: the pages go in a circle", item.id()),
                    ));
                }
                if all.len() == ITEMS_MAX {
                    return Err(Failure::odd(&call, format!("there are more than {ITEMS_MAX}")));
                }
                all.push(item);
            }
            if !more {
                return Ok(all);
            }
        }
    }
}

/// Whether it can stand in a path as it is. `..` would be another path.
pub(super) fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=ID_MAX).contains(&text.len()) && text.bytes().all(fits) && text.bytes().any(|byte| byte != b'.')
}
