//! Pages of feeds: what real ones look like, where they are cut, and what hostile ones get.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use proptest::prelude::*;
use weir::source::atom::page::{Content, DEPTH_MAX, Page, read};
use weir_engine::time::parse_rfc3339;
use weir_tests::hostile_feeds::hostile_feeds;

const SAMPLES: [(&str, &str, &str); 7] = [
    ("nova.xml", "application/atom+xml;charset=utf-8", include_str!("../samples/feeds/nova.xml")),
    ("usage.xml", "application/atom+xml", include_str!("../samples/feeds/usage.xml")),
    ("archive.xml", "application/xml; charset=\"UTF-8\"", include_str!("../samples/feeds/archive.xml")),
    ("entry.xml", "application/atom+xml;type=entry", include_str!("../samples/feeds/entry.xml")),
    ("usage.json", "application/json", include_str!("../samples/feeds/usage.json")),
    ("entry.json", "application/vnd.rackspace.atom+json", include_str!("../samples/feeds/entry.json")),
    ("archive.json", "application/json", include_str!("../samples/feeds/archive.json")),
];

fn sample(name: &str) -> Page {
    let (_, media, body) = SAMPLES.iter().find(|(it, ..)| *it == name).unwrap();
    read(body.as_bytes(), Some(media)).unwrap()
}

fn at(text: &str) -> Option<i64> {
    Some(parse_rfc3339(text).unwrap())
}

#[test]
fn a_page_of_notifications_keeps_their_json_as_text() {
    let page = sample("nova.xml");
    let ids: Vec<&str> = page.entries.iter().map(|entry| &entry.id["urn:uuid:0c1f0a52-".len()..][..4]).collect();
    assert_eq!(ids, ["3333", "2222", "1111"], "newest first, as it was sent");
    assert_eq!(page.entries[1].updated_ms, at("2026-11-24T08:30:03.120Z"));
    assert_eq!(page.entries[1].categories, ["compute.instance.create.end", "north"]);
    for entry in &page.entries {
        let Content::Text { media, text } = &entry.content else { panic!("{entry:?}") };
        assert_eq!(media, "application/json");
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(value["event_type"], entry.categories[0]);
    }
    let Content::Text { text, .. } = &page.entries[1].content else { panic!() };
    assert!(text.contains("R&D says"), "references are resolved in place: {text}");
}

#[test]
fn a_prefix_and_a_default_namespace_are_one() {
    let page = sample("usage.xml");
    let [usage, access] = page.entries.as_slice() else { panic!("{page:?}") };
    assert_eq!(usage.id, "urn:uuid:aaaa0000-0000-4000-8000-000000000002");
    assert_eq!(usage.content, Content::Tree);
    assert_eq!(usage.categories.last().unwrap(), "type:gadgets.compute.server.usage");
    assert_eq!(usage.updated_ms, at("2026-11-24T08:39:59.991Z"));
    assert!(matches!(&access.content, Content::Text { media, .. } if media == "text"), "{access:?}");
}

#[test]
fn an_archive_is_a_page_like_any_other() {
    for name in ["archive.xml", "archive.json"] {
        let page = sample(name);
        assert_eq!(page.entries.len(), 1, "{name}");
        assert_eq!(page.entries[0].updated_ms, at("2026-11-24T15:16:12.247Z"), "{name}");
    }
}

#[test]
fn a_single_entry_is_a_page_of_one() {
    for name in ["entry.xml", "entry.json"] {
        let page = sample(name);
        let [entry] = page.entries.as_slice() else { panic!("{name}: {page:?}") };
        assert_eq!(entry.id, "urn:uuid:cccc0000-0000-4000-8000-000000000001", "{name}: not the id of its source");
        assert_eq!(entry.updated_ms, at("2026-11-24T08:00:00Z"), "{name}");
        assert!(!matches!(entry.content, Content::Text { .. }), "{name}: what is elsewhere is not followed");
    }
}

#[test]
fn json_has_lists_single_objects_and_text_in_an_object() {
    let page = sample("usage.json");
    let [usage, notification] = page.entries.as_slice() else { panic!("{page:?}") };
    assert_eq!(usage.content, Content::Tree);
    assert_eq!(usage.categories.len(), 4);
    assert_eq!(notification.categories, ["compute.instance.update"]);
    assert!(matches!(&notification.content, Content::Text { media, text }
        if media == "application/json" && text.contains("\"stopped\"")));
}

#[test]
fn an_empty_feed_has_no_entries_and_no_error() {
    for (media, body) in [
        ("application/atom+xml", r#"<feed xmlns="http://www.w3.org/2005/Atom"/>"#),
        ("application/atom+xml", r#"<a:feed xmlns:a="http://www.w3.org/2005/Atom"><a:link rel="self"/></a:feed>"#),
        ("application/json", r#"{"feed": {"link": []}}"#),
        ("application/json", r#"{"feed": {"entry": ""}}"#),
    ] {
        assert_eq!(read(body.as_bytes(), Some(media)).unwrap(), Page::default(), "{body}");
    }
}

#[test]
fn entries_without_an_id_are_counted_apart() {
    let body = r#"<feed xmlns="http://www.w3.org/2005/Atom"><entry/><entry><id> </id></entry><entry><id>a</id></entry></feed>"#;
    let page = read(body.as_bytes(), None).unwrap();
    assert_eq!((page.entries.len(), page.without_id), (1, 2));
}

#[test]
fn a_byte_order_mark_is_no_text() {
    let body = format!("\u{feff}{}", SAMPLES[0].2);
    assert_eq!(read(body.as_bytes(), None).unwrap(), sample("nova.xml"));
}

#[test]
fn limits_hold_at_their_edges() {
    let feed = |inside: String| format!(r#"<feed xmlns="http://www.w3.org/2005/Atom">{inside}</feed>"#);
    let ok = |body: String| read(body.as_bytes(), None).is_ok();
    for (limit, holds) in [
        (1_000, &(|n| feed("<entry/>".repeat(n))) as &dyn Fn(usize) -> String),
        (1_024, &|n| feed(format!("<entry><id>{}</id></entry>", "x".repeat(n)))),
        (64, &|n| feed(format!("<entry>{}</entry>", r#"<category term="a"/>"#.repeat(n)))),
        (64, &|n| feed(format!("<x{}/>", (0..n).map(|n| format!(r#" a{n}="""#)).collect::<String>()))),
        (1 << 20, &|n| feed(format!("<entry><id>a</id><content>{}</content></entry>", "x".repeat(n)))),
        (DEPTH_MAX - 1, &|n| feed(format!("{}{}", "<a>".repeat(n), "</a>".repeat(n)))),
    ] {
        assert!(ok(holds(limit - 1)) && ok(holds(limit)), "{limit}");
        assert!(!ok(holds(limit + 1)), "{limit} + 1");
    }
}

/// A page that ends early must never look like a page: what came after would be lost behind the marker.
#[test]
fn a_page_cut_at_any_byte_is_an_error() {
    for (name, media, body) in SAMPLES {
        let whole = body.trim_end().len();
        for cut in 0..whole {
            let result = read(&body.as_bytes()[..cut], Some(media));
            assert!(result.is_err(), "{name} cut at {cut} of {whole}: {result:?}");
        }
        assert!(read(&body.as_bytes()[..whole], Some(media)).is_ok(), "{name}");
    }
}

#[test]
fn every_hostile_page_gets_a_clear_error() {
    let all = hostile_feeds();
    assert!(all.len() >= 150, "{}", all.len());
    for hostile in all {
        let error = match read(&hostile.body, Some(hostile.media)) {
            Err(error) => error.to_string(),
            Ok(page) => panic!("{}: taken for {page:?}", hostile.name),
        };
        assert!(error.contains(hostile.says), "{}: `{error}` does not say `{}`", hostile.name, hostile.says);
        assert!(error.len() < 300, "{}: {} bytes of error", hostile.name, error.len());
    }
}

proptest! {
    #[test]
    fn no_byte_anywhere_makes_it_panic(
        which in 0..SAMPLES.len(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let (_, media, body) = SAMPLES[which];
        let mut body = body.as_bytes().to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        let _ = read(&body, Some(media));
        body.remove(cut.index(body.len()));
        let _ = read(&body, Some(media));
    }
}
