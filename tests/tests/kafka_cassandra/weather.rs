//! What befalls the processes, the broker and the database: `kill -9`, and stops from which a process goes on as if nothing had
//! been. Drawn from the seed before anything begins.

use super::site::{PATIENCE, Process, Site};
use std::{
    thread,
    time::{Duration, Instant},
};
use weir_tests::dice::Dice;

/// A process that starts while the broker or the database is away ends by itself; so long after they fell that is no fault.
const AFTERMATH: Duration = Duration::from_secs(90);
/// Whoever looks after processes starts one that ended again after this long.
const RESTART: Duration = Duration::from_millis(500);
/// The longest stop, milliseconds. A process that is silent for ten seconds is given up.
const STOP_MS: u64 = 18_000;

/// Something that befalls somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A process, by number; started again after a while.
    Kill(usize, Duration),
    /// A process, by number; it goes on after a while.
    Stop(usize, Duration),
    KillBroker(Duration),
    KillNode(Duration),
}

/// So many kills, one in eight of them of the broker or the database, and so many stops, in an order that is drawn.
pub fn plan(kills: u32, stops: u32, processes: usize, dice: &mut Dice) -> Vec<Deed> {
    let mut deeds = Vec::new();
    let one = |dice: &mut Dice| usize::try_from(dice.below(processes as u64)).unwrap();
    for kill in 0..kills {
        let pause = dice.moment(2_500);
        deeds.push(match kill % 16 {
            3 => Deed::KillBroker(pause),
            11 => Deed::KillNode(pause),
            _ => Deed::Kill(one(dice), pause),
        });
    }
    for stop in 0..stops {
        // Every other one is longer than a session.
        let length =
            if stop % 2 == 0 { Duration::from_secs(11) + dice.moment(STOP_MS - 11_000) } else { dice.moment(11_000) };
        deeds.push(Deed::Stop(one(dice), length));
    }
    for last in (1..deeds.len()).rev() {
        deeds.swap(last, usize::try_from(dice.below(last as u64 + 1)).unwrap());
    }
    deeds
}

/// The processes, and who looks after them.
pub struct Keeper<'a> {
    site: &'a Site,
    processes: &'a mut [Process],
    /// When each is to be started, or to go on.
    due: Vec<Option<Instant>>,
    /// When the broker or the database fell last.
    fell: Option<Instant>,
    /// Processes that ended by themselves.
    pub gave_up: u32,
}

impl<'a> Keeper<'a> {
    pub fn new(site: &'a Site, processes: &'a mut [Process]) -> Self {
        let due = vec![None; processes.len()];
        Self { site, processes, due, fell: None, gave_up: 0 }
    }

    /// Does it.
    pub fn does(&mut self, deed: Deed) {
        match deed {
            Deed::Kill(number, pause) => {
                self.until(|keeper| keeper.processes[number].runs());
                self.processes[number].kill();
                self.due[number] = Some(Instant::now() + pause);
            }
            Deed::Stop(number, length) => {
                self.until(|keeper| keeper.processes[number].runs() && !keeper.processes[number].is_stopped());
                self.processes[number].stop();
                self.due[number] = Some(Instant::now() + length);
            }
            Deed::KillBroker(pause) => {
                self.fell = Some(Instant::now());
                self.site.broker.kill().unwrap();
                self.pass(pause);
                self.site.broker.start().unwrap();
                self.fell = Some(Instant::now());
            }
            Deed::KillNode(pause) => {
                self.fell = Some(Instant::now());
                self.site.node.kill();
                self.pass(pause);
                self.site.node.restart();
                self.fell = Some(Instant::now());
            }
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, length: Duration) {
        let until = Instant::now() + length;
        while Instant::now() < until {
            self.look();
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets all run and none be stopped.
    pub fn calm(&mut self) {
        self.until(|keeper| keeper.processes.iter().all(|process| process.runs() && !process.is_stopped()));
    }

    fn until(&mut self, so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !so(self) {
            assert!(began.elapsed() < PATIENCE, "a process does not come back");
            self.look();
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn look(&mut self) {
        for (process, due) in self.processes.iter_mut().zip(&mut self.due) {
            if let Some(status) = process.ended() {
                let known = self.fell.is_some_and(|fell| fell.elapsed() < AFTERMATH);
                assert!(known && status.code() == Some(1), "it ended with {status}\n{}", process.said());
                self.gave_up += 1;
                *due = Some(Instant::now() + RESTART);
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                *due = None;
                if process.runs() { process.go_on() } else { process.start() }
            }
        }
    }
}
