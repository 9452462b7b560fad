//! The installation in `control`, and the end of a log that it has left: nobody owns a partition of it any more.
//!
//! That it has gone stands in `control`, where processes that run notice it and those that start refuse to. Who was asleep
//! meanwhile has read nothing; so it also stands in what each take-over reads under its fence, of both machines.

use super::{
    super::{Error, Installation, Lineage, Machine, Peer, Result},
    Kafka,
    control::{self, LINEAGE},
    record::{OWNER, Outgoing, Owned, STEPPED, Standing, encode},
};

impl Installation for Kafka {
    fn lineage(&self) -> Result<Lineage> {
        control::lineage(&self.settings, &self.topics, &self.asker)
    }

    fn set_lineage(&self, lineage: &Lineage) -> Result<()> {
        self.appender.put(&self.topics.control, 0, LINEAGE, &encode(lineage)?)?;
        // Who wrote it need not wait until it comes by.
        self.switchboard.board().go(lineage.to.as_ref().map(super::super::Destination::gone));
        Ok(())
    }

    fn retire(&self, partition: u32, gone: bool) -> Result<()> {
        self.end_tenures(partition, gone).map(drop)
    }

    fn others(&self) -> Result<Vec<Peer>> {
        self.switchboard.wait_heard(self.settings.patience)?;
        Ok(self.switchboard.board().peers.within(self.settings.control_silence))
    }
}

impl Kafka {
    /// Fences both machines of a partition and writes down whether the installation has gone. Answers the offset of a record in
    /// `outputs` behind all that was ever committed.
    pub(in super::super) fn end_tenures(&self, partition: u32, gone: bool) -> Result<u64> {
        let mut settle = self.begin_settle(self.fence(Machine::Settle, partition)?, partition, true)?;
        let owned = encode(&Owned { epoch: settle.epoch, gone })?;
        let ledger = &self.topics.ledger;
        settle.owner.transact(|out| out.send(ledger, Some(OWNER), Some(&owned)), None)?;
        settle.owner.see_ended()?;

        let mut step = self.begin_step(self.fence(Machine::Step, partition)?, partition, true)?;
        let standing = Standing { gone, ..step.standing };
        let place = self.place(partition, &standing)?;
        let (commands, outputs) = (&self.topics.commands, &self.topics.outputs);
        let newest = step.owner.transact(
            |out| {
                out.send(outputs, None, Some(&encode(&Outgoing::Stepped(&standing))?))?;
                out.send(commands, Some(STEPPED), Some(&encode(&standing)?))
            },
            Some((&place, &self.group()?)),
        )?;
        step.owner.see_ended()?;
        let last = newest.get(outputs).and_then(|offset| u64::try_from(*offset).ok());
        last.ok_or_else(|| Error::Unclear(format!("what ended partition {partition} was written somewhere")))
    }

    /// Refuses what would be lost, where this process has heard that the installation has gone.
    pub(super) fn must_be_here(&self) -> Result<()> {
        match self.switchboard.board().gone() {
            Some(gone) => Err(Error::Failed(gone)),
            None => Ok(()),
        }
    }

    /// Why a partition cannot be taken over whose installation has gone.
    pub(super) fn gone(&self) -> Error {
        let known = self.switchboard.board().gone();
        Error::Failed(known.unwrap_or_else(|| "the installation was moved to another log: stop this process".into()))
    }
}
