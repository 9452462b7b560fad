//! An entry, as facts: a notice for the executor where a server is the subject, and something that happened where a
//! policy counts its type (rule 7). Most entries of most feeds are neither; they are counted by reason and forgotten.

use super::{
    nova::Notification,
    page::{Content, Entry, is_json},
};
use weir_engine::event::{About, Fact, Happened};

/// Why an entry became nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// It has no id.
    WithoutId,
    /// It says no type, in its categories or its content.
    Untyped,
    /// No server is its subject, and no policy counts its type.
    Unwanted,
    /// Its content calls itself JSON and is no notification.
    Unreadable,
}

impl Skip {
    /// As metrics and messages name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WithoutId => "without_id",
            Self::Untyped => "untyped",
            Self::Unwanted => "unwanted",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The facts in an entry, each with its event's id, unique among the feed's. `wanted` says whether some policy counts
/// events of a type.
///
/// INVARIANT: the last fact has the entry's own id, so whoever finds that id in the log knows that the others are there.
///
/// # Errors
/// Why there is none.
pub fn facts(entry: &Entry, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<(String, Fact)>, Skip> {
    let (notification, unreadable) = match &entry.content {
        Content::Text { media, text } if is_json(media) => {
            let read = Notification::read(text);
            let unreadable = read.is_none();
            (read, unreadable)
        }
        Content::Text { .. } | Content::Tree | Content::None => (None, false),
    };
    let kind = notification.as_ref().map(|it| it.kind.as_str()).or_else(|| kind_of(&entry.categories));
    let happened = kind.filter(|kind| wanted(kind)).map(|kind| {
        let server = notification.as_ref().and_then(|it| it.server.clone()).or_else(|| resource_of(&entry.categories));
        let about = About { server: server.into_iter().collect(), group: None };
        Fact::Happened(Happened { kind: kind.to_owned(), about })
    });
    let notice = notification.as_ref().and_then(Notification::notice).map(Fact::Server);
    match (happened, notice) {
        (Some(happened), Some(notice)) => {
            Ok(vec![(format!("{}#happened", entry.id), happened), (entry.id.clone(), notice)])
        }
        (Some(fact), None) | (None, Some(fact)) => Ok(vec![(entry.id.clone(), fact)]),
        (None, None) if unreadable => Err(Skip::Unreadable),
        (None, None) if kind.is_none() => Err(Skip::Untyped),
        (None, None) => Err(Skip::Unwanted),
    }
}

/// What an entry says about itself rather than what it is: tenant, region, data centre, resource, user.
const PREFIXES: [&str; 5] = ["tid:", "rgn:", "dc:", "rid:", "username:"];

/// The type: the category `type:…`, else the first one that is not an attribute of another sort.
fn kind_of(categories: &[String]) -> Option<&str> {
    let named = categories.iter().find_map(|category| category.strip_prefix("type:"));
    let first = || categories.iter().find(|category| !PREFIXES.iter().any(|prefix| category.starts_with(prefix)));
    named.or_else(|| first().map(String::as_str)).filter(|kind| !kind.is_empty())
}

/// The resource that a usage event is about; a server's id where it is a server's.
fn resource_of(categories: &[String]) -> Option<String> {
    categories.iter().find_map(|category| category.strip_prefix("rid:")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn entry(categories: &[&str], content: Content) -> Entry {
        let categories = categories.iter().map(|&category| category.to_owned()).collect();
        Entry { id: "urn:uuid:1".to_owned(), updated_ms: None, categories, content }
    }

    fn notification(kind: &str) -> Content {
        let text = format!(r#"{{"event_type": "{kind}", "payload": {{"instance_id": "s-1", "state": "active"}}}}"#);
        Content::Text { media: "application/json".to_owned(), text }
    }

    #[test]
    fn a_notification_is_a_notice_under_the_entrys_id() {
        let facts = facts(&entry(&["whatever"], notification("compute.instance.create.end")), &|_| false).unwrap();
        let [(id, Fact::Server(notice))] = facts.as_slice() else { panic!("{facts:?}") };
        assert_eq!((id.as_str(), notice.server.as_str()), ("urn:uuid:1", "s-1"));
    }

    #[test]
    fn a_counted_notification_is_two_facts_and_the_last_has_the_entrys_id() {
        let facts = facts(&entry(&[], notification("compute.instance.create.end")), &|kind| {
            kind == "compute.instance.create.end"
        })
        .unwrap();
        let [(first, Fact::Happened(happened)), (last, Fact::Server(_))] = facts.as_slice() else {
            panic!("{facts:?}")
        };
        assert_ne!(first, last);
        assert_eq!(last, "urn:uuid:1");
        assert_eq!(happened.about.server, ["s-1"]);
    }

    #[test]
    fn a_usage_event_counts_by_its_type_category_and_names_its_resource() {
        let categories = ["tid:1234", "rgn:DFW", "rid:r-7", "a.b.usage", "type:a.b.usage"];
        let facts = facts(&entry(&categories, Content::Tree), &|kind| kind == "a.b.usage").unwrap();
        let [(_, Fact::Happened(happened))] = facts.as_slice() else { panic!("{facts:?}") };
        assert_eq!((happened.kind.as_str(), happened.about.server.as_slice()), ("a.b.usage", &["r-7".to_owned()][..]));
    }

    #[test]
    fn what_is_nothing_says_why() {
        let text = |media: &str, text: &str| Content::Text { media: media.to_owned(), text: text.to_owned() };
        for (categories, content, skip) in [
            (&["tid:1", "username:jack"][..], Content::Tree, Skip::Untyped),
            (&[], text("text", "Hello"), Skip::Untyped),
            (&["type:"], Content::None, Skip::Untyped),
            (&["greetings"], text("text", r#"{"event_type": "compute.instance.update"}"#), Skip::Unwanted),
            (&["compute.instance.update"], text("application/json", "{"), Skip::Unreadable),
            (&[], notification("scheduler.select_destinations.end"), Skip::Unwanted),
        ] {
            assert_eq!(facts(&entry(categories, content), &|_| false).unwrap_err(), skip, "{categories:?}");
        }
    }

    #[test]
    fn unreadable_json_still_counts_by_its_category() {
        let content = Content::Text { media: "application/json".to_owned(), text: "{".to_owned() };
        let facts = facts(&entry(&["deploy.done"], content), &|kind| kind == "deploy.done").unwrap();
        assert!(matches!(facts.as_slice(), [(_, Fact::Happened(_))]), "{facts:?}");
    }
}
