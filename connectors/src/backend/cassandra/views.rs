//! The rows that the API reads. Each is written with its order as the timestamp, so a process that was replaced and does
//! not know it yet changes nothing, however late its write comes.

use super::{
    super::{Result, View, ViewKind},
    Cassandra, column, decode, encode,
    link::{Link, Put},
};
use std::collections::BTreeMap;

/// Most bytes of an answer, about, by which pages are cut.
const PAGE_BYTES: usize = 4 << 20;

/// A kind in Cassandra. INVARIANT: words and numbers of shelves never change, since rows are found by them.
struct Place {
    word: &'static str,
    /// Over so many partitions a tenant's rows are spread: groups and their servers may be a hundred thousand.
    shelves: u8,
    /// About how large a row gets.
    row_bytes: usize,
}

fn place(kind: ViewKind) -> Place {
    match kind {
        ViewKind::Groups => Place { word: "groups", shelves: 16, row_bytes: 4 << 10 },
        ViewKind::Policies => Place { word: "policies", shelves: 1, row_bytes: 256 << 10 },
        ViewKind::Cursors => Place { word: "cursors", shelves: 1, row_bytes: 1 << 10 },
        ViewKind::Servers => Place { word: "servers", shelves: 16, row_bytes: 256 << 10 },
        ViewKind::Tenants => Place { word: "tenants", shelves: 1, row_bytes: 4 << 10 },
    }
}

fn shelf_of(place: &Place, name: &str) -> i32 {
    let [first, ..] = *blake3::hash(name.as_bytes()).as_bytes();
    i32::from(first % place.shelves)
}

impl Cassandra {
    pub(super) async fn put_views(&self, views: &[(u64, View)]) -> Result<()> {
        // Of several changes of a row only the newest is sent.
        let mut newest = BTreeMap::new();
        for (order, view) in views {
            newest.insert((view.kind, view.tenant.as_str(), view.name.as_str()), (*order, &view.row));
        }
        let (mut set, mut gone) = (BTreeMap::new(), BTreeMap::new());
        for ((kind, tenant, name), (order, row)) in newest {
            let place = place(kind);
            let (shelf, order) = (shelf_of(&place, name), column(order));
            let key = (kind, tenant, shelf);
            let Some(row) = row else {
                let values = (order, &self.log_id, place.word, tenant, shelf, name);
                gone.entry(key).or_insert_with(Vec::new).push(Put { bytes: name.len(), values });
                continue;
            };
            if kind == ViewKind::Policies {
                self.keep_policy(tenant, row).await?;
            }
            let text = encode(row)?;
            let bytes = text.len();
            let values = (&self.log_id, place.word, tenant, shelf, name, text, order);
            set.entry(key).or_insert_with(Vec::new).push(Put { bytes, values });
        }
        Link::fan(set.values().map(|rows| self.link.write_all(&self.statements.put_view, rows))).await?;
        Link::fan(gone.values().map(|rows| self.link.write_all(&self.statements.drop_view, rows))).await.map(drop)
    }

    pub(super) async fn view_of(&self, kind: ViewKind, tenant: &str, name: &str) -> Result<Option<serde_json::Value>> {
        let place = place(kind);
        let asked = (&self.log_id, place.word, tenant, shelf_of(&place, name), name);
        let rows = self.link.read::<(String,)>(&self.statements.view, asked, 1, 1).await?;
        rows.first().map(|(text,)| decode(text, "a view")).transpose()
    }

    pub(super) async fn views_of(&self, kind: ViewKind, tenant: &str) -> Result<Vec<(String, serde_json::Value)>> {
        let Place { word, shelves, row_bytes } = place(kind);
        let shelves = (0..i32::from(shelves)).map(|shelf| {
            let asked = (&self.log_id, word, tenant, shelf);
            self.link.read::<(String, String)>(&self.statements.views, asked, PAGE_BYTES / row_bytes, usize::MAX)
        });
        let mut rows = Vec::new();
        for (name, text) in Link::fan(shelves).await?.into_iter().flatten() {
            rows.push((name, decode(&text, "a view")?));
        }
        rows.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(rows)
    }
}
