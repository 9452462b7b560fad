//! Alarms as a test can say them: a number of servers, the oldest first, rather than which ones.

use super::witness::states;
use crate::group::Group;
use std::collections::BTreeMap;
use weir_grammar::policy::{AlarmState, Policy};

/// What the lines so far have made of a test's servers.
#[derive(Clone, Debug, Default)]
pub(super) struct Alarms {
    /// By the alarm's place: the states of the test's servers, oldest first, or the one state of a shared alarm.
    told: BTreeMap<usize, Vec<AlarmState>>,
}

impl Alarms {
    /// The lines for alarms that are not `ok` when the test begins.
    pub(super) fn begin(&mut self, policy: &Policy, group: &Group) -> Vec<String> {
        (0..policy.alarms.len()).flat_map(|place| self.bring_up(policy, group, place, false)).collect()
    }

    /// The lines for what was just heard of the alarm that senders call `from`.
    pub(super) fn hear(&mut self, policy: &Policy, group: &Group, from: &str) -> Vec<String> {
        let places = policy.alarms.iter().enumerate().filter(|(_, alarm)| alarm.from == from);
        let places: Vec<usize> = places.map(|(place, _)| place).collect();
        places.into_iter().flat_map(|place| self.bring_up(policy, group, place, true)).collect()
    }

    /// Lines after which as many servers are in each state as the group has now.
    fn bring_up(&mut self, policy: &Policy, group: &Group, place: usize, heard: bool) -> Vec<String> {
        let Some(alarm) = policy.alarms.get(place) else { return Vec::new() };
        let repeats = heard && alarm.stale_after.is_some();
        let told = self.told.entry(place).or_default();
        if alarm.shared {
            // Whoever it is worst for speaks for the tenant.
            let worst =
                states(group, place).map(|(_, state)| rank(state)).max().map_or(AlarmState::Ok, |rank| RANKS[rank]);
            let before = told.first().copied().unwrap_or(AlarmState::Ok);
            *told = vec![worst];
            let say = worst != before || repeats && worst != AlarmState::Ok;
            return Vec::from_iter(say.then(|| format!("alarm {} becomes {}", alarm.name, word(worst))));
        }
        let now: BTreeMap<u64, AlarmState> = states(group, place).collect();
        let servers: Vec<AlarmState> =
            group.members.ready().map(|(slot, _)| now.get(&slot.key()).copied().unwrap_or(AlarmState::Ok)).collect();
        told.resize(servers.len(), AlarmState::Ok);
        let mut lines = Vec::new();
        for state in [AlarmState::Ok, AlarmState::Unknown, AlarmState::Warning, AlarmState::Critical] {
            let wanted = servers.iter().filter(|known| **known == state).count();
            let count = |told: &[AlarmState]| told.iter().filter(|known| **known == state).count();
            // Saying it of the oldest K makes one more so, or leaves it, with each K.
            let reached = (0..=told.len()).find(|oldest| {
                let behind = told.get(*oldest..).unwrap_or_default();
                oldest + count(behind) == wanted
            });
            let Some(oldest) = reached.filter(|oldest| *oldest > 0) else {
                // Said again of the same servers, so that it does not grow stale.
                let same = told.iter().take(wanted).all(|known| *known == state);
                if repeats && same && wanted > 0 && state != AlarmState::Ok {
                    lines.push(line(&alarm.name, state, wanted));
                }
                continue;
            };
            told.iter_mut().take(oldest).for_each(|known| *known = state);
            lines.push(line(&alarm.name, state, oldest));
        }
        lines
    }
}

const RANKS: [AlarmState; 4] = [AlarmState::Ok, AlarmState::Unknown, AlarmState::Warning, AlarmState::Critical];

fn rank(state: AlarmState) -> usize {
    RANKS.iter().position(|known| *known == state).unwrap_or(0)
}

fn word(state: AlarmState) -> &'static str {
    crate::words::state(state)
}

fn line(alarm: &str, state: AlarmState, servers: usize) -> String {
    let noun = if servers == 1 { "server" } else { "servers" };
    format!("alarm {alarm} becomes {} on {servers} {noun}", word(state))
}
