//! Bad lines to diagnostics: what a line that fits nothing was probably meant to be.
//!
//! `check` hands over the tree; each `bad_line` in it is read again, by the strict rule of the block it stands in, and
//! the furthest point of that reading is reported. The inside of a block whose first line is bad is read too, so every
//! bad line of a file is reported in one run, and each once.

use crate::diagnostic::Diagnostic;
use crate::policy::Span;
use crate::scan::{line_end, string_end};
use crate::syntax::{Node, Rule, parse, span};
use crate::vocabulary::{Block, END, describe, is_kept, is_reserved, keyword, nearest};

/// Reports every bad line in the tree.
pub(crate) fn report(file: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) {
    inside(Block::File, file, diagnostics);
}

fn inside(block: Block, body: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) {
    for node in &body.kids {
        match node.rule {
            Rule::bad_line | Rule::bad_end => bad_line(block, node, diagnostics),
            _ => {
                if let Some(kind) = Block::of(node.rule)
                    && let Some(body) = node.kids.iter().find(|kid| kid.rule.is_body())
                {
                    inside(kind, body, diagnostics);
                }
            }
        }
    }
}

fn bad_line(block: Block, node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let text = node.text;
    let word = first_word(text);
    let words = || block.words().iter().copied();
    let known = words().any(|other| other == word);
    let guess = words().find(|other| *other == word).or_else(|| nearest(word, words()));
    let Some((open, close)) = braces(text) else {
        return diagnostics.push(if known { unreadable(block, node, text) } else { unknown(block, node, word, guess) });
    };
    // A block: its first line is judged alone, then what stands behind it, then what is in it.
    let before = text.get(..open).unwrap_or(text);
    let (head, tail) = (before.trim_end(), text.get(close + 1..).unwrap_or(""));
    let strict = format!("{head} {{}}");
    if !known {
        diagnostics.push(unknown(block, node, word, guess));
    } else if parse(block.statement(), &strict, node.start).is_err() {
        diagnostics.push(unreadable(block, node, &strict));
    } else if before.contains(['\n', '\r']) {
        let place = span(node.start + open, node.start + open + 1);
        diagnostics.push(Diagnostic::error("E0103", place, "the `{` of a block stands on the block's first line"));
    } else {
        let at = node.start + close + 1 + (tail.len() - tail.trim_start().len());
        let shown = found_at(tail.trim_start(), 0);
        let message = format!("expected the end of the line, found `{shown}`");
        let place = span(at, at + shown.len());
        diagnostics.push(Diagnostic::error("E0103", place, message).here("a block ends its line"));
    }
    if let Some(kind) = guess.and_then(Block::opened_by).or(Block::opened_by(word))
        && let Some(inner) = text.get(open + 1..close)
        && let Ok(body) = parse(kind.body(), inner, node.start + open + 1)
    {
        inside(kind, &body, diagnostics);
    }
}

/// The first word of a line.
fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.get(..end).unwrap_or(text)
}

/// Byte offsets of the first brace of a line and of the one that closes it.
fn braces(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut open) = (0, 0_usize, None);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'#' => {
                at = line_end(bytes, at);
                continue;
            }
            b'{' => {
                open.get_or_insert(at);
                depth += 1;
            }
            b'}' if depth == 1 => return open.map(|open| (open, at)),
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// A line that begins with a word the block does not know.
fn unknown(block: Block, node: &Node<'_>, word: &str, guess: Option<&'static str>) -> Diagnostic {
    let shown = if word.is_empty() { found_at(node.text, 0) } else { word };
    let place = span(node.start, node.start + shown.len().max(1));
    let found = Diagnostic::error("E0102", place, format!("`{shown}` begins no statement of {}", block.named()));
    if let Some(elsewhere) = Block::all().find(|other| *other != block && other.words().contains(&shown)) {
        return found.help(format!("`{shown}` belongs in {}", elsewhere.named()));
    }
    if let Some(guess) = guess {
        return found.help(format!("did you mean `{guess}`?")).fix(place, guess);
    }
    found.help(format!(
        "{} takes {}",
        block.named(),
        listed(block.words().iter().map(|word| format!("`{word}`")), "and")
    ))
}

/// A line that begins well and goes wrong: `strict` is the part of it that is read again.
fn unreadable(block: Block, node: &Node<'_>, strict: &str) -> Diagnostic {
    let Err(stop) = parse(block.statement(), strict, node.start) else {
        return Diagnostic::error("E0103", node.span(), "a statement that cannot be read");
    };
    let shown = found_at(strict, stop.at);
    let at = node.start + stop.at.min(node.text.len());
    let place = span(at, (at + shown.len().max(1)).min(node.start + node.text.len()).max(at));
    if shown.starts_with('"') && stop.expected.contains(&Rule::string) {
        return quoted(shown, place);
    }
    let names =
        stop.expected.iter().all(|rule| matches!(rule, Rule::name | Rule::path | Rule::string | Rule::const_ref));
    if names && is_reserved(shown) {
        let why = if is_kept(shown) { "kept for a later edition" } else { "a word of the language" };
        return Diagnostic::error("E0105", place, format!("`{shown}` is {why} and cannot be a name"))
            .help(format!("another name will do, such as `{shown}_1`"));
    }
    let mut expected: Vec<String> = stop.expected.iter().filter_map(|rule| describe(*rule)).collect();
    // What may always follow comes last, or it would read as the first thing to try.
    expected.sort_by_key(|text| text == END);
    expected.dedup();
    let found = if shown.is_empty() { END.to_owned() } else { format!("`{shown}`") };
    if expected.is_empty() {
        return Diagnostic::error("E0103", place, format!("{found} does not fit here"));
    }
    let message = format!("expected {}, found {found}", listed(expected.into_iter(), "or"));
    let error = Diagnostic::error("E0103", place, message);
    let keywords: Vec<String> = stop.expected.iter().filter_map(|rule| keyword(*rule)).collect();
    if let Some(near) = nearest(shown, keywords.iter().map(String::as_str)) {
        return error.help(format!("did you mean `{near}`?")).fix(place, near);
    }
    if shown.starts_with(|c: char| c.is_ascii_digit()) {
        return error.note("units are `ms s m h d`, `%`, and `B KB MB GB TB KiB MiB GiB TiB`");
    }
    if stop.expected.contains(&Rule::name) && shown.starts_with(|c: char| c.is_alphabetic()) {
        return error.note("a name is lower case letters, digits and `_`, and begins with a letter");
    }
    error
}

fn quoted(shown: &str, place: Span) -> Diagnostic {
    let closed = shown.len() > 1 && shown.ends_with('"') && !shown.ends_with("\\\"");
    if closed {
        return Diagnostic::error("E0104", place, "an escape that is not known")
            .help("write `\\\"`, `\\\\`, `\\n` or `\\t`");
    }
    Diagnostic::error("E0104", place, "a text that is not closed").help("write the closing `\"` on the same line")
}

/// The word, text or sign at byte `at`: what a person would say was found there.
fn found_at(text: &str, at: usize) -> &str {
    let rest = text.get(at..).unwrap_or("");
    let Some(first) = rest.chars().next() else { return "" };
    if matches!(first, '\n' | '\r') || (first == '#') {
        return "";
    }
    if first == '"' {
        return rest.get(..string_end(rest.as_bytes(), 0)).unwrap_or(rest);
    }
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '%' | '-');
    let end = if in_word(first) { rest.find(|c| !in_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
    rest.get(..end).unwrap_or(rest)
}

/// `a, b or c`.
pub(crate) fn listed(items: impl Iterator<Item = String>, word: &str) -> String {
    let items: Vec<String> = items.collect();
    match items.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} {word} {last}", rest.join(", ")),
    }
}
