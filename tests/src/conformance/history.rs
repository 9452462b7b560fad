//! Promises to the API and to `why`.

use super::{
    System,
    machines::{at, owner, up_to},
};
use crate::sample::decision;
use serde_json::{Value, json};
use weir::backend::{Backend, Stepped, View, ViewKind};

/// A cursor names the place, so nothing is seen twice or missed while new ones come.
pub fn decisions_are_paged_newest_first(system: &dyn System) {
    let store = system.open();
    let owner = owner(&*store, 12);
    let commit = |from: u64, until: u64| {
        let decisions = (from..until)
            .flat_map(|n| {
                let n_ms = i64::try_from(n).unwrap();
                [("web", 0), ("batch", 1), ("web", 2)].map(|(group, k)| decision(group, at(n), 10 * n_ms + k))
            })
            .collect();
        store.commit_step(&owner, Stepped { decisions, ..up_to(until) }).unwrap();
    };
    commit(0, 4);
    commit(4, 8);
    let times = |before, most| {
        let page = store.decisions("acme", "web", before, most).unwrap();
        assert!(page.iter().all(|kept| kept.decision.group == "web"));
        (page.last().map(|kept| kept.serial), page.iter().map(|kept| kept.decision.at).collect::<Vec<_>>())
    };
    let (cursor, page) = times(None, 3);
    assert_eq!(page, [72, 70, 62]);
    commit(8, 10);
    let (cursor, page) = times(cursor, 4);
    assert_eq!(page, [60, 52, 50, 42]);
    let (cursor, page) = times(cursor, 100);
    assert_eq!(page, [40, 32, 30, 22, 20, 12, 10, 2, 0]);
    assert_eq!(times(cursor, 100), (None, Vec::new()));
    assert_eq!(times(None, 1).1, [92]);
    assert!(store.decisions("acme", "we", None, 10).unwrap().is_empty());
}

/// All groups of one record, or of a stretch, in the order in which they were made.
pub fn decisions_are_found_by_record(system: &dyn System) {
    let store = system.open();
    let owner = owner(&*store, 9);
    let made: Vec<_> =
        [(1, "b"), (1, "a"), (1, "b"), (4, "a"), (7, "c")].map(|(offset, group)| decision(group, at(offset), 0)).into();
    store.commit_step(&owner, Stepped { decisions: made.clone(), ..up_to(8) }).unwrap();
    assert_eq!(store.decisions_at(at(1)).unwrap(), made[..3]);
    assert!(store.decisions_at(at(2)).unwrap().is_empty());
    assert_eq!(store.decisions_between(0, 1, 7).unwrap(), made[..4]);
    assert_eq!(store.decisions_between(0, 2, 8).unwrap(), made[3..]);
    assert!(store.decisions_between(0, 5, 5).unwrap().is_empty());
    assert!(store.decisions_between(1, 0, 9).unwrap().is_empty());
}

fn set(store: &dyn Backend, rows: &[(ViewKind, &str, &str, Option<Value>)]) {
    let owner = owner(store, 1);
    let committed = store.stepped(0).unwrap().0;
    let views = rows
        .iter()
        .map(|(kind, tenant, name, row)| View {
            kind: *kind,
            tenant: (*tenant).into(),
            name: (*name).into(),
            row: row.clone(),
        })
        .collect();
    store.commit_step(&owner, Stepped { committed, views, ..Stepped::default() }).unwrap();
}

/// By kind, tenant and name; listed by name.
pub fn views_are_set_replaced_and_taken_away(system: &dyn System) {
    use ViewKind::{Groups, Policies};
    {
        let store = system.open();
        set(&*store, &[(Groups, "acme", "web", Some(json!(1))), (Groups, "acme", "batch", Some(json!(2)))]);
        set(
            &*store,
            &[(Policies, "acme", "web", Some(json!("text"))), (Groups, "acme", "web", Some(json!({"a": [3]})))],
        );
        set(&*store, &[(Groups, "acme", "gone", Some(json!(4))), (Groups, "acme", "never", None)]);
        set(&*store, &[(Groups, "acme", "gone", None)]);
    }
    let store = system.open();
    assert_eq!(store.view(Groups, "acme", "web").unwrap(), Some(json!({"a": [3]})));
    assert_eq!(store.view(Policies, "acme", "web").unwrap(), Some(json!("text")));
    assert_eq!(store.view(Groups, "acme", "gone").unwrap(), None);
    let rows = store.views(Groups, "acme").unwrap();
    assert_eq!(rows, [("batch".to_owned(), json!(2)), ("web".to_owned(), json!({"a": [3]}))]);
}

/// Names that begin alike, or are empty, are other names.
pub fn tenants_do_not_see_each_other(system: &dyn System) {
    use ViewKind::{Groups, Tenants};
    let store = system.open();
    set(
        &*store,
        &[
            (Groups, "acme", "web", Some(json!(1))),
            (Groups, "acme2", "web", Some(json!(2))),
            (Groups, "", "web", Some(json!(3))),
            (Tenants, "acm", "", Some(json!(4))),
        ],
    );
    let one = |tenant| store.views(Groups, tenant).unwrap().into_iter().map(|(_, row)| row).collect::<Vec<_>>();
    assert_eq!(one("acme"), [json!(1)]);
    assert_eq!(one("acme2"), [json!(2)]);
    assert_eq!(one(""), [json!(3)]);
    assert!(one("acm").is_empty());
    assert_eq!(store.views(Tenants, "acm").unwrap(), [(String::new(), json!(4))]);
}
