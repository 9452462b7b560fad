//! Whose server a sender means by a cloud's id, a name or an address: of one tenant, made from its members, never stored.
//!
//! Two servers may be called the same for a while, since a cloud gives the address of one that is gone to the next before
//! anybody looked. Then the name stands for the later of the two.
//!
//! INVARIANT: what a name stands for depends on the members there are, and not on the order in which they were learnt of:
//! a restored partition learns of them in another.

use crate::{id::Slot, index::Index, tenant::GroupId};
use std::collections::{BTreeMap, BTreeSet};

/// Whose server a name is.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    latest: Index<String, (GroupId, Slot)>,
    /// The others of those that are called the same.
    alike: BTreeMap<String, BTreeSet<(GroupId, Slot)>>,
}

impl Directory {
    /// A server is called by these names.
    pub fn know(&mut self, names: &[String], group: GroupId, slot: Slot) {
        let new = (group, slot);
        for name in names {
            match self.latest.get(name.as_str()).copied() {
                Some(known) if known == new => {}
                Some(known) => {
                    self.alike.entry(name.clone()).or_default().insert(known.min(new));
                    self.latest.insert(name.clone(), known.max(new));
                }
                None => self.latest.insert(name.clone(), new),
            }
        }
    }

    /// A server is called by these names no more.
    pub fn forget(&mut self, names: &[String], group: GroupId, slot: Slot) {
        names.iter().for_each(|name| self.forget_one(name, group, slot));
    }

    fn forget_one(&mut self, name: &str, group: GroupId, slot: Slot) {
        let mut others = self.alike.remove(name).unwrap_or_default();
        if self.latest.get(name) == Some(&(group, slot)) {
            match others.pop_last() {
                Some(next) => self.latest.insert(name.to_owned(), next),
                None => self.latest.remove(name),
            }
        } else {
            others.remove(&(group, slot));
        }
        if !others.is_empty() {
            self.alike.insert(name.to_owned(), others);
        }
    }

    /// The server that is called by any of some names, by the first that says anything.
    #[must_use]
    pub fn find<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Option<(GroupId, Slot)> {
        names.into_iter().find_map(|name| self.latest.get(name).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(serial: u32, incarnation: u32) -> Slot {
        Slot { serial, incarnation }
    }

    #[test]
    fn a_name_stands_for_the_later_server_in_whatever_order_they_were_learnt_of() {
        let servers = [(0, slot(2, 1)), (1, slot(1, 1)), (0, slot(1, 2))];
        for first in 0..3 {
            let (mut directory, address) = (Directory::default(), ["10.0.0.1".to_owned()]);
            for place in 0..3 {
                let (group, slot) = servers[(first + place) % 3];
                directory.know(&address, group, slot);
            }
            assert_eq!(directory.find(["nobody", "10.0.0.1"]), Some((1, slot(1, 1))));
            directory.forget(&address, 1, slot(1, 1));
            assert_eq!(directory.find(["10.0.0.1"]), Some((0, slot(2, 1))));
            directory.forget(&address, 0, slot(1, 2));
            assert_eq!(directory.find(["10.0.0.1"]), Some((0, slot(2, 1))));
            directory.forget(&address, 0, slot(2, 1));
            assert_eq!(directory.find(["10.0.0.1"]), None);
            assert!(directory.alike.is_empty());
        }
    }
}
