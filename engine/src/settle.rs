//! Settle: the second pure machine. What a cloud shows is written into a group's ledger, and calls come out.
//!
//! The harness calls [`settle`] with each complete look, commits the ledger, performs the calls, and hands every answer to
//! [`answer`]. Calls come from nowhere else, so nothing is created unless the group was listed just before, and nothing
//! is deleted that this very look did not show. It tolerates seeing anything twice, or never: the cloud is the truth about
//! servers, the ledger about what they were meant for.
//!
//! INVARIANT: at rest the ready servers in the cloud are as many as the target, or as are protected where those are more;
//! no slot has two, no server is without one.

use crate::{
    adoption,
    call::{Answer, Call},
    command::Retired,
    id::Slot,
    ledger::{AGAIN_MS, BLIND_MAX, Entry, LATER_MAX_MS, Ledger, Phase, SLOW_RETRY_MS, Trouble, words},
    observation::{CloudError, CloudErrorKind, Observation, Seen, SeenState, Standing},
    outcome::Happening,
    plan,
    planted::{self, Bug},
};
use std::collections::BTreeMap;

/// A look that loses more than this share of a group's servers at once is believed when a second one says so too.
pub const LOST_AT_ONCE_PERCENT: usize = 30;
/// A server whose order was taken and that no listing has shown after this long has failed, milliseconds.
pub const LISTED_WITHIN_MS: i64 = 60_000;
/// A server that runs has at least this long to get into its balancers, however late it came, milliseconds: while we were
/// away nobody could put it there, and our outage is not the customer's.
pub const JOIN_GRACE_MS: i64 = 60_000;
/// The first wait after a look that gave nothing, milliseconds; it doubles with each.
pub const BLIND_WAIT_MS: i64 = 2_000;

/// What an order is called whose process has gone before it had an answer. Told apart by these words: the ledger's form has no
/// other place for it, and no cloud says them.
const ORPHANED: &str = "the answer to the order was lost";

/// Writes a complete look into the ledger and answers the calls that follow. The ledger must be committed before the first
/// of them is performed, and every one of them answered (or the ledger read back) before the next look begins.
pub fn settle(ledger: &mut Ledger, look: &Observation, now_ms: i64) -> Vec<Call> {
    ledger.looked(now_ms);
    if ledger.command.retired == Some(Retired::Keep) || moves(ledger) {
        return Vec::new();
    }
    // The harness answers everything before it looks again. What has no answer by now was sent by a process that is gone.
    for entry in ledger.entries.values_mut().filter(|entry| entry.phase == Phase::Ordered) {
        (entry.phase, entry.since_ms, entry.absent_ms) = (Phase::Unclear, now_ms, None);
        ORPHANED.clone_into(&mut entry.detail);
    }
    if !believe(ledger, look, now_ms) {
        return Vec::new();
    }
    ledger.blind = 0;
    ledger.heal(Trouble::Blind);
    observe(ledger, look, now_ms);
    plan::plan(ledger, look, now_ms)
}

/// A look gave no complete listing, so nothing follows but a later look.
pub fn blind(ledger: &mut Ledger, error: &CloudError, now_ms: i64) {
    ledger.looked(now_ms);
    let asked_ms = match error.kind {
        CloudErrorKind::Later { after_ms } => later_ms(after_ms),
        // Neither a missing cloud nor a wrong password gets better by asking often.
        CloudErrorKind::Refused | CloudErrorKind::Unauthorized | CloudErrorKind::NotOffered => SLOW_RETRY_MS / 10,
        CloudErrorKind::Unclear => 0,
    };
    saw_nothing(ledger, &error.text, asked_ms, now_ms);
    if !matches!(error.kind, CloudErrorKind::Later { .. } | CloudErrorKind::Unclear) {
        ledger.degrade(Trouble::Blind, &error.text);
    }
}

/// Whether the group's home changes, and with it the cloud to look at. A group with servers stays where they are: those of
/// the old region would be nobody's.
fn moves(ledger: &mut Ledger) -> bool {
    let wanted = ledger.command.spec.region.clone();
    if ledger.region == wanted {
        ledger.heal(Trouble::Moved);
        return false;
    }
    if ledger.entries.is_empty() && !ledger.haunted() {
        ledger.region = wanted;
        ledger.hinted = true;
        return true;
    }
    let reason = format!(
        "servers cannot move from region `{}` to `{wanted}`: take the group to 0 first, or make another one",
        ledger.region
    );
    ledger.degrade(Trouble::Moved, &reason);
    false
}

fn saw_nothing(ledger: &mut Ledger, reason: &str, wait_ms: i64, now_ms: i64) {
    let doubled_ms = BLIND_WAIT_MS << ledger.blind.min(16);
    ledger.blind = ledger.blind.saturating_add(1);
    ledger.look_after_ms = now_ms.saturating_add(doubled_ms.min(SLOW_RETRY_MS).max(wait_ms));
    if ledger.blind >= BLIND_MAX {
        ledger.degrade(Trouble::Blind, reason);
    }
}

/// What came of a call. One whose slot has moved on meanwhile is without effect: the next look knows better.
pub fn answer(ledger: &mut Ledger, call: &Call, answer: &Answer, now_ms: i64) {
    match (call, answer) {
        (Call::Create { slot, .. }, Answer::Created { server }) => created(ledger, *slot, server, now_ms),
        (Call::Create { slot, .. }, Answer::Failed(error)) => not_created(ledger, *slot, error, now_ms),
        (Call::Mark { slot, .. }, Answer::Failed(error)) => adoption::not_marked(ledger, *slot, error, now_ms),
        (Call::Delete { slot, server } | Call::Unmark { slot, server }, Answer::Failed(error)) => {
            if let CloudErrorKind::Later { after_ms } = error.kind {
                ledger.deletes_after_ms = now_ms.saturating_add(later_ms(after_ms));
            }
            if let Some(stray) = ledger.strays.get_mut(server) {
                stray.why = words(&error.text);
            } else {
                note(ledger, *slot, error);
            }
        }
        (
            Call::Join { slot, balancer, .. } | Call::Drain { slot, balancer, .. } | Call::Leave { slot, balancer, .. },
            Answer::Failed(error),
        ) => {
            if let CloudErrorKind::Later { after_ms } = error.kind {
                ledger.resting.insert(balancer.clone(), now_ms.saturating_add(later_ms(after_ms)));
            }
            note(ledger, *slot, error);
        }
        (Call::Mark { slot, .. }, Answer::Done) => {
            if let Some(entry) = ledger.entries.get_mut(slot).filter(|entry| entry.phase == Phase::Ordered) {
                entry.detail.clear();
                ledger.enter(*slot, Phase::Unclear, now_ms);
            }
        }
        // Done is believed when a look shows it.
        (_, Answer::Done | Answer::Created { .. }) => {}
    }
}

fn created(ledger: &mut Ledger, slot: Slot, server: &str, now_ms: i64) {
    let Some(entry) = ledger.entries.get_mut(&slot) else { return };
    if !matches!(entry.phase, Phase::Ordered | Phase::Unclear) {
        return;
    }
    entry.server = Some(server.to_owned());
    entry.detail.clear();
    ledger.enter(slot, Phase::Building, now_ms);
    ledger.say(Happening::Building { slot, server: server.to_owned() });
}

fn not_created(ledger: &mut Ledger, slot: Slot, error: &CloudError, now_ms: i64) {
    let Some(entry) = ledger.entries.get_mut(&slot) else { return };
    if !matches!(entry.phase, Phase::Ordered | Phase::Unclear) {
        return;
    }
    entry.detail = words(&error.text);
    match error.kind {
        CloudErrorKind::Unclear => ledger.enter(slot, Phase::Unclear, now_ms),
        CloudErrorKind::Later { after_ms } => {
            ledger.enter(slot, Phase::Allotted, now_ms);
            ledger.orders_after_ms = ledger.orders_after_ms.max(now_ms.saturating_add(later_ms(after_ms)));
        }
        CloudErrorKind::Refused | CloudErrorKind::Unauthorized | CloudErrorKind::NotOffered => {
            ledger.fail(slot, &error.text, now_ms);
        }
    }
}

fn note(ledger: &mut Ledger, slot: Slot, error: &CloudError) {
    if let Some(entry) = ledger.entries.get_mut(&slot) {
        entry.detail = words(&error.text);
    }
}

fn later_ms(after_ms: u64) -> i64 {
    // A second where the cloud does not say.
    i64::try_from(after_ms).unwrap_or(LATER_MAX_MS).clamp(1_000, LATER_MAX_MS)
}

/// Whether a look may be acted on: one that has lost much of the group needs a second one, at least [`AGAIN_MS`] later, that
/// has lost the same servers.
fn believe(ledger: &mut Ledger, look: &Observation, now_ms: i64) -> bool {
    let expected = |entry: &&mut Entry| entry.listed && (Phase::Building..=Phase::Draining).contains(&entry.phase);
    let (mut servers, mut lost, mut twice) = (0, 0, 0);
    for entry in ledger.entries.values_mut().filter(expected) {
        servers += 1;
        if entry.server.as_deref().is_some_and(|id| look.server(id).is_some()) {
            entry.absent_ms = None;
        } else {
            lost += 1;
            let since_ms = *entry.absent_ms.get_or_insert(now_ms);
            twice += usize::from(now_ms - since_ms >= AGAIN_MS);
        }
    }
    if lost * 100 <= servers * LOST_AT_ONCE_PERCENT || twice == lost {
        return true;
    }
    let reason = format!("the cloud's list has lost {lost} of {servers} servers at once; looking again");
    saw_nothing(ledger, &reason, AGAIN_MS, now_ms);
    false
}

fn observe(ledger: &mut Ledger, look: &Observation, now_ms: i64) {
    let mut by_slot: BTreeMap<Slot, Vec<&Seen>> = BTreeMap::new();
    for seen in look.servers.values() {
        if let Some(slot) = seen.slot {
            by_slot.entry(slot).or_default().push(seen);
        }
    }
    let slots: Vec<Slot> = ledger.entries.keys().copied().collect();
    for slot in slots {
        let marked = by_slot.get(&slot).map_or(&[][..], Vec::as_slice);
        let Some(entry) = ledger.entries.get(&slot) else { continue };
        match entry.phase {
            Phase::Allotted | Phase::Ordered | Phase::Unclear => match keeper(marked) {
                Some(seen) => adopt(ledger, slot, seen, look, now_ms),
                None => absent(ledger, slot, now_ms),
            },
            Phase::Building | Phase::Joining => match keeper(marked) {
                Some(seen) if entry.server.as_deref() == Some(seen.id.as_str()) => {
                    building(ledger, slot, seen, look, now_ms)
                }
                Some(seen) => adopt(ledger, slot, seen, look, now_ms),
                None => unlisted(ledger, slot, now_ms),
            },
            Phase::Ready => ready(ledger, slot, look, now_ms),
            // On their way out: see `depart`.
            Phase::Draining | Phase::Deleting => {}
        }
    }
    let whole = ledger.ready() == ledger.standing() && ledger.standing() >= ledger.wanted();
    if whole && ledger.trouble == Some(Trouble::Builds) {
        recovered(ledger);
    }
}

/// Which of the servers with one slot's mark is the slot's: an active one if there is one, of those the older.
fn keeper<'a>(marked: &[&'a Seen]) -> Option<&'a Seen> {
    let worth = |seen: &Seen| match seen.state {
        SeenState::Active => 0,
        SeenState::Building | SeenState::Other => 1,
        SeenState::Error => 2,
        SeenState::Deleting => 3,
    };
    marked.iter().copied().min_by_key(|seen| (worth(seen), seen.created_ms, seen.id.clone()))
}

/// A server was found for a slot that did not know it.
fn adopt(ledger: &mut Ledger, slot: Slot, seen: &Seen, look: &Observation, now_ms: i64) {
    let Some(entry) = ledger.entries.get_mut(&slot) else { return };
    entry.server = Some(seen.id.clone());
    entry.detail.clear();
    ledger.enter(slot, Phase::Building, now_ms);
    ledger.say(Happening::Building { slot, server: seen.id.clone() });
    building(ledger, slot, seen, look, now_ms);
}

/// An order of unknown fate has no server in this listing. Only a second one, a while later, proves that it has none:
/// clouds list with a delay. Then the place is tried again under a new incarnation, so that a server which shows up later
/// still is known to be nobody's.
fn absent(ledger: &mut Ledger, slot: Slot, now_ms: i64) {
    // A mark that is not there yet is set again, and given up in time.
    if ledger.remembered.adopting.contains_key(&slot) {
        return;
    }
    let Some(entry) = ledger.entries.get_mut(&slot) else { return };
    if entry.phase == Phase::Allotted || now_ms - *entry.absent_ms.get_or_insert(now_ms) < AGAIN_MS {
        return;
    }
    if entry.unwanted {
        return ledger.strike(slot, now_ms);
    }
    let orphaned = entry.detail == ORPHANED;
    let reason = format!("the cloud has no server for an order that it did not answer ({})", entry.detail);
    // That a process of ours ended is nothing that the cloud did, so nobody waits for it to get better.
    if orphaned { ledger.abandon(slot, &reason, now_ms) } else { ledger.fail(slot, &reason, now_ms) }
}

fn unlisted(ledger: &mut Ledger, slot: Slot, now_ms: i64) {
    let Some(entry) = ledger.entries.get(&slot) else { return };
    if entry.listed {
        ledger.fail(slot, "the server is gone from the cloud's list before it was ready", now_ms);
    } else if now_ms - entry.since_ms >= LISTED_WITHIN_MS {
        ledger.fail(slot, "the cloud took the order and never listed a server for it", now_ms);
    }
}

/// A server that does not yet take its part was seen.
fn building(ledger: &mut Ledger, slot: Slot, seen: &Seen, look: &Observation, now_ms: i64) {
    let (ready_within_ms, hold) = (ledger.command.spec.ready_within_ms, ledger.command.hold);
    let Some(entry) = ledger.entries.get_mut(&slot) else { return };
    (entry.listed, entry.absent_ms) = (true, None);
    entry.name.clone_from(&seen.name);
    entry.addresses.clone_from(&seen.addresses);
    let late = now_ms - entry.ordered_ms >= ready_within_ms;
    match seen.state {
        SeenState::Active => {
            if entry.phase == Phase::Building {
                ledger.enter(slot, Phase::Joining, now_ms);
            }
            let Some(entry) = ledger.entries.get_mut(&slot) else { return };
            if takes_part(entry, look) || planted::is(Bug::ReadyTooSoon) {
                return serve(ledger, slot, now_ms);
            }
            if hold.repair {
                // We are told not to put it into its balancers, so its time does not run.
                entry.since_ms = now_ms;
            }
            if late && now_ms - entry.since_ms >= JOIN_GRACE_MS.min(ready_within_ms) {
                let reason = format!(
                    "it runs, but is not in all of its balancers after {} s{}",
                    ready_within_ms / 1_000,
                    said(entry)
                );
                ledger.fail(slot, &reason, now_ms);
            }
        }
        SeenState::Building if late => {
            let reason = format!("not built after {} s{}", ready_within_ms / 1_000, said(entry));
            ledger.fail(slot, &reason, now_ms);
        }
        SeenState::Building | SeenState::Other => {}
        SeenState::Error => {
            let reason = seen
                .fault
                .clone()
                .unwrap_or_else(|| "the cloud shows the server in error and does not say why".to_owned());
            ledger.fail(slot, &reason, now_ms);
        }
        SeenState::Deleting => ledger.fail(slot, "somebody else deletes the server", now_ms),
    }
}

fn said(entry: &Entry) -> String {
    if entry.detail.is_empty() { String::new() } else { format!(": {}", entry.detail) }
}

fn takes_part(entry: &Entry, look: &Observation) -> bool {
    let serves =
        |address: &String| entry.balancers.iter().all(|balancer| look.standing(balancer, address) == Standing::Serving);
    entry.balancers.is_empty() || entry.addresses.first().is_some_and(serves)
}

/// A server takes its part from now on.
fn serve(ledger: &mut Ledger, slot: Slot, now_ms: i64) {
    ledger.enter(slot, Phase::Ready, now_ms);
    ledger.adopted(slot);
    let failed_ms = ledger.failed_ms;
    let Some(entry) = ledger.entries.get_mut(&slot) else { return };
    entry.detail.clear();
    // One ordered before the last failure says nothing about whether the cloud builds again.
    let cured = ledger.trouble != Some(Trouble::Builds) || entry.ordered_ms > failed_ms;
    let happening = Happening::Ready {
        slot,
        server: entry.server.clone().unwrap_or_default(),
        name: entry.name.clone(),
        addresses: entry.addresses.clone(),
    };
    ledger.say(happening);
    if cured {
        recovered(ledger);
    }
}

fn recovered(ledger: &mut Ledger) {
    (ledger.failures, ledger.orders_after_ms) = (0, 0);
    ledger.heal(Trouble::Builds);
}

/// A server that takes its part was looked for.
fn ready(ledger: &mut Ledger, slot: Slot, look: &Observation, now_ms: i64) {
    let Some(entry) = ledger.entries.get_mut(&slot) else { return };
    match entry.server.as_deref().and_then(|id| look.server(id)) {
        None => ledger.lose(slot, "the server is gone from the cloud's list", now_ms),
        Some(seen) => match seen.state {
            // Rebuilt, stopped, migrating: somebody is at it, and it is left alone.
            SeenState::Active | SeenState::Building | SeenState::Other => {
                entry.name.clone_from(&seen.name);
                entry.addresses.clone_from(&seen.addresses);
            }
            SeenState::Error => {
                let reason = seen.fault.clone().unwrap_or_else(|| "the cloud shows the server in error".to_owned());
                ledger.lose(slot, &reason, now_ms);
            }
            SeenState::Deleting => ledger.lose(slot, "somebody else deletes the server", now_ms),
        },
    }
}

impl Ledger {
    fn looked(&mut self, now_ms: i64) {
        (self.looked_ms, self.look_after_ms, self.hinted) = (now_ms, 0, false);
        self.looks += 1;
        self.forget_released(now_ms);
        self.resting.retain(|_, until_ms| *until_ms > now_ms);
    }
}
