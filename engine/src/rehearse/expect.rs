//! What a test expects, held against what happened.

use super::{Failure, names_change};
use crate::decision::{Decision, Guard, Verdict};
use weir_grammar::{
    policy::{Expect, Expected, Moment, Policy, Test},
    quantity::Millis,
};

/// What happened in a test.
pub(super) struct Account<'a> {
    pub(super) policy: &'a Policy,
    pub(super) test: &'a Test,
    /// Every evaluation, by its offset.
    pub(super) seen: &'a [(Millis, Decision)],
    pub(super) end: Millis,
}

/// The lines that were not met, and the changes that no line names.
pub(super) fn unmet(account: &Account<'_>) -> Vec<Failure> {
    let lines = account.test.expects.iter().filter(|expect| !account.meets(expect));
    let mut failures: Vec<Failure> = lines.map(|expect| account.instead(expect)).collect();
    let unnamed = account.changes().filter(|(offset, decision)| !account.is_named(*offset, decision));
    failures.extend(unnamed.map(|(offset, decision)| Failure {
        span: account.test.span,
        offset,
        words: format!("no line expects what happened at {offset}: {}", told(decision)),
    }));
    failures
}

impl Account<'_> {
    fn changes(&self) -> impl Iterator<Item = (Millis, &Decision)> {
        let moved = |(_, decision): &&(Millis, Decision)| decision.from != decision.to;
        self.seen.iter().filter(moved).map(|(offset, decision)| (*offset, decision))
    }

    fn rule(&self, index: usize) -> &str {
        let plan = self.policy.groups.get(self.test.group);
        plan.and_then(|plan| plan.rules.get(index)).map_or("", |rule| rule.name.as_str())
    }

    fn meets(&self, expect: &Expect) -> bool {
        let mut within = self.seen.iter().filter(|(offset, _)| falls(*offset, expect.when));
        match &expect.what {
            Expected::NoAction => within.all(|(_, decision)| decision.from == decision.to),
            Expected::Size(size) => self.size_at(expect.when) == *size,
            Expected::Blocked { rule, guard, freeze } => {
                let rule = self.rule(*rule);
                within.any(|(_, decision)| blocked(decision, rule, guard, freeze.as_deref()))
            }
            change => within.any(|(_, decision)| self.matches(change, decision)),
        }
    }

    /// The size when an instant's evaluations are through; at the end for `after`.
    fn size_at(&self, when: Moment) -> u32 {
        let until = match when {
            Moment::At(offset) => offset,
            Moment::After(_) | Moment::Throughout => self.end,
        };
        let before = self.changes().take_while(|(offset, _)| *offset <= until).last();
        before.map_or(self.test.size, |(_, decision)| decision.to)
    }

    fn matches(&self, expected: &Expected, decision: &Decision) -> bool {
        let by = match &decision.outcome {
            Verdict::Changed { by, .. } => by.as_str(),
            _ => return false,
        };
        let (from, to) = (decision.from, decision.to);
        match expected {
            Expected::Adds(rule, servers) => by == self.rule(*rule) && to > from && to - from == *servers,
            Expected::Removes(rule, servers) => by == self.rule(*rule) && to < from && from - to == *servers,
            Expected::RaisesTo(rule, size) => by == self.rule(*rule) && to > from && to == *size,
            Expected::LowersTo(rule, size) => by == self.rule(*rule) && to < from && to == *size,
            Expected::Sets(rule, size) => by == self.rule(*rule) && to == *size,
            Expected::Size(size) => to == *size,
            Expected::NoAction | Expected::Blocked { .. } => false,
        }
    }

    fn is_named(&self, offset: Millis, decision: &Decision) -> bool {
        let lines = self.test.expects.iter().filter(|expect| names_change(&expect.what));
        lines.filter(|expect| falls(offset, expect.when)).any(|expect| self.matches(&expect.what, decision))
    }

    /// What happened instead of what a line expects, and when.
    fn instead(&self, expect: &Expect) -> Failure {
        let fail = |offset, words| Failure { span: expect.span, offset, words };
        let within = || self.seen.iter().filter(|(offset, _)| falls(*offset, expect.when));
        let moved = within().find(|(_, decision)| decision.from != decision.to);
        if let Some((offset, decision)) = moved {
            return fail(*offset, format!("at {offset} this happened: {}", told(decision)));
        }
        let about = match &expect.what {
            Expected::Adds(rule, _)
            | Expected::Removes(rule, _)
            | Expected::RaisesTo(rule, _)
            | Expected::LowersTo(rule, _)
            | Expected::Sets(rule, _)
            | Expected::Blocked { rule, .. } => Some(self.rule(*rule)),
            Expected::NoAction | Expected::Size(_) => None,
        };
        let last = within().next_back();
        let state = last.and_then(|(offset, decision)| {
            let rule = decision.rules.iter().find(|rule| Some(rule.rule.as_str()) == about)?;
            let guard = rule.guard.clone().or_else(|| match &decision.outcome {
                Verdict::Held { by, guard, .. } if Some(by.as_str()) == about => Some(guard.clone()),
                _ => None,
            });
            let held = guard.map_or_else(String::new, |guard| format!(", held by {}", guard.name.as_str()));
            Some(format!("nothing changed; at {offset} `{}`: {}{held}", rule.rule, rule.seen))
        });
        let size = self.size_at(expect.when);
        let when = match expect.when {
            Moment::At(offset) => offset,
            Moment::After(_) | Moment::Throughout => self.end,
        };
        fail(when, state.unwrap_or_else(|| format!("nothing changed; the size is {size}")))
    }
}

fn falls(offset: Millis, when: Moment) -> bool {
    match when {
        Moment::At(at) => offset == at,
        Moment::After(after) => offset > after,
        Moment::Throughout => true,
    }
}

/// A rule is blocked by its own guard, or by the group's where it was the one that wished.
fn blocked(decision: &Decision, rule: &str, guard: &str, freeze: Option<&str>) -> bool {
    let fits = |held: &Guard| held.name.as_str() == guard && freeze.is_none_or(|freeze| held.detail == freeze);
    let own =
        decision.rules.iter().filter(|state| state.rule == rule).filter_map(|state| state.guard.as_ref()).any(fits);
    let late = matches!(&decision.outcome, Verdict::Missed { by, .. } if by == rule && guard == "late");
    own || late || matches!(&decision.outcome, Verdict::Held { by, guard, .. } if by == rule && fits(guard))
}

/// A change in words: `4 → 5, cpu: avg(cpu.usage over 5m) = 72 %, goal 60 % ± 10 %`.
fn told(decision: &Decision) -> String {
    let because = match &decision.outcome {
        Verdict::Changed { because, .. } | Verdict::Held { because, .. } | Verdict::Refused { because, .. } => because,
        Verdict::Still | Verdict::Missed { .. } => "",
    };
    format!("{} → {}, {because}", decision.from, decision.to)
}
