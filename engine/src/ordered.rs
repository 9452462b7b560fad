//! A small map as a sorted list: for the few panes of a series and the servers of a window, which are read in order and
//! nearly always grow at the end. One block of memory, where a tree would have many.

use crate::fetch;
use serde::{Deserialize, Serialize};

/// Up to so many, memory is taken for one at a time.
const FEW: usize = 8;

/// A map in the order of its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered<K, V>(Vec<(K, V)>);

impl<K, V> Default for Ordered<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord + Copy, V> Ordered<K, V> {
    /// The value under a key.
    #[must_use]
    pub fn get(&self, key: K) -> Option<&V> {
        self.place(key).ok().and_then(|place| self.0.get(place)).map(|(_, value)| value)
    }

    /// The value under a key, made where there is none; with whether it was made.
    pub fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> (&mut V, bool) {
        let (place, made) = match self.place(key) {
            Ok(place) => (place, false),
            Err(place) => {
                self.reserve();
                self.0.insert(place, (key, make()));
                (place, true)
            }
        };
        #[expect(clippy::indexing_slicing, reason = "the place was found or filled just now")]
        (&mut self.0[place].1, made)
    }

    /// The value under a key, to be changed.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.place(key).ok().and_then(|place| self.0.get_mut(place)).map(|(_, value)| value)
    }

    /// Puts a value under a key, in place of the one that was there.
    pub fn insert(&mut self, key: K, value: V) {
        match self.place(key) {
            Ok(place) => {
                if let Some(kept) = self.0.get_mut(place) {
                    kept.1 = value;
                }
            }
            Err(place) => {
                self.reserve();
                self.0.insert(place, (key, value));
            }
        }
    }

    /// Takes a key away; what it stood for.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let place = self.place(key).ok()?;
        Some(self.0.remove(place).1)
    }

    /// All in the order of their keys.
    pub fn iter(&self) -> std::slice::Iter<'_, (K, V)> {
        self.0.iter()
    }

    /// The same keys with other values.
    pub fn map<W>(&self, value: impl Fn(&V) -> W) -> Ordered<K, W> {
        Ordered(self.0.iter().map(|(key, kept)| (*key, value(kept))).collect())
    }

    /// The same keys with other values, made of these.
    pub fn into_map<W>(self, value: impl Fn(V) -> W) -> Ordered<K, W> {
        Ordered(self.0.into_iter().map(|(key, kept)| (key, value(kept))).collect())
    }

    /// The values under the keys from `from` up to and without `end`.
    #[must_use]
    pub fn range(&self, from: K, end: K) -> &[(K, V)] {
        let begins = self.0.partition_point(|(key, _)| *key < from);
        let ends = self.0.partition_point(|(key, _)| *key < end);
        self.0.get(begins..ends).unwrap_or_default()
    }

    /// Takes all keys before `floor` away.
    pub fn drop_before(&mut self, floor: K) {
        let stale = self.0.partition_point(|(key, _)| *key < floor);
        self.0.drain(..stale);
    }

    /// Takes the first away.
    pub fn drop_first(&mut self) {
        self.0.drain(..1.min(self.0.len()));
    }

    /// All of them are on their way into the cache.
    pub(crate) fn fetch(&self) {
        fetch::list(&self.0);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// All values, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Room for one more: one at a time where there are few, as there nearly always are, and half a block would stand
    /// empty otherwise.
    fn reserve(&mut self) {
        if self.0.len() == self.0.capacity() && self.0.len() < FEW {
            self.0.reserve_exact(1);
        }
    }

    fn place(&self, key: K) -> Result<usize, usize> {
        // Time goes on, so most keys are the last one or the one after it.
        match self.0.last() {
            None => Err(0),
            Some((last, _)) if *last < key => Err(self.0.len()),
            Some((last, _)) if *last == key => Ok(self.0.len() - 1),
            Some(_) => self.0.binary_search_by_key(&key, |(key, _)| *key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_what_a_tree_would_be(steps in prop::collection::vec((0..4_u8, 0..12_i64, 0..12_i64), 0..60)) {
            let (mut list, mut tree) = (Ordered::default(), BTreeMap::new());
            for (what, key, other) in steps {
                match what {
                    0 => {
                        let made = list.entry(key, || other).1;
                        prop_assert_eq!(made, !tree.contains_key(&key));
                        tree.entry(key).or_insert(other);
                    }
                    1 => {
                        list.remove(key);
                        tree.remove(&key);
                    }
                    2 => {
                        list.drop_before(key);
                        tree = tree.split_off(&key);
                    }
                    _ => {
                        list.drop_first();
                        tree.pop_first();
                    }
                }
                prop_assert_eq!(list.get(key), tree.get(&key));
                prop_assert_eq!(list.values().collect::<Vec<_>>(), tree.values().collect::<Vec<_>>());
                let (from, end) = (key.min(other), key.max(other));
                let expected: Vec<_> = tree.range(from..end).map(|(key, value)| (*key, *value)).collect();
                prop_assert_eq!(list.range(from, end), expected);
            }
        }
    }
}
