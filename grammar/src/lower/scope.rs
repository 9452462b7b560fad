//! What the lowering knows so far: the declared names, and how they are looked up and reported.

use crate::diagnostic::Diagnostic;
use crate::lower::value::Literal;
use crate::policy::{Alarm, Counted, EventType, Launch, Metric, Span};
use crate::schedule::Zone;
use crate::syntax::{Node, Rule};
use crate::vocabulary::nearest;
use std::collections::{BTreeMap, BTreeSet};

/// A constant: its literal, the literal's text and where its name stands.
#[derive(Clone, Copy)]
pub(super) struct Constant<'a> {
    pub literal: Literal,
    pub text: &'a str,
    pub span: Span,
}

/// The names inside a group, for those who point into it.
pub(super) struct GroupNames<'a> {
    pub name: &'a str,
    pub rules: Vec<&'a str>,
    pub freezes: Vec<&'a str>,
    pub zone: Zone,
    pub bounds: Option<(u32, u32)>,
}

/// The names of a file and what was found wrong with it.
pub(super) struct Scope<'a> {
    pub constants: BTreeMap<&'a str, Constant<'a>>,
    pub metrics: Vec<Metric>,
    pub alarms: Vec<Alarm>,
    pub events: Vec<EventType>,
    pub launches: Vec<Launch>,
    pub groups: Vec<GroupNames<'a>>,
    pub diagnostics: Vec<Diagnostic>,
    /// The words of lines that could not be read: they may have declared a name, so its use is not reported.
    torn: BTreeSet<&'a str>,
}

impl<'a> Scope<'a> {
    pub fn new(file: &Node<'a>) -> Self {
        let mut torn = BTreeSet::new();
        file.walk(&mut |node| {
            if node.rule == Rule::bad_line {
                torn.extend(node.text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))));
            }
        });
        let (constants, diagnostics) = (BTreeMap::new(), Vec::new());
        let (metrics, alarms, events, launches, groups) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { constants, metrics, alarms, events, launches, groups, diagnostics, torn }
    }

    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Over a limit.
    pub fn over(&mut self, span: Span, message: impl Into<String>) {
        self.report(Diagnostic::error("E0310", span, message));
    }

    /// Whether a word stands in a line that could not be read.
    pub fn is_torn(&self, word: &str) -> bool {
        self.torn.contains(word)
    }

    /// A name that nothing declares, with the nearest that something does.
    pub fn unknown(&mut self, code: &'static str, what: &str, node: &Node<'_>, known: &[&str]) {
        if self.is_torn(node.text) {
            // A place for it in the list of errors is taken by the line that could not be read.
            return;
        }
        let found = Diagnostic::error(code, node.span(), format!("unknown {what} `{}`", node.text));
        self.report(match nearest(node.text, known.iter().copied()) {
            Some(near) => found.help(format!("did you mean `{near}`?")).fix(node.span(), near),
            None if known.is_empty() => found.help(format!("declare the {what}; there is none")),
            None if known.len() <= 8 => found.help(format!("there {}", there_are(known))),
            None => found,
        });
    }

    /// The index of a metric.
    pub fn metric(&mut self, node: &Node<'_>) -> Option<usize> {
        let at = self.metrics.iter().position(|metric| metric.name == node.text);
        if at.is_none() {
            let known: Vec<String> = self.metrics.iter().map(|metric| metric.name.clone()).collect();
            self.unknown("E0201", "metric", node, &borrowed(&known));
        }
        at
    }

    /// The index of an alarm.
    pub fn alarm(&mut self, node: &Node<'_>) -> Option<usize> {
        let at = self.alarms.iter().position(|alarm| alarm.name == node.text);
        if at.is_none() {
            let known: Vec<String> = self.alarms.iter().map(|alarm| alarm.name.clone()).collect();
            self.unknown("E0202", "alarm", node, &borrowed(&known));
        }
        at
    }

    /// What `count` counts: the ledger's events by name, or a declared one (rule 7).
    pub fn counted(&mut self, node: &Node<'_>) -> Option<Counted> {
        let of_ledger = match node.text {
            "server.ready" => Some(Counted::ServerReady),
            "server.failed" => Some(Counted::ServerFailed),
            "server.lost" => Some(Counted::ServerLost),
            name => self.events.iter().position(|event| event.name == name).map(Counted::Declared),
        };
        if of_ledger.is_none() {
            let mut known: Vec<String> = ["server.ready", "server.failed", "server.lost"].map(str::to_owned).into();
            known.extend(self.events.iter().map(|event| event.name.clone()));
            self.unknown("E0203", "event", node, &borrowed(&known));
        }
        of_ledger
    }

    /// Reports names that are declared twice; `what` as in "metric".
    pub fn unique<'n, 't: 'n>(&mut self, what: &str, names: impl Iterator<Item = &'n Node<'t>>) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for name in names {
            match seen.get(name.text) {
                Some(first) => {
                    let message = format!("the {what} `{}` is declared twice", name.text);
                    let found = Diagnostic::error("E0211", name.span(), message).here("again here");
                    self.report(found.also(*first, "first here"));
                }
                None => {
                    seen.insert(name.text, name.span());
                }
            }
        }
    }
}

/// `are `a` and `b``, or `is `a``.
fn there_are(known: &[&str]) -> String {
    let verb = if known.len() == 1 { "is" } else { "are" };
    format!("{verb} {}", crate::recover::listed(known.iter().map(|name| format!("`{name}`")), "and"))
}

fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// The statements of a block.
pub(super) struct Body<'n, 'a> {
    pub statements: Vec<(String, &'n Node<'a>)>,
    /// Whether a line of it could not be read; then nothing is reported as absent.
    pub torn: bool,
}

impl<'n, 'a> Body<'n, 'a> {
    pub fn of(block: &'n Node<'a>) -> Self {
        let statements = block.statements();
        let torn = statements.iter().any(|(_, node)| matches!(node.rule, Rule::bad_line | Rule::bad_end));
        Self { statements, torn }
    }

    /// The statements of one kind with their doc comments, in order.
    pub fn all(&self, rule: Rule) -> impl Iterator<Item = (&str, &'n Node<'a>)> {
        self.statements.iter().filter(move |(_, node)| node.rule == rule).map(|(doc, node)| (doc.as_str(), *node))
    }

    /// The one statement of any of these kinds; more than one is reported.
    pub fn single(&self, scope: &mut Scope<'_>, rules: &[Rule]) -> Option<&'n Node<'a>> {
        let mut found = self.statements.iter().map(|(_, node)| *node).filter(|node| rules.contains(&node.rule));
        let first = found.next()?;
        for again in found {
            let word = |node: &Node<'_>| node.text.split_whitespace().next().unwrap_or("").to_owned();
            let (one, two) = (word(first), word(again));
            let message = if one == two {
                format!("`{one}` is given twice")
            } else {
                format!("`{two}` beside `{one}`: only one holds")
            };
            scope.report(
                Diagnostic::error("E0212", again.span(), message).here("again here").also(first.span(), "first here"),
            );
        }
        Some(first)
    }

    /// The one statement of a kind, which has to be there.
    pub fn required(&self, scope: &mut Scope<'_>, rule: Rule, of: &Node<'_>, wanted: &str) -> Option<&'n Node<'a>> {
        let found = self.single(scope, &[rule]);
        if found.is_none() && !self.torn {
            let message = format!("`{}` has no `{}`", of.text, wanted.split(' ').next().unwrap_or(wanted));
            scope.report(Diagnostic::error("E0313", of.span(), message).help(format!("write `{wanted}` in it")));
        }
        found
    }
}
