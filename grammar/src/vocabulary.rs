//! The words of the language: which block knows which, how a person calls what the grammar expects, which word is near.
//!
//! `recover` and `lower` use it for what they say. Nothing here decides whether a text is accepted; a test holds the
//! lists against the grammar.

use crate::syntax::{Grammar, Rule};
use pest::Parser;

/// A kind of block, by what may stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    File,
    Launch,
    Metadata,
    Group,
    Window,
    Freeze,
    Rule,
    Step,
    Test,
}

impl Block {
    /// Every kind, those first in which a misplaced word is most likely at home.
    pub fn all() -> impl Iterator<Item = Block> {
        [Self::Group, Self::Rule, Self::Launch, Self::File, Self::Window, Self::Freeze, Self::Step, Self::Test]
            .into_iter()
    }

    /// The kind that a block node is.
    pub fn of(rule: Rule) -> Option<Self> {
        Some(match rule {
            Rule::launch_block => Self::Launch,
            Rule::metadata_block => Self::Metadata,
            Rule::group_block => Self::Group,
            Rule::window_block => Self::Window,
            Rule::freeze_block => Self::Freeze,
            Rule::rule_block => Self::Rule,
            Rule::step_block => Self::Step,
            Rule::test_block => Self::Test,
            _ => return None,
        })
    }

    /// The kind that a line beginning with this word opens.
    pub fn opened_by(word: &str) -> Option<Self> {
        Some(match word {
            "launch" => Self::Launch,
            "metadata" => Self::Metadata,
            "group" => Self::Group,
            "window" => Self::Window,
            "freeze" => Self::Freeze,
            "rule" => Self::Rule,
            "step" => Self::Step,
            "test" => Self::Test,
            _ => return None,
        })
    }

    /// The rule of one statement in it.
    pub fn statement(self) -> Rule {
        match self {
            Self::File => Rule::file_stmt,
            Self::Launch => Rule::launch_stmt,
            Self::Metadata => Rule::metadata_stmt,
            Self::Group => Rule::group_stmt,
            Self::Window => Rule::window_stmt,
            Self::Freeze => Rule::freeze_stmt,
            Self::Rule => Rule::rule_stmt,
            Self::Step => Rule::step_stmt,
            Self::Test => Rule::test_stmt,
        }
    }

    /// The rule of all that is in it.
    pub fn body(self) -> Rule {
        match self {
            Self::File => Rule::file,
            Self::Launch => Rule::launch_body,
            Self::Metadata => Rule::metadata_body,
            Self::Group => Rule::group_body,
            Self::Window => Rule::window_body,
            Self::Freeze => Rule::freeze_body,
            Self::Rule => Rule::rule_body,
            Self::Step => Rule::step_body,
            Self::Test => Rule::test_body,
        }
    }

    /// With its article.
    pub fn named(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Launch => "a `launch` block",
            Self::Metadata => "a `metadata` block",
            Self::Group => "a `group`",
            Self::Window => "a `window`",
            Self::Freeze => "a `freeze`",
            Self::Rule => "a `rule`",
            Self::Step => "a `step`",
            Self::Test => "a `test`",
        }
    }

    /// The words its statements begin with.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::File => &["edition", "let", "metric", "alarm", "event", "launch", "group", "test"],
            Self::Launch => &["image", "flavor", "key", "network", "zone", "volume", "setup", "balancer", "metadata"],
            // Its lines begin with the customer's words.
            Self::Metadata => &[],
            Self::Group => &[
                "region", "capacity", "timezone", "launch", "ready", "drain", "remove", "notify", "cooldown", "warmup",
                "limit", "window", "freeze", "rule",
            ],
            Self::Window => &["cron", "at", "capacity"],
            Self::Freeze => &["cron", "at", "blocks", "except"],
            Self::Rule => &[
                "when",
                "step",
                "track",
                "cron",
                "at",
                "webhook",
                "manual",
                "add",
                "remove",
                "raise",
                "lower",
                "set",
                "cooldown",
                "stabilize",
                "late",
                "observe",
                "no",
            ],
            Self::Step => &["below", "from"],
            Self::Test => &["start", "given", "event", "alarm", "call", "force", "pause", "resume", "expect"],
        }
    }
}

/// The keyword that a rule of the grammar stands for.
pub(crate) fn keyword(rule: Rule) -> Option<String> {
    format!("{rule:?}").strip_prefix("kw_").map(str::to_owned)
}

/// How a person calls it that a statement is over.
pub(crate) const END: &str = "the end of the line";

/// How a person calls what the grammar expects; nothing for what is always allowed.
pub(crate) fn describe(rule: Rule) -> Option<String> {
    if let Some(word) = keyword(rule) {
        return Some(format!("`{word}`"));
    }
    let text = match rule {
        Rule::comment | Rule::doc | Rule::file_stmt => return None,
        Rule::EOI => END,
        Rule::lbrace => "`{`",
        Rule::rbrace => "`}`",
        Rule::lparen => "`(`",
        Rule::rparen => "`)`",
        Rule::colon => "`:`",
        Rule::comma | Rule::clamp => "`,`",
        Rule::equals => "`=`",
        Rule::dots => "`..`",
        Rule::name => "a name",
        Rule::path => "a name such as `cpu.usage`",
        Rule::string => "a text in quotes",
        Rule::year => "a year",
        Rule::quantity | Rule::literal => "a value",
        Rule::dur_value => "a duration such as `5m`",
        Rule::int_value => "a whole number",
        Rule::percent_value => "a percentage such as `10%`",
        Rule::bytes_value => "a size such as `100GiB`",
        Rule::amount => "a number or a percentage",
        Rule::timestamp => "a time such as `2026-11-27T06:00`",
        Rule::unit => "a unit (`percent`, `duration`, `number` or `bytes`)",
        Rule::cmp => "a comparison (`>`, `>=`, `<` or `<=`)",
        Rule::state => "a state (`ok`, `warning`, `critical` or `unknown`)",
        Rule::func => "a function (`avg`, `sum`, `min`, `max`, `last`, `p50`, `p90`, `p95` or `p99`)",
        Rule::notify_on => "`ready`, `failed`, `removed` or `lost`",
        Rule::condition | Rule::predicate => "a condition",
        Rule::aggregate => "an aggregate such as `avg(cpu.usage over 5m)`",
        Rule::change_add | Rule::change_remove => "`add` or `remove`",
        Rule::for_clause => "`for`",
        Rule::zone_clause => "`in`",
        Rule::quorum | Rule::on_server | Rule::on_servers | Rule::device => "`on`",
        Rule::per_server => "`per`",
        Rule::at_offset => "`at`",
        Rule::moment => "`at` or `after`",
        Rule::times => "a number of times such as `x3`",
        Rule::piece => "a value or `missing`",
        Rule::source => "`source`",
        Rule::guard => "a guard",
        Rule::exp_none => "`no action`",
        Rule::exp_size => "`size`",
        Rule::exp_rule => "a rule",
        Rule::exp_act => "`adds`, `removes`, `raises to`, `lowers to` or `sets`",
        Rule::exp_blocked => "`blocked by`",
        Rule::volume_kind => "a volume type in quotes",
        Rule::meta_key | Rule::pair => "a key",
        _ => return None,
    };
    Some(text.to_owned())
}

/// Whether a word cannot be a name.
pub(crate) fn is_reserved(word: &str) -> bool {
    let lower = word.starts_with(|c: char| c.is_ascii_lowercase());
    let plain = word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    lower && plain && Grammar::parse(Rule::name, word).is_err()
}

/// Whether a word is kept for a later edition.
pub(crate) fn is_kept(word: &str) -> bool {
    matches!(word, "predict" | "retire" | "refresh" | "hook" | "heal")
}

/// The candidate that is nearest, if one is near enough to be meant: about one slip in three letters.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A word longer than this is no slip, and distances are quadratic in it.
    if word.is_empty() || word.len() > 64 {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    candidates
        .map(|candidate| (strsim::osa_distance(&lower, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            *distance <= candidate.len().max(word.len()).div_ceil(3).min(3) && *distance < word.len()
        })
        .min_by_key(|(distance, candidate)| (*distance, *candidate))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_block_are_those_of_the_grammar() {
        let text = include_str!("weir.pest");
        for block in Block::all() {
            for word in block.words() {
                assert!(text.contains(&format!("kw_{word} ")), "`{word}` of {block:?} is a keyword");
            }
        }
        for word in ["predict", "retire", "refresh", "hook", "heal", "p95", "when"] {
            assert!(is_reserved(word), "{word}");
        }
        for word in ["web", "peak_floor", "whenever", "inbox", "p95_alarm"] {
            assert!(!is_reserved(word), "{word}");
        }
    }

    #[test]
    fn near_is_a_slip_and_not_another_word() {
        let words = ["cooldown", "capacity", "rule"];
        assert_eq!(nearest("colldown", words.into_iter()), Some("cooldown"));
        assert_eq!(nearest("rul", words.into_iter()), Some("rule"));
        assert_eq!(nearest("banana", words.into_iter()), None);
    }
}
