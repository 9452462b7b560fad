//! Decisions, commands and views as the API and `why` read them.

use super::{
    super::{History, Kept, Result, ViewKind, partition_of},
    Embedded,
    machines::decode,
    store::Stop,
    tables::{COMMANDS, DECIDED, DECISIONS, VIEWS},
};
use redb::ReadTransaction;
use std::ops::RangeInclusive;
use weir_engine::{command::Command, decision::Decision, id::Position};

impl History for Embedded {
    fn decisions(&self, tenant: &str, group: &str, before: Option<u64>, most: usize) -> Result<Vec<Kept>> {
        let partition = partition_of(tenant, self.partitions);
        self.store.read(|read| {
            let (decided, decisions) = (read.open_table(DECIDED)?, read.open_table(DECISIONS)?);
            let until = before.unwrap_or(u64::MAX);
            let mut kept = Vec::new();
            for row in decided.range((tenant, group, 0)..(tenant, group, until))?.rev().take(most) {
                let serial = row?.0.value().2;
                if let Some(row) = decisions.get((partition, serial))? {
                    kept.push(Kept { serial, decision: decode(row.value(), "a decision")? });
                }
            }
            Ok(kept)
        })
    }

    fn decisions_at(&self, position: Position) -> Result<Vec<Decision>> {
        self.decisions_between(position.partition, position.offset, position.offset.saturating_add(1))
    }

    fn decisions_between(&self, partition: u32, from: u64, until: u64) -> Result<Vec<Decision>> {
        self.check(partition)?;
        let Some(serials) = serials(from, until) else { return Ok(Vec::new()) };
        self.store.read(|read| {
            let (first, last) = (*serials.start(), *serials.end());
            let mut decisions = Vec::new();
            for row in read.open_table(DECISIONS)?.range((partition, first)..=(partition, last))? {
                decisions.push(decode(row?.1.value(), "a decision")?);
            }
            Ok(decisions)
        })
    }

    fn commands_since(&self, partition: u32, after: u64, most: usize) -> Result<Vec<(u64, Command)>> {
        self.check(partition)?;
        self.store.read(|read| {
            let mut commands = Vec::new();
            let from = after.saturating_add(1);
            for row in read.open_table(COMMANDS)?.range((partition, from)..=(partition, u64::MAX))?.take(most) {
                let (key, row) = row?;
                commands.push((key.value().1, decode(row.value(), "a command")?));
            }
            Ok(commands)
        })
    }

    fn view(&self, kind: ViewKind, tenant: &str, name: &str) -> Result<Option<serde_json::Value>> {
        self.store.read(|read| {
            let views = read.open_table(VIEWS)?;
            let row = views.get(view_key(kind, tenant, name))?;
            Ok(row.map(|row| decode(row.value(), "a view")).transpose()?)
        })
    }

    fn views(&self, kind: ViewKind, tenant: &str) -> Result<Vec<(String, serde_json::Value)>> {
        self.store.read(|read| views(read, kind, tenant))
    }
}

fn views(
    read: &ReadTransaction,
    kind: ViewKind,
    tenant: &str,
) -> std::result::Result<Vec<(String, serde_json::Value)>, Stop> {
    let mut rows = Vec::new();
    for row in read.open_table(VIEWS)?.range(view_key(kind, tenant, "")..)? {
        let (key, row) = row?;
        let (of_kind, of_tenant, name) = key.value();
        if of_kind != view_key(kind, "", "").0 || of_tenant != tenant {
            break;
        }
        rows.push((name.to_owned(), decode(row.value(), "a view")?));
    }
    Ok(rows)
}

/// The serials of all decisions made at the records from `from` until before `until`.
fn serials(from: u64, until: u64) -> Option<RangeInclusive<u64>> {
    let last = until.checked_sub(1).filter(|last| *last >= from)?;
    Some(Kept::serial(from, 0)..=Kept::serial(last, u64::MAX))
}

/// A view's key. The numbers are the file's and stay.
pub(super) fn view_key<'a>(kind: ViewKind, tenant: &'a str, name: &'a str) -> (u8, &'a str, &'a str) {
    let kind = match kind {
        ViewKind::Groups => 0,
        ViewKind::Policies => 1,
        ViewKind::Cursors => 2,
        ViewKind::Servers => 3,
        ViewKind::Tenants => 4,
    };
    (kind, tenant, name)
}
