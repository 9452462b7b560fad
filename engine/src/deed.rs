//! Deeds: what a person does with one server of a group, protect, remove, detach, adopt; judged alone, as a force is.
//!
//! Here it is decided whether it may be and what becomes of the target. What is to become of the server is state of the
//! group and goes out with every command from then on (see [`Hands`](crate::command::Hands)), so an executor that missed
//! a command misses no deed, and one that hears of it twice does it once.
//!
//! A person has looked, so no cooldown, no limit and no `unknown` holds a deed. Pause, kill switch and a freeze that blocks
//! all do, for somebody said that nothing shall change; and no deed leaves the bounds.

use crate::{
    bounds::Bounds,
    by_hand::{Adoption, Leaving, Parting, Protection},
    decide::{By, Case, How, Ruled},
    decision::{Guard, GuardName},
    event::{Act, Control},
    group::Group,
    guard,
    id::Slot,
    intake,
    member::Stage,
    partition::{Step, Why},
    tenant::GroupId,
};
use weir_grammar::policy::Direction;

/// Who did what, and to which server.
#[derive(Clone, Debug)]
pub struct Deed {
    /// `remove web-3-1 (3.1)`.
    pub words: String,
    /// Who, and in whose words why.
    actor: String,
    reason: String,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Protect(Slot, Option<i64>),
    Unprotect(Slot),
    /// It leaves, and the target falls unless another takes its place, or it was leaving anyway.
    Leave {
        slot: Slot,
        parting: Parting,
        falls: bool,
    },
    /// A server that was nobody's comes, and the target rises.
    Adopt {
        server: String,
        number: u64,
    },
    /// An adoption came to nothing, and its place is given back.
    GiveBack,
    /// It cannot be, in words.
    Refuse(String),
}

/// An order about one server, at the log's time.
pub(crate) fn order(step: &mut Step<'_>, tenant: &str, control: &Control, group: &str, server: &str, act: &Act) {
    let Some(id) = step.tenant(tenant).groups.get(group).copied() else {
        return intake::drop_fact(step, tenant, "order for a group that is not there");
    };
    step.catch_up(id);
    let found = find(step, tenant, id, server);
    let name = found.as_ref().map_or_else(|| server.to_owned(), |(slot, name, _)| format!("{name} ({slot})"));
    let what = match act {
        Act::Adopt => adopt(step, tenant, id, server),
        _ => found.map_or_else(
            || What::Refuse(format!("group `{group}` has no server `{server}`")),
            |(slot, _, stage)| with_member(step, id, slot, stage, act),
        ),
    };
    let words = format!("{} {name}", act.word());
    let deed = Deed { words, actor: control.actor.clone(), reason: control.reason.clone(), what };
    look(step, id, &format!("{} by {}", deed.words, deed.actor), &deed);
}

/// An executor could not adopt a server.
pub(crate) fn not_adopted(step: &mut Step<'_>, id: GroupId, server: &str, reason: &str) {
    let Some(adoption) = step.group(id).and_then(|group| group.by_hand.some()?.adopting.remove(server)) else { return };
    let words = format!("adopt {server}");
    let deed = Deed { words, actor: adoption.actor, reason: format!("given up, {reason}"), what: What::GiveBack };
    look(step, id, &format!("server {server} not adopted: {reason}"), &deed);
}

fn look(step: &mut Step<'_>, id: GroupId, cause: &str, deed: &Deed) {
    let at_ms = step.t();
    step.touched.insert(id);
    step.look(id, at_ms, &Why { deed: Some(deed), ..Why::of(cause) });
}

/// A member by any of its names, or by its slot: `3.1`, or `3` for whoever holds that place.
fn find(step: &mut Step<'_>, tenant: &str, id: GroupId, named: &str) -> Option<(Slot, String, Stage)> {
    let known = step.tenant(tenant).servers.find([named]).filter(|(group, _)| *group == id).map(|(_, slot)| slot);
    let members = &step.group(id)?.members;
    let slot = known.or_else(|| named.parse::<Slot>().ok().filter(|slot| members.get(*slot).is_some()));
    let place = named.parse::<u32>().ok();
    let slot = slot.or_else(|| members.iter().map(|(slot, _)| slot).find(|slot| Some(slot.serial) == place))?;
    let member = members.get(slot)?;
    // A server that builds is known by its id alone; one that is ready has its name behind that.
    let name = member.names.get(1).or(member.names.first()).cloned().unwrap_or_default();
    Some((slot, name, member.stage))
}

fn adopt(step: &mut Step<'_>, tenant: &str, id: GroupId, server: &str) -> What {
    let number = step.position.offset;
    let owner = step.tenant(tenant);
    if let Some((of, slot)) = owner.servers.find([server]) {
        let of = step.partition.at(of).map_or_else(String::new, |group| group.name.clone());
        return What::Refuse(format!("it is server {slot} of group `{of}` already"));
    }
    let ids: Vec<GroupId> = owner.groups.values().copied().collect();
    let taken = ids.into_iter().filter_map(|id| step.partition.at(id));
    if let Some(by) = taken.into_iter().find(|group| group.by_hand.adopting.contains_key(server)) {
        return What::Refuse(format!("group `{}` is adopting it already", by.name));
    }
    match step.partition.at(id) {
        Some(_) => What::Adopt { server: server.to_owned(), number },
        None => What::Refuse("the group is gone".to_owned()),
    }
}

fn with_member(step: &mut Step<'_>, id: GroupId, slot: Slot, stage: Stage, act: &Act) -> What {
    let Some(group) = step.group(id) else { return What::Refuse("the group is gone".to_owned()) };
    let goes = stage == Stage::Leaving || group.by_hand.leaving.contains_key(&slot);
    let protection = group.by_hand.protected.get(&slot);
    match (act, protection) {
        (Act::Protect { .. } | Act::Remove { .. }, _) if goes => What::Refuse("it leaves already".to_owned()),
        (Act::Protect { until }, _) => What::Protect(slot, *until),
        (Act::Unprotect, None) => What::Refuse("it is not protected".to_owned()),
        (Act::Unprotect, Some(_)) => What::Unprotect(slot),
        (Act::Remove { .. }, Some(by)) => {
            What::Refuse(format!("it is protected by {}: {:?}; unprotect it first", by.actor, by.reason))
        }
        (Act::Remove { replace }, None) => What::Leave { slot, parting: Parting::Removed, falls: !replace },
        // Its place is given up already where it was leaving; now it is only not deleted.
        (Act::Detach { replace }, _) => What::Leave { slot, parting: Parting::Detached, falls: !replace && !goes },
        (Act::Adopt, _) => What::Refuse("it is a server of the group already".to_owned()),
    }
}

/// What comes of a deed, from the group's present target.
pub(crate) fn rule(group: &Group, case: &Case<'_>, bounds: &Bounds, deed: &Deed) -> Ruled {
    let ground = group.target;
    let refused = |because: String| Ruled { to: ground, how: How::Refused(By::Hand, because) };
    let moved = |to: u32| Ruled { to, how: How::Moved(By::Hand, None) };
    let held = |wish: u32, guard: Guard| Ruled { to: ground, how: How::Held(By::Hand, wish, guard) };
    let stopped = |direction| guard::stopped(group, case.plan, case.standing, direction, true, case.moment.now_ms);
    match &deed.what {
        What::Refuse(because) => refused(because.clone()),
        What::Protect(_, Some(until)) if *until <= case.moment.now_ms => refused("its end is past".to_owned()),
        What::Protect(..) | What::Unprotect(_) => moved(ground),
        What::Leave { falls, .. } => {
            let to = ground.saturating_sub(u32::from(*falls));
            match stopped(Direction::Remove) {
                Some(guard) => held(to, guard),
                None if *falls && ground <= bounds.min => refused(format!(
                    "the group is at its floor of {}; ask for a replacement, or lower the floor",
                    bounds.min
                )),
                None => moved(to),
            }
        }
        What::Adopt { .. } => {
            let to = ground.saturating_add(1);
            let quota = Guard { name: GuardName::Quota, detail: String::new(), until: None };
            match stopped(Direction::Add) {
                Some(guard) => held(to, guard),
                None if to > bounds.max => refused(format!("the group is at its ceiling of {}", bounds.max)),
                None if case.standing.quota_left == Some(0) => held(to, quota),
                None => moved(to),
            }
        }
        // Where it may not shrink now, the place stays, and a new server fills it.
        What::GiveBack if stopped(Direction::Remove).is_some() || ground <= bounds.min => moved(ground),
        What::GiveBack => moved(ground.saturating_sub(1)),
    }
}

/// Writes a deed that may be into the group.
pub(crate) fn apply(group: &mut Group, deed: &Deed) {
    let (actor, reason) = (deed.actor.clone(), deed.reason.clone());
    let (hands, members) = (&mut group.by_hand, &group.members);
    match &deed.what {
        What::Protect(slot, until) => {
            hands.protected.insert(*slot, Protection { until_ms: *until, actor, reason });
        }
        What::Unprotect(slot) => {
            hands.protected.remove(slot);
        }
        What::Leave { slot, parting, .. } => {
            hands.protected.remove(slot);
            // One that was to become the group's goes before it was.
            let names = members.get(*slot).map_or(&[][..], |member| &member.names);
            hands.adopting.retain(|server, _| !names.contains(server));
            hands.leaving.insert(*slot, Leaving { parting: *parting, actor, reason });
        }
        What::Adopt { server, number } => {
            hands.adopting.insert(server.clone(), Adoption { number: *number, actor, reason });
        }
        What::GiveBack | What::Refuse(_) => {}
    }
}

/// Who and why: `by mary: "it swaps"`.
pub(crate) fn because(deed: &Deed) -> String {
    let reason = if deed.reason.is_empty() { String::new() } else { format!(": {:?}", deed.reason) };
    format!("{} by {}{reason}", deed.words, deed.actor)
}
