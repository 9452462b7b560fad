//! The look at a file before it is parsed: its size, its braces and how deep it goes.
//!
//! `check` calls [`scan`] first. The grammar relies on it: with balanced braces every line ends up in some node, and
//! with bounded depth neither its recursion nor its backtracking can grow with the text. It must read strings and
//! comments exactly as the grammar's recovery does (`opaque` in `weir.pest`).

use crate::diagnostic::Diagnostic;
use crate::limits::{FILE_BYTES_MAX, NESTING_MAX};
use crate::policy::Span;
use crate::syntax::span;

/// An open brace, and how far its line is indented.
struct Open {
    at: usize,
    indent: usize,
}

/// Where the indentation says that a brace was lost.
enum Suspect {
    /// The block that opens here was closed by the brace of an outer one.
    Unclosed(usize),
    /// The brace that closes here belongs to a block whose opening line is gone.
    Unopened(usize),
}

/// What is wrong with a text that the grammar must not see.
pub(crate) fn scan(text: &str) -> Option<Diagnostic> {
    if text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes, more than {FILE_BYTES_MAX}", text.len());
        return Some(
            Diagnostic::error("E0310", Span::default(), message).help("split it: a file holds any whole groups"),
        );
    }
    let mut open: Vec<Open> = Vec::new();
    let mut parens: Vec<usize> = Vec::new();
    let mut suspect = None;
    let (mut indent, mut blank_so_far) = (0, true);
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\n' | b'\r' => (indent, blank_so_far) = (0, true),
            b' ' | b'\t' if blank_so_far => indent += 1,
            b' ' | b'\t' => {}
            b'#' => {
                at = line_end(bytes, at);
                continue;
            }
            b'"' => {
                at = string_end(bytes, at);
                blank_so_far = false;
                continue;
            }
            b'{' | b'(' => {
                blank_so_far = false;
                if byte == b'{' {
                    parens.clear();
                    open.push(Open { at, indent });
                } else {
                    parens.push(at);
                }
                if open.len() + parens.len() > NESTING_MAX {
                    let message = format!("more than {NESTING_MAX} blocks and parentheses in one another");
                    return Some(Diagnostic::error("E0310", span(at, at + 1), message));
                }
            }
            b')' => {
                blank_so_far = false;
                parens.pop();
            }
            b'}' => {
                parens.clear();
                let Some(opened) = open.pop() else {
                    return Some(stray(suspect, at));
                };
                if blank_so_far && suspect.is_none() {
                    suspect = match indent.cmp(&opened.indent) {
                        std::cmp::Ordering::Less => Some(Suspect::Unclosed(opened.at)),
                        std::cmp::Ordering::Greater => Some(Suspect::Unopened(at)),
                        std::cmp::Ordering::Equal => None,
                    };
                }
                blank_so_far = false;
            }
            _ => blank_so_far = false,
        }
        at += 1;
    }
    open.last().map(|opened| unclosed(suspect, opened.at, text.len()))
}

/// One past the last byte of the line.
pub(crate) fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes.iter().skip(from).position(|byte| matches!(byte, b'\n' | b'\r')).map_or(bytes.len(), |length| from + length)
}

/// One past the closing quote, or the end of the line where there is none.
pub(crate) fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\n' | b'\r' => return at,
            b'\\' if !matches!(bytes.get(at + 1), None | Some(b'\n' | b'\r')) => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn stray(suspect: Option<Suspect>, at: usize) -> Diagnostic {
    let (place, text) = match suspect {
        Some(Suspect::Unopened(earlier)) => (earlier, "by its indentation, the block of this one is not opened"),
        _ => (at, "no block is open here"),
    };
    let found = Diagnostic::error("E0101", span(place, place + 1), "a `}` too many").here(text);
    let found = if place == at { found } else { found.also(span(at, at + 1), "so this one closes nothing") };
    found.help("remove it, or write the line that opens the block")
}

fn unclosed(suspect: Option<Suspect>, innermost: usize, end: usize) -> Diagnostic {
    let (place, text) = match suspect {
        Some(Suspect::Unclosed(inner)) => (inner, "by its indentation, this one"),
        _ => (innermost, "opened here"),
    };
    Diagnostic::error("E0101", span(place, place + 1), "a block is not closed")
        .here(text)
        .also(span(end, end), "the file ends in it")
        .help("write the missing `}`")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn place(text: &str) -> (&'static str, usize) {
        let found = scan(text).unwrap();
        (found.code, found.span().start as usize)
    }

    #[test]
    fn braces_in_strings_and_comments_are_text() {
        assert_eq!(scan("a { \"}\\\"}\" # }\n}\n\"{ not closed\n"), None);
    }

    #[test]
    fn indentation_tells_which_brace_was_lost() {
        let lost_close = "group a {\n  rule b {\n    add 1\n  rule c {\n  }\n}\n";
        assert_eq!(place(lost_close), ("E0101", lost_close.find("{\n    add").unwrap()));
        let lost_open = "group a {\n    add 1\n  }\n  rule c {\n  }\n}\n";
        assert_eq!(place(lost_open), ("E0101", lost_open.find("  }").unwrap() + 2));
        assert_eq!(place("}"), ("E0101", 0));
        assert_eq!(place("x {"), ("E0101", 2));
    }

    #[test]
    fn size_and_depth_are_bounded() {
        for (depth, fits) in [(NESTING_MAX - 1, true), (NESTING_MAX, true), (NESTING_MAX + 1, false)] {
            assert_eq!(scan(&("(".repeat(depth) + &")".repeat(depth))).is_none(), fits);
            assert_eq!(scan(&("{".repeat(depth) + &"}".repeat(depth))).is_none(), fits);
        }
        for (size, fits) in [(FILE_BYTES_MAX - 1, true), (FILE_BYTES_MAX, true), (FILE_BYTES_MAX + 1, false)] {
            assert_eq!(scan(&"\n".repeat(size)).is_none(), fits);
        }
    }
}
