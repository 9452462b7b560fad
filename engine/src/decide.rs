//! One evaluation of one group: every rule speaks, guards hold, the largest wish wins, at most one command goes out.
//!
//! Called at a timer's own instant or when a fact touched the group. Rule 8 is the order of this file: all rules see one
//! snapshot, rule guards first, then the largest wish, then the group's guards. Corrections of the bounds (rule 16) are
//! the ground on which the rules then wish.

use crate::{
    agenda::Agenda,
    aggregate,
    bounds::{self, Bounds},
    by_hand::Override,
    cause::Cause,
    command::Command,
    decision::{Decision, Guard, GuardName, RuleState, Truth, Verdict},
    deed::{self, Deed},
    due, emit,
    event::Right,
    group::Group,
    guard::{self, Sight, Wish},
    id::Position,
    planted::{self, Bug},
    standing::Standing,
    tenant::File,
    time,
    wiring::Wiring,
    wish::{self, Mind, Moment, Thought},
};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use weir_grammar::{
    policy::{self, Direction, Policy},
    schedule,
};

/// What is evaluated, and why.
#[derive(Clone)]
pub struct Case<'a> {
    /// Whose group.
    pub tenant: &'a str,
    /// The group's name.
    pub name: &'a str,
    /// The tenant's policy files by name; the group's own says its hash and version.
    pub files: &'a BTreeMap<String, File>,
    /// The policy file.
    pub policy: &'a Policy,
    /// The group in it.
    pub plan: &'a policy::Group,
    /// Its wiring.
    pub wiring: &'a Wiring,
    /// The tenant's standing.
    pub standing: Standing<'a>,
    /// The instant.
    pub moment: Moment,
    /// The record at which it is evaluated.
    pub position: Position,
    /// In words.
    pub cause: Cause<'a>,
    /// A rule is forced: by its place, whose right, and who.
    pub forced: Option<(usize, Right, &'a str)>,
    /// What a person does with one server, in place of what rules wish.
    pub deed: Option<&'a Deed>,
    /// The decision is wanted also where it says nothing new.
    pub verbose: bool,
    /// Runs of schedules worked out before.
    pub agenda: &'a Agenda,
}

/// What came out. Boxed, since most looks find nothing and all of them hand it on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// The evaluation.
    pub decision: Option<Box<Decision>>,
    /// Schedules found too late, one decision each.
    pub missed: Vec<Decision>,
    /// Whether the decision says something new: a change, or other reasons than before.
    pub news: bool,
    /// The command.
    pub command: Option<Box<Command>>,
}

/// A rule's thought with what its own guards made of it.
struct Heard {
    thought: Thought,
    /// The size that passed the rule's guards.
    passed: Option<u32>,
    guard: Option<Guard>,
}

/// What all rules of a group said, in their order.
type Council = SmallVec<[Heard; 4]>;

/// What came out, before anybody asks for words.
pub(crate) struct Ruled {
    pub(crate) to: u32,
    pub(crate) how: How,
}

pub(crate) enum How {
    /// Nobody wished anything else.
    Still,
    /// It moves; a guard may have cut how far.
    Moved(By, Option<Guard>),
    /// A wish for a size was there and a guard held it.
    Held(By, u32, Guard),
    /// A force or a deed was refused, in words.
    Refused(By, String),
}

/// Who moves the group, or wished to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A rule, by its place.
    Rule(usize),
    /// The bounds.
    Bounds,
    /// A person, by what was done with one server.
    Hand,
}

/// Evaluates a group and moves it.
pub fn judge(group: &mut Group, case: &Case<'_>) -> Judged {
    let now_ms = case.moment.now_ms;
    bounds::refresh(group, case.plan, now_ms);
    aggregate::refresh(group, case.policy, case.wiring, now_ms);
    due::note_unsettled(group, now_ms);
    let bounds = bounds::of(group, case.plan);
    let before = group.target;
    let corrected = correct(group, case, &bounds);
    // Rules wish from where the bounds put the group, so that both are one command.
    let ground = corrected.as_ref().map_or(before, |ruled| ruled.to);
    group.target = ground;
    // What the bounds took of the quota is left to no rule.
    let taken = ground.saturating_sub(before);
    let less;
    let case = if taken == 0 {
        case
    } else {
        let quota_left = case.standing.quota_left.map(|left| left.saturating_sub(taken));
        less = Case { standing: Standing { quota_left, ..case.standing }, ..case.clone() };
        &less
    };
    let heard = hear(group, case, &bounds);
    let ruled = match (case.deed, case.forced) {
        (Some(deed), _) => deed::rule(group, case, &bounds, deed),
        (None, Some((index, right, _))) => force(group, case, &bounds, index, right),
        (None, None) => choose(group, case, &bounds, &heard),
    };
    group.target = before;
    let ruled = match (&ruled.how, corrected) {
        // Nothing but the bounds moved it, or nothing could.
        (How::Still | How::Held(..), Some(correction)) => correction,
        _ => ruled,
    };
    if let (Some(deed), How::Moved(By::Hand, _)) = (case.deed, &ruled.how) {
        deed::apply(group, deed);
    }
    let by = match ruled.how {
        How::Moved(by, _) => by,
        How::Still | How::Held(..) | How::Refused(..) => By::Bounds,
    };
    let command = emit::emit(group, case, &bounds, ruled.to, by).map(Box::new);
    let missed = heard.iter().any(|heard| heard.thought.missed.is_some());
    let moved = command.is_some() || missed || case.forced.is_some() || case.deed.is_some();
    let news = note_reasons(group, &heard, &ruled.how, moved);
    let decision = (news || case.verbose).then(|| {
        // What was seen is told as the rules saw it, from where the bounds put the group.
        let after = std::mem::replace(&mut group.target, ground);
        let decision = tell(group, case, &bounds, before, &heard, &ruled, command.as_deref());
        group.target = after;
        Box::new(decision)
    });
    let missed = decision.iter().flat_map(|decision| overdue(case, &heard, decision)).collect();
    group.due = due::next(group, case);
    Judged { decision, missed, news, command }
}

/// Where the bounds put the group (rule 16): a floor is met at once, over cooldown and limit; a ceiling is walked down
/// under `limit remove`. A held group stays where it is.
fn correct(group: &Group, case: &Case<'_>, bounds: &Bounds) -> Option<Ruled> {
    let target = group.target;
    let goal = if planted::is(Bug::WindowShrinks) && raised_before(group, bounds) {
        bounds.min
    } else {
        target.clamp(bounds.min, bounds.max)
    };
    if goal == target {
        return None;
    }
    let now_ms = case.moment.now_ms;
    let direction = if goal > target { Direction::Add } else { Direction::Remove };
    let held = |name, detail: &str, until| {
        let guard = Guard { name, detail: detail.to_owned(), until };
        Some(Ruled { to: target, how: How::Held(By::Bounds, goal, guard) })
    };
    if let Some(guard) = guard::stopped(group, case.plan, case.standing, direction, false, now_ms) {
        return Some(Ruled { to: target, how: How::Held(By::Bounds, goal, guard) });
    }
    let (allowed, name, until) = match direction {
        Direction::Add => (case.standing.quota_left.unwrap_or(u32::MAX), GuardName::Quota, None),
        Direction::Remove => {
            let (allowed, until) = guard::allowed(group, case.plan, direction, target, now_ms);
            (allowed, GuardName::Limit, until)
        }
    };
    let to = match direction {
        Direction::Add => goal.min(target.saturating_add(allowed)),
        Direction::Remove => goal.max(target.saturating_sub(allowed)),
    };
    if to == target {
        return held(name, "", until);
    }
    Some(Ruled { to, how: How::Moved(By::Bounds, None) })
}

/// For a planted bug: the bounds raised the group, and no window does so any more.
fn raised_before(group: &Group, bounds: &Bounds) -> bool {
    bounds.floor_by.is_none() && group.last_change.as_ref().is_some_and(|change| change.by == "bounds")
}

fn sight<'a>(group: &'a Group, case: &'a Case<'_>, bounds: &'a Bounds) -> Sight<'a> {
    let Case { plan, wiring, standing, .. } = *case;
    Sight { group, plan, wiring, standing, bounds, now_ms: case.moment.now_ms }
}

fn mind<'a>(group: &'a Group, case: &Case<'a>) -> Mind<'a> {
    Mind { group, policy: case.policy, wiring: case.wiring, moment: case.moment, agenda: case.agenda }
}

/// Every rule's thought, and what its own guards make of it. All think before any guard is asked: what one remembers is
/// no other's business.
fn hear(group: &mut Group, case: &Case<'_>, bounds: &Bounds) -> Council {
    let mut memories = std::mem::take(&mut group.rules);
    let thinking = mind(group, case);
    let thoughts = case.plan.rules.iter().zip(&mut memories).enumerate();
    let mut heard: Council = thoughts
        .map(|(index, (rule, memory))| Heard {
            thought: thinking.think(index, rule, memory),
            passed: None,
            guard: None,
        })
        .collect();
    group.rules = memories;
    for (index, (rule, heard)) in case.plan.rules.iter().zip(&mut heard).enumerate() {
        guard_rule(group, case, bounds, index, rule, heard);
    }
    heard
}

fn guard_rule(group: &Group, case: &Case<'_>, bounds: &Bounds, index: usize, rule: &policy::Rule, heard: &mut Heard) {
    let Some(wished) = heard.thought.wish.filter(|wished| *wished != group.target) else {
        // A rule that could remove, and cannot say whether it should, is held by what it does not know.
        let blind = heard.thought.truth == Truth::Unknown && wish::can_remove(rule) && !wish::can_add(rule);
        heard.guard = blind.then(|| Guard { name: GuardName::Unknown, detail: String::new(), until: None });
        return;
    };
    let wish = Wish { rule, index, from: group.target, to: wished, forced: None };
    let (to, guard) = guard::through(&guard::OF_RULES, &sight(group, case, bounds), &wish);
    heard.passed = (to != group.target).then_some(to);
    heard.guard = guard;
}

/// The largest wish that its rule's guards let through, as far as the group's guards let it.
fn choose(group: &Group, case: &Case<'_>, bounds: &Bounds, heard: &[Heard]) -> Ruled {
    let ground = group.target;
    if heard.iter().all(|heard| heard.thought.wish.is_none()) {
        return Ruled { to: ground, how: How::Still };
    }
    let acting = || case.plan.rules.iter().zip(heard).enumerate().filter(|(_, (rule, _))| !rule.observe);
    let held =
        |index: usize, heard: &Heard| Some(How::Held(By::Rule(index), heard.thought.wish?, heard.guard.clone()?));
    let stays =
        acting().find(|(_, (_, heard))| heard.passed.is_none() && heard.thought.wish.is_some_and(|wish| wish > ground));
    let mut best: Option<(usize, &policy::Rule, u32)> = None;
    for (index, (rule, heard)) in acting() {
        // Of equal wishes the first in the file wins.
        if let Some(wished) = heard.passed.filter(|wished| best.is_none_or(|(.., most)| *wished > most)) {
            best = Some((index, rule, wished));
        }
    }
    match (best, stays) {
        // A rule that would add, held by its own guard, still wishes that nothing is removed.
        (Some((.., wished)), Some((index, (_, heard)))) if wished < ground => {
            Ruled { to: ground, how: held(index, heard).unwrap_or(How::Still) }
        }
        (Some((index, rule, wished)), _) => {
            settle_wish(group, case, bounds, &Wish { rule, index, from: ground, to: wished, forced: None })
        }
        (None, _) => {
            let wishing = acting().filter(|(_, (_, heard))| heard.thought.wish.is_some() && heard.guard.is_some());
            let most = wishing.max_by_key(|(index, (_, heard))| (heard.thought.wish, std::cmp::Reverse(*index)));
            Ruled { to: ground, how: most.and_then(|(index, (_, heard))| held(index, heard)).unwrap_or(How::Still) }
        }
    }
}

/// A force is judged alone (rules 8 and 15).
fn force(group: &Group, case: &Case<'_>, bounds: &Bounds, index: usize, right: Right) -> Ruled {
    let ground = group.target;
    let refuse = |because: String| Ruled { to: ground, how: How::Refused(By::Rule(index), because) };
    let Some(rule) = case.plan.rules.get(index) else { return refuse("there is no such rule".into()) };
    if !rule.forceable {
        return refuse("the rule says `no force`".into());
    }
    if rule.observe {
        return refuse("the rule is only observed, so nothing ever comes of it".into());
    }
    let wished = match mind(group, case).forced(rule) {
        Ok(wished) if wished == ground => return refuse(format!("it wishes {wished}, which the target is already")),
        Ok(wished) => wished,
        Err(why) => return refuse(why),
    };
    let wish = Wish { rule, index, from: ground, to: wished, forced: Some(right) };
    let (to, guard) = guard::through(&guard::OF_RULES, &sight(group, case, bounds), &wish);
    match guard {
        Some(guard) if to == ground => Ruled { to, how: How::Held(By::Rule(index), wished, guard) },
        _ => settle_wish(group, case, bounds, &Wish { to, ..wish }),
    }
}

fn settle_wish(group: &Group, case: &Case<'_>, bounds: &Bounds, wish: &Wish<'_>) -> Ruled {
    let (to, guard) = guard::through(&guard::OF_GROUPS, &sight(group, case, bounds), wish);
    let by = By::Rule(wish.index);
    match guard {
        Some(guard) if to == wish.from => Ruled { to, how: How::Held(by, wish.to, guard) },
        cut => Ruled { to, how: How::Moved(by, cut) },
    }
}

/// Whether a decision is news: something changed or was asked for, or the set of reasons is another one than before.
fn note_reasons(group: &mut Group, heard: &[Heard], how: &How, moved: bool) -> bool {
    let mut reasons = Fingerprint::default();
    for (index, guard) in heard.iter().enumerate().filter_map(|(index, heard)| Some((index, heard.guard.as_ref()?))) {
        reasons.add(index as u64);
        reasons.add(guard.name as u64);
    }
    if let How::Held(by, _, guard) = how {
        reasons.add(match by {
            By::Rule(index) => *index as u64,
            By::Bounds => u64::MAX,
            By::Hand => u64::MAX - 1,
        });
        reasons.add(guard.name as u64);
        guard.detail.bytes().for_each(|byte| reasons.add(byte.into()));
    }
    // An override is told when it comes, when it changes and when it ends, also where nothing moves.
    if let Some(hand) = &group.by_hand.bounds {
        hand.words(&|at_ms| at_ms.to_string()).bytes().for_each(|byte| reasons.add(byte.into()));
    }
    let news = moved || reasons.0 != group.reasons;
    group.unwritten = if news { 0 } else { group.unwritten.saturating_add(1) };
    group.reasons = reasons.0;
    news
}

/// FNV-1a over small numbers: tells two sets of reasons apart, no more.
struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    fn add(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x0000_0100_0000_01b3);
    }
}

/// The decision in words, as the rules saw the group.
fn tell(
    group: &Group,
    case: &Case<'_>,
    bounds: &Bounds,
    before: u32,
    heard: &[Heard],
    ruled: &Ruled,
    command: Option<&Command>,
) -> Decision {
    let mind = mind(group, case);
    let file = case.files.get(&group.file);
    let seen: Vec<String> = case
        .plan
        .rules
        .iter()
        .zip(heard)
        .zip(&group.rules)
        .map(|((rule, heard), memory)| mind.words(rule, &heard.thought, memory))
        .collect();
    Decision {
        tenant: case.tenant.to_owned(),
        group: case.name.to_owned(),
        uid: group.uid,
        position: case.position,
        at: case.moment.now_ms,
        cause: case.cause.to_string(),
        from: before,
        to: ruled.to,
        min: bounds.min,
        max: bounds.max,
        overridden: group.by_hand.bounds.clone(),
        ready: group.members.ready_count(),
        outcome: verdict(group, case, bounds, before, ruled, &seen, command),
        rules: case
            .plan
            .rules
            .iter()
            .zip(heard)
            .zip(seen)
            .map(|((rule, heard), seen)| RuleState {
                rule: rule.name.clone(),
                state: heard.thought.truth,
                wish: heard.thought.wish.filter(|wish| *wish != group.target),
                guard: heard.guard.clone(),
                seen: if rule.observe { format!("{seen} (observed only)") } else { seen },
            })
            .collect(),
        generation: command.map(|command| command.generation),
        policy: file.and_then(|file| file.hash.get(..16)).unwrap_or_default().to_owned(),
        version: file.map_or(0, |file| file.version),
        semantics: case.moment.semantics,
        zones: schedule::database_version().to_owned(),
    }
}

fn verdict(
    group: &Group,
    case: &Case<'_>,
    bounds: &Bounds,
    before: u32,
    ruled: &Ruled,
    seen: &[String],
    command: Option<&Command>,
) -> Verdict {
    let name = |index: usize| case.plan.rules.get(index).map_or_else(String::new, |rule| rule.name.clone());
    let because = |by: &By| match by {
        By::Hand => case.deed.map_or_else(String::new, deed::because),
        By::Rule(index) => match case.forced {
            Some((.., actor)) => format!("{} forced by {actor}", name(*index)),
            None => format!("{}: {}", name(*index), seen.get(*index).map_or("", String::as_str)),
        },
        By::Bounds if group.generation == 1 && command.is_some() => format!("starts, {}..{}", bounds.min, bounds.max),
        By::Bounds => match (&group.by_hand.bounds, &bounds.floor_by) {
            (Some(hand), _) if moved_by_hand(hand, before, ruled.to) => {
                format!("overridden, {}", hand.words(&time::rfc3339))
            }
            (_, Some((window, _))) if ruled.to > before => format!("{window} opens, floor {}", bounds.min),
            _ => format!("capacity {}..{}", bounds.min, bounds.max),
        },
    };
    let who = |by: &By| match by {
        By::Rule(index) => name(*index),
        By::Bounds => "bounds".to_owned(),
        By::Hand => "hand".to_owned(),
    };
    // What was not done is told by its own words: nobody looks for a rule of that name.
    let asked = |by: &By| match (by, case.deed) {
        (By::Hand, Some(deed)) => deed.words.clone(),
        _ => who(by),
    };
    match &ruled.how {
        How::Still => Verdict::Still,
        How::Moved(by, None) => Verdict::Changed { by: who(by), because: because(by) },
        How::Moved(by, Some(guard)) => {
            let because = format!("{}; {} by {}", because(by), guard.detail, guard.name.as_str());
            Verdict::Changed { by: who(by), because }
        }
        How::Held(by, wish, guard) => {
            Verdict::Held { by: asked(by), wish: *wish, guard: guard.clone(), because: because(by) }
        }
        How::Refused(by, why) => Verdict::Refused { by: asked(by), because: why.clone() },
    }
}

/// Whether it is an override that moves a group this way.
fn moved_by_hand(hand: &Override, from: u32, to: u32) -> bool {
    if to > from { hand.floor.is_some() } else { hand.ceiling.is_some() }
}

/// Schedules found too late, a decision each.
fn overdue<'a>(
    case: &'a Case<'_>,
    heard: &'a [Heard],
    decision: &'a Decision,
) -> impl Iterator<Item = Decision> + use<'a> {
    let late = case.plan.rules.iter().zip(heard).filter_map(|(rule, heard)| Some((rule, heard.thought.missed?)));
    late.map(|(rule, due)| Decision {
        outcome: Verdict::Missed { by: rule.name.clone(), due },
        to: decision.from,
        generation: None,
        ..decision.clone()
    })
}
