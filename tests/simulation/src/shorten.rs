//! A story that fails is shortened: items are left out, many at once and then one by one, while it fails as it did.

use crate::{bug::Bug, judge::Broken, run, story::Story};
use std::time::{Duration, Instant};

/// Shortens a story for at most so long. Answers it with what is broken in it.
#[must_use]
pub fn shorten(story: &Story, bug: Option<Bug>, broken: &Broken, patience: Duration) -> (Story, Broken) {
    let until = Instant::now() + patience;
    let (mut best, mut why) = (story.clone(), broken.clone());
    let mut size = best.items.len().div_ceil(2);
    while size > 0 && Instant::now() < until {
        let mut at = 0;
        let mut dropped = false;
        while at < best.items.len() && Instant::now() < until {
            let mut shorter = best.clone();
            shorter.items.drain(at..(at + size).min(shorter.items.len()));
            match run(&shorter, bug).1 {
                Some(found) if found.law == broken.law => {
                    (best, why) = (shorter, found);
                    dropped = true;
                }
                _ => at += size,
            }
        }
        if size == 1 && !dropped {
            break;
        }
        size = if size == 1 { 1 } else { size.div_ceil(2) };
    }
    (best, why)
}
