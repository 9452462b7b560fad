//! Sources: from an input of the story to the facts that a door would append, given the servers there are.

use crate::{
    site::Site,
    story::{Input, Story},
    world::Load,
};
use weir_engine::{
    event::{About, Act, Alarm, Control, Deploy, Fact, Force, Happened, Heartbeat, Order, Right, Sample},
    grammar::{policy::AlarmState, quantity::Quantity},
};

/// A tenant's name.
#[must_use]
pub fn tenant(at: usize) -> String {
    format!("t{at}")
}

/// How often a tenant's metrics are sampled, milliseconds: as often as the quickest expects.
#[must_use]
pub fn period_ms(text: &str) -> i64 {
    let policy = weir_engine::grammar::check("drawn.weir", text).policy.unwrap_or_default();
    policy.metrics.iter().map(|metric| metric.every.0).min().unwrap_or(60_000)
}

/// Servers of a tenant that run, with their groups: what monitoring finds.
fn running(site: &Site, of: usize) -> Vec<(String, String, String, String)> {
    let newest = site.store.newest();
    let groups = newest.values().filter(|command| command.tenant == tenant(of) && command.retired.is_none());
    let servers = groups.flat_map(|command| {
        site.cloud
            .running(command.uid, site.now_ms)
            .map(|(id, server)| (command.group.clone(), id.clone(), server.name.clone(), server.address.clone()))
    });
    servers.collect()
}

/// The facts that an input becomes.
#[must_use]
pub fn fact(site: &Site, story: &Story, of: usize, input: &Input) -> Vec<Fact> {
    let group = |at: usize| story.groups[of][at % story.groups[of].len()].clone();
    let control = |order: Order| Fact::Control(Control { actor: "ops".into(), reason: "because".into(), order });
    let made = match input {
        Input::Deploy(version) => Fact::Policy(Deploy {
            name: "drawn.weir".into(),
            text: story.files[of][*version].clone(),
            setup: std::collections::BTreeMap::new(),
            capabilities: Vec::new(),
            actor: "ops".into(),
        }),
        Input::Alarm { name, state, on, off_ms } => {
            let server = on.map(|(at, nth)| {
                let of_group: Vec<_> = running(site, of).into_iter().filter(|(name, ..)| *name == group(at)).collect();
                of_group.get(nth % of_group.len().max(1)).map_or("nobody".to_owned(), |(_, _, name, _)| name.clone())
            });
            Fact::Alarm(Alarm {
                name: (*name).to_owned(),
                state: *state,
                at: site.now_ms + off_ms,
                about: About { server: server.into_iter().collect(), group: None },
                text: String::new(),
                numbers: std::collections::BTreeMap::new(),
            })
        }
        Input::Force { group: at, rule, token } => Fact::Force(Force {
            group: group(*at),
            rule: format!("r{rule}"),
            by: if *token { Right::Token } else { Right::Capability },
            actor: "ops".into(),
        }),
        Input::Deployed => Fact::Happened(Happened { kind: "com.example.deploy.done".into(), about: About::default() }),
        Input::Pause(at, length_ms) => {
            control(Order::Pause { group: group(*at), until: length_ms.map(|length_ms| site.now_ms + length_ms) })
        }
        Input::Resume(at) => control(Order::Resume { group: group(*at) }),
        Input::Override { group: at, floor, ceiling, length_ms } => control(Order::Override {
            group: group(*at),
            floor: *floor,
            ceiling: *ceiling,
            until: site.now_ms + length_ms,
        }),
        Input::Lift(at) => control(Order::LiftOverride { group: group(*at) }),
        Input::Server { group: at, nth, act } => {
            let name = group(*at);
            let server = match act {
                Act::Adopt => {
                    let free: Vec<&String> = site.cloud.let_go(site.now_ms).collect();
                    free.get(nth % free.len().max(1)).map_or("nobody", |id| id.as_str()).to_owned()
                }
                _ => {
                    let of_group: Vec<_> = running(site, of).into_iter().filter(|(of, ..)| *of == name).collect();
                    let named = of_group.get(nth % of_group.len().max(1));
                    named.map_or("nobody".to_owned(), |(_, id, ..)| id.clone())
                }
            };
            let act = match act {
                Act::Protect { until: Some(length_ms) } => Act::Protect { until: Some(site.now_ms + length_ms) },
                other => other.clone(),
            };
            control(Order::Server { group: name, server, act })
        }
        Input::Kill(adding, removing, length_ms) => control(Order::KillSwitch {
            region: String::new(),
            adding: *adding,
            removing: *removing,
            until: Some(site.now_ms + length_ms),
        }),
        Input::Quota(servers) => control(Order::Quota { servers: *servers }),
        Input::Remove(at, keep) => control(Order::Remove { group: group(*at), keep_servers: *keep }),
        Input::Heartbeat(healthy) => Fact::Heartbeat(Heartbeat { healthy: *healthy }),
        Input::Load(..) | Input::Silence(_) => return Vec::new(),
    };
    vec![made]
}

/// One round of samples: the load spread over the servers that run, and the queue.
pub fn samples(site: &mut Site, of: usize, load: Load) -> Vec<Sample> {
    let servers = running(site, of);
    let at = site.now_ms;
    let each = load.percent / i64::try_from(servers.len().max(1)).unwrap_or(1);
    let mut samples = Vec::new();
    for (_, id, name, address) in servers {
        let known_as = site.dice.pick(&[id, name, address]).clone();
        let value = (each + site.dice.between(-3, 3)).clamp(0, 100);
        let about = About { server: vec![known_as], group: None };
        samples.push(Sample { metric: "cpu.usage".into(), value: Quantity(value * 1_000_000), at, about });
    }
    let value = Quantity(load.jobs * 1_000_000);
    samples.push(Sample { metric: "queue.depth".into(), value, at, about: About::default() });
    samples
}

/// Every alarm is ok.
#[must_use]
pub fn all_well(site: &Site, of: usize) -> Vec<Fact> {
    let well = |name: &str, server: Option<String>| {
        Fact::Alarm(Alarm {
            name: name.to_owned(),
            state: AlarmState::Ok,
            at: site.now_ms,
            about: About { server: server.into_iter().collect(), group: None },
            text: String::new(),
            numbers: std::collections::BTreeMap::new(),
        })
    };
    let mut facts = vec![well("down", None)];
    facts.extend(running(site, of).into_iter().map(|(_, _, name, _)| well("sick", Some(name))));
    facts
}
