//! The topics: their names, how they must be set, and how `weir setup` makes them.
//!
//! Rules are checked at every start, not only where topics are made: a topic that trims by size or forgets its newest
//! commands would lose what the engine was promised, long after anybody looks at it.

use super::{
    super::{Error, Result},
    control,
    failure::cannot,
    settings::{BaseConsumer, PARTITIONS, RECORD_BYTES_MAX, Settings, ends},
};
use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::Consumer,
    types::RDKafkaErrorCode,
};
use std::{
    collections::BTreeMap,
    future::Future,
    thread,
    time::{Duration, Instant},
};

/// Outputs wait this long for the store, milliseconds: seven days.
const OUTPUTS_MS: i64 = 7 * 24 * 3_600_000;

/// The names of an installation's topics.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    /// Facts. Only Weir writes them, and never in a transaction: offsets leave no gap.
    pub(super) events: String,
    /// The newest command of each group uid, and how far the step machine is.
    pub(super) commands: String,
    /// Commands, decisions and rows of views on their way to the store.
    pub(super) outputs: String,
    /// The newest ledger of each group uid.
    pub(super) ledger: String,
    /// The log's name and number of partitions, kill switches, heartbeats.
    pub(super) control: String,
}

impl Topics {
    pub(super) fn new(prefix: &str) -> Self {
        let name = |topic| format!("{prefix}-{topic}");
        Self {
            events: name("events"),
            commands: name("commands"),
            outputs: name("outputs"),
            ledger: name("ledger"),
            control: name("control"),
        }
    }

    /// Each with its partitions and rules.
    fn all(&self, settings: &Settings, partitions: u32) -> Vec<Topic<'_>> {
        let topic =
            |name, partitions, rules: &[(&'static str, Must)]| Topic { name, partitions, rules: rules.to_vec() };
        let compact = [
            ("cleanup.policy", Must::Be("compact")),
            // What is read whole at a take-over should be little more than its rows.
            ("min.cleanable.dirty.ratio", Must::Begin("0.1")),
            ("segment.ms", Must::Begin("3600000")),
        ];
        let kept = |ms| {
            [
                ("cleanup.policy", Must::Be("delete")),
                ("retention.ms", Must::BeAtLeast(ms)),
                ("retention.bytes", Must::Be("-1")),
            ]
        };
        let mut events = kept(settings.events_ms).to_vec();
        // The broker's clock, never a sender's.
        events.push(("message.timestamp.type", Must::Be("LogAppendTime")));
        let mut commands = compact.to_vec();
        // What is old there is told by the broker's clock, too.
        commands.push(("message.timestamp.type", Must::Be("LogAppendTime")));
        let mut all = vec![
            topic(&self.events, partitions, &events),
            topic(&self.commands, partitions, &commands),
            topic(&self.outputs, partitions, &kept(OUTPUTS_MS)),
            topic(&self.ledger, partitions, &compact),
            topic(&self.control, 1, &commands),
        ];
        for topic in &mut all {
            topic.rules.push(("unclean.leader.election.enable", Must::Be("false")));
            topic.rules.push(("max.message.bytes", Must::BeAtLeast(RECORD_BYTES_MAX as i64)));
            if settings.replication >= 3 {
                topic.rules.push(("min.insync.replicas", Must::BeAtLeast(2)));
            }
        }
        all
    }
}

/// A topic as it must be.
struct Topic<'a> {
    name: &'a str,
    partitions: u32,
    rules: Vec<(&'static str, Must)>,
}

/// What a setting of a topic must be.
#[derive(Clone, Copy)]
enum Must {
    Be(&'static str),
    /// Or -1, which is for ever.
    BeAtLeast(i64),
    /// Set at the making, and then its operator's affair.
    Begin(&'static str),
}

impl Must {
    fn first(self) -> String {
        match self {
            Self::Be(value) | Self::Begin(value) => value.to_owned(),
            Self::BeAtLeast(least) => least.to_string(),
        }
    }

    fn holds(self, value: &str) -> bool {
        match self {
            Self::Be(wanted) => value == wanted,
            Self::BeAtLeast(least) => value.parse::<i64>().is_ok_and(|value| value == -1 || value >= least),
            Self::Begin(_) => true,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Be(value) | Self::Begin(value) => format!("`{value}`"),
            Self::BeAtLeast(least) => format!("at least {least}"),
        }
    }
}

/// What [`setup`] found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The log's name.
    pub log_id: String,
    /// Its partitions.
    pub partitions: u32,
    /// The topics that were made, by name; none where all were there.
    pub made: Vec<String>,
}

/// Makes what is missing of an installation's topics, and names the log. Done again it changes nothing.
///
/// # Errors
/// Where topics are there that break the rules, that belong to another log, or that lost their fellows.
pub fn setup(settings: &Settings) -> Result<Setup> {
    let topics = Topics::new(&settings.prefix);
    let asker = settings.asker()?;
    let there = there(&asker, settings)?;
    let known = match there.get(&topics.control) {
        Some(_) => control::read(settings, &topics, &asker)?,
        None => None,
    };
    let partitions = match (&known, settings.partitions) {
        (Some(identity), wanted) => identity.must_have(wanted)?,
        (None, wanted) => wanted.unwrap_or(PARTITIONS),
    };
    let wanted = topics.all(settings, partitions);
    let missing: Vec<&Topic<'_>> = wanted.iter().filter(|topic| !there.contains_key(topic.name)).collect();
    match &known {
        Some(identity) => {
            if let Some(topic) = missing.first() {
                return Err(Error::Damaged(format!(
                    "the log `{}` is known and its topic `{}` is gone: bring it back, or begin a new installation under \
                     another `prefix`",
                    identity.log_id, topic.name
                )));
            }
        }
        None if there.contains_key(&topics.events) => must_be_empty(&asker, &topics, &there, settings)?,
        None => {}
    }
    make(settings, &missing)?;
    wait_until_there(&asker, settings, &wanted)?;
    verify(&asker, settings, &topics, partitions)?;
    let identity = match known {
        Some(identity) => identity,
        None => control::write(settings, &topics, &asker, partitions)?,
    };
    let made = missing.iter().map(|topic| topic.name.to_owned()).collect();
    Ok(Setup { log_id: identity.log_id, partitions, made })
}

/// Refuses topics that break the rules.
pub(super) fn verify(asker: &BaseConsumer, settings: &Settings, topics: &Topics, partitions: u32) -> Result<()> {
    match violations(asker, settings, topics, partitions)?.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(Error::Failed(first)),
    }
}

/// Each rule that a topic breaks, in words.
pub(super) fn violations(
    asker: &BaseConsumer,
    settings: &Settings,
    topics: &Topics,
    partitions: u32,
) -> Result<Vec<String>> {
    let there = there(asker, settings)?;
    let all = topics.all(settings, partitions);
    let mut broken = Vec::new();
    for topic in &all {
        let Some(found) = there.get(topic.name) else {
            broken.push(format!("there is no topic `{}`: run `weir setup`", topic.name));
            continue;
        };
        if found.partitions != topic.partitions {
            broken.push(format!(
                "the topic `{}` has {} partitions and must have {}: tenants would change places",
                topic.name, found.partitions, topic.partitions
            ));
        }
        if found.replication < settings.replication {
            broken.push(format!(
                "the topic `{}` has {} copies and the configuration says {}: add copies, or set `replication`",
                topic.name, found.replication, settings.replication
            ));
        }
    }
    // Of a topic that is not there nothing more can be said.
    let all: Vec<Topic<'_>> = all.into_iter().filter(|topic| there.contains_key(topic.name)).collect();
    let names: Vec<ResourceSpecifier<'_>> = all.iter().map(|topic| ResourceSpecifier::Topic(topic.name)).collect();
    let admin = admin(settings)?;
    let described = wait(admin.describe_configs(&names, &options(settings)))?
        .map_err(|error| cannot("read how topics are set", &error))?;
    for (topic, described) in all.iter().zip(described) {
        let described = described
            .map_err(|code| Error::Failed(format!("cannot read how the topic `{}` is set: {code}", topic.name)))?;
        disobeyed(topic, &described, &mut broken);
    }
    Ok(broken)
}

fn disobeyed(topic: &Topic<'_>, described: &ConfigResource, broken: &mut Vec<String>) {
    for (setting, must) in &topic.rules {
        let value = described.get(setting).and_then(|entry| entry.value.as_deref()).unwrap_or_default();
        if !must.holds(value) {
            broken.push(format!(
                "the topic `{}` has `{setting}` `{value}` and must have {}: change it with Kafka's tools",
                topic.name,
                must.words()
            ));
        }
    }
}

/// A topic as it is.
struct Found {
    partitions: u32,
    /// Copies of the partition that has the fewest.
    replication: u32,
    /// Each partition has a broker that answers for it.
    led: bool,
}

fn there(asker: &BaseConsumer, settings: &Settings) -> Result<BTreeMap<String, Found>> {
    let metadata = asker
        .fetch_metadata(None, settings.patience)
        .map_err(|error| cannot(&format!("ask `{}` for its topics", settings.brokers.join(",")), &error))?;
    let found = |topic: &rdkafka::metadata::MetadataTopic| {
        let partitions = topic.partitions();
        Found {
            partitions: u32::try_from(partitions.len()).unwrap_or(u32::MAX),
            replication: partitions.iter().map(|one| one.replicas().len() as u32).min().unwrap_or(0),
            led: partitions.iter().all(|one| one.leader() >= 0),
        }
    };
    Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), found(topic))).collect())
}

/// Whether a topic is there.
pub(super) fn exists(settings: &Settings, topic: &str, asker: &BaseConsumer) -> Result<bool> {
    Ok(there(asker, settings)?.contains_key(topic))
}

// Records without a name in `control` are somebody else's, or ours and their fellow was deleted.
fn must_be_empty(
    asker: &BaseConsumer,
    topics: &Topics,
    there: &BTreeMap<String, Found>,
    settings: &Settings,
) -> Result<()> {
    for partition in 0..there.get(&topics.events).map_or(0, |found| found.partitions) {
        if ends(asker, &topics.events, partition, settings.patience)?.1 > 0 {
            return Err(Error::Damaged(format!(
                "the topic `{}` has records and `{}` does not name their log: bring that back, or begin a new installation \
                 under another `prefix`",
                topics.events, topics.control
            )));
        }
    }
    Ok(())
}

fn make(settings: &Settings, missing: &[&Topic<'_>]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let replication = i32::try_from(settings.replication).unwrap_or(i32::MAX);
    let firsts: Vec<Vec<(&str, String)>> =
        missing.iter().map(|topic| topic.rules.iter().map(|(name, must)| (*name, must.first())).collect()).collect();
    let new = missing.iter().zip(&firsts).map(|(topic, rules)| {
        let partitions = super::settings::number(topic.partitions);
        let new = NewTopic::new(topic.name, partitions, TopicReplication::Fixed(replication));
        rules.iter().fold(new, |new, (name, value)| new.set(name, value))
    });
    let new: Vec<NewTopic<'_>> = new.collect();
    let admin = admin(settings)?;
    let answers =
        wait(admin.create_topics(&new, &options(settings)))?.map_err(|error| cannot("make topics", &error))?;
    for answer in answers {
        match answer {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, RDKafkaErrorCode::InvalidReplicationFactor)) => {
                return Err(Error::Failed(format!(
                    "the topic `{topic}` cannot have {replication} copies: there are fewer brokers; set `replication`"
                )));
            }
            Err((topic, code)) => return Err(Error::Failed(format!("cannot make the topic `{topic}`: {code}"))),
        }
    }
    Ok(())
}

// Brokers learn of a new topic one after the other.
fn wait_until_there(asker: &BaseConsumer, settings: &Settings, wanted: &[Topic<'_>]) -> Result<()> {
    let until = Instant::now() + settings.patience;
    loop {
        let there = there(asker, settings)?;
        if wanted.iter().all(|topic| there.get(topic.name).is_some_and(|found| found.led)) {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(Error::Failed("the topics were made and no broker answers for them yet: try again".into()));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn admin(settings: &Settings) -> Result<AdminClient<DefaultClientContext>> {
    settings.client().create().map_err(|error| cannot("make an admin client", &error))
}

fn options(settings: &Settings) -> AdminOptions {
    AdminOptions::new().request_timeout(Some(settings.patience)).operation_timeout(Some(settings.patience))
}

/// The admin client answers from a thread of its own; somebody has to wait for it here.
fn wait<T>(answer: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    Ok(runtime.map_err(|error| Error::Failed(format!("cannot wait for Kafka: {error}")))?.block_on(answer))
}
