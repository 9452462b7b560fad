//! What of a feed the log has: the ids of its events since an instant. Asked at a start, and after a write of which it
//! is not known whether it happened.

use crate::backend::{Error, Log};
use std::collections::HashSet;
use weir_engine::event::Event;

/// Records read at once.
const RECORDS: usize = 1_000;

/// The ids of `source`'s events of `tenant` that were appended after `since_ms`, the log's time. As many as a feed gave
/// since its cursor's entry and a few minutes before: the cursor moves with every page.
pub(super) fn recall(
    log: &dyn Log,
    partition: u32,
    source: &str,
    tenant: &str,
    since_ms: i64,
) -> Result<HashSet<String>, Error> {
    let mut ids = HashSet::new();
    let (oldest, next) = log.range(partition)?;
    let mut at = if oldest == next { next } else { log.offset_at(partition, since_ms)?.max(oldest) };
    // The canonical line has it so; most records are others' and need not be parsed.
    let mark = format!(r#""source":"{source}""#);
    while at < next {
        let lines = log.read(partition, at, RECORDS)?;
        let Some(last) = lines.last() else { break };
        at = last.offset + 1;
        for line in lines.iter().filter(|line| contains(&line.bytes, mark.as_bytes())) {
            let event = Event::from_line(&line.bytes)
                .map_err(|error| Error::Damaged(format!("record {partition}:{} is no event: {error}", line.offset)))?;
            if event.source == source && event.tenant == tenant {
                ids.insert(event.id);
            }
        }
    }
    Ok(ids)
}

fn contains(line: &[u8], mark: &[u8]) -> bool {
    line.windows(mark.len()).any(|window| window == mark)
}
