//! The `control` topic: what names the log, written once by `weir setup` and read at every start, and where the installation
//! came from and has gone. The kill switches beside it are the [`switchboard`](super::switchboard)'s.

use super::{
    super::{Error, Lineage, Result},
    failure::{cannot, words},
    reader::whole,
    record::decode,
    settings::{BaseConsumer, Settings},
    topics::{Topics, exists},
};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde::{Deserialize, Serialize};

/// The key of the record that names the log.
pub(super) const KEY: &str = "log";
/// The key of the record that says where the installation came from and has gone.
pub(super) const LINEAGE: &str = "lineage";
/// How topics are laid out. Rises when an older build could not read them any more.
const FORMAT: u32 = 1;

/// Which log this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    format: u32,
    pub(super) log_id: String,
    pub(super) partitions: u32,
}

impl Identity {
    /// Refuses a number of partitions that is not the log's.
    pub(super) fn must_have(&self, wanted: Option<u32>) -> Result<u32> {
        match wanted.filter(|wanted| *wanted != self.partitions) {
            None => Ok(self.partitions),
            Some(wanted) => Err(Error::Failed(format!(
                "the log `{}` has {} partitions and {wanted} are asked for: the number is fixed when a log is made",
                self.log_id, self.partitions
            ))),
        }
    }
}

/// The log's name, which must be there.
pub(super) fn find(settings: &Settings, topics: &Topics, asker: &BaseConsumer) -> Result<Identity> {
    let known = if exists(settings, &topics.control, asker)? { read(settings, topics, asker)? } else { None };
    known.ok_or_else(|| {
        let brokers = settings.brokers.join(",");
        Error::Failed(format!("there is no log `{}` at `{brokers}`: run `weir setup`", settings.prefix))
    })
}

/// The log's name, where one was given.
pub(super) fn read(settings: &Settings, topics: &Topics, asker: &BaseConsumer) -> Result<Option<Identity>> {
    let mut identity = None;
    whole(settings, asker, &topics.control, 0, |key, value| {
        if key == KEY.as_bytes() {
            let wrong =
                |why: String| Error::Damaged(format!("`{}` names no log that this build knows: {why}", topics.control));
            let named: Identity =
                serde_json::from_slice(value.unwrap_or_default()).map_err(|error| wrong(error.to_string()))?;
            if named.format != FORMAT {
                return Err(wrong(format!("format {}, and this build has {FORMAT}", named.format)));
            }
            identity = Some(named);
        }
        Ok(())
    })?;
    Ok(identity)
}

/// Where the installation came from and has gone.
pub(super) fn lineage(settings: &Settings, topics: &Topics, asker: &BaseConsumer) -> Result<Lineage> {
    let mut lineage = Lineage::default();
    whole(settings, asker, &topics.control, 0, |key, value| {
        if let Some(value) = value.filter(|_| key == LINEAGE.as_bytes()) {
            lineage = decode(value, &topics.control)?;
        }
        Ok(())
    })?;
    Ok(lineage)
}

/// Names a new log. Of two who do it at once one is told the other's name.
pub(super) fn write(settings: &Settings, topics: &Topics, asker: &BaseConsumer, partitions: u32) -> Result<Identity> {
    let mut drawn = [0; 16];
    getrandom::fill(&mut drawn).map_err(|error| Error::Failed(format!("no random bytes to name the log: {error}")))?;
    let log_id = format!("{:032x}", u128::from_be_bytes(drawn));
    let named = Identity { format: FORMAT, log_id, partitions };
    let line = serde_json::to_string(&named).map_err(|error| Error::Failed(error.to_string()))?;
    let producer: BaseProducer = settings.producer().create().map_err(|error| cannot("make a producer", &error))?;
    let record = BaseRecord::to(&topics.control).partition(0).key(KEY).payload(&line);
    producer.send(record).map_err(|(error, _)| cannot("name the log", &error))?;
    producer.flush(settings.patience).map_err(|error| Error::Unclear(format!("naming the log: {}", words(&error))))?;
    read(settings, topics, asker)?.ok_or_else(|| Error::Unclear(format!("`{}` does not name the log", topics.control)))
}
