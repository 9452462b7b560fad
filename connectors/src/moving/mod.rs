//! Installations carried from one log to another: to Kafka, or to another number of partitions; offline, whole or not at all.
//!
//! Two logs cannot be written in one transaction, so the order is what makes it safe. The old one says first that it goes, and
//! nobody works on it from then on. The new one is filled, and nobody works on it either. The old one says that all is over
//! there, after which there is no way back, and last of all the new one may run. Whatever breaks off in between, repeated it
//! ends; and until the old one has said its last word it can be given up.

use crate::backend::{self, Backend, Destination, Lineage, Origin, Peer};

mod carried;

pub use carried::{Carried, Counts};

/// Why nothing was carried.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A log or store said so.
    #[error(transparent)]
    Backend(#[from] backend::Error),
    /// It would not be right, in words with what to do.
    #[error("{0}")]
    Refused(String),
}

fn refused<T>(why: impl Into<String>) -> Result<T, Error> {
    Err(Error::Refused(why.into()))
}

/// What becomes of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It was carried, just now.
    Done(Counts),
    /// It had been, before.
    Before,
}

/// What is asked to be carried may be looked at before anything is written.
pub type Look<'a> = &'a dyn Fn(&Carried) -> Result<(), Error>;

/// Carries the installation `old` to the log `new`, which its configuration `config` names. `known`: as for [`Carried::take`].
///
/// # Errors
/// Where either is at work, something is not applied yet, `new` is not new, or `look` refuses; then nothing was done. Where a
/// log or store fails in between; then it is to be repeated.
pub fn carry(
    old: &dyn Backend,
    new: &dyn Backend,
    config: &str,
    known: &[String],
    look: Look<'_>,
) -> Result<Moved, Error> {
    if old.log_id() == new.log_id() {
        return refused("both configurations name the same log: name another `prefix`, or another data folder");
    }
    let (mut there, mut here) = (old.lineage()?, new.lineage()?);
    if let Some(to) = there.to.as_ref().filter(|to| to.whole) {
        return if to.log_id == new.log_id() { open(new, here) } else { refused(to.gone()) };
    }
    must_be_idle(old, "old")?;
    must_be_idle(new, "new")?;
    must_be_whole(&there)?;
    // Once before anything is written, so that what is refused leaves both as they were.
    let carried = Carried::take(old, known.iter().cloned())?;
    look(&carried)?;
    must_be_new(new, &here, &carried.of)?;

    let to = Destination { log_id: new.log_id(), config: config.to_owned(), whole: false };
    there.to = Some(to.clone());
    old.set_lineage(&there)?;
    for partition in 0..old.partitions() {
        old.retire(partition, true)?;
    }
    // Whoever was asleep may have written in between.
    let carried = Carried::take(old, known.iter().cloned()).or_else(|error| give_up(old).and(Err(error)))?;
    here.installation = Some(there.installation(&old.log_id()));
    here.semantics = there.semantics;
    here.from = Some(Origin { of: carried.of.clone(), whole: false });
    new.set_lineage(&here)?;
    carried.fill(new)?;

    there.to = Some(Destination { whole: true, ..to });
    old.set_lineage(&there)?;
    open(new, here)?;
    Ok(Moved::Done(carried.counts()?))
}

/// Takes back what a move that broke off has said: the installation is where it was.
///
/// # Errors
/// Where nothing was begun, or all is there already; or the log's.
pub fn give_up(old: &dyn Backend) -> Result<(), Error> {
    let lineage = old.lineage()?;
    match &lineage.to {
        None => return refused("no move was begun, so there is nothing to give up: `weir run` runs it"),
        Some(to) if to.whole => return refused(to.gone()),
        Some(_) => {}
    }
    for partition in 0..old.partitions() {
        old.retire(partition, false)?;
    }
    Ok(old.set_lineage(&Lineage { to: None, ..lineage })?)
}

/// Begins a new log with what was exported elsewhere. Its servers are not in it.
///
/// # Errors
/// Where the log is not new, or the system's.
pub fn begin(new: &dyn Backend, carried: &Carried) -> Result<Moved, Error> {
    must_be_idle(new, "new")?;
    let mut here = new.lineage()?;
    if here.from.as_ref().is_some_and(|from| from.whole && from.of == carried.of) {
        return Ok(Moved::Before);
    }
    must_be_new(new, &here, &carried.of)?;
    here.from = Some(Origin { of: carried.of.clone(), whole: false });
    new.set_lineage(&here)?;
    carried.fill(new)?;
    open(new, here)?;
    Ok(Moved::Done(carried.counts()?))
}

/// The new log may run from now on.
fn open(new: &dyn Backend, mut here: Lineage) -> Result<Moved, Error> {
    match &mut here.from {
        Some(from) if !from.whole => {
            from.whole = true;
            new.set_lineage(&here)?;
        }
        _ => {}
    }
    Ok(Moved::Before)
}

fn must_be_idle(backend: &dyn Backend, which: &str) -> Result<(), Error> {
    let others: Vec<String> = backend.others()?.into_iter().map(|Peer { name, .. }| name).collect();
    if others.is_empty() {
        return Ok(());
    }
    let names = others.join(", ");
    refused(format!(
        "{names} work on the {which} installation: stop them, and do this again; one that was killed counts for half a minute"
    ))
}

/// Refuses to carry on what was never carried whole.
fn must_be_whole(there: &Lineage) -> Result<(), Error> {
    Lineage { to: None, ..there.clone() }.must_be_here().map_err(Error::from)
}

fn must_be_new(new: &dyn Backend, here: &Lineage, of: &str) -> Result<(), Error> {
    let another = "name a configuration with another `prefix` of `[log]`, or with another data folder";
    let log_id = new.log_id();
    if let Some(to) = &here.to {
        return refused(format!("{}; {another}", to.gone()));
    }
    match &here.from {
        Some(from) if from.of == of && !from.whole => Ok(()),
        Some(from) => refused(format!("the log `{log_id}` is filled with {} already: {another}", from.of)),
        None => {
            for partition in 0..new.partitions() {
                let ((_, end), (committed, _)) = (new.range(partition)?, new.stepped(partition)?);
                // A process that ran and was told nothing leaves a position, and no command.
                if end > 0 || committed.next > 0 || carried::has_commands(new, partition)? {
                    return refused(format!("the log `{log_id}` is not new: {another}"));
                }
            }
            Ok(())
        }
    }
}
