//! A window as snapshots write it: whole panes, whatever it is kept as. State written by one build is read by the next, so
//! this shape stays while the other may change.

use super::series::{Pane, Series as Kept};
use crate::ordered::Ordered;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    pane_ms: i64,
    keep: u32,
    with_sketch: bool,
    floor: i64,
    series: Ordered<u64, Series>,
}

/// What one server sent.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Series {
    pub(super) newest_ms: i64,
    pub(super) panes: Ordered<i64, Pane>,
}

impl From<&super::Window> for Window {
    fn from(kept: &super::Window) -> Self {
        let super::Window { pane_ms, keep, with_sketch, floor, ref series } = *kept;
        Self { pane_ms, keep, with_sketch, floor, series: series.map(|series| series.to_wire(pane_ms)) }
    }
}

impl From<Window> for super::Window {
    fn from(Window { pane_ms, keep, with_sketch, floor, series }: Window) -> Self {
        // A window of panes without a length is none of ours; nothing divides by it here.
        let pane_ms = pane_ms.max(1);
        Self {
            pane_ms,
            keep,
            with_sketch,
            floor,
            series: series.into_map(|series| Kept::from_wire(series, pane_ms, with_sketch)),
        }
    }
}

impl Serialize for super::Window {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Window::from(self).serialize(serializer)
    }
}

impl PartialEq for super::Window {
    fn eq(&self, other: &Self) -> bool {
        Window::from(self) == Window::from(other)
    }
}

impl Eq for super::Window {}
