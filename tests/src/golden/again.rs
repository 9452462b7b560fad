//! Decides a golden log once more, in this build.

use weir::api::export::{FORMAT, Line};
use weir_engine::{
    event::Record,
    partition::{Effects, Partition},
};

/// How records reach the engine.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// As events.
    Events,
    /// As lines of the log.
    Lines,
    /// As lines, the state being made anew from its snapshot after every so many records.
    Snapshots(u64),
}

/// Decides a log again and compares it byte for byte, the digest of its commands too. Answers how many records, decisions
/// and commands there were.
///
/// # Errors
/// The first line that is not the same.
pub fn decide(text: &str, way: Way) -> Result<(usize, usize, usize), String> {
    let mut lines = text.lines().enumerate().peekable();
    let mut next = || -> Result<Option<(usize, &str, Line)>, String> {
        let Some((number, line)) = lines.next() else { return Ok(None) };
        let read = serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))?;
        Ok(Some((number + 1, line, read)))
    };
    let Some((_, _, Line::Header(header))) = next()? else { return Err("the first line is no header".into()) };
    let mut state = Partition::new(&header.log_id, header.partition);
    if (header.format, header.from, header.semantics) != (FORMAT, 0, state.semantics()) {
        return Err(format!("this build decides by semantics {} and the log is {header:?}", state.semantics()));
    }
    let Some((_, _, Line::State(begin))) = next()? else { return Err("the second line is no state".into()) };
    if !begin.is_empty() {
        return Err("a log from its first record on begins with an empty state".into());
    }
    let (mut records, mut decisions, mut commands) = (0, 0, 0);
    // What the newest record gave that was not yet compared.
    let mut given: std::collections::VecDeque<Line> = std::collections::VecDeque::new();
    while let Some((number, text, line)) = next()? {
        match line {
            Line::Record(recorded) => {
                if let Some(left) = given.front() {
                    return Err(format!("before line {number} this build also gives {left:?}"));
                }
                records += 1;
                let (offset, appended_ms) = (recorded.offset, recorded.appended);
                let effects = match way {
                    Way::Events => state.step(&Record { offset, appended_ms, event: recorded.event }),
                    Way::Lines | Way::Snapshots(_) => {
                        state.step_line(offset, appended_ms, recorded.event.to_line().as_bytes())
                    }
                };
                let Effects { decisions: decided, commands: ordered, .. } =
                    effects.map_err(|halt| format!("line {number}: {halt}"))?;
                given.extend(decided.into_iter().map(|decision| Line::Decision(Box::new(decision))));
                given.extend(ordered.into_iter().map(|command| Line::Command(Box::new(command))));
                if let Way::Snapshots(every) = way
                    && offset % every == 0
                {
                    state = restored(&state)?;
                }
            }
            Line::Decision(_) | Line::Command(_) => {
                decisions += usize::from(matches!(line, Line::Decision(_)));
                commands += usize::from(matches!(line, Line::Command(_)));
                same(number, text, given.pop_front())?;
            }
            Line::Digest(_) => {
                if let Some(left) = given.front() {
                    return Err(format!("before line {number} this build also gives {left:?}"));
                }
                same(number, text, Some(Line::Digest(state.digest())))?;
                let whole = state.next() == header.until && next()?.is_none();
                return whole.then_some((records, decisions, commands)).ok_or_else(|| "it has another end".into());
            }
            Line::Header(_) | Line::State(_) => return Err(format!("line {number}: a second log begins")),
        }
    }
    Err("it ends without a digest".into())
}

fn same(number: usize, recorded: &str, given: Option<Line>) -> Result<(), String> {
    let Some(given) = given else { return Err(format!("line {number}: this build gives nothing for {recorded}")) };
    let given = serde_json::to_string(&given).map_err(|error| error.to_string())?;
    if given == recorded { Ok(()) } else { Err(format!("line {number}:\n  {recorded}\nis now\n  {given}")) }
}

/// The state made anew, which must be the same state.
fn restored(state: &Partition) -> Result<Partition, String> {
    let restored = Partition::restore(&state.snapshot()).map_err(|damaged| damaged.to_string())?;
    if restored.state_digest() == state.state_digest() && restored.next_timer() == state.next_timer() {
        return Ok(restored);
    }
    Err(format!("a snapshot at record {} comes back as another state", state.next()))
}
