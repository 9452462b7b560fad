//! Text to tree: the pest parser and the nodes the rest of the checker reads.
//!
//! `check` calls [`parse`] after `scan` found the braces balanced and the nesting bounded; with that, every text yields
//! a tree, in which lines that fit nothing stand as `bad_line`. Nothing here judges what a statement means, and nothing
//! here reports: `recover` turns bad lines into diagnostics.

use crate::policy::Span;
use pest::Parser;
use pest::iterators::Pair;

#[derive(pest_derive::Parser)]
#[grammar = "weir.pest"]
#[allow(missing_docs, reason = "generated from the grammar, whose comments are the documentation")]
pub(crate) struct Grammar;

/// A node of the tree: a rule, where it stands in the file, and its parts. Comments are left out, doc comments stay.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    pub rule: Rule,
    pub start: usize,
    pub text: &'a str,
    pub kids: Vec<Node<'a>>,
}

impl<'a> Node<'a> {
    fn new(pair: Pair<'a, Rule>, base: usize) -> Self {
        let rule = pair.as_rule();
        let start = base + pair.as_span().start();
        // An optional part that is absent leaves its blanks in the span of the whole.
        let text = pair.as_str().trim_end_matches([' ', '\t', '\r', '\n']);
        let kids = pair.into_inner().filter(|kid| kid.as_rule() != Rule::comment).map(|kid| Node::new(kid, base));
        Node { rule, start, text, kids: kids.collect() }
    }

    /// Where it stands.
    pub fn span(&self) -> Span {
        span(self.start, self.start + self.text.len())
    }

    /// Its first part of this kind.
    pub fn one(&self, rule: Rule) -> Option<&Node<'a>> {
        self.kids.iter().find(|kid| kid.rule == rule)
    }

    /// Its parts of this kind, in order.
    pub fn all(&self, rule: Rule) -> impl Iterator<Item = &Node<'a>> {
        self.kids.iter().filter(move |kid| kid.rule == rule)
    }

    /// Whether it has a part of this kind (a keyword, most often).
    pub fn has(&self, rule: Rule) -> bool {
        self.one(rule).is_some()
    }

    /// The head of a block: `group web` of `group web { … }`.
    pub fn head(&self) -> &Node<'a> {
        self.kids.first().unwrap_or(self)
    }

    /// The statements of a block, each with the doc comment that stands above it.
    pub fn statements(&self) -> Vec<(String, &Node<'a>)> {
        let body = self.kids.iter().find(|kid| kid.rule != Rule::lbrace && kid.rule.is_body()).unwrap_or(self);
        let mut doc: Vec<&str> = Vec::new();
        let mut found = Vec::new();
        for kid in &body.kids {
            match kid.rule {
                Rule::doc => doc.push(kid.text.trim_start_matches('#').trim()),
                Rule::EOI => {}
                _ => found.push((std::mem::take(&mut doc).join("\n"), kid)),
            }
        }
        found
    }

    /// Calls `visit` for this node and everything in it, outer ones first.
    pub fn walk(&self, visit: &mut impl FnMut(&Node<'a>)) {
        visit(self);
        self.kids.iter().for_each(|kid| kid.walk(visit));
    }

    /// Calls `visit` for every word and sign, a text in quotes being one of them.
    pub fn leaves(&self, visit: &mut impl FnMut(&Node<'a>)) {
        if self.kids.is_empty() || matches!(self.rule, Rule::string | Rule::const_ref) {
            visit(self);
        } else {
            self.kids.iter().for_each(|kid| kid.leaves(visit));
        }
    }
}

impl Rule {
    /// Whether this is the inside of a block.
    pub fn is_body(self) -> bool {
        matches!(
            self,
            Rule::launch_body
                | Rule::metadata_body
                | Rule::group_body
                | Rule::window_body
                | Rule::freeze_body
                | Rule::rule_body
                | Rule::step_body
                | Rule::test_body
        )
    }
}

/// A span from byte offsets; files are at most 256 KiB, so they fit.
pub(crate) fn span(start: usize, end: usize) -> Span {
    let narrow = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
    Span { start: narrow(start), end: narrow(end) }
}

/// What stopped a strict reading: how far it came and what would have fitted there.
#[derive(Debug)]
pub(crate) struct Stop {
    /// Byte offset in the text that was read.
    pub at: usize,
    /// What would have fitted.
    pub expected: Vec<Rule>,
}

/// Reads `text`, which stands at byte `base` of the file, as `rule`.
pub(crate) fn parse(rule: Rule, text: &str, base: usize) -> Result<Node<'_>, Stop> {
    use pest::error::{ErrorVariant, InputLocation};
    match Grammar::parse(rule, text) {
        Ok(pairs) => {
            let kids: Vec<Node<'_>> = pairs.map(|pair| Node::new(pair, base)).collect();
            match <[Node<'_>; 1]>::try_from(kids) {
                Ok([node]) => Ok(node),
                // A silent entry rule shows its parts instead of itself.
                Err(kids) => Ok(Node { rule, start: base, text, kids }),
            }
        }
        Err(error) => {
            let at = match error.location {
                InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
            };
            let expected = match error.variant {
                ErrorVariant::ParsingError { positives, .. } => positives,
                ErrorVariant::CustomError { .. } => Vec::new(),
            };
            Err(Stop { at, expected })
        }
    }
}
