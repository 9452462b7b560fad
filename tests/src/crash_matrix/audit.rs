//! What must hold of what a story leaves on the disk, whatever happened in between.

use super::story::TENANT;
use crate::stepping;
use std::collections::BTreeMap;
use weir::backend::{Backend, ViewKind};
use weir_engine::{
    decision::Verdict,
    event::{Event, Fact},
    outcome::Happening,
};

/// Nothing was lost and nothing doubled. Answers the changes of the target, in order: by what, from, to.
///
/// # Errors
/// What was.
pub fn audit(store: &dyn Backend, answered: &[(String, u64)]) -> Result<Vec<(String, u32, u32)>, String> {
    let says = |error: weir::backend::Error| error.to_string();
    let lines = store.read(0, 0, usize::MAX).map_err(says)?;
    let events: Vec<Event> = lines
        .iter()
        .map(|line| Event::from_line(&line.bytes).map_err(|error| error.to_string()))
        .collect::<Result<_, _>>()?;
    for (id, offset) in answered {
        let there = usize::try_from(*offset).ok().and_then(|offset| events.get(offset));
        if there.is_none_or(|event| event.id != *id) {
            return Err(format!("`{id}` was answered with offset {offset} and is not there"));
        }
    }
    outcomes(&events)?;

    // Every command and decision once, generations rising, and a replay that says the same to the last byte.
    stepping::decided_once(store)?;
    let decisions = store.decisions_between(0, 0, u64::MAX).map_err(says)?;
    let changed = decisions.iter().filter_map(|decision| match &decision.outcome {
        // What a customer says of a server by hand may stand in the log twice, and changes nothing the second time.
        Verdict::Changed { by, .. } if decision.from != decision.to => Some((by.clone(), decision.from, decision.to)),
        _ => None,
    });
    let commands = store.commands_since(0, 0, usize::MAX).map_err(says)?;
    let retired = commands.iter().filter(|(_, command)| command.retired.is_some()).count();
    if retired != 1 {
        return Err(format!("the group was removed {retired} times"));
    }
    let policies = store.views(ViewKind::Policies, TENANT).map_err(says)?;
    if policies.len() != 1 || policies.iter().any(|(_, row)| row["version"] != 1) {
        return Err(format!("the policy was deployed other than once: {policies:?}"));
    }
    Ok(changed.collect())
}

/// Of each group's outcomes none is missing, they came in order, and one that came again says the same.
fn outcomes(events: &[Event]) -> Result<(), String> {
    let mut said: BTreeMap<_, Vec<&Happening>> = BTreeMap::new();
    for event in events {
        let Fact::Outcome(outcome) = &event.fact else { continue };
        let so_far = said.entry(outcome.uid).or_default();
        let place = usize::try_from(outcome.seq).map_err(|error| error.to_string())?.checked_sub(1);
        match place.map(|place| (place, so_far.get(place))) {
            Some((_, Some(before))) if **before == outcome.happening => {}
            Some((place, None)) if place == so_far.len() => so_far.push(&outcome.happening),
            _ => return Err(format!("{outcome:?} does not follow {so_far:?}")),
        }
    }
    if said.len() == 1 { Ok(()) } else { Err(format!("outcomes are of {} groups", said.len())) }
}
