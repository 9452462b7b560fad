//! Looking ahead: what the steps of a few lines will read is fetched from memory beforehand, for all of them side by side.
//!
//! Where there are more groups than a processor's cache holds, a step mostly waits: a group's state and its program lie
//! in some sixty lines of memory, each found by way of another. Here they are fetched in layers, every group of the batch
//! before the next layer, so that the waits of a layer fall together. Nothing is changed and nothing is kept, so what is
//! decided is the same with and without it; and it may miss, where a line of the batch moves a server or a timer.

use super::Partition;
use crate::{
    fetch,
    group::Group,
    scan::{AboutRef, Hot, Scanned},
    tenant::{GroupId, Program},
};
use smallvec::SmallVec;

/// Groups of one batch: so many that their waits fill each other, so few that what was fetched is still near when it is read.
pub(super) const BATCH: usize = 16;

/// From so many groups on they do not fit into a processor's own cache.
const MANY: usize = 64;

/// Groups, each with whether it will be looked at; a sample only fills its windows.
type Groups = SmallVec<[(GroupId, bool); BATCH]>;

/// Fetches what the steps of some facts will read.
pub(super) fn facts<'a>(partition: &Partition, facts: impl Iterator<Item = &'a Scanned<'a>>) {
    // Before any group is looked up, which alone would cost a small installation more than it ever waits.
    if near(partition) {
        return;
    }
    let groups: Groups = facts.filter_map(|scanned| group_of(partition, scanned)).collect();
    fetch(partition, &groups);
}

/// Fetches what the looks of the next due timers will read, and says how many those are.
pub(super) fn timers(partition: &Partition, until_ms: i64) -> usize {
    let due = partition.timers.iter().take_while(|(at_ms, _)| *at_ms <= until_ms).take(BATCH);
    if near(partition) {
        return due.count();
    }
    let groups: Groups = due.map(|(_, id)| (*id, true)).collect();
    fetch(partition, &groups);
    groups.len()
}

/// Whether all groups are near all the time.
fn near(partition: &Partition) -> bool {
    partition.state.groups.len() < MANY
}

/// The group whose server a fact is about, or whom it names. A tenant's listeners are not looked for: there are few.
fn group_of(partition: &Partition, scanned: &Scanned<'_>) -> Option<(GroupId, bool)> {
    let (AboutRef { server, group }, looks) = match &scanned.fact {
        Hot::Alarm(alarm) => (alarm.about, true),
        Hot::Samples(samples) => (samples.first()?.about, false),
        Hot::Tick => return None,
    };
    let owner = partition.tenant(scanned.tenant)?;
    let server = owner.servers.find(server.iter()).map(|(id, _)| id);
    Some((server.or_else(|| owner.groups.get(group?).copied())?, looks))
}

fn fetch(partition: &Partition, groups: &[(GroupId, bool)]) {
    // Of one there is nothing to be done meanwhile.
    if groups.len() < 2 {
        return;
    }
    for layer in [places, lists, inner, innermost] {
        groups.iter().for_each(|(id, looks)| layer(partition, *id, *looks));
    }
}

fn group(partition: &Partition, id: GroupId) -> Option<&Group> {
    partition.state.groups.get(id as usize)?.as_ref()
}

fn program(partition: &Partition, id: GroupId) -> Option<&Program> {
    partition.programs.get(id as usize)?.as_ref()
}

/// The group itself, and where its program is.
fn places(partition: &Partition, id: GroupId, _: bool) {
    partition.state.groups.get(id as usize).map(fetch::value);
    partition.programs.get(id as usize).map(fetch::value);
}

/// The group's lists, and its file.
fn lists(partition: &Partition, id: GroupId, looks: bool) {
    if let Some(group) = group(partition, id) {
        group.members.fetch();
        fetch::list(&group.windows);
        fetch::list(&group.heard);
        if looks {
            fetch::list(&group.rules);
            fetch::list(&group.values);
            fetch::list(&group.alarms);
            fetch::list(&group.edges);
            fetch::list(&group.changes);
        }
    }
    if let Some(program) = program(partition, id) {
        fetch::value(&*program.file);
    }
}

/// What is in those lists, and the group's part of the file.
fn inner(partition: &Partition, id: GroupId, looks: bool) {
    if let Some(group) = group(partition, id) {
        group.windows.iter().for_each(|window| window.fetch_series());
        if looks {
            group.alarms.iter().for_each(|about| about.fetch());
        }
    }
    if let Some(program) = program(partition, id) {
        program.wiring().map(fetch::value);
        if looks {
            program.plan().map(fetch::value);
        }
    }
}

/// The samples, the rules, and what is wired for them.
fn innermost(partition: &Partition, id: GroupId, looks: bool) {
    if let Some(group) = group(partition, id) {
        group.windows.iter().for_each(|window| window.fetch_samples());
    }
    let Some(program) = program(partition, id) else { return };
    if let Some(wiring) = program.wiring() {
        wiring.fetch_lists();
    }
    if let Some(plan) = program.plan().filter(|_| looks) {
        // A rule's words are for people.
        plan.rules.iter().for_each(|rule| fetch::value(&rule.trigger));
        fetch::list(&plan.limits);
    }
}
