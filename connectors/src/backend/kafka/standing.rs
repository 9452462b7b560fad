//! Where the step machine of a partition stands, as a take-over finds it.
//!
//! Each commit writes it three times: into `commands` and into `outputs` behind what it gave, and as the metadata of the
//! group's position. A broker that falls can leave one of the three and take back another (see [`owner`](super::owner)). So a
//! partition is applied as far as both its commands and its outputs are there. What was given beyond is decided again from
//! the same records, and comes to the same commands under the same marks and generations, to which whoever knows them does
//! nothing.

use super::{
    super::{Error, Log, Result},
    Kafka,
    failure::cannot,
    reader::{newest, settled},
    record::{Output, STEPPED, Standing, decode},
    settings::number,
};
use rdkafka::{Offset, TopicPartitionList, consumer::Consumer};
use std::time::Duration;

/// How long `outputs` may hold a transaction of the other machine's before it is read without what is behind that.
const SETTLES_IN: Duration = Duration::from_secs(5);

impl Kafka {
    /// How the step machine stands, once whoever had it is fenced and what they left open is ended.
    pub(super) fn read_standing(&self, partition: u32) -> Result<Standing> {
        let topic = &self.topics.commands;
        let given = newest(&self.settings, &self.looker, topic, partition, |key, value| {
            let stepped = value.filter(|_| key == STEPPED.as_bytes());
            stepped.map(|value| decode::<Standing>(value, topic)).transpose()
        })?;
        // A topic that is kept for ever, unlike a group's position. Where it was lost, the position tells.
        let Some(given) = given.map_or_else(|| self.read_position(partition), |given| Ok(Some(given)))? else {
            self.must_be_untouched(partition)?;
            return Ok(Standing::default());
        };
        let told = self.read_told(partition)?.filter(|told| told.committed.next != given.committed.next);
        let Some(told) = told else { return Ok(given) };
        let (from, to) = (given.committed.next.min(told.committed.next), given.committed.next.max(told.committed.next));
        tracing::warn!(
            partition,
            from,
            to,
            "of what these records gave a part was taken back as a broker fell: they are decided again"
        );
        let mut skips: Vec<u64> = given.skips.iter().chain(&told.skips).copied().collect();
        skips.sort_unstable();
        skips.dedup();
        let epoch = given.epoch.max(told.epoch);
        let gone = if told.epoch > given.epoch { told.gone } else { given.gone };
        let least = if told.committed.next == from { told } else { given };
        Ok(Standing { epoch, skips, gone, ..least })
    }

    /// What the outputs say. Nothing where they are all older than they are kept, or another owner's hide them.
    fn read_told(&self, partition: u32) -> Result<Option<Standing>> {
        let topic = &self.topics.outputs;
        if let Err(error) = settled(&self.settings, &self.asker, &self.positions, topic, partition, SETTLES_IN) {
            tracing::warn!(partition, %error, "going on from where the commands are, whatever the outputs say");
            return Ok(None);
        }
        newest(&self.settings, &self.looker, topic, partition, |_, value| {
            match value.map(|value| decode(value, topic)).transpose()? {
                Some(Output::Stepped(standing)) => Ok(Some(standing)),
                _ => Ok(None),
            }
        })
    }

    /// The group's position.
    fn read_position(&self, partition: u32) -> Result<Option<Standing>> {
        let asked = |error| cannot(&format!("read the position of partition {partition}"), &error);
        let mut place = TopicPartitionList::with_capacity(1);
        place.add_partition(&self.topics.events, number(partition));
        let found = self.positions.committed_offsets(place, self.settings.patience).map_err(asked)?;
        for element in found.elements() {
            element.error().map_err(asked)?;
            if let Offset::Offset(_) = element.offset() {
                return decode(element.metadata().as_bytes(), "the group's positions").map(Some);
            }
        }
        Ok(None)
    }

    /// Refuses to begin at the first record where something was given already.
    fn must_be_untouched(&self, partition: u32) -> Result<()> {
        let any = |topic: &str| {
            newest(&self.settings, &self.looker, topic, partition, |_, value| Ok(value.map(|_| ())))
                .map(|found| found.is_some())
        };
        // A standing comes before the first command and the first output, and no topic of ours forgets it.
        for topic in [&self.topics.commands, &self.topics.outputs] {
            if any(topic)? {
                return Err(Error::Damaged(format!(
                    "nothing says how far partition {partition} is applied, and something was: `{topic}` holds records of \
                     it; bring `{}` back, or begin a new installation under another `prefix`",
                    self.topics.commands
                )));
            }
        }
        Ok(())
    }

    /// Refuses a position of another log, and a log in which another record stands where the last applied one stood.
    pub(super) fn must_be_ours(&self, standing: &Standing, partition: u32) -> Result<()> {
        let next = standing.committed.next;
        let another = |why: String| {
            Err(Error::Damaged(format!(
                "`{}` is not the log that was applied up to `{partition}:{next}`: {why}; bring that one back, or begin a new \
                 installation under another `prefix`",
                self.topics.events
            )))
        };
        if !standing.log_id.is_empty() && standing.log_id != self.identity.log_id {
            return another(format!(
                "the position is of the log `{}`, this is `{}`",
                standing.log_id, self.identity.log_id
            ));
        }
        let (oldest, end) = self.range(partition)?;
        if end < next {
            return another(format!("it ends at `{partition}:{end}`"));
        }
        let (Some(last), Some(last_ms)) = (next.checked_sub(1), standing.last_ms) else { return Ok(()) };
        if last < oldest {
            return Ok(());
        }
        match self.read(partition, last, 1)?.first() {
            Some(line) if line.appended_ms != last_ms => another(format!("record `{partition}:{last}` is another one")),
            _ => Ok(()),
        }
    }
}
