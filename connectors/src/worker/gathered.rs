//! What came out of records that are applied and not committed yet. Of a row that changed more than once only the last is
//! kept, in the engine's own form: a herd that is caught up on changes each of its rows many times in one commit.

use crate::backend::{View, ViewKind};
use std::collections::BTreeMap;
use weir_engine::{
    command::Command,
    decision::Decision,
    partition::Effects,
    view::{Change, Row},
};

/// From so many outputs on nothing more is gathered into a commit.
const MOST: usize = 8_192;

/// What is to be committed together.
#[derive(Default)]
pub(super) struct Gathered {
    /// The first of the records.
    pub(super) from: u64,
    pub(super) commands: Vec<Command>,
    pub(super) decisions: Vec<Decision>,
    pub(super) rows: Rows,
    pub(super) ticks: u64,
}

impl Gathered {
    pub(super) fn from(offset: u64) -> Self {
        Self { from: offset, ..Self::default() }
    }

    pub(super) fn add(&mut self, effects: Effects) {
        let Effects { commands, decisions, rows, tick } = effects;
        self.ticks += u64::from(tick);
        self.commands.extend(commands);
        self.decisions.extend(decisions);
        self.rows.extend(rows);
    }

    pub(super) fn is_much(&self) -> bool {
        self.commands.len() + self.decisions.len() + self.rows.0.len() >= MOST
    }
}

/// Rows of the views, the newest of each.
#[derive(Default)]
pub(crate) struct Rows(BTreeMap<(ViewKind, String, String), Change>);

impl Extend<Row> for Rows {
    fn extend<T: IntoIterator<Item = Row>>(&mut self, rows: T) {
        for Row { tenant, name, change } in rows {
            let kind = match change {
                Change::Group(_) | Change::GroupGone => ViewKind::Groups,
                Change::Policy(_) => ViewKind::Policies,
                Change::Cursor(_) => ViewKind::Cursors,
                Change::Tenant(_) => ViewKind::Tenants,
            };
            self.0.insert((kind, tenant, name), change);
        }
    }
}

impl Rows {
    /// As the views keep them.
    pub(crate) fn into_views(self) -> Vec<View> {
        let view = |((kind, tenant, name), change)| {
            // Rows are plain data with text for keys, so they all have a form in JSON.
            let row = match change {
                Change::Group(row) => serde_json::to_value(row).ok(),
                Change::GroupGone => None,
                Change::Policy(row) => serde_json::to_value(row).ok(),
                Change::Cursor(cursor) => serde_json::to_value(cursor).ok(),
                Change::Tenant(row) => serde_json::to_value(row).ok(),
            };
            View { kind, tenant, name, row }
        };
        self.0.into_iter().map(view).collect()
    }
}
