//! One evaluation of one group: every rule speaks, guards hold, the largest wish wins, at most one command goes out.
//!
//! Called at a timer's own instant or when a fact touched the group. Rule 8 is the order of this file: all rules see one
//! snapshot, rule guards first, then the largest wish, then the group's guards. Corrections of the bounds (rule 16) are
//! the ground on which the rules then wish.

use crate::{
    aggregate,
    bounds::{self, Bounds},
    command::{Command, Spec},
    decision::{Decision, Guard, GuardName, RuleState, Truth, Verdict},
    due, emit,
    event::Right,
    group::Group,
    guard::{self, Sight, Wish},
    id::Position,
    standing::Standing,
    wish::{self, Moment, Thought},
};
use weir_grammar::{
    policy::{self, Direction, Policy},
    schedule,
};

/// The meaning of the rules as this build knows it.
pub const SEMANTICS: u32 = 1;

/// What is evaluated, and why.
#[derive(Clone)]
pub struct Case<'a> {
    /// Whose group.
    pub tenant: &'a str,
    /// The group's name.
    pub name: &'a str,
    /// First 16 hexadecimal digits of the policy's hash.
    pub hash: &'a str,
    /// The policy's version.
    pub version: u32,
    /// The policy file.
    pub policy: &'a Policy,
    /// The group in it.
    pub plan: &'a policy::Group,
    /// What its servers are.
    pub spec: &'a Spec,
    /// The fingerprint of `spec`.
    pub spec_print: &'a str,
    /// The tenant's standing.
    pub standing: &'a Standing,
    /// The instant.
    pub moment: Moment,
    /// The record at which it is evaluated.
    pub position: Position,
    /// In words.
    pub cause: &'a str,
    /// A rule is forced: by its place, whose right, and who.
    pub forced: Option<(usize, Right, &'a str)>,
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// The evaluation.
    pub decision: Option<Decision>,
    /// Schedules found too late, one decision each.
    pub missed: Vec<Decision>,
    /// Whether the decision says something new: a change, or other reasons than before.
    pub news: bool,
    /// The command.
    pub command: Option<Command>,
}

/// A rule's thought with what its own guards made of it.
struct Heard {
    thought: Thought,
    /// The size that passed the rule's guards.
    passed: Option<u32>,
    guard: Option<Guard>,
}

/// Evaluates a group and moves it.
pub fn judge(group: &mut Group, case: &Case<'_>) -> Judged {
    let now_ms = case.moment.now_ms;
    bounds::refresh(group, case.plan, now_ms);
    aggregate::refresh(group, case.policy, &case.plan.rules, now_ms);
    due::note_unsettled(group, now_ms);
    let bounds = bounds::of(group, case.plan);
    let before = group.target;
    let (ground, corrected) = correct(group, case, &bounds);
    // Rules wish from where the bounds put the group, so that both are one command.
    group.target = ground;
    let heard: Vec<Heard> =
        case.plan.rules.iter().enumerate().map(|(at, rule)| hear(group, case, &bounds, at, rule)).collect();
    let (to, by, verdict) = match case.forced {
        Some((index, right, actor)) => force(group, case, &bounds, index, right, actor),
        None => choose(group, case, &bounds, &heard),
    };
    group.target = before;
    let verdict = match (&verdict, corrected) {
        // Nothing but the bounds moved it, or nothing could.
        (Verdict::Still | Verdict::Held { .. }, Some(correction)) if to == ground => correction,
        _ => verdict,
    };
    let mut decision = Decision {
        tenant: case.tenant.to_owned(),
        group: case.name.to_owned(),
        uid: group.uid,
        position: case.position,
        at: now_ms,
        cause: case.cause.to_owned(),
        from: before,
        to,
        min: bounds.min,
        max: bounds.max,
        ready: group.members.ready_count(),
        outcome: verdict,
        rules: case.plan.rules.iter().zip(&heard).map(|(rule, heard)| state_of(rule, heard, ground)).collect(),
        generation: None,
        policy: case.hash.to_owned(),
        version: case.version,
        semantics: SEMANTICS,
        zones: schedule::database_version().to_owned(),
    };
    let command = emit::emit(group, case, &bounds, to, by);
    decision.generation = command.as_ref().map(|command| command.generation);
    let missed = heard
        .iter()
        .zip(&case.plan.rules)
        .filter_map(|(heard, rule)| Some((heard.thought.missed?, rule)))
        .map(|(due, rule)| Decision {
            outcome: Verdict::Missed { by: rule.name.clone(), due },
            to: decision.from,
            generation: None,
            ..decision.clone()
        })
        .collect();
    let news = speak(group, &decision);
    group.due = due::next(group, case);
    Judged { decision: Some(decision), missed, news, command }
}

/// Where the bounds put the group, and the verdict should nothing else move it (rule 16).
fn correct(group: &Group, case: &Case<'_>, bounds: &Bounds) -> (u32, Option<Verdict>) {
    let target = group.target;
    let goal = target.clamp(bounds.min, bounds.max);
    if goal == target {
        return (target, None);
    }
    let direction = if goal > target { Direction::Add } else { Direction::Remove };
    let because = match &bounds.floor_by {
        Some((window, _)) if direction == Direction::Add => format!("{window} opens, floor {}", bounds.min),
        _ => format!("capacity {}..{}", bounds.min, bounds.max),
    };
    let (by, rule) = ("bounds".to_owned(), bounds_rule());
    let sight = sight(group, case, bounds);
    let wish = Wish { rule: &rule, index: usize::MAX, from: target, to: goal, forced: None };
    let hold = |guard| Some(Verdict::Held { by: by.clone(), wish: goal, guard, because: because.clone() });
    if let Some((freeze, until)) = bounds::frozen(group, case.plan, direction, None) {
        return (target, hold(Guard { name: GuardName::Freeze, detail: freeze.name.clone(), until: Some(until) }));
    }
    // A floor is met at once, over cooldown and limit; a ceiling is walked down under `limit remove`.
    let asked = |row: &&guard::Row| match row.name {
        GuardName::Pause | GuardName::KillSwitch => true,
        GuardName::Quota => direction == Direction::Add,
        _ => false,
    };
    let (mut to, mut guard) = (goal, None);
    for row in guard::OF_GROUPS.iter().filter(asked) {
        let (through, held) = guard::through(std::slice::from_ref(row), &sight, &Wish { to, ..wish });
        (to, guard) = (through, held.or(guard));
        if to == target {
            return (target, guard.and_then(hold));
        }
    }
    if direction == Direction::Remove {
        let (allowed, until) = guard::allowed(group, case.plan, direction, target, case.moment.now_ms);
        to = to.max(target.saturating_sub(allowed));
        if to == target {
            return (target, hold(Guard { name: GuardName::Limit, detail: String::new(), until }));
        }
    }
    (to, Some(Verdict::Changed { by, because }))
}

/// A rule that stands for the bounds where a guard wants to know who wishes.
fn bounds_rule() -> policy::Rule {
    policy::Rule {
        name: "bounds".into(),
        doc: String::new(),
        trigger: policy::Trigger::Manual,
        add_only: false,
        action: None,
        cooldown: None,
        stabilize: None,
        late_by: weir_grammar::quantity::Millis(0),
        observe: false,
        forceable: false,
        span: policy::Span::default(),
        meaning: String::new(),
    }
}

fn sight<'a>(group: &'a Group, case: &'a Case<'_>, bounds: &'a Bounds) -> Sight<'a> {
    Sight { group, policy: case.policy, plan: case.plan, standing: case.standing, bounds, now_ms: case.moment.now_ms }
}

fn hear(group: &mut Group, case: &Case<'_>, bounds: &Bounds, index: usize, rule: &policy::Rule) -> Heard {
    let thought = wish::think(group, case.policy, rule, &case.moment);
    let Some(wished) = thought.wish.filter(|wished| *wished != group.target) else {
        // A rule that could remove, and cannot say whether it should, is held by what it does not know.
        let blind = thought.truth == Truth::Unknown && wish::can_remove(rule) && !wish::can_add(rule);
        let guard = blind.then(|| Guard { name: GuardName::Unknown, detail: String::new(), until: None });
        return Heard { thought, passed: None, guard };
    };
    let wish = Wish { rule, index, from: group.target, to: wished, forced: None };
    let (to, guard) = guard::through(&guard::OF_RULES, &sight(group, case, bounds), &wish);
    Heard { passed: (to != group.target).then_some(to), thought, guard }
}

/// The largest wish that its rule's guards let through, as far as the group's guards let it.
fn choose(group: &Group, case: &Case<'_>, bounds: &Bounds, heard: &[Heard]) -> (u32, By, Verdict) {
    let ground = group.target;
    let acting = || case.plan.rules.iter().enumerate().zip(heard).filter(|((_, rule), _)| !rule.observe);
    let held = |(index, rule): (usize, &policy::Rule), heard: &Heard| {
        let (wish, guard) = (heard.thought.wish?, heard.guard.clone()?);
        let because = format!("{}: {}", rule.name, heard.thought.seen);
        Some((index, Verdict::Held { by: rule.name.clone(), wish, guard, because }))
    };
    let stays =
        acting().find(|(_, heard)| heard.passed.is_none() && heard.thought.wish.is_some_and(|wish| wish > ground));
    // Of equal wishes the first in the file wins.
    let best = acting().filter_map(|(rule, heard)| Some((rule, heard, heard.passed?))).fold(
        None,
        |best: Option<(_, _, u32)>, next| match best {
            Some(best) if best.2 >= next.2 => Some(best),
            _ => Some(next),
        },
    );
    match (best, stays) {
        // A rule that would add, held by its own guard, still wishes that nothing is removed.
        (Some((.., wished)), Some((rule, heard))) if wished < ground => {
            let verdict = held(rule, heard).map_or(Verdict::Still, |(_, verdict)| verdict);
            (ground, By::Nobody, verdict)
        }
        (Some(((index, rule), heard, wished)), _) => {
            let wish = Wish { rule, index, from: ground, to: wished, forced: None };
            let because = format!("{}: {}", rule.name, heard.thought.seen);
            settle_wish(group, case, bounds, &wish, because)
        }
        (None, _) => {
            let verdict = acting()
                .filter_map(|(rule, heard)| held(rule, heard))
                .max_by_key(|(index, verdict)| match verdict {
                    Verdict::Held { wish, .. } => (*wish, std::cmp::Reverse(*index)),
                    _ => (0, std::cmp::Reverse(*index)),
                })
                .map_or(Verdict::Still, |(_, verdict)| verdict);
            (ground, By::Nobody, verdict)
        }
    }
}

/// A force is judged alone (rules 8 and 15).
fn force(
    group: &Group,
    case: &Case<'_>,
    bounds: &Bounds,
    index: usize,
    right: Right,
    actor: &str,
) -> (u32, By, Verdict) {
    let ground = group.target;
    let Some(rule) = case.plan.rules.get(index) else { return (ground, By::Nobody, Verdict::Still) };
    let refuse = |because: String| (ground, By::Nobody, Verdict::Refused { by: rule.name.clone(), because });
    if !rule.forceable {
        return refuse("the rule says `no force`".into());
    }
    let wished = match wish::forced(group, case.policy, rule) {
        Ok(wished) if wished == ground => return refuse(format!("it wishes {wished}, which the target is already")),
        Ok(wished) => wished,
        Err(why) => return refuse(why),
    };
    let wish = Wish { rule, index, from: ground, to: wished, forced: Some(right) };
    let because = format!("{} forced by {actor}", rule.name);
    let (to, guard) = guard::through(&guard::OF_RULES, &sight(group, case, bounds), &wish);
    match guard {
        Some(guard) if to == ground => {
            (ground, By::Nobody, Verdict::Held { by: rule.name.clone(), wish: wished, guard, because })
        }
        _ => settle_wish(group, case, bounds, &Wish { to, ..wish }, because),
    }
}

fn settle_wish(
    group: &Group,
    case: &Case<'_>,
    bounds: &Bounds,
    wish: &Wish<'_>,
    because: String,
) -> (u32, By, Verdict) {
    let (to, guard) = guard::through(&guard::OF_GROUPS, &sight(group, case, bounds), wish);
    let by = wish.rule.name.clone();
    match guard {
        Some(guard) if to == wish.from => (to, By::Nobody, Verdict::Held { by, wish: wish.to, guard, because }),
        Some(guard) => {
            let because = format!("{because}; {} by {}", guard.detail, guard.name.as_str());
            (to, By::Rule(wish.index), Verdict::Changed { by, because })
        }
        None => (to, By::Rule(wish.index), Verdict::Changed { by, because }),
    }
}

/// Who moved the group beyond its bounds' correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A rule, by its place.
    Rule(usize),
    /// Nobody; the bounds at most.
    Nobody,
}

fn state_of(rule: &policy::Rule, heard: &Heard, ground: u32) -> RuleState {
    RuleState {
        rule: rule.name.clone(),
        state: heard.thought.truth,
        wish: heard.thought.wish.filter(|wish| *wish != ground),
        guard: heard.guard.clone(),
        seen: if rule.observe { format!("{} (observed only)", heard.thought.seen) } else { heard.thought.seen.clone() },
    }
}

/// Whether a decision is news: something changed or was asked for, or the set of reasons is another one than before.
fn speak(group: &mut Group, decision: &Decision) -> bool {
    let mut reasons: Vec<String> = decision
        .rules
        .iter()
        .filter_map(|rule| {
            let guard = rule.guard.as_ref()?;
            Some(format!("{} {}", rule.rule, guard.name.as_str()))
        })
        .collect();
    if let Verdict::Held { by, guard, .. } = &decision.outcome {
        reasons.push(format!("{by} {} {}", guard.name.as_str(), guard.detail));
    }
    let moved = decision.generation.is_some()
        || matches!(decision.outcome, Verdict::Changed { .. } | Verdict::Refused { .. } | Verdict::Missed { .. });
    let news = moved || reasons != group.reasons;
    group.unwritten = if news { 0 } else { group.unwritten + 1 };
    group.reasons = reasons;
    news
}
