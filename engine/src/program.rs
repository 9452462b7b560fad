//! What is in force for a group: its part of a policy file, checked and wired. Made from the file's text, never stored.
//!
//! A program does not say whose it is. A herd of groups mostly runs by a few policies written again and again, so equal
//! programs are kept once a partition: the words that each look reads are then near for all groups of which the same is said,
//! and a group costs its own state and not its policy's.

use crate::{command::Spec, wiring::Wiring};
use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    sync::Arc,
};
use weir_grammar::policy::{self, Policy};

/// From so many programs on those that nobody runs any more are looked for.
const SWEEP_FROM: usize = 256;

/// A group's program.
#[derive(Debug)]
pub struct Program {
    /// What its file declares for all groups: metrics, alarms and events, and nothing else.
    pub policy: Arc<Policy>,
    /// Its rules and bounds, without its name and its doc comment.
    pub plan: policy::Group,
    /// Its wiring.
    pub wiring: Wiring,
}

/// The groups of a file, each with its name and its program, in the order of the file.
#[derive(Debug)]
pub struct Compiled(pub Vec<(String, Arc<Program>)>);

/// Programs that groups run by, each kept once.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    programs: BTreeMap<[u8; 32], Arc<Program>>,
    /// So many are to be there before they are swept again.
    sweep_at: usize,
}

impl Program {
    /// Whether the file declares anything that is the tenant's and no server's.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.policy.metrics.iter().any(|metric| metric.shared)
            || self.policy.alarms.iter().any(|alarm| alarm.shared)
            || !self.policy.events.is_empty()
    }
}

impl Compiled {
    /// Checks and compiles a file. What the pool has already is not made again.
    ///
    /// # Errors
    /// What is wrong with it, a line each.
    pub fn of(name: &str, text: &str, setup: &BTreeMap<String, String>, pool: &mut Pool) -> Result<Self, String> {
        let checked = weir_grammar::check(name, text);
        let Some(policy) = checked.policy else {
            let errors = checked.diagnostics.iter().filter(|found| found.severity == weir_grammar::Severity::Error);
            let lines: Vec<String> = errors.map(|found| format!("error[{}]: {}", found.code, found.message)).collect();
            return Err(lines.join("\n"));
        };
        let Policy { edition, metrics, alarms, events, launches, groups, tests: _ } = policy;
        let policy = Arc::new(Policy { edition, metrics, alarms, events, ..Policy::default() });
        let program = |mut plan: policy::Group| {
            let name = std::mem::take(&mut plan.name);
            plan.doc = String::new();
            let spec = spec(launches.get(plan.launch), &plan, setup)?;
            Ok((name, pool.program(&policy, plan, spec)))
        };
        groups.into_iter().map(program).collect::<Result<_, String>>().map(Self)
    }

    /// A group's program.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<&Arc<Program>> {
        self.0.iter().find_map(|(known, program)| (known == name).then_some(program))
    }
}

fn spec(
    launch: Option<&policy::Launch>,
    group: &policy::Group,
    setup: &BTreeMap<String, String>,
) -> Result<Spec, String> {
    let launch = launch.cloned().unwrap_or_default();
    let text = match &launch.setup {
        None => None,
        Some(name) => Some(setup.get(name).cloned().ok_or_else(|| {
            format!("the setup file `{name}` of launch `{}` did not come with the deploy", launch.name)
        })?),
    };
    Ok(Spec {
        region: group.region.clone(),
        launch,
        setup: text,
        ready_within_ms: group.ready_within.0,
        drain_ms: group.drain.0,
        remove: group.remove,
        notify: group.notify.as_ref().map(|notify| (notify.url.clone(), notify.on.clone())),
    })
}

impl Pool {
    /// How many there are, with some that nobody runs any more.
    #[must_use]
    pub fn len(&self) -> usize {
        self.programs.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// The program of which this is said.
    fn program(&mut self, policy: &Arc<Policy>, plan: policy::Group, spec: Spec) -> Arc<Program> {
        let Policy { edition, metrics, alarms, events, .. } = &**policy;
        let print = print(&(edition, metrics, alarms, events, &plan, &spec));
        if let Some(known) = self.programs.get(&print) {
            return Arc::clone(known);
        }
        if self.len() >= self.sweep_at.max(SWEEP_FROM) {
            self.programs.retain(|_, program| Arc::strong_count(program) > 1);
            self.sweep_at = self.len() * 2;
        }
        let wiring = Wiring::new(policy, &plan, spec);
        let program = Arc::new(Program { policy: Arc::clone(policy), plan, wiring });
        self.programs.insert(print, Arc::clone(&program));
        program
    }
}

/// What tells programs apart, wherever they stand in their files. Customers write what is hashed, so it is a hash for which
/// nobody can find two texts.
fn print(said: &impl Hash) -> [u8; 32] {
    let mut print = Print(blake3::Hasher::new_derive_key("weir program 1"));
    said.hash(&mut print);
    *print.0.finalize().as_bytes()
}

struct Print(blake3::Hasher);

impl Hasher for Print {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let mut first = [0; 8];
        self.0.finalize_xof().fill(&mut first);
        u64::from_le_bytes(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "edition 2026\nmetric cpu: percent every 1m\nlaunch small {\n  image \"a\"\n  flavor \"b\"\n}\n";

    fn group(name: &str, over: &str) -> String {
        format!(
            "## The servers of {name}.\ngroup {name} {{\n  region \"LON\"\n  capacity 1..4\n  launch small\n  \
             rule hot {{\n    when avg(cpu over 5m) > {over}\n    add 1\n  }}\n}}\n"
        )
    }

    fn compiled(text: &str, pool: &mut Pool) -> Compiled {
        Compiled::of("test.weir", text, &BTreeMap::new(), pool).expect("the text is right")
    }

    #[test]
    fn groups_of_which_the_same_is_said_share_a_program_wherever_it_stands() {
        let mut pool = Pool::default();
        let one = compiled(&[HEAD, &group("a", "80%"), &group("other", "80%"), &group("c", "81%")].concat(), &mut pool);
        let [(a, first), (b, second), (_, third)] = &*one.0 else { panic!("three groups") };
        assert_eq!((a.as_str(), b.as_str()), ("a", "other"));
        assert!(Arc::ptr_eq(first, second));
        assert!(!Arc::ptr_eq(first, third), "another threshold");
        let two = compiled(&[HEAD, "\n\n", &group("d", "80%")].concat(), &mut pool);
        assert!(Arc::ptr_eq(first, &two.0[0].1), "another file that says the same");
        let slower = HEAD.replace("1m", "30s");
        let three = compiled(&(slower + &group("a", "80%")), &mut pool);
        assert!(!Arc::ptr_eq(first, &three.0[0].1), "another metric");
        let larger = HEAD.replace("\"b\"", "\"large\"");
        let four = compiled(&(larger + &group("a", "80%")), &mut pool);
        assert!(!Arc::ptr_eq(first, &four.0[0].1), "another launch");
        assert_eq!(pool.len(), 4);
    }

    #[test]
    fn programs_that_nobody_runs_are_forgotten() {
        let mut pool = Pool::default();
        let kept = compiled(&(HEAD.to_owned() + &group("a", "80%")), &mut pool);
        for turn in 0..SWEEP_FROM * 4 {
            let other = group("a", "80%").replace("1..4", &format!("{}..{}", turn / 900, turn % 900 + 5));
            compiled(&(HEAD.to_owned() + &other), &mut pool);
            assert!(pool.len() <= SWEEP_FROM);
        }
        let again = compiled(&(HEAD.to_owned() + &group("a", "80%")), &mut pool);
        assert!(Arc::ptr_eq(&kept.0[0].1, &again.0[0].1), "what is run is kept");
    }
}
