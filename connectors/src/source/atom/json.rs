//! Atom as JSON, as AtomHopper's filter writes it: `feed` with `entry`, or one `entry`; what may repeat is a list or a
//! single object. Read by typed visitors, so that a page of brackets costs no more memory than its bytes.

use super::page::{
    CATEGORIES_MAX, CONTENT_BYTES_MAX, Content, ENTRIES_MAX, Entry, Error, Page, WORD_BYTES_MAX, clip, instant_ms,
    within,
};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use std::{fmt, marker::PhantomData};

/// Reads a feed, or a single entry.
///
/// # Errors
/// [`Error`].
pub(super) fn read(text: &str) -> Result<Page, Error> {
    if text.trim().is_empty() {
        return Err(Error::Empty);
    }
    let Object(root): Object<Root> =
        serde_json::from_str(text).map_err(|error| Error::Json(clip(&error.to_string())))?;
    let drafts = match (root.feed, root.entry) {
        (Some(Object(feed)), None) => feed.entry.0,
        (None, Some(Object(entry))) => vec![entry],
        _ => return Err(Error::Json("it has neither `feed` nor `entry`, or both".to_owned())),
    };
    let mut page = Page::default();
    for draft in drafts {
        match draft.id.as_deref().map(str::trim).filter(|id| !id.is_empty()) {
            None => page.without_id += 1,
            Some(id) => page.entries.push(entry(id, &draft)?),
        }
    }
    Ok(page)
}

fn entry(id: &str, draft: &Draft) -> Result<Entry, Error> {
    within("bytes in an id", id.len(), WORD_BYTES_MAX)?;
    within("categories in an entry", draft.category.0.len(), CATEGORIES_MAX)?;
    let categories: Vec<String> = draft.category.0.iter().filter_map(|category| category.term.clone()).collect();
    for category in &categories {
        within("bytes in a category", category.len(), WORD_BYTES_MAX)?;
    }
    if let Content::Text { media, text } = &draft.content {
        within("bytes in a media type", media.len(), WORD_BYTES_MAX)?;
        within("bytes in a content", text.len(), CONTENT_BYTES_MAX)?;
    }
    let updated_ms = draft.updated.as_deref().and_then(instant_ms);
    Ok(Entry { id: id.to_owned(), updated_ms, categories, content: draft.content.clone() })
}

#[derive(Deserialize)]
struct Root {
    feed: Option<Object<Feed>>,
    entry: Option<Object<Draft>>,
}

#[derive(Deserialize)]
struct Feed {
    #[serde(default)]
    entry: Many<Draft>,
}

#[derive(Deserialize)]
struct Draft {
    id: Option<String>,
    updated: Option<String>,
    #[serde(default)]
    category: Many<Category>,
    #[serde(default)]
    content: Content,
}

#[derive(Deserialize)]
struct Category {
    term: Option<String>,
}

/// An object and nothing else; a derived struct would also be read from a list of its fields.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// A list, or one thing instead of a list of one, or nothing as `""` or `null`.
struct Many<T>(Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ManyVisitor(PhantomData)).map(Self)
    }
}

struct ManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ManyVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(Object(one)) = seq.next_element()? {
            if all.len() >= ENTRIES_MAX {
                return Err(A::Error::custom(format_args!("more than {ENTRIES_MAX} in one list")));
            }
            all.push(one);
        }
        Ok(all)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        if text.is_empty() { Ok(Vec::new()) } else { Err(E::invalid_type(serde::de::Unexpected::Str(text), &self)) }
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

/// Text as a string, text as `{"type": …, "@text": …}`, or a tree.
struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or an object")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Content, E> {
        // The filter leaves the type out where the text is all there is.
        Ok(Content::Text { media: "text".to_owned(), text: text.to_owned() })
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Content, E> {
        Ok(Content::None)
    }

    // The filter writes digits and truth values without quotes, whatever they were.
    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Content, E> {
        Ok(Content::Tree)
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Content, E> {
        Ok(Content::Tree)
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Content, E> {
        Ok(Content::Tree)
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Content, E> {
        Ok(Content::Tree)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Content::Tree)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let (mut media, mut content) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "type" => media = word(map.next_value()?),
                "@text" => content = word(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(content.map_or(Content::Tree, |text| Content::Text { media: media.unwrap_or_else(|| "text".into()), text }))
    }
}

fn word(value: Content) -> Option<String> {
    match value {
        Content::Text { text, .. } => Some(text),
        Content::None | Content::Tree => None,
    }
}
