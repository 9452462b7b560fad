//! A condition as a group asks it: the tree of the policy with each aggregate replaced by the place of its value, so that an
//! evaluation reads values and looks nothing up. Made with the wiring, once a deploy; words are told from the policy.

use crate::{aggregate, condition::Scene, wiring::Wiring};
use weir_grammar::{
    policy::{AlarmTest, Comparison, Condition, CountTest, MissingTest, Op},
    quantity::Quantity,
};

/// A question in Kleene's logic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// All of them.
    All(Box<[Question]>),
    /// Any of them.
    Any(Box<[Question]>),
    /// Its opposite.
    Not(Box<Question>),
    /// A value against a threshold.
    Compare(Compared),
    /// What alarms say.
    Alarm(AlarmTest),
    /// How often something happened.
    Count(CountTest),
    /// Whether nobody is heard.
    Missing(MissingTest),
}

/// A value in its place, against a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// In the order of [`Wiring::aggregates`].
    place: usize,
    /// Divided by the target.
    per_server: bool,
    op: Op,
    threshold: Quantity,
}

impl Question {
    /// A condition, all of whose aggregates are wired already.
    #[must_use]
    pub fn of(condition: &Condition, wiring: &Wiring) -> Self {
        let parts = |parts: &[Condition]| parts.iter().map(|part| Self::of(part, wiring)).collect();
        match condition {
            Condition::All(of) => Self::All(parts(of)),
            Condition::Any(of) => Self::Any(parts(of)),
            Condition::Not(of) => Self::Not(Box::new(Self::of(of, wiring))),
            Condition::Compare(comparison) => Self::Compare(Compared::of(comparison, wiring)),
            Condition::Alarm(test) => Self::Alarm(*test),
            Condition::Count(test) => Self::Count(*test),
            Condition::Missing(test) => Self::Missing(*test),
        }
    }

    /// Whether it is true, false, or unknown (`None`).
    #[must_use]
    pub fn truth(&self, scene: &Scene<'_>) -> Option<bool> {
        match self {
            Self::Compare(compared) => compared.truth(scene),
            Self::All(parts) => join(parts, scene, false),
            Self::Any(parts) => join(parts, scene, true),
            Self::Not(part) => part.truth(scene).map(|truth| !truth),
            Self::Alarm(test) => {
                let poll = scene.poll(test);
                Some(poll.found >= poll.needed)
            }
            Self::Count(test) => Some(meets(test.op, scene.count(test), test.threshold as usize)),
            Self::Missing(test) => Some(scene.missing(test)),
        }
    }
}

impl Compared {
    fn of(comparison: &Comparison, wiring: &Wiring) -> Self {
        let Comparison { aggregate, op, threshold, .. } = *comparison;
        // A place where there is none is unknown, as an aggregate of no metric is.
        let place = wiring.place(&aggregate).unwrap_or(usize::MAX);
        Self { place, per_server: aggregate.per_server, op, threshold }
    }

    fn truth(&self, scene: &Scene<'_>) -> Option<bool> {
        let value = aggregate::read_at(scene.group, self.place, self.per_server)?;
        Some(meets(self.op, value, self.threshold))
    }
}

/// `decisive` is the truth that one part alone can give: false for `and`, true for `or`.
fn join(parts: &[Question], scene: &Scene<'_>, decisive: bool) -> Option<bool> {
    let mut unknown = false;
    for part in parts {
        match part.truth(scene) {
            Some(truth) if truth == decisive => return Some(decisive),
            Some(_) => {}
            None => unknown = true,
        }
    }
    (!unknown).then_some(!decisive)
}

fn meets<T: PartialOrd>(op: Op, value: T, threshold: T) -> bool {
    match op {
        Op::Above => value > threshold,
        Op::AtLeast => value >= threshold,
        Op::Under => value < threshold,
        Op::AtMost => value <= threshold,
    }
}
