//! Which snapshots are kept, in every store alike: few, and enough to replay any kept event from one before it.

/// The newest ones that are always kept.
const NEWEST_KEPT: usize = 3;
/// Older ones are kept, one for each such part of the events' retention: `why` and export replay from the one before the
/// moment they are asked about.
const PARTS_OF_RETENTION: i64 = 8;

/// Which of the snapshots (position, when saved), oldest first, are kept.
pub(super) fn kept(saved: &[(u64, i64)], now_ms: i64, events_ms: i64) -> Vec<u64> {
    let (older, newest) = saved.split_at(saved.len().saturating_sub(NEWEST_KEPT));
    let part_ms = (events_ms / PARTS_OF_RETENTION).max(1);
    let start_ms = now_ms.saturating_sub(events_ms);
    let mut kept: Vec<u64> = Vec::new();
    let mut part = None;
    for (next, saved_ms) in older {
        if *saved_ms < start_ms {
            // Only the newest of those before the retention is needed: the kept events start there.
            kept.clear();
            kept.push(*next);
        } else if part != Some(saved_ms.div_euclid(part_ms)) {
            part = Some(saved_ms.div_euclid(part_ms));
            kept.push(*next);
        }
    }
    kept.extend(newest.iter().map(|(next, _)| *next));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the rhythm of saving: three newest, few in all, and a start for every kept event.
        #[test]
        fn the_kept_ones_are_few_and_reach_back_over_the_retention(steps in prop::collection::vec(1i64..200, 1..200)) {
            let (mut saved, mut now_ms) = (Vec::new(), 0);
            for (next, step) in steps.iter().enumerate() {
                now_ms += step;
                saved.push((next as u64, now_ms));
                let before = saved.clone();
                let kept = kept(&saved, now_ms, 800);
                saved.retain(|(next, _)| kept.contains(next));
                prop_assert!(before.iter().rev().take(NEWEST_KEPT).all(|(next, _)| kept.contains(next)));
                prop_assert!(kept.len() <= NEWEST_KEPT + PARTS_OF_RETENTION as usize + 2);
                // The oldest was saved before the retention began, or is the very first.
                let (first, first_ms) = saved[0];
                prop_assert!(first == 0 || first_ms < now_ms - 800 || saved.len() <= NEWEST_KEPT, "{saved:?} at {now_ms}");
            }
        }
    }
}
