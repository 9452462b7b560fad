//! Looking ahead: what the steps of a few lines will read is fetched from memory beforehand, for all of them side by side.
//!
//! Where there are more groups than a processor's cache holds, a step mostly waits: a group's state and its program lie
//! in dozens of lines of memory, each found by way of another. Here they are fetched in layers, every group of the batch
//! before the next layer, so that the waits of a layer fall together. Nothing is changed and nothing is kept, so what is
//! decided is the same with and without it; and it may miss, where a line of the batch moves a server or a timer.

use super::Partition;
use crate::{
    fetch,
    group::Group,
    program::Program,
    scan::{AboutRef, Hot, Scanned},
    tenant::GroupId,
};
use smallvec::SmallVec;

/// Groups of one batch: so many that their waits fill each other, so few that what was fetched is still near when it is read.
pub(super) const BATCH: usize = 16;

/// From so many groups on they do not fit into a processor's own cache; nor do so many programs.
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
    for layer in [places, lists, inner] {
        groups.iter().for_each(|(id, looks)| layer(partition, *id, *looks));
    }
}

fn group(partition: &Partition, id: GroupId) -> Option<&Group> {
    partition.state.groups.get(id as usize)?.as_ref()
}

/// None where all programs are near all the time.
fn program(partition: &Partition, id: GroupId) -> Option<&Program> {
    if partition.pool.len() < MANY {
        return None;
    }
    partition.programs.get(id as usize)?.as_deref()
}

/// The group itself, and where its program is.
fn places(partition: &Partition, id: GroupId, _: bool) {
    partition.state.groups.get(id as usize).map(fetch::value);
    partition.programs.get(id as usize).map(fetch::value);
}

/// The group's lists, and its program.
fn lists(partition: &Partition, id: GroupId, looks: bool) {
    if let Some(group) = group(partition, id) {
        group.members.fetch();
        group.windows.iter().for_each(|window| window.fetch_series());
        if looks {
            fetch::list(&group.rules);
            group.alarms.iter().for_each(|about| about.fetch());
            fetch::list(&group.changes);
        }
    }
    if let Some(program) = program(partition, id) {
        fetch::value(&program.wiring);
        if looks {
            fetch::value(&program.plan);
        }
    }
}

/// What is in those lists, and those of the program.
fn inner(partition: &Partition, id: GroupId, looks: bool) {
    if let Some(group) = group(partition, id) {
        group.windows.iter().for_each(|window| window.fetch_samples());
    }
    if let Some(program) = program(partition, id) {
        program.wiring.fetch_lists();
        if looks {
            // A rule's words are for people.
            program.plan.rules.iter().for_each(|rule| fetch::value(&rule.trigger));
            fetch::list(&program.plan.limits);
        }
    }
}
