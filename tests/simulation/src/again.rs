//! The log decided again: from zero, and from states on the way, in other batches. No byte may differ.

use crate::{dice::Dice, engine::LOG_ID, judge::Broken, log::Log, store::Store};
use weir_engine::{command::Command, decision::Decision, partition::Partition};

const LAW: &str = "the same log gives the same state, commands and decisions, from zero and from any snapshot";

/// States on the way from which the rest is decided again.
const POINTS: u64 = 4;

/// How a record is read: from its line, by the shortest way, or as an event.
#[derive(Clone, Copy)]
enum How {
    Lines,
    Events,
}

/// Decides the log of a partition again, and compares with what was committed.
///
/// # Errors
/// Where anything differs.
pub fn decide_again(number: u32, log: &Log, store: &Store, dice: &mut Dice) -> Result<(), Broken> {
    let end = store.committed.next;
    let mut points: Vec<u64> = (0..POINTS).map(|_| dice.below(end + 1)).collect();
    points.extend(store.snapshots.iter().map(|snapshot| snapshot.at.next));
    points.push(end);
    points.sort_unstable();
    points.dedup();
    let (mut commands, mut decisions) = (Vec::new(), Vec::new());
    let mut partition = Partition::new(LOG_ID, number);
    let mut states = Vec::new();
    for point in &points {
        advance(&mut partition, log, *point, How::Lines, &mut commands, &mut decisions)?;
        states.push(partition.snapshot());
    }
    same(&commands, &store.commands, "commands")?;
    same(&decisions, &store.decisions, "decisions")?;
    Broken::unless(end == 0 || partition.digest() == store.committed.digest, LAW, || "digests differ".to_owned())?;
    for snapshot in &store.snapshots {
        let at = points.iter().position(|point| *point == snapshot.at.next);
        let state = at.and_then(|at| states.get(at));
        Broken::unless(state == Some(&snapshot.bytes), LAW, || {
            format!("the snapshot at {} differs", snapshot.at.next)
        })?;
    }
    let (mut again, mut reasons) = (Vec::new(), Vec::new());
    for (pair, state) in points.windows(2).zip(&states) {
        let &[from, to] = pair else { continue };
        let mut partition = Partition::restore(state).map_err(|damaged| Broken::halted(&damaged))?;
        Broken::unless(partition.snapshot() == *state, LAW, || {
            format!("the state at {from} is another once restored")
        })?;
        again.clear();
        reasons.clear();
        advance(&mut partition, log, to, How::Events, &mut again, &mut reasons)?;
        let first = commands.partition_point(|command| command.cause.offset < from);
        let last = commands.partition_point(|command| command.cause.offset < to);
        same(&again, &commands[first..last], &format!("commands from {from} to {to}"))?;
        let first = decisions.partition_point(|decision| decision.position.offset < from);
        let last = decisions.partition_point(|decision| decision.position.offset < to);
        same(&reasons, &decisions[first..last], &format!("decisions from {from} to {to}"))?;
        let reached = points.iter().position(|point| *point == to).and_then(|at| states.get(at));
        Broken::unless(reached == Some(&partition.snapshot()), LAW, || format!("states differ at {to}, from {from}"))?;
    }
    Ok(())
}

fn advance(
    partition: &mut Partition,
    log: &Log,
    to: u64,
    how: How,
    commands: &mut Vec<Command>,
    decisions: &mut Vec<Decision>,
) -> Result<(), Broken> {
    let left = usize::try_from(to.saturating_sub(partition.next())).unwrap_or(0);
    for record in log.read(partition.next(), left) {
        let effects = match how {
            How::Lines => partition.step_line(record.offset, record.appended_ms, record.event.to_line().as_bytes()),
            How::Events => partition.step(record),
        };
        let effects = effects.map_err(|halt| Broken::halted(&halt))?;
        commands.extend(effects.commands);
        decisions.extend(effects.decisions);
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(ours: &[T], theirs: &[T], what: &str) -> Result<(), Broken> {
    let differs = ours.iter().zip(theirs).position(|(ours, theirs)| ours != theirs);
    Broken::unless(differs.is_none() && ours.len() == theirs.len(), LAW, || match differs {
        Some(at) => format!("{what} differ first at {at}: {:?} and {:?}", ours.get(at), theirs.get(at)),
        None => format!("{what}: {} and {}", ours.len(), theirs.len()),
    })
}
