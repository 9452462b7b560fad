//! A look-up by name. Only looked into, never walked, so that its order cannot reach a decision.

use foldhash::fast::FixedState;
use std::{borrow::Borrow, hash::Hash};

/// Names to values. The hash is a quick one, since each fact asks twice, and has a fixed key, so a run is like the one
/// before in time and space too. What is put in are tenants' and servers' names: an operator's and a cloud's words.
#[derive(Clone, Debug)]
#[expect(clippy::disallowed_types, reason = "private, and no method walks it")]
pub struct Index<K, V>(std::collections::HashMap<K, V, FixedState>);

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self(Default::default())
    }
}

impl<K: Eq + Hash, V> Index<K, V> {
    /// What a name stands for.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, name: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(name)
    }

    /// Lets a name stand for something.
    pub fn insert(&mut self, name: K, value: V) {
        self.0.insert(name, value);
    }

    /// Takes a name away.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, name: &Q)
    where
        K: Borrow<Q>,
    {
        self.0.remove(name);
    }
}
