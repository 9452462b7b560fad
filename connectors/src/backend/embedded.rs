//! The embedded log and store (being written).
