//! Kill switches in the `control` topic: a thread reads it whole, and goes on reading.
//!
//! Each process writes a heartbeat there now and then. One of its own that it reads again shows that all that was written
//! before that heartbeat was sent has been read, by one clock alone, and by a reader that is as far behind as it may be. Who
//! hears none of their own for long may have missed a switch.

use super::{
    super::{
        Error, Result,
        switches::{Board, Deed, Switch},
    },
    Kafka,
    appender::Appender,
    control::{self, Identity},
    failure::{is_passing, words},
    reader::assign,
    record::{decode, encode},
    settings::{Sees, Settings},
};
use crate::backend::Switches;
use rdkafka::{Message, consumer::Consumer, error::KafkaError};
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The key of heartbeats. One for all, so that compaction leaves one.
pub(super) const HEARTBEAT: &str = "heartbeat";
/// What keys of switches begin with; their tenant and region follow, as JSON.
const SWITCH: &str = "switch ";
/// So many heartbeats fit into the longest silence.
const BEATS: u32 = 10;
/// Heartbeats of ours that may be on their way.
const SENT_MAX: usize = 32;
/// Between a reader that could not go on and the next.
const AGAIN: Duration = Duration::from_secs(1);

/// A heartbeat.
#[derive(Serialize, Deserialize)]
struct Beat {
    /// Drawn by each process.
    process: String,
    number: u64,
}

/// A heartbeat of nobody who waits for it.
pub(super) fn beat_of(process: &str) -> Result<Vec<u8>> {
    encode(&Beat { process: process.to_owned(), number: 0 })
}

/// The thread, and what it has read. Dropping it ends it.
pub(super) struct Switchboard {
    board: Arc<Mutex<Board>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Switchboard {
    pub(super) fn start(
        settings: Settings,
        topic: String,
        identity: Identity,
        appender: Arc<Appender>,
    ) -> Result<Self> {
        let mut drawn = [0; 8];
        getrandom::fill(&mut drawn).map_err(|error| Error::Failed(format!("no random bytes: {error}")))?;
        let process = format!("{:016x}", u64::from_be_bytes(drawn));
        let (board, stop) = (Arc::<Mutex<Board>>::default(), Arc::new(AtomicBool::new(false)));
        let reading = Reading {
            settings,
            topic,
            identity,
            appender,
            process,
            board: Arc::clone(&board),
            stop: Arc::clone(&stop),
            sent: VecDeque::new(),
            number: 0,
        };
        let thread = thread::Builder::new()
            .name("weir-control".into())
            .spawn(move || reading.run())
            .map_err(|error| Error::Failed(format!("cannot start a thread: {error}")))?;
        Ok(Self { board, stop, thread: Some(thread) })
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }
}

impl Drop for Switchboard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // What it read is in memory only.
            let _ = thread.join();
        }
    }
}

impl Switches for Kafka {
    fn set_switch(&self, switch: Switch) -> Result<()> {
        let key = serde_json::to_string(&(&switch.tenant, &switch.region));
        let key = key.map_err(|error| Error::Failed(error.to_string()))?;
        let row = encode(&switch)?;
        let place = self.appender.put(&self.topics.control, 0, &format!("{SWITCH}{key}"), &row)?;
        // Who set it need not wait until it comes by.
        self.switchboard.board().set(place, switch);
        Ok(())
    }

    fn held(&self, tenant: &str, region: &str, deed: Deed, now_ms: i64) -> Option<String> {
        self.switchboard.board().held(tenant, region, deed, now_ms, self.settings.control_silence)
    }

    fn switch_silence(&self) -> Option<Duration> {
        self.switchboard.board().silence()
    }
}

/// The thread's own things.
struct Reading {
    settings: Settings,
    topic: String,
    identity: Identity,
    appender: Arc<Appender>,
    process: String,
    board: Arc<Mutex<Board>>,
    stop: Arc<AtomicBool>,
    /// Heartbeats on their way, and when each was sent.
    sent: VecDeque<(u64, Instant)>,
    number: u64,
}

impl Reading {
    fn run(mut self) {
        while !self.stopping() {
            if let Err(error) = self.follow() {
                tracing::error!(%error, "the kill switches cannot be read: no server is made until they are");
                lock(&self.board).forget();
                let until = Instant::now() + AGAIN;
                while !self.stopping() && Instant::now() < until {
                    thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Reads from the beginning, until it is to stop.
    fn follow(&mut self) -> Result<()> {
        let consumer = self.settings.consumer("reader", Sees::Committed)?;
        let (oldest, _) =
            consumer.fetch_watermarks(&self.topic, 0, self.settings.patience).map_err(|error| broken(&error))?;
        assign(&consumer, &self.topic, 0, u64::try_from(oldest).unwrap_or_default())?;
        let every = self.settings.control_silence / BEATS;
        let mut beaten: Option<Instant> = None;
        while !self.stopping() {
            if beaten.is_none_or(|beaten| beaten.elapsed() >= every) {
                self.beat()?;
                beaten = Some(Instant::now());
            }
            match consumer.poll(every.min(Duration::from_millis(100))) {
                Some(Ok(message)) => {
                    let place = u64::try_from(message.offset()).unwrap_or_default();
                    self.read(message.key().unwrap_or_default(), message.payload(), place)?;
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None => {}
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) => return Err(broken(&error)),
            }
        }
        Ok(())
    }

    fn beat(&mut self) -> Result<()> {
        self.number += 1;
        let beat = encode(&Beat { process: self.process.clone(), number: self.number })?;
        if self.sent.len() == SENT_MAX {
            self.sent.pop_front();
        }
        // Before it is sent: what is written from now on may not be read yet when it comes by.
        self.sent.push_back((self.number, Instant::now()));
        self.appender.announce(&self.topic, 0, HEARTBEAT, &beat);
        Ok(())
    }

    fn read(&mut self, key: &[u8], value: Option<&[u8]>, place: u64) -> Result<()> {
        let value = value.unwrap_or_default();
        if key == HEARTBEAT.as_bytes() {
            let Beat { process, number } = decode(value, &self.topic)?;
            let sent = self.sent.iter().find(|(sent, _)| *sent == number && process == self.process);
            if let Some((_, at)) = sent {
                lock(&self.board).hear(*at);
                self.sent.retain(|(sent, _)| *sent > number);
            }
        } else if key == control::KEY.as_bytes() {
            let named: Identity = decode(value, &self.topic)?;
            if named != self.identity {
                return Err(Error::Damaged(format!(
                    "`{}` names the log `{}`, and this process works on `{}`: the topics were made again; stop it",
                    self.topic, named.log_id, self.identity.log_id
                )));
            }
        } else if key.starts_with(SWITCH.as_bytes()) {
            lock(&self.board).set(place, decode(value, &self.topic)?);
        }
        // Anything else is a newer build's, and none of what this one asks for.
        Ok(())
    }
}

fn broken(error: &KafkaError) -> Error {
    Error::Failed(words(error))
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}
