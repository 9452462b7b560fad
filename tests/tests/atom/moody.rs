//! Logs that do not always take what they are given.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use weir::backend::{self, Line, Log};
use weir_engine::event::Event;

/// A log whose answers get lost, and that is full at times.
pub struct Moody {
    pub log: Arc<dyn Log>,
    /// What the next writes meet, the last of them first.
    pub moods: Mutex<Vec<Mood>>,
}

#[derive(Clone, Copy, Debug)]
pub enum Mood {
    WrittenButUnclear,
    NotWrittenAndUnclear,
    Full,
}

impl Log for Moody {
    fn log_id(&self) -> String {
        self.log.log_id()
    }

    fn partitions(&self) -> u32 {
        self.log.partitions()
    }

    fn append(&self, partition: u32, events: &[Event]) -> backend::Result<u64> {
        let mood = self.moods.lock().unwrap().pop();
        match mood {
            None => self.log.append(partition, events),
            Some(Mood::WrittenButUnclear) => {
                self.log.append(partition, events)?;
                Err(backend::Error::Unclear("the answer was lost".to_owned()))
            }
            Some(Mood::NotWrittenAndUnclear) => Err(backend::Error::Unclear("the request was lost".to_owned())),
            Some(Mood::Full) => Err(backend::Error::Full("the disk is full".to_owned())),
        }
    }

    fn read(&self, partition: u32, from: u64, most: usize) -> backend::Result<Vec<Line>> {
        self.log.read(partition, from, most)
    }

    fn range(&self, partition: u32) -> backend::Result<(u64, u64)> {
        self.log.range(partition)
    }

    fn offset_at(&self, partition: u32, at_ms: i64) -> backend::Result<u64> {
        self.log.offset_at(partition, at_ms)
    }

    fn wait_for(&self, partition: u32, offset: u64, patience: Duration) -> bool {
        self.log.wait_for(partition, offset, patience)
    }
}

/// Stands where a log was until it is opened again.
pub struct Nowhere;

impl Log for Nowhere {
    fn log_id(&self) -> String {
        String::new()
    }

    fn partitions(&self) -> u32 {
        1
    }

    fn append(&self, _: u32, _: &[Event]) -> backend::Result<u64> {
        Err(backend::Error::Failed("there is no log".to_owned()))
    }

    fn read(&self, _: u32, _: u64, _: usize) -> backend::Result<Vec<Line>> {
        Err(backend::Error::Failed("there is no log".to_owned()))
    }

    fn range(&self, _: u32) -> backend::Result<(u64, u64)> {
        Err(backend::Error::Failed("there is no log".to_owned()))
    }

    fn offset_at(&self, _: u32, _: i64) -> backend::Result<u64> {
        Err(backend::Error::Failed("there is no log".to_owned()))
    }

    fn wait_for(&self, _: u32, _: u64, _: Duration) -> bool {
        false
    }
}
