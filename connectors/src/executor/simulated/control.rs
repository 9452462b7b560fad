//! Hands on a simulated cloud, for tests and demonstrations: troubles on demand, servers lost, broken and planted by
//! someone who is not Weir, and a look at everything that is there.

use super::{
    super::CloudError,
    Error, Mark, Server, Simulated, lock,
    settings::Settings,
    state::{Change, State},
};
use std::{collections::BTreeMap, fmt, time::Duration};
use weir_engine::id::GroupUid;

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// [`super::super::Cloud::list`].
    List,
    /// [`super::super::Cloud::create`].
    Create,
    /// [`super::super::Cloud::delete`].
    Delete,
    /// [`super::super::Cloud::mark`].
    Mark,
    /// [`super::super::Cloud::unmark`].
    Unmark,
    /// [`super::super::Cloud::members`].
    Members,
    /// [`super::super::Cloud::join`].
    Join,
    /// [`super::super::Cloud::drain`].
    Drain,
    /// [`super::super::Cloud::leave`].
    Leave,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "list",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Mark => "mark",
            Self::Unmark => "unmark",
            Self::Members => "members",
            Self::Join => "join",
            Self::Drain => "drain",
            Self::Leave => "leave",
        })
    }
}

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing is done, and this is answered.
    Refuses(CloudError),
    /// It is done, and the answer never comes: the worst that a cloud does.
    AnswerLost,
    /// It is done after this long.
    Slow(Duration),
}

/// At most one trouble a kind of call, so this cannot grow.
#[derive(Debug, Default)]
pub(super) struct Troubles(BTreeMap<Call, (Trouble, u32)>);

impl Troubles {
    /// The trouble that meets this call, if any.
    pub(super) fn next(&mut self, call: Call) -> Option<Trouble> {
        let (trouble, times) = self.0.get_mut(&call).filter(|(_, times)| *times > 0)?;
        *times -= 1;
        Some(trouble.clone())
    }
}

impl Simulated {
    /// The next `times` calls of this kind meet `trouble`. Replaces what was said before; 0 times ends it.
    pub fn trouble(&self, call: Call, trouble: Trouble, times: u32) {
        lock(&self.inner.troubles).0.insert(call, (trouble, times));
    }

    /// Changes how it behaves from here on. Builds under way end as they would have.
    pub fn adjust(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut lock(&self.inner.settings));
    }

    /// Every server that is there, whoever it belongs to.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn all(&self) -> Result<Vec<Server>, Error> {
        self.by_hand(|state, _| (Vec::new(), state.servers.values().cloned().collect()))
    }

    /// How many servers were ever made.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn made(&self) -> Result<u64, Error> {
        self.by_hand(|state, _| (Vec::new(), state.made))
    }

    /// Somebody deletes a server by hand. Says whether it was there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn lose(&self, id: &str) -> Result<bool, Error> {
        self.change(id, |server, now_ms| Server { gone_ms: Some(now_ms), ..server })
    }

    /// A server breaks down, or its build fails, with these words. Says whether it was there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn break_down(&self, id: &str, words: &str) -> Result<bool, Error> {
        self.change(id, |server, now_ms| Server {
            built_ms: Some(server.built_ms.map_or(now_ms, |built_ms| built_ms.min(now_ms))),
            fault: Some(words.to_owned()),
            ..server
        })
    }

    /// A server made by someone else: without a mark, or with a group's and no readable slot. Answers its id.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn plant(&self, name: &str, uid: Option<GroupUid>) -> Result<String, Error> {
        let settings = lock(&self.inner.settings).clone();
        self.by_hand(|state, now_ms| {
            let server =
                Server::planted(state.made + 1, name, uid.map(|uid| Mark { uid, slot: None }), &settings, now_ms);
            let id = server.id.clone();
            (vec![Change::Server(server)], id)
        })
    }

    fn change(&self, id: &str, to: impl FnOnce(Server, i64) -> Server) -> Result<bool, Error> {
        self.by_hand(|state, now_ms| {
            let change = state.servers.values().find(|server| server.id == id).cloned();
            let found = change.is_some();
            (change.map(|server| Change::Server(to(server, now_ms))).into_iter().collect(), found)
        })
    }

    fn by_hand<T>(&self, work: impl FnOnce(&State, i64) -> (Vec<Change>, T)) -> Result<T, Error> {
        lock(&self.inner.shelf).transact(|state| {
            let now_ms = self.inner.clock.now_ms();
            state.forget_gone(now_ms);
            work(state, now_ms)
        })
    }
}
