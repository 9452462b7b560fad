//! Atom as XML: `quick-xml`'s events, turned into entries under the limits of [`page`](super::page).
//!
//! Only what Weir needs is kept: an entry's id, time, categories, and content that is text. Everything else is walked
//! over, so that its bounds and its well-formedness are checked too. No entity is ever expanded but XML's own five, and
//! no address in the document is ever opened.

use super::page::{
    ATTRIBUTES_MAX, CATEGORIES_MAX, CONTENT_BYTES_MAX, Content, DEPTH_MAX, ENTRIES_MAX, Entry, Error, Page,
    WORD_BYTES_MAX, clip, instant_ms, is_utf8, within,
};
use quick_xml::{
    XmlVersion,
    escape::{EscapeError, resolve_predefined_entity},
    events::{BytesDecl, BytesRef, BytesStart, Event},
    name::{Namespace, ResolveResult},
    reader::NsReader,
};

const ATOM: &str = "http://www.w3.org/2005/Atom";

/// Reads a feed, or a single entry, with or without a prefix.
///
/// # Errors
/// [`Error`].
pub(super) fn read(text: &str) -> Result<Page, Error> {
    if let Some(at) = text.bytes().position(|byte| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')) {
        return Err(Error::Control { at });
    }
    let mut reader = NsReader::from_str(text);
    let mut builder = Builder::default();
    loop {
        let at = reader.buffer_position();
        let (namespace, event) = reader.read_resolved_event().map_err(|error| ill(at, &error))?;
        let atom = match namespace {
            ResolveResult::Bound(Namespace(uri)) => uri == ATOM,
            ResolveResult::Unbound => false,
            ResolveResult::Unknown(prefix) => return Err(ill(at, &format!("the prefix `{prefix}` is not declared"))),
        };
        match event {
            Event::Start(tag) => builder.open(atom, &tag, at)?,
            Event::Empty(tag) => {
                builder.open(atom, &tag, at)?;
                builder.close()?;
            }
            Event::End(_) => builder.close()?,
            Event::Text(text) => builder.text(&text.xml10_content(), at)?,
            Event::CData(text) => builder.text(&text.xml10_content(), at)?,
            Event::GeneralRef(reference) => builder.text(resolve(&reference, at)?.encode_utf8(&mut [0; 4]), at)?,
            Event::Decl(declaration) => check_declaration(&declaration, at)?,
            Event::DocType(_) => return Err(Error::Dtd),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return builder.finish(),
        }
    }
}

/// Where in the document we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Feed,
    Entry,
    Id,
    /// Whether it is Atom's own: archives have some in a namespace of theirs, which count where there is no other.
    Updated {
        atom: bool,
    },
    Content,
    /// Anything that is walked over.
    Other,
}

#[derive(Default)]
struct Builder {
    /// The open elements, outermost first.
    open: Vec<Place>,
    /// The root was there and is closed.
    done: bool,
    page: Page,
    entry: Draft,
}

/// An entry in the making.
#[derive(Default)]
struct Draft {
    id: Option<String>,
    updated: Option<String>,
    updated_elsewhere: Option<String>,
    categories: Vec<String>,
    content: Content,
    content_seen: bool,
}

impl Builder {
    fn open(&mut self, atom: bool, tag: &BytesStart<'_>, at: u64) -> Result<(), Error> {
        within("elements inside one another", self.open.len() + 1, DEPTH_MAX)?;
        let attributes = attributes(tag, at)?;
        let name = tag.local_name().into_inner();
        // The reader takes anything up to a blank for a name, even nothing.
        if !name.starts_with(|first: char| first.is_alphabetic() || first == '_')
            || name.contains(['<', '&', '"', '\''])
        {
            return Err(ill(at, &format!("`{}` is no element's name", clip(name))));
        }
        let place = match (self.open.last(), atom, name) {
            (None, ..) if self.done => return Err(ill(at, &"a second root element")),
            (None, true, "feed") => Place::Feed,
            (None | Some(Place::Feed), true, "entry") => self.begin_entry()?,
            (None, ..) => return Err(Error::NotAFeed(clip(name))),
            (Some(Place::Entry), true, "id") => begin(&mut self.entry.id, "id", Place::Id)?,
            (Some(Place::Entry), true, "updated") => {
                begin(&mut self.entry.updated, "updated", Place::Updated { atom })?
            }
            (Some(Place::Entry), false, "updated") => {
                self.entry.updated_elsewhere = Some(String::new());
                Place::Updated { atom }
            }
            (Some(Place::Entry), true, "category") => {
                if let Some(term) = attributes.term {
                    within("bytes in a category", term.len(), WORD_BYTES_MAX)?;
                    within("categories in an entry", self.entry.categories.len() + 1, CATEGORIES_MAX)?;
                    self.entry.categories.push(term);
                }
                Place::Other
            }
            (Some(Place::Entry), true, "content") => {
                if std::mem::replace(&mut self.entry.content_seen, true) {
                    return Err(Error::Twice("content"));
                }
                if attributes.elsewhere {
                    Place::Other
                } else {
                    let media = attributes.media.unwrap_or_else(|| "text".to_owned());
                    within("bytes in a media type", media.len(), WORD_BYTES_MAX)?;
                    self.entry.content = Content::Text { media, text: String::new() };
                    Place::Content
                }
            }
            (Some(Place::Content), ..) => {
                self.entry.content = Content::Tree;
                Place::Other
            }
            (Some(_), ..) => Place::Other,
        };
        self.open.push(place);
        Ok(())
    }

    fn begin_entry(&mut self) -> Result<Place, Error> {
        within("entries", self.page.entries.len() + self.page.without_id + 1, ENTRIES_MAX)?;
        self.entry = Draft::default();
        Ok(Place::Entry)
    }

    fn close(&mut self) -> Result<(), Error> {
        // The reader has matched the names already; an end without a start never comes here.
        if self.open.pop() == Some(Place::Entry) {
            let draft = std::mem::take(&mut self.entry);
            let updated = draft.updated.or(draft.updated_elsewhere);
            match draft.id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()) {
                None => self.page.without_id += 1,
                Some(id) => self.page.entries.push(Entry {
                    id,
                    updated_ms: updated.as_deref().and_then(instant_ms),
                    categories: draft.categories,
                    content: draft.content,
                }),
            }
        }
        self.done = self.open.is_empty();
        Ok(())
    }

    fn text(&mut self, text: &str, at: u64) -> Result<(), Error> {
        let (what, most, target) = match self.open.last() {
            None if text.trim().is_empty() => return Ok(()),
            None => return Err(ill(at, &"text outside the root element")),
            Some(Place::Id) => ("bytes in an id", WORD_BYTES_MAX, self.entry.id.as_mut()),
            Some(Place::Updated { atom: true }) => ("bytes in a date", WORD_BYTES_MAX, self.entry.updated.as_mut()),
            Some(Place::Updated { atom: false }) => {
                ("bytes in a date", WORD_BYTES_MAX, self.entry.updated_elsewhere.as_mut())
            }
            Some(Place::Content) => match &mut self.entry.content {
                Content::Text { text, .. } => ("bytes in a content", CONTENT_BYTES_MAX, Some(text)),
                Content::None | Content::Tree => return Ok(()),
            },
            Some(Place::Feed | Place::Entry | Place::Other) => return Ok(()),
        };
        if let Some(target) = target {
            within(what, target.len() + text.len(), most)?;
            target.push_str(text);
        }
        Ok(())
    }

    fn finish(self) -> Result<Page, Error> {
        match self.open.last() {
            // The reader takes the end of its input for the end of a document, whatever is still open.
            Some(place) => Err(Error::Cut(format!("{place:?}").to_ascii_lowercase())),
            None if self.done => Ok(self.page),
            None => Err(Error::Empty),
        }
    }
}

fn begin(target: &mut Option<String>, name: &'static str, place: Place) -> Result<Place, Error> {
    if target.replace(String::new()).is_some() {
        return Err(Error::Twice(name));
    }
    Ok(place)
}

/// The few attributes that matter, after all of them were checked.
#[derive(Default)]
struct Attributes {
    term: Option<String>,
    media: Option<String>,
    /// The content is a reference.
    elsewhere: bool,
}

fn attributes(tag: &BytesStart<'_>, at: u64) -> Result<Attributes, Error> {
    let mut found = Attributes::default();
    for (index, attribute) in tag.attributes().enumerate() {
        within("attributes in an element", index + 1, ATTRIBUTES_MAX)?;
        let attribute = attribute.map_err(|error| ill(at, &error))?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| match error {
            quick_xml::Error::Escape(EscapeError::UnrecognizedEntity(_, name)) => Error::Entity(clip(&name)),
            other => ill(at, &other),
        })?;
        match attribute.key.0 {
            "term" => found.term = Some(value.into_owned()),
            "type" => found.media = Some(value.into_owned()),
            "src" => found.elsewhere = true,
            _ => {}
        }
    }
    Ok(found)
}

/// One of XML's five entities, or a character by its number.
fn resolve(reference: &BytesRef<'_>, at: u64) -> Result<char, Error> {
    let numbered = reference.resolve_char_ref().map_err(|error| ill(at, &error))?;
    let named = || resolve_predefined_entity(reference).and_then(|text| text.chars().next());
    let character = numbered.or_else(named).ok_or_else(|| Error::Entity(clip(reference)))?;
    if character < ' ' && !matches!(character, '\t' | '\n' | '\r') {
        return Err(ill(at, &format!("`&{};` is a character that XML does not allow", clip(reference))));
    }
    Ok(character)
}

fn check_declaration(declaration: &BytesDecl<'_>, at: u64) -> Result<(), Error> {
    if at != 0 {
        return Err(ill(at, &"an XML declaration that is not at the start"));
    }
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(name)) if is_utf8(&name) => Ok(()),
        Some(Ok(name)) => Err(Error::Encoding(clip(&name))),
        Some(Err(error)) => Err(ill(at, &error)),
    }
}

fn ill(at: u64, error: &dyn ToString) -> Error {
    Error::Xml { at, text: clip(&error.to_string()) }
}
