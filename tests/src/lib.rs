//! What the tests from outside share: peers that behave like the real ones, and bodies that behave like the worst ones.

pub mod hostile_feeds;
