//! Each decision against the book: bounds, holds, cooldowns, limits, schedules, arithmetic; reckoned here once more, from
//! the policy, the facts and the changes so far alone.

use crate::{
    book::{Group, Tenant},
    judge::Broken,
};
use weir_engine::{
    command::Command,
    decision::{Decision, Truth, Verdict},
    event::{Force, Right},
    grammar::policy::{Action, Amount, Blocks, Change, Direction, Rule, Trigger},
};

/// What a decision was made at.
pub struct Hearing<'a> {
    /// The log's time.
    pub t_ms: i64,
    /// The force that the record is.
    pub force: Option<&'a Force>,
}

/// A change that a decision made.
struct Moved<'a> {
    decision: &'a Decision,
    direction: Direction,
    servers: u32,
    /// The rule that won, with its place; none where it was the bounds.
    rule: Option<(usize, &'a Rule)>,
    forced: Option<Right>,
    /// A person did something with one server.
    hand: bool,
}

impl Moved<'_> {
    fn scheduled(&self) -> bool {
        self.forced.is_none()
            && self.rule.is_some_and(|(_, rule)| matches!(rule.trigger, Trigger::Cron { .. } | Trigger::At { .. }))
    }

    /// Moved by what was seen.
    fn automatic(&self) -> bool {
        let seen =
            |rule: &Rule| matches!(rule.trigger, Trigger::When { .. } | Trigger::Step { .. } | Trigger::Track { .. });
        self.forced.is_none() && self.rule.is_some_and(|(_, rule)| seen(rule))
    }
}

/// A schedule was found too late.
///
/// # Errors
/// Where it was not due, or not late.
pub fn missed(tenant: &mut Tenant, decision: &Decision, by: &str, due_ms: i64, t_ms: i64) -> Result<(), Broken> {
    let Some(group) = tenant.groups.get_mut(&decision.group) else { return gone(decision) };
    let late_by = group.plan().rules.iter().find(|rule| rule.name == by).map_or(0, |rule| rule.late_by.0);
    let was_due = group.due.get_mut(by).is_some_and(|due| due.remove(&due_ms));
    Broken::unless(was_due && t_ms - due_ms > late_by, ONCE, || {
        format!("`{by}` of `{}` is said to have missed {due_ms} at {t_ms}", decision.group)
    })
}

const ONCE: &str = "a due schedule fires exactly once, or is recorded as missed";

fn gone(decision: &Decision) -> Result<(), Broken> {
    Err(Broken::new("decisions are about groups that are there", format!("{decision:?}")))
}

/// Weighs one evaluation, then enters it into the book.
///
/// # Errors
/// An invariant that does not hold.
pub fn weigh(
    tenant: &mut Tenant,
    decision: &Decision,
    command: Option<&Command>,
    hearing: &Hearing<'_>,
) -> Result<(), Broken> {
    let wanted = tenant.wanted();
    let (killed, quota) =
        ([Direction::Add, Direction::Remove].map(|way| tenant.killed(way, decision.at)), tenant.quota);
    let Some(group) = tenant.groups.get_mut(&decision.group) else { return gone(decision) };
    group.note_unsettled(decision.at);
    matches_the_book(group, decision, hearing.t_ms)?;
    let plan = group.policy.groups[group.index].clone();
    schedules(group, decision, hearing.t_ms)?;
    arithmetic(&plan.rules, decision)?;
    if decision.to != decision.from {
        let forced = hearing.force.filter(|_| decision.cause.starts_with("force ")).map(|force| force.by);
        let by = match &decision.outcome {
            Verdict::Changed { by, .. } => by.as_str(),
            _ => "",
        };
        let rule = plan.rules.iter().enumerate().find(|(_, rule)| rule.name == by);
        Broken::unless(rule.is_some() || by == "bounds" || by == "hand", "a change says who made it", || {
            format!("{decision:?}")
        })?;
        let direction = if decision.to > decision.from { Direction::Add } else { Direction::Remove };
        let moved = Moved {
            decision,
            direction,
            servers: decision.to.abs_diff(decision.from),
            rule,
            forced,
            hand: by == "hand",
        };
        holds(group, &moved, killed[usize::from(direction == Direction::Remove)])?;
        paces(group, &moved)?;
        let after = wanted - decision.from + decision.to;
        let fits = direction == Direction::Remove || quota.is_none_or(|quota| after <= quota);
        Broken::unless(fits, "a quota is over all groups of a tenant", || {
            format!("{after} of {quota:?}: {decision:?}")
        })?;
        enter(group, &moved);
    }
    Broken::unless(decision.generation.is_some() == command.is_some(), "a change is a command", || {
        format!("{decision:?}, and {command:?}")
    })?;
    match command {
        Some(command) => {
            let rises = command.generation > group.generation;
            Broken::unless(rises, "generations strictly rise", || {
                format!("{} after {} of {}", command.generation, group.generation, command.uid)
            })?;
            let same = (command.target, command.min, command.max) == (decision.to, decision.min, decision.max);
            Broken::unless(same, "a command says what was decided", || format!("{command:?}, and {decision:?}"))?;
            (group.generation, group.hold) = (command.generation, command.hold);
        }
        None => Broken::unless(decision.to == decision.from, "a change is a command", || format!("{decision:?}"))?,
    }
    group.target = decision.to;
    Ok(())
}

fn matches_the_book(group: &mut Group, decision: &Decision, t_ms: i64) -> Result<(), Broken> {
    let uid = *group.uid.get_or_insert(decision.uid);
    Broken::unless(uid == decision.uid, "a group keeps its uid", || format!("{uid} is now {}", decision.uid))?;
    let in_order = (group.judged_ms..=t_ms).contains(&decision.at);
    Broken::unless(in_order, "evaluations are in the order of time", || {
        format!("`{}` at {} after {}, `t` is {t_ms}", decision.group, decision.at, group.judged_ms)
    })?;
    group.judged_ms = decision.at;
    Broken::unless(decision.from == group.target, "a decision begins where the last one ended", || {
        format!("from {}, and the target was {}", decision.from, group.target)
    })?;
    Broken::unless(decision.ready == group.ready(), "an outcome counts once", || {
        format!("`{}` has {} ready, and {} were told", decision.group, decision.ready, group.ready())
    })?;
    let (min, max) = group.bounds(decision.at);
    Broken::unless((decision.min, decision.max) == (min, max), "bounds are those of the open windows", || {
        format!("{}..{} at {}, not {min}..{max}", decision.min, decision.max, decision.at)
    })?;
    let outside = |size: u32| min.saturating_sub(size).max(size.saturating_sub(max));
    Broken::unless(
        outside(decision.to) <= outside(decision.from),
        "no target goes out of its bounds, or further out",
        || format!("{} → {} within {min}..{max}", decision.from, decision.to),
    )
}

fn schedules(group: &mut Group, decision: &Decision, t_ms: i64) -> Result<(), Broken> {
    let rules = group.policy.groups[group.index].rules.iter();
    for (rule, state) in rules.zip(&decision.rules) {
        if !matches!(rule.trigger, Trigger::Cron { .. } | Trigger::At { .. }) || state.state != Truth::Fires {
            continue;
        }
        let was_due = group.due.get_mut(&rule.name).is_some_and(|due| due.remove(&decision.at));
        Broken::unless(was_due && t_ms - decision.at <= rule.late_by.0, ONCE, || {
            format!("`{}` of `{}` fired at {}, `t` is {t_ms}", rule.name, decision.group, decision.at)
        })?;
    }
    Ok(())
}

/// What an action makes of a size (rule 18), by whole thousandths of a percent.
fn own_size(action: &Action, size: u32) -> u32 {
    let share = |amount: Amount| match amount {
        Amount::Servers(servers) => servers,
        Amount::Share(percent) => {
            let exact = u64::from(size) * u64::try_from(percent.0).unwrap_or(0);
            u32::try_from(exact.div_ceil(100_000)).unwrap_or(u32::MAX)
        }
    };
    let servers =
        |change: &Change| share(change.amount).max(change.least.unwrap_or(0)).min(change.most.unwrap_or(u32::MAX));
    match action {
        Action::Add(change) => size.saturating_add(servers(change).max(u32::from(size == 0))),
        Action::Remove(change) => size.saturating_sub(servers(change)),
        Action::RaiseTo(to) => size.max(*to),
        Action::LowerTo(to) => size.min(*to),
        Action::Set(to) => *to,
    }
}

fn is_inside(decision: &Decision) -> bool {
    (decision.min..=decision.max).contains(&decision.from)
}

fn arithmetic(rules: &[Rule], decision: &Decision) -> Result<(), Broken> {
    for (rule, state) in rules.iter().zip(&decision.rules) {
        let (Some(action), Truth::Fires, true) = (&rule.action, state.state, is_inside(decision)) else { continue };
        let (own, wish) = (own_size(action, decision.from), state.wish.unwrap_or(decision.from));
        Broken::unless(own == wish, "arithmetic is exact and rounds away from zero", || {
            format!("`{}` makes {own} of {}, not {wish}: {action:?}", rule.name, decision.from)
        })?;
    }
    Ok(())
}

/// Pause, kill switch, freezes, and who may move a group at all.
fn holds(group: &Group, moved: &Moved<'_>, killed: bool) -> Result<(), Broken> {
    let (decision, at_ms) = (moved.decision, moved.decision.at);
    let held = |held: bool, law: &'static str| Broken::unless(!held, law, || format!("{decision:?}"));
    held(group.paused(at_ms), "a pause holds everything")?;
    held(killed, "a kill switch holds everything")?;
    if moved.hand {
        held(moved.servers != 1 && is_inside(decision), "one server is one server")?;
        let all = group.freezes(moved.direction, at_ms, None).iter().any(|freeze| freeze.blocks == Blocks::All);
        return held(all, "a freeze that blocks all holds what people do");
    }
    let Some((index, rule)) = moved.rule else {
        held(is_inside(decision), "bounds move only what is outside of them")?;
        return held(!group.freezes(moved.direction, at_ms, None).is_empty(), "a freeze holds the bounds' correction");
    };
    held(rule.observe, "an observed rule never acts")?;
    held(moved.forced.is_some() && !rule.forceable, "`no force` is not forced")?;
    let waits = matches!(rule.trigger, Trigger::Webhook { .. } | Trigger::Manual);
    held(waits && moved.forced.is_none(), "what waits for a force is forced")?;
    if !is_inside(decision) {
        return Ok(());
    }
    let freezes = group.freezes(moved.direction, at_ms, Some(index));
    let frozen = freezes.iter().any(|freeze| moved.forced.is_none() || freeze.blocks == Blocks::All);
    held(frozen, "a freeze holds rules")?;
    held(moved.automatic() && moved.direction == Direction::Add && group.degraded, "a degraded group adds nothing")?;
    let unsettled = group.unsettled_ms.is_some_and(|since_ms| at_ms < since_ms + group.plan().ready_within.0);
    let removes = moved.automatic() && moved.direction == Direction::Remove;
    held(removes && unsettled, "nothing is removed while servers are on their way")?;
    if let Some(action) = &rule.action {
        let own = own_size(action, decision.from);
        let within = (decision.from.min(own)..=decision.from.max(own)).contains(&decision.to);
        held(!within, "a rule moves no further than its action says")?;
    }
    Ok(())
}

/// Cooldowns and limits.
fn paces(group: &Group, moved: &Moved<'_>) -> Result<(), Broken> {
    let at_ms = moved.decision.at;
    let exempt = moved.hand || moved.scheduled() || moved.forced == Some(Right::Token);
    let floor = moved.rule.is_none() && moved.direction == Direction::Add;
    if !is_inside(moved.decision) && moved.rule.is_some() || exempt || floor {
        return Ok(());
    }
    let delays = |until_ms: i64, after: Direction| {
        at_ms < until_ms && (after == Direction::Add || moved.direction == Direction::Remove)
    };
    for (name, own_ms, groups_ms, after) in &group.cooldowns {
        let own = moved.rule.is_some_and(|(_, rule)| rule.name == *name) && delays(*own_ms, *after);
        let groups = moved.automatic() && delays(*groups_ms, *after);
        Broken::unless(!own && !groups, "cooldowns hold", || {
            format!("{:?}, after `{name}` until {own_ms} / {groups_ms}", moved.decision)
        })?;
    }
    for limit in group.plan().limits.iter().filter(|limit| limit.direction == moved.direction) {
        let begins_ms = at_ms - limit.per.0;
        let within = group.changes.iter().filter(|(at, way, _)| *way == moved.direction && *at > begins_ms);
        let used: u32 = within.map(|(.., servers)| servers).sum();
        let most = match limit.amount {
            Amount::Servers(servers) => servers,
            Amount::Share(_) => {
                own_size(&Action::Add(Change { amount: limit.amount, least: None, most: None }), moved.decision.from)
                    .saturating_sub(moved.decision.from)
            }
        };
        Broken::unless(used + moved.servers <= most, "limits hold over gross changes", || {
            format!("{used} and {} more of {most} within {}: {:?}", moved.servers, limit.per, moved.decision)
        })?;
    }
    Ok(())
}

fn enter(group: &mut Group, moved: &Moved<'_>) {
    let at_ms = moved.decision.at;
    group.changes.push((at_ms, moved.direction, moved.servers));
    if let Some((_, rule)) = moved.rule {
        let own_ms = at_ms + rule.cooldown.map_or(0, |cooldown| cooldown.0);
        let groups_ms = at_ms + group.plan().cooldown.0;
        group.cooldowns.push((rule.name.clone(), own_ms, groups_ms, moved.direction));
    }
    if moved.direction == Direction::Add {
        group.unsettled_ms = Some(at_ms);
    }
}

/// What holds for every group once a record's timers have run.
///
/// # Errors
/// An invariant that does not hold.
pub fn at_rest(name: &str, tenant: &Tenant, t_ms: i64) -> Result<(), Broken> {
    for (group_name, group) in tenant.groups.iter().filter(|(_, group)| group.uid.is_some()) {
        let (min, max) = group.bounds(t_ms);
        let kills = [Direction::Add, Direction::Remove].map(|way| tenant.killed(way, t_ms));
        let frozen = [Direction::Add, Direction::Remove].map(|way| !group.freezes(way, t_ms, None).is_empty());
        let (paused, words) = (group.paused(t_ms), || format!("{name}/{group_name} at {t_ms}: {group:?}"));
        let full = tenant.quota.is_some_and(|quota| tenant.wanted() >= quota);
        let raised = group.target >= min || paused || kills[0] || frozen[0] || full;
        Broken::unless(raised, "a raised floor is met at once", words)?;
        let limited = group.plan().limits.iter().any(|limit| limit.direction == Direction::Remove);
        let lowered = group.target <= max || paused || kills[1] || frozen[1] || limited;
        Broken::unless(lowered, "a lowered ceiling is walked down", words)?;
        let hold = group.hold;
        let told = (!paused || hold.add && hold.remove && hold.repair)
            && (!kills[0] || hold.add)
            && (!kills[1] || hold.remove);
        Broken::unless(told, "executors hear of a pause and a kill switch", words)?;
        let free = !paused && kills == [false; 2] && frozen == [false; 2];
        Broken::unless(!free || hold == weir_engine::command::Hold::default(), "a hold ends with its reason", words)?;
        for (rule, due) in &group.due {
            let overdue = due.first().filter(|at_ms| **at_ms <= t_ms);
            Broken::unless(overdue.is_none(), ONCE, || format!("`{rule}` of `{group_name}` was due at {overdue:?}"))?;
        }
    }
    Ok(())
}
