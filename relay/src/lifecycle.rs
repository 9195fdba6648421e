//! How the relay stops: softly first, hard at the deadline.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long live requests and terminals have after the first signal.
const SOFT_DEADLINE: Duration = Duration::from_secs(10);

/// How long tasks have to fall after they were told to.
const HARD_DEADLINE: Duration = Duration::from_secs(2);

/// The signals of one relay's life, and its tasks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    soft_deadline: Duration,
    drain: CancellationToken,
    abort: CancellationToken,
    tasks: TaskTracker,
}

impl Lifecycle {
    /// A life that nobody has asked to end.
    pub fn new() -> Self {
        Self::with_soft_deadline(SOFT_DEADLINE)
    }

    fn with_soft_deadline(soft_deadline: Duration) -> Self {
        let (drain, abort) = (CancellationToken::new(), CancellationToken::new());
        Self { soft_deadline, drain, abort, tasks: TaskTracker::new() }
    }

    /// Cancelled when the relay is to stop: take nothing new, finish what lives, tell viewers to reconnect.
    pub const fn draining(&self) -> &CancellationToken {
        &self.drain
    }

    /// Where tasks that must be over before the relay is are counted. What is spawned here directly heeds
    /// [`Self::draining`] by itself; nothing drops it.
    pub const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Runs a task that must be over before the relay is; dropped at the hard deadline.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let abort = self.abort.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = abort.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Asks everything to stop.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Waits until the relay is asked to stop, then until every task is over: at most [`SOFT_DEADLINE`] for them to end by
    /// themselves, [`HARD_DEADLINE`] more to be dropped. Not cancel safe: a dropped call leaves tasks behind.
    pub async fn ended(&self) {
        self.drain.cancelled().await;
        self.tasks.close();
        let softly = async {
            tokio::select! {
                () = self.tasks.wait() => {}
                () = self.abort.cancelled() => {}
            }
        };
        if tokio::time::timeout(self.soft_deadline, softly).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "some tasks did not end in time and are dropped");
        }
        self.abort.cancel();
        if tokio::time::timeout(HARD_DEADLINE, self.tasks.wait()).await.is_err() {
            tracing::error!(tasks = self.tasks.len(), "some tasks could not be dropped");
        }
    }

    /// Drains at the first signal and aborts at the second. Cancel safe.
    pub async fn obey(&self, mut signals: Signals) {
        signals.next().await;
        tracing::info!("stopping: live requests may finish; a second signal stops at once");
        self.drain.cancel();
        signals.next().await;
        tracing::warn!("stopping at once");
        self.abort.cancel();
    }
}

/// SIGTERM and SIGINT, caught from the moment that this exists: a signal that comes while the relay starts is obeyed once
/// it has started.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches the signals from now on.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn waits_for_tasks_that_finish_by_themselves() {
        let life = Lifecycle::new();
        let (finish, finished) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, tell) = (Arc::clone(&finish), Arc::clone(&finished));
        life.spawn(async move {
            told.notified().await;
            tell.notify_one();
        });
        life.drain();
        finish.notify_one();
        life.ended().await;
        finished.notified().await;
    }

    #[tokio::test]
    async fn drops_tasks_that_never_finish() {
        let life = Lifecycle::with_soft_deadline(Duration::from_millis(1));
        life.spawn(pending());
        life.drain();
        life.ended().await;
        assert!(life.tasks.is_empty());
    }
}
