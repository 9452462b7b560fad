//! The simulated cloud: the executor one gets without an account, so that one command shows the thing at work.
//!
//! `weir run`, `weir demo` and tests make servers here. It keeps them in a file of its own, synced on its own at each
//! change, so that a crash between a call and its record is as bad as with a real cloud; and several processes may
//! share one, as they share a real cloud. It must never learn what Weir's log says: all it knows came through
//! [`Cloud`], or through the hands in `control.rs`.
//!
//! Nothing in it runs by itself. What a server is, follows from its record and the clock ([`Server::seen`]): a build
//! that ends at 09:00 is active when one looks after 09:00, also where the process was dead in between.

mod control;
mod file;
mod settings;
mod state;

pub use control::{Call, Trouble};
pub use file::{Error, read_file};
pub use settings::Settings;
pub use state::{Mark, Node, Server};

use super::{Answer, Cloud, CloudError, CloudErrorKind, Member, Seen, SeenState, ServerOrder};
use crate::clock::Clock;
use control::Troubles;
use file::Journal;
use state::{Change, State};
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use weir_engine::id::{GroupUid, Slot};
use weir_grammar::policy::Balancer;

/// A cloud that only pretends. Clones share it.
#[derive(Clone, Debug)]
pub struct Simulated {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Arc<dyn Clock>,
    settings: Mutex<Settings>,
    troubles: Mutex<Troubles>,
    shelf: Mutex<Shelf>,
    /// Whether calls touch a disk, and so belong on a thread that may block.
    on_disk: bool,
}

/// What is known, and where it is kept.
#[derive(Debug, Default)]
struct Shelf {
    state: State,
    journal: Option<Journal>,
}

impl Simulated {
    /// A cloud kept in the file at `path`, made if it is not there.
    ///
    /// # Errors
    /// The file cannot be opened, or holds something else.
    pub fn open(path: &Path, settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let mut shelf = Shelf { state: State::default(), journal: Some(Journal::open(path)?) };
        shelf.transact(|_| (Vec::new(), ()))?;
        Ok(Self::new(shelf, settings, clock))
    }

    /// A cloud that is gone with the process.
    #[must_use]
    pub fn in_memory(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self::new(Shelf::default(), settings, clock)
    }

    fn new(shelf: Shelf, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let on_disk = shelf.journal.is_some();
        let troubles = Mutex::default();
        Self {
            inner: Arc::new(Inner {
                clock,
                settings: Mutex::new(settings),
                troubles,
                shelf: Mutex::new(shelf),
                on_disk,
            }),
        }
    }

    /// One call: `work` reads the cloud and says what becomes of it.
    async fn call<T: Send + 'static>(
        &self,
        call: Call,
        work: impl FnOnce(&State, &Settings, i64) -> Result<(Vec<Change>, T), CloudError> + Send + 'static,
    ) -> Result<T, CloudError> {
        let trouble = lock(&self.inner.troubles).next(call);
        match &trouble {
            Some(Trouble::Refuses(error)) => return Err(error.clone()),
            Some(Trouble::Slow(length)) => tokio::time::sleep(*length).await,
            Some(Trouble::AnswerLost) | None => {}
        }
        let inner = Arc::clone(&self.inner);
        let answer = if inner.on_disk {
            // A sync takes milliseconds, in which this thread has other things to do.
            tokio::task::spawn_blocking(move || inner.carry_out(work))
                .await
                .map_err(|error| unclear(call, &error.to_string()))?
        } else {
            inner.carry_out(work)
        };
        let answer = answer.map_err(|error| unclear(call, &error.to_string()))?;
        // After the work, so that a process killed here leaves a server whose record it never wrote.
        let wait_ms = lock(&self.inner.settings).answer_ms;
        if wait_ms > 0 {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
        match trouble {
            Some(Trouble::AnswerLost) => Err(unclear(call, "the answer was lost")),
            _ => answer,
        }
    }
}

impl Inner {
    /// Looks and changes, in one step for everyone who shares the file.
    fn carry_out<T>(
        &self,
        work: impl FnOnce(&State, &Settings, i64) -> Result<(Vec<Change>, T), CloudError>,
    ) -> Result<Result<T, CloudError>, Error> {
        let settings = lock(&self.settings).clone();
        lock(&self.shelf).transact(|state| {
            // Read under the lock: two calls must not see the clock in another order than the file sees them.
            let now_ms = self.clock.now_ms();
            state.forget_gone(now_ms);
            match work(state, &settings, now_ms) {
                Ok((changes, value)) => (changes, Ok(value)),
                Err(error) => (Vec::new(), Err(error)),
            }
        })
    }
}

impl Shelf {
    fn transact<T>(&mut self, work: impl FnOnce(&mut State) -> (Vec<Change>, T)) -> Result<T, Error> {
        match &mut self.journal {
            Some(journal) => journal.transact(&mut self.state, work),
            None => {
                let (changes, value) = work(&mut self.state);
                changes.into_iter().for_each(|change| self.state.apply(change));
                Ok(value)
            }
        }
    }
}

impl Cloud for Simulated {
    fn list<'a>(&'a self, uid: GroupUid) -> Answer<'a, Vec<Seen>> {
        Box::pin(self.call(Call::List, move |state, _, now_ms| {
            let ours = state.servers.values().filter(|server| server.mark.as_ref().is_some_and(|mark| mark.uid == uid));
            Ok((Vec::new(), ours.filter_map(|server| server.seen(now_ms)).collect()))
        }))
    }

    fn create<'a>(&'a self, order: &'a ServerOrder) -> Answer<'a, String> {
        let order = order.clone();
        Box::pin(self.call(Call::Create, move |state, settings, now_ms| {
            let standing = state.servers.len();
            if standing >= settings.quota {
                let text = format!("Quota exceeded for cores, {standing} of {}", settings.quota);
                return Err(CloudError { kind: CloudErrorKind::Refused, text });
            }
            let server = Server::ordered(state.made + 1, &order, settings, now_ms);
            let id = server.id.clone();
            Ok((vec![Change::Server(server)], id))
        }))
    }

    fn delete<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        let id = id.to_owned();
        Box::pin(self.call(Call::Delete, move |state, settings, now_ms| {
            let standing = state.servers.values().find(|server| server.id == id && server.gone_ms.is_none());
            let gone_ms = Some(now_ms.saturating_add_unsigned(settings.delete_ms));
            Ok((standing.map(|server| Change::Server(Server { gone_ms, ..server.clone() })).into_iter().collect(), ()))
        }))
    }

    fn mark<'a>(&'a self, id: &'a str, uid: GroupUid, slot: Slot) -> Answer<'a, ()> {
        let id = id.to_owned();
        Box::pin(self.call(Call::Mark, move |state, _, now_ms| {
            let refused = |text: String| CloudError { kind: CloudErrorKind::Refused, text };
            let mark = Some(Mark { uid, slot: Some(slot) });
            let found = state.servers.values().find(|server| server.id == id);
            let Some((server, seen)) = found.and_then(|server| Some((server, server.seen(now_ms)?))) else {
                return Err(refused(format!("Instance {id} could not be found")));
            };
            match &server.mark {
                Some(_) if server.mark == mark => Ok((Vec::new(), ())),
                Some(other) => Err(refused(format!("server `{id}` bears the mark of group {} already", other.uid))),
                None if seen.state != SeenState::Active => Err(refused(format!("server `{id}` does not run"))),
                None => Ok((vec![Change::Server(Server { mark, ..server.clone() })], ())),
            }
        }))
    }

    fn unmark<'a>(&'a self, id: &'a str, uid: GroupUid, slot: Slot) -> Answer<'a, ()> {
        let id = id.to_owned();
        Box::pin(self.call(Call::Unmark, move |state, _, _| {
            let mark = Some(Mark { uid, slot: Some(slot) });
            let marked = state.servers.values().find(|server| server.id == id && server.mark == mark);
            Ok((marked.map(|server| Change::Server(Server { mark: None, ..server.clone() })).into_iter().collect(), ()))
        }))
    }

    fn members<'a>(&'a self, balancer: &'a Balancer) -> Answer<'a, Vec<Member>> {
        let balancer = balancer.clone();
        Box::pin(self.call(Call::Members, move |state, settings, now_ms| {
            Ok((Vec::new(), state.members(&balancer, settings, now_ms)))
        }))
    }

    fn join<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()> {
        let (balancer, address) = (balancer.clone(), address.to_owned());
        Box::pin(self.call(Call::Join, move |state, settings, now_ms| {
            if state.node(&balancer, &address).is_some_and(|node| node.serving) {
                return Ok((Vec::new(), ()));
            }
            state.must_be_mutable(&balancer, settings, now_ms)?;
            Ok((vec![Change::Node(Node::new(&balancer, address, now_ms))], ()))
        }))
    }

    fn drain<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()> {
        let (balancer, address) = (balancer.clone(), address.to_owned());
        Box::pin(self.call(Call::Drain, move |state, settings, now_ms| {
            let Some(node) = state.node(&balancer, &address).filter(|node| node.serving) else {
                return Ok((Vec::new(), ()));
            };
            state.must_be_mutable(&balancer, settings, now_ms)?;
            Ok((vec![Change::Node(Node { serving: false, changed_ms: now_ms, ..node.clone() })], ()))
        }))
    }

    fn leave<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()> {
        let (balancer, address) = (balancer.clone(), address.to_owned());
        Box::pin(self.call(Call::Leave, move |state, settings, now_ms| {
            let Some(node) = state.node(&balancer, &address) else {
                return Ok((Vec::new(), ()));
            };
            state.must_be_mutable(&balancer, settings, now_ms)?;
            Ok((vec![Change::Left(Node { changed_ms: now_ms, ..node.clone() })], ()))
        }))
    }
}

fn unclear(call: Call, why: &str) -> CloudError {
    CloudError { kind: CloudErrorKind::Unclear, text: format!("simulated cloud, {call}: {why}") }
}

/// A panic elsewhere leaves these whole: each change is applied at once, after it was written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
