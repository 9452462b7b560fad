//! A record as a person reads it who walks through a log.

use super::timeline::Clock;
use std::collections::BTreeMap;
use weir_engine::{
    event::{About, Fact, Order, Right},
    outcome::Happening,
};

/// Names shown before the rest is counted.
const NAMES_MAX: usize = 3;

/// What a record says, in one line.
#[must_use]
pub fn told(fact: &Fact, clock: Clock<'_>) -> String {
    match fact {
        Fact::Alarm(alarm) => {
            format!("alarm \"{}\" {}{}", alarm.name, format!("{:?}", alarm.state).to_lowercase(), of(&alarm.about))
        }
        Fact::Samples(samples) => {
            let mut metrics: BTreeMap<&str, usize> = BTreeMap::new();
            samples.iter().for_each(|sample| *metrics.entry(&sample.metric).or_default() += 1);
            let more = metrics.len().saturating_sub(NAMES_MAX);
            let named = metrics.iter().take(NAMES_MAX).map(|(metric, count)| format!("{metric} ×{count}"));
            let named = named.collect::<Vec<_>>().join(", ");
            if more > 0 { format!("samples {named}, and {more} more") } else { format!("samples {named}") }
        }
        Fact::Force(force) => {
            let right = match force.by {
                Right::Capability => "its URL",
                Right::Token => force.actor.as_str(),
            };
            format!("force {} {} by {right}", force.group, force.rule)
        }
        Fact::Policy(deploy) => format!("policy {} by {}", deploy.name, deploy.actor),
        Fact::Control(control) => format!("{} by {}", order(&control.order, clock), control.actor),
        Fact::Happened(happened) => format!("event {}{}", happened.kind, of(&happened.about)),
        Fact::Server(notice) => format!("{} of server {}", notice.kind, notice.server),
        Fact::Outcome(outcome) => format!("{}: {}", outcome.group, happening(&outcome.happening)),
        Fact::Cursor(cursor) => format!("read {} to {}", cursor.feed, cursor.marker),
        Fact::Heartbeat(heartbeat) if heartbeat.healthy => "a source is well".into(),
        Fact::Heartbeat(_) => "a source is not well".into(),
        Fact::Upgrade(upgrade) => format!("upgrade to semantics {} by {}", upgrade.semantics, upgrade.actor),
        Fact::Tick(_) => "tick".into(),
    }
}

fn of(about: &About) -> String {
    match (about.server.first(), &about.group) {
        (Some(server), _) => format!(" of {server}"),
        (None, Some(group)) => format!(" of {group}"),
        (None, None) => String::new(),
    }
}

fn order(order: &Order, clock: Clock<'_>) -> String {
    let until = |until: &Option<i64>| until.map_or_else(String::new, |until| format!(" until {}", clock(until)));
    match order {
        Order::Pause { group, until: end } => format!("pause {group}{}", until(end)),
        Order::Resume { group } => format!("resume {group}"),
        Order::Override { group, floor, ceiling, until: end } => {
            let bound = |word: &str, bound: &Option<u32>| bound.map(|bound| format!("{word} {bound}"));
            let bounds: Vec<String> = bound("floor", floor).into_iter().chain(bound("ceiling", ceiling)).collect();
            format!("override {group}: {} until {}", bounds.join(", "), clock(*end))
        }
        Order::LiftOverride { group } => format!("lift the override of {group}"),
        Order::Server { group, server, act } => format!("{} {server} of {group}", act.word()),
        Order::Remove { group, keep_servers: true } => format!("remove {group}, keeping its servers"),
        Order::Remove { group, keep_servers: false } => format!("remove {group} and its servers"),
        Order::KillSwitch { region, adding, removing, until: end } => {
            let region = if region.is_empty() { "everywhere" } else { region.as_str() };
            let what = match (adding, removing) {
                (true, true) => "adding and removing off",
                (true, false) => "adding off",
                (false, true) => "removing off",
                (false, false) => "lifted",
            };
            format!("kill switch {region}: {what}{}", until(end))
        }
        Order::Quota { servers: Some(servers) } => format!("quota of {servers} servers"),
        Order::Quota { servers: None } => "no quota".into(),
    }
}

fn happening(happening: &Happening) -> String {
    match happening {
        Happening::Building { slot, server } => format!("server {slot} building ({server})"),
        Happening::Ready { slot, server, .. } => format!("server {slot} ready ({server})"),
        Happening::Failed { slot, reason } => format!("server {slot} failed: {reason}"),
        Happening::Leaving { slot } => format!("server {slot} leaving"),
        Happening::Removed { slot } => format!("server {slot} removed"),
        Happening::Lost { slot, reason } => format!("server {slot} lost: {reason}"),
        Happening::NotAdopted { server, reason } => format!("server {server} not adopted: {reason}"),
        Happening::Degraded { reason } => format!("degraded: {reason}"),
        Happening::Healed => "healed".into(),
    }
}
