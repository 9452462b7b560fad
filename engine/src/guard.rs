//! Guards: what holds a wish, in one ordered table (rule 8). Each has its name, its reason, and whom it asks.
//!
//! Guards of the first half are asked of every rule that wishes; the largest wish that passes goes on to those of the
//! second half, which hold it, cut it, or let it through. A guard reads and never writes.

use crate::{
    aggregate, bounds,
    decision::{Guard, GuardName},
    event::Right,
    group::Group,
    planted::{self, Bug},
    standing::Standing,
    wiring::Wiring,
    wish,
};
use weir_grammar::policy::{self, Blocks, Direction, Rule, Trigger};

/// A rule's wish to move the group.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Its place in the group.
    pub index: usize,
    /// From this size …
    pub from: u32,
    /// … to this one.
    pub to: u32,
    /// By whose right it is forced, if it is.
    pub forced: Option<Right>,
}

impl Wish<'_> {
    /// Up or down.
    #[must_use]
    pub fn direction(&self) -> Direction {
        if self.to >= self.from { Direction::Add } else { Direction::Remove }
    }

    /// Wished by what was seen, not by a time, a webhook or a user.
    fn automatic(&self) -> bool {
        self.forced.is_none() && wish::is_conditional(self.rule)
    }

    fn removes(&self) -> bool {
        self.direction() == Direction::Remove
    }
}

/// What guards look at.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// The group.
    pub group: &'a Group,
    /// The group in it.
    pub plan: &'a policy::Group,
    /// Its wiring.
    pub wiring: &'a Wiring,
    /// Its tenant's standing.
    pub standing: Standing<'a>,
    /// The bounds that hold.
    pub bounds: &'a bounds::Bounds,
    /// The instant.
    pub now_ms: i64,
}

/// What a guard says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Not mine.
    Pass,
    /// No.
    Hold {
        /// What the guard's name leaves open.
        detail: String,
        /// Until when, where that is known.
        until: Option<i64>,
    },
    /// Only as far as this size; until when, where that is known.
    Cut {
        /// The size.
        to: u32,
        /// Until when.
        until: Option<i64>,
    },
}

/// A row of the table.
pub struct Row {
    /// Its name in decisions and tests.
    pub name: GuardName,
    /// Why it is there.
    pub reason: &'static str,
    ask: fn(&Sight<'_>, &Wish<'_>) -> Ruling,
}

/// Asked of every rule that wishes.
pub const OF_RULES: [Row; 5] = [
    Row { name: GuardName::Unknown, reason: "a removal needs knowledge of every warm server", ask: unknown },
    Row { name: GuardName::Building, reason: "what was just added must first be seen at work", ask: building },
    Row { name: GuardName::Freeze, reason: "the customer asked for quiet", ask: freeze },
    Row { name: GuardName::Cooldown, reason: "the last change must first show its effect", ask: rule_cooldown },
    Row { name: GuardName::Stabilize, reason: "a short lull is no reason to shrink", ask: stabilize },
];

/// Asked of the largest wish.
pub const OF_GROUPS: [Row; 7] = [
    Row { name: GuardName::Pause, reason: "a person has the group in hand", ask: pause },
    Row { name: GuardName::KillSwitch, reason: "an operator stopped changes in the region", ask: kill_switch },
    Row { name: GuardName::Degraded, reason: "a full cloud is not helped by a higher target", ask: degraded },
    Row { name: GuardName::Cooldown, reason: "one change at a time", ask: group_cooldown },
    Row { name: GuardName::Limit, reason: "no faster than the customer allows", ask: limit },
    Row { name: GuardName::Quota, reason: "no more than the tenant may have", ask: quota },
    Row { name: GuardName::Capacity, reason: "a group never leaves its bounds", ask: capacity },
];

/// How far a wish gets through `rows`: the size, and the guard that held or cut it last.
#[must_use]
pub fn through(rows: &[Row], sight: &Sight<'_>, wish: &Wish<'_>) -> (u32, Option<Guard>) {
    let mut wish = *wish;
    let mut cut = None;
    for row in rows {
        match (row.ask)(sight, &wish) {
            Ruling::Pass => {}
            Ruling::Hold { detail, until } => return (wish.from, Some(Guard { name: row.name, detail, until })),
            Ruling::Cut { to, until } => {
                cut = Some(Guard { name: row.name, detail: format!("cut from {} to {to}", wish.to), until });
                wish.to = to;
                if to == wish.from {
                    break;
                }
            }
        }
    }
    (wish.to, cut)
}

fn hold(detail: impl Into<String>, until: Option<i64>) -> Ruling {
    Ruling::Hold { detail: detail.into(), until }
}

fn unknown(sight: &Sight<'_>, wish: &Wish<'_>) -> Ruling {
    if !wish.removes() || !wish.automatic() {
        return Ruling::Pass;
    }
    let mut own = sight.wiring.read_by(wish.index);
    if let Some((_, wired)) = own.find(|(place, _)| !aggregate::known_over_all(sight.group, *place)) {
        return hold(format!("{} is not known over all warm servers", wired.words), None);
    }
    let rules = sight.plan.rules.iter().enumerate();
    let adding = rules.filter(|(_, rule)| wish::is_conditional(rule) && wish::can_add(rule));
    let mut read = adding.flat_map(|(index, _)| sight.wiring.read_by(index));
    match read.find(|(place, _)| aggregate::went_silent(sight.group, *place)) {
        Some((_, wired)) => hold(format!("{} went silent", wired.words), None),
        None => Ruling::Pass,
    }
}

fn building(sight: &Sight<'_>, wish: &Wish<'_>) -> Ruling {
    if !wish.removes() || !wish.automatic() {
        return Ruling::Pass;
    }
    // For at most `ready within`: a build that never ends must not keep a group large for ever.
    match sight.group.unsettled_since.map(|since| since.saturating_add(sight.plan.ready_within.0)) {
        Some(until) if sight.now_ms < until => hold("", Some(until)),
        Some(_) | None => Ruling::Pass,
    }
}

fn freeze(sight: &Sight<'_>, wish: &Wish<'_>) -> Ruling {
    match bounds::frozen(sight.group, sight.plan, wish.direction(), Some(wish.index)) {
        // A force is held only by a freeze that blocks all.
        Some((freeze, until)) if wish.forced.is_none() || freeze.blocks == Blocks::All => {
            hold(freeze.name.clone(), Some(until))
        }
        Some(_) | None => Ruling::Pass,
    }
}

fn rule_cooldown(sight: &Sight<'_>, wish: &Wish<'_>) -> Ruling {
    let scheduled = matches!(wish.rule.trigger, Trigger::Cron { .. } | Trigger::At { .. });
    let skipped = wish.forced == Some(Right::Token) || (scheduled && wish.forced.is_none());
    if skipped || planted::is(Bug::RuleCooldownIgnored) {
        return Ruling::Pass;
    }
    let cooldown = sight.group.rules.get(wish.index).and_then(|memory| memory.cooldown);
    match cooldown.filter(|cooldown| cooldown.delays(wish.direction(), sight.now_ms)) {
        Some(cooldown) => hold("its own", Some(cooldown.until_ms)),
        None => Ruling::Pass,
    }
}

fn stabilize(sight: &Sight<'_>, wish: &Wish<'_>) -> Ruling {
    let (Some(stabilize), true, true) = (wish.rule.stabilize, wish.removes(), wish.automatic()) else {
        return Ruling::Pass;
    };
    let Some(memory) = sight.group.rules.get(wish.index) else { return Ruling::Pass };
    let full = memory.wishes.first().map_or(sight.now_ms, |(at, _)| *at).saturating_add(stabilize.0);
    if sight.now_ms < full {
        return hold("not yet seen for long enough", Some(full));
    }
    let highest = memory.wishes.iter().map(|(_, wish)| *wish).max().unwrap_or(wish.to);
    if planted::is(Bug::StableAnyway) {
        return Ruling::Pass;
    }
    if highest >= wish.from {
        return hold(format!("it wished {highest} within the last {stabilize}"), None);
    }
    if highest > wish.to { Ruling::Cut { to: highest, until: None } } else { Ruling::Pass }
}

fn pause(sight: &Sight<'_>, wish: &Wish<'_>) -> Ruling {
    match sight.group.paused(sight.now_ms) {
        Some(_) if planted::is(Bug::PauseForced) && wish.forced.is_some() => Ruling::Pass,
        Some(pause) if pause.reason.is_empty() => hold(pause.actor.clone(), pause.until_ms),
        Some(pause) => hold(format!("{}: {}", pause.actor, pause.reason), pause.until_ms),
        None => Ruling::Pass,
    }
}

fn kill_switch(sight: &Sight<'_>, wish: &Wish<'_>) -> Ruling {
    match sight.standing.switched_off(&sight.plan.region, wish.direction(), sight.now_ms) {
        Some(switch) => hold(format!("{}: {}", switch.actor, switch.reason), switch.until_ms),
        None => Ruling::Pass,
    }
}

fn degraded(sight: &Sight<'_>, wish: &Wish<'_>) -> Ruling {
    match &sight.group.degraded {
        Some(words) if wish.automatic() && !wish.removes() => hold(words.clone(), None),
        Some(_) | None => Ruling::Pass,
    }
}

fn group_cooldown(sight: &Sight<'_>, wish: &Wish<'_>) -> Ruling {
    match sight.group.cooldown {
        Some(cooldown) if wish.automatic() && cooldown.delays(wish.direction(), sight.now_ms) => {
            hold("the group's", Some(cooldown.until_ms))
        }
        Some(_) | None => Ruling::Pass,
    }
}

fn limit(sight: &Sight<'_>, wish: &Wish<'_>) -> Ruling {
    // Schedules skip limits, and so do authenticated forces; what they change counts all the same.
    let scheduled = matches!(wish.rule.trigger, Trigger::Cron { .. } | Trigger::At { .. });
    if wish.forced == Some(Right::Token) || (scheduled && wish.forced.is_none()) {
        return Ruling::Pass;
    }
    let (allowed, until) = allowed(sight.group, sight.plan, wish.direction(), wish.from, sight.now_ms);
    if wish.from.abs_diff(wish.to) <= allowed {
        return Ruling::Pass;
    }
    let to = if wish.removes() { wish.from - allowed.min(wish.from) } else { wish.from.saturating_add(allowed) };
    Ruling::Cut { to, until }
}

/// Who said that nothing shall change in a direction: a freeze, a pause, a kill switch. They hold also what no rule
/// wished, the bounds' corrections and what people do with single servers; the latter, as a force, only a freeze that blocks
/// all.
#[must_use]
pub fn stopped(
    group: &Group,
    plan: &policy::Group,
    standing: Standing<'_>,
    direction: Direction,
    forced: bool,
    now_ms: i64,
) -> Option<Guard> {
    let guard = |name, detail: &str, until| Some(Guard { name, detail: detail.to_owned(), until });
    let all = || bounds::open_freezes(group, plan).find(|(freeze, _)| freeze.blocks == Blocks::All);
    if let Some((freeze, until)) = if forced { all() } else { bounds::frozen(group, plan, direction, None) } {
        return guard(GuardName::Freeze, &freeze.name, Some(until));
    }
    if let Some(pause) = group.paused(now_ms) {
        return guard(GuardName::Pause, &pause.actor, pause.until_ms);
    }
    match standing.switched_off(&plan.region, direction, now_ms) {
        Some(switch) if forced || !planted::is(Bug::KillSwitchBounds) => {
            guard(GuardName::KillSwitch, &switch.actor, switch.until_ms)
        }
        Some(_) | None => None,
    }
}

/// How many servers the group's limits leave in a direction now, and when they leave more (rule 13).
#[must_use]
pub fn allowed(
    group: &Group,
    plan: &policy::Group,
    direction: Direction,
    target: u32,
    now_ms: i64,
) -> (u32, Option<i64>) {
    let mut tightest = (u32::MAX, None);
    for limit in plan.limits.iter().filter(|limit| limit.direction == direction) {
        let begins = now_ms.saturating_sub(limit.per.0);
        let within = group.changes.iter().filter(|change| change.direction == direction && change.at_ms > begins);
        let used = within.clone().map(|change| change.servers).fold(0, u32::saturating_add);
        let undone = group.changes.iter().filter(|change| change.direction != direction && change.at_ms > begins);
        let undone = undone.map(|change| change.servers).fold(0, u32::saturating_add);
        let used = if planted::is(Bug::LimitNet) { used.saturating_sub(undone) } else { used };
        let left = wish::amount(limit.amount, target).saturating_sub(used);
        if left < tightest.0 {
            tightest = (left, within.map(|change| change.at_ms.saturating_add(limit.per.0)).min());
        }
    }
    tightest
}

fn quota(sight: &Sight<'_>, wish: &Wish<'_>) -> Ruling {
    match sight.standing.quota_left {
        Some(left) if !wish.removes() && wish.to - wish.from > left => {
            Ruling::Cut { to: wish.from + left, until: None }
        }
        Some(_) | None => Ruling::Pass,
    }
}

fn capacity(sight: &Sight<'_>, wish: &Wish<'_>) -> Ruling {
    // Toward the bounds is always allowed, so a group outside of them is cut at where it stands, not pulled back here.
    let to = match wish.direction() {
        Direction::Add => {
            let over = u32::from(planted::is(Bug::CeilingOffByOne));
            wish.to.min((sight.bounds.max + over).max(wish.from))
        }
        Direction::Remove => wish.to.max(sight.bounds.min.min(wish.from)),
    };
    if to == wish.to { Ruling::Pass } else { Ruling::Cut { to, until: None } }
}
