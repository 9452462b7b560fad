//! Sources: bytes that others send, into events. Each file reads one sender's shape, strictly, and knows nothing of the
//! log; the door writes what they make.

pub mod atom;
