//! This process's share of the partitions: all of them, or those that the other processes leave to it.

use crate::backend::{
    self,
    kafka::{
        self,
        membership::{Change, Member, Share},
    },
};
use std::{collections::BTreeMap, fmt, future::Future, thread};
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        watch,
    },
    task::{JoinSet, spawn_blocking},
};

/// What is gained and lost, as it is told.
pub(super) struct Changes {
    told: UnboundedReceiver<Change>,
    /// Kept so that a share which never changes does not look like an end.
    _teller: UnboundedSender<Change>,
    member: Option<Member>,
}

impl Changes {
    /// Of `share`: all `partitions`, or what the group of the `shared` log says.
    pub(super) async fn of(share: Share, partitions: u32, shared: Option<&kafka::Settings>) -> backend::Result<Self> {
        let (teller, told) = unbounded_channel();
        let Some(settings) = shared.cloned() else {
            for partition in 0..partitions {
                // The receiver is here.
                let _ = teller.send(Change::Gained(partition));
            }
            return Ok(Self { told, _teller: teller, member: None });
        };
        let failed = |error: &dyn fmt::Display| backend::Error::Failed(format!("joining the other processes: {error}"));
        let (member, changes) =
            spawn_blocking(move || Member::join(&settings, share)).await.map_err(|error| failed(&error))??;
        let forward = teller.clone();
        // Changes come from the client's callback, which must not wait; this thread ends with the member.
        thread::Builder::new()
            .name("weir-share".into())
            .spawn(move || changes.into_iter().all(|change| forward.send(change).is_ok()))
            .map_err(|error| failed(&error))?;
        Ok(Self { told, _teller: teller, member: Some(member) })
    }

    /// The next one; `None` once the process is to stop.
    pub(super) async fn next(&mut self, stopping: &mut watch::Receiver<bool>) -> Option<Change> {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => None,
            change = self.told.recv() => change,
        }
    }

    /// Leaves the group, so that the others need not wait for this process's silence.
    pub(super) async fn leave(self) {
        let Some(member) = self.member else { return };
        if spawn_blocking(move || drop(member)).await.is_err() {
            tracing::warn!("a member of a group broke off; the others notice in a while");
        }
    }
}

/// Runs what `work` gives for each partition of a share, for as long as it is this process's; each is told when to stop.
pub(super) async fn keep<W>(
    mut changes: Changes,
    mut stopping: watch::Receiver<bool>,
    work: impl Fn(u32, watch::Receiver<bool>) -> W,
) where
    W: Future<Output = ()> + Send + 'static,
{
    let (mut running, mut tasks) = (BTreeMap::new(), JoinSet::new());
    while let Some(change) = changes.next(&mut stopping).await {
        match change {
            Change::Gained(partition) => {
                running.entry(partition).or_insert_with(|| {
                    let (stop, stopped) = watch::channel(false);
                    tasks.spawn(work(partition, stopped));
                    stop
                });
            }
            Change::Lost(partition) => {
                if let Some(stop) = running.remove(&partition) {
                    stop.send_replace(true);
                }
            }
        }
        while tasks.try_join_next().is_some() {}
    }
    for stop in running.values() {
        stop.send_replace(true);
    }
    while tasks.join_next().await.is_some() {}
    changes.leave().await;
}
