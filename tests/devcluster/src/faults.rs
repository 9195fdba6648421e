//! Faults on demand: what a real cluster does only when something breaks.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::PodName;

/// The switches. All act at once, on everything that runs.
#[derive(Debug)]
pub struct Faults {
    state: Mutex<State>,
    frozen: watch::Sender<HashSet<PodName>>,
}

#[derive(Debug, Default)]
struct State {
    /// Cancelled to cut every connection that there is.
    connections: CancellationToken,
    refuse_until: Option<Instant>,
    exec_delay: Duration,
    stream_idle: Option<Duration>,
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), frozen: watch::Sender::new(HashSet::new()) }
    }

    /// Cuts every connection without a word, exec streams among them. Processes in the pods live on.
    pub fn drop_connections(&self) {
        let mut state = self.lock();
        state.connections.cancel();
        state.connections = CancellationToken::new();
    }

    /// Closes every new connection at once, for so long: the API server is down.
    pub fn refuse_connections(&self, duration: Duration) {
        self.lock().refuse_until = Some(Instant::now() + duration);
    }

    /// Lets new connections in again.
    pub fn accept_connections(&self) {
        self.lock().refuse_until = None;
    }

    /// Stops every exec stream of a pod, running and future, without closing it; not even the end of the pod is told.
    pub fn freeze_exec(&self, namespace: &str, pod: &str) {
        self.frozen.send_modify(|frozen| {
            frozen.insert(PodName { namespace: namespace.to_owned(), name: pod.to_owned() });
        });
    }

    /// Lets the exec streams of a pod go on.
    pub fn thaw_exec(&self, namespace: &str, pod: &str) {
        let name = PodName { namespace: namespace.to_owned(), name: pod.to_owned() };
        self.frozen.send_modify(|frozen| {
            frozen.remove(&name);
        });
    }

    /// Makes every new exec wait so long between the upgrade and its process.
    pub fn delay_exec(&self, delay: Duration) {
        self.lock().exec_delay = delay;
    }

    /// Closes new exec streams that carry no data for so long, pings or not: what the kubelet does after
    /// `streamingConnectionIdleTimeout`, and containerd after its `stream_idle_timeout`. Both are 4 h where nobody says less.
    pub fn limit_stream_idle(&self, limit: Duration) {
        self.lock().stream_idle = Some(limit);
    }

    /// Cancelled when the connections of this moment are to be cut.
    pub(crate) fn connection_token(&self) -> CancellationToken {
        self.lock().connections.child_token()
    }

    pub(crate) fn refuses(&self, now: Instant) -> bool {
        self.lock().refuse_until.is_some_and(|until| now < until)
    }

    pub(crate) fn exec_delay(&self) -> Duration {
        self.lock().exec_delay
    }

    pub(crate) fn stream_idle(&self) -> Option<Duration> {
        self.lock().stream_idle
    }

    pub(crate) fn freezer(&self, pod: &PodName) -> Freezer {
        Freezer { pod: pod.clone(), frozen: self.frozen.subscribe() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks whether one pod's streams are frozen.
#[derive(Debug, Clone)]
pub(crate) struct Freezer {
    pod: PodName,
    frozen: watch::Receiver<HashSet<PodName>>,
}

impl Freezer {
    /// Resolves when the pod's streams may go on; at once, as a rule. Cancel safe.
    pub(crate) async fn thawed(&mut self) {
        let pod = &self.pod;
        // The switches outlive every stream; if they do not, nothing is frozen.
        let _ = self.frozen.wait_for(|frozen| !frozen.contains(pod)).await;
    }
}
