//! Literals and constants, and the unit each place wants.

use crate::diagnostic::Diagnostic;
use crate::limits::SERVERS_MAX;
use crate::lower::scope::Scope;
use crate::policy::{Amount, Span, Unit};
use crate::quantity::{Millis, Percent, Quantity};
use crate::syntax::{Node, Rule};

/// What a literal says, before it is known what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Number(Quantity),
    /// In percent: `60%` is 60.
    Percent(Quantity),
    Duration(Millis),
    Bytes(i64),
    Time,
}

impl Literal {
    /// Reads a literal's node; nothing where it is out of range.
    pub fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text.replace('_', "");
        Some(match node.rule {
            Rule::percent => Self::Percent(Quantity::parse(text.trim_end_matches('%'))?),
            Rule::duration => Self::Duration(duration(&text)?),
            Rule::bytes => Self::Bytes(bytes(&text)?),
            Rule::timestamp => Self::Time,
            _ => Self::Number(Quantity::parse(&text)?),
        })
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Number(_) => "a number",
            Self::Percent(_) => "a percentage",
            Self::Duration(_) => "a duration",
            Self::Bytes(_) => "a size in bytes",
            Self::Time => "a time",
        }
    }
}

/// `1h30m` in milliseconds.
fn duration(text: &str) -> Option<Millis> {
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let length = match unit {
            "ms" => 1,
            "s" => Millis::SECOND.0,
            "m" => Millis::MINUTE.0,
            "h" => Millis::HOUR.0,
            _ => Millis::DAY.0,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(length)?)?;
        rest = tail;
    }
    Some(Millis(total))
}

/// `1.5GiB` in whole bytes.
fn bytes(text: &str) -> Option<i64> {
    let letters = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(letters);
    let scale: i128 = match unit {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => 1,
    };
    i64::try_from(i128::from(Quantity::parse(number)?.0) * scale / i128::from(Quantity::SCALE)).ok()
}

/// The text of a string literal's node.
pub(super) fn string(node: &Node<'_>) -> String {
    let body = if node.rule == Rule::string { node } else { node.one(Rule::string).unwrap_or(node) };
    let inner = body.text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or("");
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(other) => other,
                None => break,
            },
            c => c,
        });
    }
    out
}

/// A length between two bounds, and what it is called.
#[derive(Clone, Copy)]
pub(super) struct Length {
    pub what: &'static str,
    pub least: Millis,
    pub most: Millis,
}

impl Length {
    /// From nothing to `most`.
    pub fn up_to(what: &'static str, most: Millis) -> Self {
        Self { what, least: Millis(0), most }
    }

    /// More than nothing, up to `most`.
    pub fn some(what: &'static str, most: Millis) -> Self {
        Self { what, least: Millis(1), most }
    }
}

impl Scope<'_> {
    /// The literal in a value's node, by way of its constant if need be, and where the constant is declared.
    fn literal(&mut self, node: &Node<'_>) -> Option<(Literal, Option<Span>)> {
        let inner = node.kids.first()?;
        if inner.rule == Rule::const_ref {
            if let Some(constant) = self.constants.get(inner.text) {
                return Some((constant.literal, Some(constant.span)));
            }
            let known: Vec<&str> = self.constants.keys().copied().collect();
            self.unknown("E0208", "constant", inner, &known);
            return None;
        }
        let read = Literal::read(inner);
        if read.is_none() {
            self.report(Diagnostic::error("E0314", inner.span(), format!("`{}` is out of range", inner.text)));
        }
        Some((read?, None))
    }

    /// A literal of another kind than the place wants.
    fn mismatch(&mut self, node: &Node<'_>, found: (Literal, Option<Span>), wanted: &str, better: Option<String>) {
        let (literal, declared) = found;
        let message = format!("expected {wanted}, found {} `{}`", literal.kind(), node.text);
        let mut error = Diagnostic::error("E0301", node.span(), message);
        if let Some(span) = declared {
            error = error.also(span, "declared here");
        } else if let Some(better) = better {
            error = error.help(format!("write `{better}`")).fix(node.span(), better);
        }
        self.report(error);
    }

    /// A length of time within its bounds.
    pub fn length(&mut self, node: &Node<'_>, bounds: Length) -> Option<Millis> {
        let found = self.literal(node)?;
        let Literal::Duration(length) = found.0 else {
            let better = match found.0 {
                Literal::Number(_) => Some(format!("{}s", node.text)).filter(|_| !node.text.contains('.')),
                _ => None,
            };
            self.mismatch(node, found, "a duration", better);
            return None;
        };
        let Length { what, least, most } = bounds;
        if length > most {
            self.over(node.span(), format!("{what} of {} is longer than {most}", node.text));
            return None;
        }
        if length < least {
            let message = if least.0 == 1 {
                format!("{what} of {} is no time at all", node.text)
            } else {
                format!("{what} of {} is shorter than {least}", node.text)
            };
            self.report(Diagnostic::error("E0314", node.span(), message));
            return None;
        }
        Some(length)
    }

    /// A whole number from `least` to `most`.
    pub fn whole(&mut self, node: &Node<'_>, what: &str, least: u32, most: u32) -> Option<u32> {
        let found = self.literal(node)?;
        let Literal::Number(number) = found.0 else {
            self.mismatch(node, found, "a whole number", None);
            return None;
        };
        if number.0 % Quantity::SCALE != 0 {
            self.mismatch(node, found, "a whole number", None);
            return None;
        }
        let read = u32::try_from(number.0 / Quantity::SCALE).ok().filter(|number| (least..=most).contains(number));
        if read.is_none() {
            let message = format!("{what} is {}, which is not from {least} to {most}", node.text);
            self.report(Diagnostic::error("E0314", node.span(), message));
        }
        read
    }

    /// A number of servers, at least `least`.
    pub fn servers(&mut self, node: &Node<'_>, what: &str, least: u32) -> Option<u32> {
        let number = self.whole(node, what, least, u32::MAX)?;
        if number > SERVERS_MAX {
            self.over(node.span(), format!("{what} of {number} servers is more than {SERVERS_MAX}"));
            return None;
        }
        Some(number)
    }

    /// A share, in thousandths of a percent.
    pub fn percent(&mut self, node: &Node<'_>) -> Option<Percent> {
        let found = self.literal(node)?;
        let Literal::Percent(share) = found.0 else {
            let better = matches!(found.0, Literal::Number(_)).then(|| as_percent(node.text)).flatten();
            self.mismatch(node, found, "a percentage", better);
            return None;
        };
        let thousandth = Quantity::SCALE / 1_000;
        if share.0 % thousandth != 0 {
            let message = format!("`{}` is finer than a thousandth of a percent", node.text);
            self.report(Diagnostic::error("E0314", node.span(), message));
            return None;
        }
        Some(Percent(share.0 / thousandth))
    }

    /// A number of servers or a share of the target, more than nothing.
    pub fn amount(&mut self, node: &Node<'_>, what: &str) -> Option<Amount> {
        let found = self.literal(node)?;
        match found.0 {
            Literal::Percent(_) => {
                let share = self.percent(node)?;
                // Ten times the target is more than any group can hold a hundred of.
                if share.0 <= 0 || share.0 > 10 * Percent::WHOLE.0 {
                    let message = format!("{what} is {share}, which is not above 0% and up to 1000%");
                    self.report(Diagnostic::error("E0314", node.span(), message));
                    return None;
                }
                Some(Amount::Share(share))
            }
            Literal::Number(_) => self.servers(node, what, 1).map(Amount::Servers),
            _ => {
                self.mismatch(node, found, "a number of servers or a percentage", None);
                None
            }
        }
    }

    /// A size in bytes.
    pub fn bytes(&mut self, node: &Node<'_>) -> Option<u64> {
        let found = self.literal(node)?;
        let Literal::Bytes(size) = found.0 else {
            let better = matches!(found.0, Literal::Number(_)).then(|| format!("{}GiB", node.text));
            self.mismatch(node, found, "a size in bytes", better);
            return None;
        };
        u64::try_from(size).ok()
    }

    /// A value in the unit of a metric.
    pub fn quantity(&mut self, node: &Node<'_>, metric: usize) -> Option<Quantity> {
        let found = self.literal(node)?;
        let (unit, declared, name) =
            self.metrics.get(metric).map(|metric| (metric.unit, metric.span, metric.name.clone()))?;
        let value = match (unit, found.0) {
            (Unit::Percent, Literal::Percent(value)) | (Unit::Number, Literal::Number(value)) => Some(value),
            (Unit::Duration, Literal::Duration(length)) => length.0.checked_mul(Quantity::SCALE / 1_000).map(Quantity),
            (Unit::Bytes, Literal::Bytes(size)) => Quantity::whole(size),
            (_, literal) => {
                let wanted = match unit {
                    Unit::Percent => "a percentage",
                    Unit::Duration => "a duration",
                    Unit::Number => "a number",
                    Unit::Bytes => "a size in bytes",
                };
                let better = match (unit, literal) {
                    (Unit::Percent, Literal::Number(_)) => as_percent(node.text),
                    (Unit::Duration, Literal::Number(_)) => {
                        Some(format!("{}s", node.text)).filter(|t| !t.contains('.'))
                    }
                    (Unit::Bytes, Literal::Number(_)) => Some(format!("{}B", node.text)),
                    (Unit::Number, Literal::Percent(_)) => Some(node.text.trim_end_matches('%').to_owned()),
                    _ => None,
                };
                let before = self.diagnostics.len();
                self.mismatch(node, found, wanted, better);
                if let Some(error) = self.diagnostics.get_mut(before) {
                    *error = error.clone().also(declared, format!("`{name}` is measured so"));
                }
                return None;
            }
        };
        if value.is_none() {
            self.report(Diagnostic::error("E0314", node.span(), format!("`{}` is out of range", node.text)));
        }
        value
    }
}

/// What a bare number was meant to be as a percentage: 0.75 is 75 %, 60 is 60 %.
fn as_percent(text: &str) -> Option<String> {
    let number = Quantity::parse(&text.replace('_', ""))?;
    let share = if number.0 < Quantity::SCALE { Quantity(number.0.checked_mul(100)?) } else { number };
    Some(format!("{share}%"))
}
