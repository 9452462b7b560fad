//! How entries look in XML and JSON.

use super::Row;
use serde_json::{Value, json};
use std::fmt::Write;
use weir_engine::time::rfc3339;

/// What a page has that is not empty.
pub(super) struct Named {
    pub(super) id: String,
    pub(super) updated: String,
}

const ATOM: &str = "http://www.w3.org/2005/Atom";

pub(super) fn xml_page<'a>(
    named: Option<&Named>,
    links: &[(&str, String)],
    rows: impl Iterator<Item = &'a Row>,
) -> String {
    let mut xml = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"{ATOM}\">\n");
    for (rel, href) in links {
        let _ = writeln!(xml, r#"<link href="{}" rel="{rel}"/>"#, escape(href));
    }
    if let Some(Named { id, updated }) = named {
        let _ = writeln!(xml, "<id>{id}</id><title type=\"text\">nova/events</title><updated>{updated}</updated>");
    }
    for row in rows {
        xml_entry(&mut xml, row, "");
    }
    xml.push_str("</feed>\n");
    xml
}

pub(super) fn xml_single(row: &Row) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
    xml_entry(&mut xml, row, &format!(r#" xmlns="{ATOM}""#));
    xml
}

fn xml_entry(xml: &mut String, Row { updated_ms, post, .. }: &Row, attributes: &str) {
    let (id, kind, media) = (escape(&post.id), escape(&post.kind), escape(&post.media));
    let (updated, content) = (rfc3339(*updated_ms), escape(&post.content));
    let _ = writeln!(
        xml,
        r#"<entry{attributes} xml:lang="en"><title>{kind}</title><updated>{updated}</updated><id>{id}</id><summary type="html">{kind}</summary><category term="{kind}"></category><category term="north"></category><content type="{media}">{content}</content></entry>"#
    );
}

pub(super) fn json_page<'a>(
    named: Option<&Named>,
    links: &[(&str, String)],
    rows: impl Iterator<Item = &'a Row>,
) -> Value {
    let links: Vec<Value> = links.iter().map(|(rel, href)| json!({"rel": rel, "href": href})).collect();
    let mut feed = json!({"@type": ATOM, "link": links});
    if let Some(Named { id, updated }) = named {
        feed["id"] = json!(id);
        feed["updated"] = json!(updated);
        feed["title"] = json!({"@text": "nova/events", "type": "text"});
    }
    let mut entries: Vec<Value> = rows.map(json_entry).collect();
    match entries.len() {
        0 => {}
        // The filter knows a list only by there being more than one.
        1 => feed["entry"] = entries.remove(0),
        _ => feed["entry"] = Value::Array(entries),
    }
    json!({"feed": feed})
}

pub(super) fn json_entry(Row { updated_ms, post, .. }: &Row) -> Value {
    json!({
        "id": post.id,
        "updated": rfc3339(*updated_ms),
        "title": post.kind,
        "category": [{"term": post.kind}, {"term": "north"}],
        "content": {"type": post.media, "@text": post.content},
    })
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
