//! Facts, commands and decisions for tests that care where they go and not what they say.

use weir_engine::{
    command::{Command, Hands, Hold, Spec},
    decision::{Decision, Verdict},
    event::{About, Event, Fact, Happened, Version},
    id::{GroupUid, Position},
};
use weir_grammar::policy::{Launch, RemoveOrder};

/// An instant, the year 2100, that no store finds too old to keep.
pub const NEVER_OLD_MS: i64 = 4_102_444_800_000;

/// A fact that no policy asks about, under an id of one's choice.
#[must_use]
pub fn event(id: impl Into<String>) -> Event {
    Event {
        specversion: Version::V1,
        id: id.into(),
        source: "/api".into(),
        time: 1_764_000_000_000,
        tenant: "acme".into(),
        fact: Fact::Happened(Happened { kind: "test.happened".into(), about: About::default() }),
    }
}

/// Many of them, ids `PREFIX-0` and on.
#[must_use]
pub fn events(prefix: &str, count: usize) -> Vec<Event> {
    (0..count).map(|n| event(format!("{prefix}-{n}"))).collect()
}

/// A command for the group that `uid` names; its target is its generation.
#[must_use]
pub fn command(uid: u64, generation: u64, cause: Position) -> Command {
    Command {
        tenant: "acme".into(),
        group: format!("group-{uid}"),
        uid: GroupUid(uid),
        generation,
        target: u32::try_from(generation).unwrap(),
        min: 0,
        max: 100,
        decided: NEVER_OLD_MS,
        cause,
        by: "test".into(),
        spec: spec(),
        hold: Hold::default(),
        by_hand: Hands::default(),
        retired: None,
    }
}

/// A decision that changed a target from one to two.
#[must_use]
pub fn decision(group: &str, position: Position, at: i64) -> Decision {
    Decision {
        tenant: "acme".into(),
        group: group.into(),
        uid: GroupUid(7),
        position,
        at,
        cause: "timer".into(),
        from: 1,
        to: 2,
        min: 0,
        max: 100,
        overridden: None,
        ready: 1,
        outcome: Verdict::Still,
        rules: Vec::new(),
        generation: None,
        policy: "0123456789abcdef".into(),
        version: 1,
        semantics: 1,
        zones: "2026a".into(),
    }
}

fn spec() -> Spec {
    let launch = Launch {
        name: "small".into(),
        image: "debian".into(),
        flavor: "m1.small".into(),
        key: None,
        networks: Vec::new(),
        zones: Vec::new(),
        volumes: Vec::new(),
        setup: None,
        balancers: Vec::new(),
        metadata: Vec::new(),
    };
    Spec {
        region: "LON".into(),
        launch,
        setup: None,
        ready_within_ms: 600_000,
        drain_ms: 0,
        remove: RemoveOrder::OldestFirst,
        notify: None,
    }
}
