//! A proxy before a broker that loses one request or one answer of a kind, and then everything, until it is told that all is
//! well again: how a network looks that breaks at the worst moment.
//!
//! It knows no more of Kafka's protocol than that a message is a length and its bytes, and that a request begins with the
//! number of its kind and carries one that its answer repeats.

use anyhow::Result;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

/// Most bytes of a message that is believed to be one.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Kinds of requests, as Kafka numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ends a transaction, one way or the other.
    EndTransaction = 26,
}

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loses {
    /// The broker never hears of it.
    TheRequest,
    /// The broker does it, and nobody hears that it has.
    TheAnswer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Everything passes.
    Whole,
    /// Everything passes until the next request of a kind.
    Breaks(Kind, Loses),
    /// Nothing passes.
    Broken,
}

/// The proxy. It goes with the process.
#[derive(Clone, Debug)]
pub struct Proxy(Arc<Mutex<Line>>);

impl Proxy {
    /// Takes what comes to `front` to the address `behind`.
    ///
    /// # Errors
    /// The machine gives no thread.
    pub fn start(front: TcpListener, behind: String) -> Result<Self> {
        let proxy = Self(Arc::new(Mutex::new(Line::Whole)));
        let accepts = proxy.clone();
        thread::Builder::new().name("proxy".into()).spawn(move || {
            for client in front.incoming().flatten() {
                // A client that is not served tries again.
                let _ = accepts.serve(client, &behind);
            }
        })?;
        Ok(proxy)
    }

    /// With the next request of the kind the line breaks.
    pub fn break_at(&self, kind: Kind, loses: Loses) {
        *self.line() = Line::Breaks(kind, loses);
    }

    /// Whether it has broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        *self.line() == Line::Broken
    }

    /// Everything passes again.
    pub fn mend(&self) {
        *self.line() = Line::Whole;
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, client: TcpStream, behind: &str) -> io::Result<()> {
        if self.is_broken() {
            return client.shutdown(Shutdown::Both);
        }
        let broker = TcpStream::connect(behind)?;
        let awaited = Arc::<Mutex<Option<[u8; 4]>>>::default();
        let (requests, answers) = (self.clone(), self.clone());
        let (lost, losing) = (Arc::clone(&awaited), awaited);
        let (client_reads, broker_writes) = (client.try_clone()?, broker.try_clone()?);
        thread::spawn(move || pump(client_reads, broker_writes, |message| requests.passes(message, &losing)));
        thread::spawn(move || pump(broker, client, |message| answers.returns(message, &lost)));
        Ok(())
    }

    /// Whether a request goes on; remembers the one whose answer is to be lost.
    fn passes(&self, message: &[u8], losing: &Mutex<Option<[u8; 4]>>) -> bool {
        let mut line = self.line();
        match *line {
            Line::Whole => true,
            Line::Broken => false,
            Line::Breaks(kind, loses) => {
                if message.get(..2) != Some(&(kind as i16).to_be_bytes()[..]) {
                    return true;
                }
                if loses == Loses::TheAnswer {
                    let number = message.get(4..8).and_then(|number| number.try_into().ok());
                    *losing.lock().unwrap_or_else(PoisonError::into_inner) = number;
                    return true;
                }
                *line = Line::Broken;
                false
            }
        }
    }

    /// Whether an answer goes back.
    fn returns(&self, message: &[u8], lost: &Mutex<Option<[u8; 4]>>) -> bool {
        let lost = *lost.lock().unwrap_or_else(PoisonError::into_inner);
        if lost.is_some_and(|lost| message.get(..4) == Some(&lost[..])) {
            *self.line() = Line::Broken;
        }
        !self.is_broken()
    }
}

/// Takes whole messages from one side to the other for as long as they pass; then both sides are closed.
fn pump(mut from: TcpStream, mut to: TcpStream, passes: impl Fn(&[u8]) -> bool) {
    let mut carry = || -> io::Result<bool> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let bytes = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if bytes > MESSAGE_BYTES_MAX {
            return Ok(false);
        }
        let mut message = vec![0; bytes];
        from.read_exact(&mut message)?;
        if !passes(&message) {
            return Ok(false);
        }
        to.write_all(&[&length[..], &message].concat())?;
        Ok(true)
    };
    while matches!(carry(), Ok(true)) {}
    // Either may be closed already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
