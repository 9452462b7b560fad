//! The policies that ship, seen from the checker.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use weir_grammar::policy::{Action, Amount, Condition, Quorum, Recurrence, Trigger};
use weir_grammar::quantity::{Millis, Quantity};
use weir_grammar::{check, render};

const WEB: &str = include_str!("../../policies/web.weir");

#[test]
fn the_example_means_what_it_says() {
    let checked = check("web.weir", WEB);
    for found in &checked.diagnostics {
        println!("{}", render(found, "web.weir", WEB, false));
    }
    assert_eq!(checked.diagnostics, []);
    let policy = checked.policy.unwrap();
    let [group] = &policy.groups[..] else { panic!("one group") };
    assert_eq!((group.name.as_str(), group.min, group.max), ("web", 3, 24));
    assert_eq!(group.doc, "Customer-facing web servers behind lb-4471.");
    assert_eq!((group.cooldown, group.warmup, group.drain), (Millis::MINUTE, Millis::minutes(3), Millis::minutes(2)));
    assert_eq!(policy.metrics[1].from, "http_latency_p95");
    assert_eq!(policy.launches[0].zones, ["lon-a", "lon-b"]);
    assert_eq!(policy.launches[0].volumes[0].bytes, 100 << 30);
    assert_eq!(group.windows[0].min, 8);
    assert!(matches!(group.windows[1].when, Recurrence::Once { at_ms: 1_795_759_200_000, .. }));
    assert_eq!(group.freezes[0].except, [6]);
    let rule = |name: &str| group.rules.iter().find(|rule| rule.name == name).unwrap();
    assert!(rule("cpu").add_only);
    assert!(matches!(rule("cpu").trigger, Trigger::Track { goal, .. } if goal == Quantity(60_000_000)));
    let Trigger::When { condition: Condition::Alarm(test), hold } = &rule("failing").trigger else {
        panic!("an alarm")
    };
    assert_eq!((test.quorum, *hold), (Quorum::Servers(2), Some(Millis(90_000))));
    let Trigger::When { condition: Condition::Any(parts), .. } = &rule("outage").trigger else { panic!("an or") };
    assert_eq!(parts.len(), 2);
    let Trigger::Step { arms, .. } = &rule("backlog").trigger else { panic!("a step") };
    assert_eq!(arms.len(), 5);
    let Action::Remove(change) = arms[0].action else { panic!("a removal") };
    assert!(matches!(change.amount, Amount::Share(share) if share.0 == 25_000));
    assert_eq!((change.least, change.most), (None, Some(2)));
    assert_eq!(rule("quiet").meaning, "when avg ( cpu.usage over 15m ) < 30% for 10m remove 1");
    assert!(policy.tests.iter().all(|test| test.group == 0 && !test.expects.is_empty()));
}
