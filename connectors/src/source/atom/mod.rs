//! Atom feeds: AtomHopper beside a cloud, or Rackspace's Cloud Feeds.
//!
//! A feed tells what happened to servers, so that executors look sooner; who is a member comes from looking at the
//! cloud, never from here. It may also carry events that policies count (rule 7).

pub mod entry;
mod json;
pub mod nova;
pub mod page;
mod xml;
