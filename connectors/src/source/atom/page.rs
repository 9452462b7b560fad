//! A page of a feed: what a server answered, read under our own limits.
//!
//! The poller hands a whole body in; out comes every entry on it, or an error that says what is wrong. Never half a
//! page: a body that was cut off is an error, so nobody mistakes it for the end of a feed. Links are not read at all.
//! The poller builds its own addresses, so a feed has no way to send it elsewhere.

use super::{json, xml};

/// Bytes of a page. A thousand entries as AtomHopper sends them are 650 kB.
pub const PAGE_BYTES_MAX: usize = 8 << 20;
/// Entries of a page; AtomHopper's own limit.
pub const ENTRIES_MAX: usize = 1_000;
/// Elements inside one another.
pub const DEPTH_MAX: usize = 64;
/// Attributes of an element, namespace declarations among them.
pub const ATTRIBUTES_MAX: usize = 64;
/// Categories of an entry.
pub const CATEGORIES_MAX: usize = 64;
/// Bytes of an id, a category, a media type or a date.
pub const WORD_BYTES_MAX: usize = 1_024;
/// Bytes of an entry's content.
pub const CONTENT_BYTES_MAX: usize = 1 << 20;

/// A page, newest entry first, as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Its entries.
    pub entries: Vec<Entry>,
    /// Entries that had no id. A server gives every entry one, so these can only be shown and counted.
    pub without_id: usize,
}

/// An entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its id, `urn:uuid:…`; unique in the feed, and the marker of its place.
    pub id: String,
    /// The feed's time of it, epoch milliseconds, where it says a readable one.
    pub updated_ms: Option<i64>,
    /// Its categories' terms, in order.
    pub categories: Vec<String>,
    /// What it holds.
    pub content: Content,
}

/// What an entry holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Nothing, or a reference to something elsewhere, which is not followed.
    #[default]
    None,
    /// Text of a media type (`text` where none is said).
    Text {
        /// The type, as written.
        media: String,
        /// The text, unescaped.
        text: String,
    },
    /// XML elements, or a JSON object made from them: usage and audit events, known by their categories alone.
    Tree,
}

/// Why a body is not a page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than a limit allows.
    #[error("the page has more than {most} {what}; ask for fewer entries with `limit`")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// Another character encoding.
    #[error("the page is in `{0}`; only UTF-8 is read")]
    Encoding(String),
    /// Not the encoding that it should be in.
    #[error("byte {at} of the page is not UTF-8")]
    NotUtf8 {
        /// Where.
        at: usize,
    },
    /// A character that XML does not allow.
    #[error("byte {at} of the page is a control character, which XML does not allow")]
    Control {
        /// Where.
        at: usize,
    },
    /// A document type definition.
    #[error("the page has a document type definition; feeds need none and it is not read")]
    Dtd,
    /// An entity that a document type definition would have to define.
    #[error("the page uses the entity `&{0};`, which XML does not define")]
    Entity(String),
    /// The body ended early.
    #[error("the page ends inside `{0}`; it was cut off")]
    Cut(String),
    /// There is nothing in it.
    #[error("the page is empty")]
    Empty,
    /// Another kind of document.
    #[error("the page is a `{0}`, not an Atom feed or entry; look at `url`")]
    NotAFeed(String),
    /// Said twice where once is the rule.
    #[error("an entry has two of `{0}`")]
    Twice(&'static str),
    /// Not well-formed XML.
    #[error("the page is not well-formed XML at byte {at}: {text}")]
    Xml {
        /// Where.
        at: u64,
        /// The parser's words.
        text: String,
    },
    /// Not the JSON that it should be.
    #[error("the page is not a JSON feed: {0}")]
    Json(String),
}

/// Reads a body. `media` is its `Content-Type`, where the server sent one; what is not called JSON is taken for XML,
/// unless it begins as only JSON does.
///
/// # Errors
/// [`Error`]; nothing of the body was kept.
pub fn read(body: &[u8], media: Option<&str>) -> Result<Page, Error> {
    if body.len() > PAGE_BYTES_MAX {
        return Err(Error::TooMuch { what: "bytes", most: PAGE_BYTES_MAX });
    }
    let media = media.unwrap_or_default().to_ascii_lowercase();
    if let Some((_, charset)) = media.split_once("charset=") {
        let charset = charset.split(';').next().unwrap_or_default().trim().trim_matches('"');
        if !is_utf8(charset) {
            return Err(Error::Encoding(clip(charset)));
        }
    }
    let text = std::str::from_utf8(body).map_err(|error| match body {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Error::Encoding("utf-16".to_owned()),
        _ => Error::NotUtf8 { at: error.valid_up_to() },
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if is_json(&media) || text.trim_start().starts_with('{') { json::read(text) } else { xml::read(text) }
}

/// Whether a media type is JSON, or JSON in some vocabulary (`application/cadf+json`).
pub(super) fn is_json(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim();
    media.eq_ignore_ascii_case("application/json") || media.to_ascii_lowercase().ends_with("+json")
}

/// Whether a character encoding is ours or part of it.
pub(super) fn is_utf8(name: &str) -> bool {
    ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|ours| name.eq_ignore_ascii_case(ours))
}

/// Holds a length against its limit.
pub(super) fn within(what: &'static str, length: usize, most: usize) -> Result<(), Error> {
    if length > most { Err(Error::TooMuch { what, most }) } else { Ok(()) }
}

/// A stranger's words, short enough for a message.
pub(super) fn clip(words: &str) -> String {
    const SHOWN_MAX: usize = 200;
    if words.chars().count() <= SHOWN_MAX {
        return words.to_owned();
    }
    words.chars().take(SHOWN_MAX).chain("…".chars()).collect()
}

/// The feed's time. Some publishers leave the zone out and mean UTC.
pub(super) fn instant_ms(text: &str) -> Option<i64> {
    use weir_engine::time::parse_rfc3339;
    let text = text.trim();
    parse_rfc3339(text).or_else(|_| parse_rfc3339(&format!("{text}Z"))).ok()
}
