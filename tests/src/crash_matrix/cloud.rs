//! A cloud whose every call may be what the process dies at.

use super::bug::Bug;
use super::faults::{Effect, Faults, Met, Moment};
use std::sync::Arc;
use weir::executor::{Answer, Cloud, CloudError, CloudErrorKind, Clouds, Member, Seen, ServerOrder};
use weir_engine::id::{GroupUid, Slot};
use weir_grammar::policy::Balancer;

/// A cloud with faults.
pub struct Faulty<C> {
    inner: C,
    faults: Arc<Faults>,
}

impl<C: Cloud + 'static> Faulty<C> {
    /// The same with faults, for every tenant and region.
    pub fn everywhere(inner: C, faults: Arc<Faults>) -> Arc<dyn Clouds> {
        Arc::new(Everywhere(Arc::new(Self { inner, faults })))
    }
}

impl<C: Cloud> Faulty<C> {
    async fn call<'a, T>(&'a self, effect: Effect, work: impl Fn() -> Answer<'a, T>) -> Result<T, CloudError> {
        match self.faults.meet(effect) {
            Met::Dead => Err(unclear("the process is dead".into())),
            Met::Alive(None) => work().await,
            Met::Alive(Some(Moment::Twice)) => {
                let first = work().await;
                drop(work().await);
                first
            }
            Met::Alive(Some(Moment::Fails)) => Err(unclear(format!("{effect}: 502 Bad Gateway"))),
            Met::Alive(Some(Moment::Lost)) => {
                work().await?;
                Err(unclear(format!("{effect}: the answer is lost")))
            }
            Met::Alive(Some(Moment::Before | Moment::After)) => {
                drop(work().await);
                self.faults.kill();
                Err(unclear("the process is dead".into()))
            }
        }
    }
}

fn unclear(text: String) -> CloudError {
    CloudError { kind: CloudErrorKind::Unclear, text }
}

impl<C: Cloud> Cloud for Faulty<C> {
    fn list<'a>(&'a self, uid: GroupUid) -> Answer<'a, Vec<Seen>> {
        Box::pin(self.call(Effect::List, move || self.inner.list(uid)))
    }
    fn create<'a>(&'a self, order: &'a ServerOrder) -> Answer<'a, String> {
        Box::pin(async move {
            let said = self.call(Effect::Create, move || self.inner.create(order)).await;
            match (&said, self.faults.bug()) {
                (Err(_), Some(Bug::OrderedAgain)) if !self.faults.is_dead() => self.inner.create(order).await,
                _ => said,
            }
        })
    }
    fn delete<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(self.call(Effect::Delete, move || self.inner.delete(id)))
    }
    fn mark<'a>(&'a self, id: &'a str, uid: GroupUid, slot: Slot) -> Answer<'a, ()> {
        Box::pin(self.call(Effect::Mark, move || self.inner.mark(id, uid, slot)))
    }
    fn unmark<'a>(&'a self, id: &'a str, uid: GroupUid, slot: Slot) -> Answer<'a, ()> {
        Box::pin(self.call(Effect::Unmark, move || self.inner.unmark(id, uid, slot)))
    }
    fn members<'a>(&'a self, balancer: &'a Balancer) -> Answer<'a, Vec<Member>> {
        Box::pin(self.call(Effect::Members, move || self.inner.members(balancer)))
    }
    fn join<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()> {
        Box::pin(self.call(Effect::Join, move || self.inner.join(balancer, address)))
    }
    fn drain<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()> {
        Box::pin(self.call(Effect::Drain, move || self.inner.drain(balancer, address)))
    }
    fn leave<'a>(&'a self, balancer: &'a Balancer, address: &'a str) -> Answer<'a, ()> {
        Box::pin(self.call(Effect::Leave, move || self.inner.leave(balancer, address)))
    }
}

/// One cloud for all.
struct Everywhere(Arc<dyn Cloud>);

impl Clouds for Everywhere {
    fn cloud(&self, _: &str, _: &str) -> Option<Arc<dyn Cloud>> {
        Some(Arc::clone(&self.0))
    }
}
