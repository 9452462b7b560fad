//! Kill switches in the `control` topic: a thread reads it whole, and goes on reading.
//!
//! Each process writes a heartbeat there now and then. One of its own that it reads again shows that all that was written
//! before that heartbeat was sent has been read, by one clock alone, and by a reader that is as far behind as it may be. Who
//! hears none of their own for long may have missed a switch.

use super::{
    super::{
        Error, Lineage, Peer, Result,
        switches::{Board, Deed, Switch},
    },
    Kafka,
    appender::Appender,
    control::{self, Identity, LINEAGE},
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
/// A last heartbeat may take so long.
const FAREWELL: Duration = Duration::from_millis(500);

/// A heartbeat.
#[derive(Serialize, Deserialize)]
struct Beat {
    /// Drawn by each process.
    process: String,
    number: u64,
    /// What it says of itself; nothing in its last one, when it has ended.
    #[serde(default)]
    peer: Option<Peer>,
    #[serde(default)]
    leaves: bool,
}

/// A heartbeat of nobody who waits for it, and who works on nothing.
pub(super) fn beat_of(process: &str) -> Result<Vec<u8>> {
    encode(&Beat { process: process.to_owned(), number: 0, peer: None, leaves: true })
}

/// The thread, and what it has read. Dropping it ends it.
pub(super) struct Switchboard {
    board: Arc<Mutex<Board>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    began: Instant,
    /// How often processes speak.
    every: Duration,
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
        let every = settings.control_silence / BEATS;
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
        Ok(Self { board, stop, thread: Some(thread), began: Instant::now(), every })
    }

    /// Waits until everybody who works here has spoken, and all that was said before this call has been heard.
    pub(super) fn wait_heard(&self, patience: Duration) -> Result<()> {
        let called = Instant::now();
        let until = called + patience.max(self.every * 4);
        let heard = || self.board().silence().is_some_and(|silence| silence < called.elapsed());
        // Compaction may have taken what somebody said before this process began to listen, so each gets time to say it again.
        while self.began.elapsed() < self.every * 2 || !heard() {
            if Instant::now() > until {
                return Err(Error::Away("who works on the log cannot be heard in `control`: try again".into()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
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

    fn switches(&self) -> Vec<Switch> {
        self.switchboard.board().all()
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
        self.leave();
    }

    /// Says that this process has ended, so that nobody waits for its silence. A broker that is away is not waited for.
    fn leave(&self) {
        if let Ok(beat) = encode(&Beat { process: self.process.clone(), number: 0, peer: None, leaves: true }) {
            self.appender.announce(&self.topic, 0, HEARTBEAT, &beat);
            self.appender.flush(FAREWELL);
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
                    let at_ms = message.timestamp().to_millis().unwrap_or_default();
                    self.read(message.key().unwrap_or_default(), message.payload(), place, at_ms)?;
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
        let (process, peer) = (self.process.clone(), Some(Peer::this()));
        let beat = encode(&Beat { process, number: self.number, peer, leaves: false })?;
        if self.sent.len() == SENT_MAX {
            self.sent.pop_front();
        }
        // Before it is sent: what is written from now on may not be read yet when it comes by.
        self.sent.push_back((self.number, Instant::now()));
        self.appender.announce(&self.topic, 0, HEARTBEAT, &beat);
        Ok(())
    }

    fn read(&mut self, key: &[u8], value: Option<&[u8]>, place: u64, at_ms: i64) -> Result<()> {
        let value = value.unwrap_or_default();
        if key == HEARTBEAT.as_bytes() {
            let Beat { process, number, peer, leaves } = decode(value, &self.topic)?;
            let mut board = lock(&self.board);
            if process != self.process {
                match leaves {
                    true => board.peers.leaves(&process),
                    false => board.peers.speaks(&process, at_ms, peer.unwrap_or_default()),
                }
                return Ok(());
            }
            board.peers.we_speak(at_ms);
            if let Some((_, at)) = self.sent.iter().find(|(sent, _)| *sent == number) {
                board.hear(*at);
                self.sent.retain(|(sent, _)| *sent > number);
            }
        } else if key == LINEAGE.as_bytes() {
            let lineage: Lineage = decode(value, &self.topic)?;
            lock(&self.board).go(lineage.to.map(|to| to.gone()));
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
