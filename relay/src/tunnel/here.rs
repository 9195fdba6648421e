//! An agent in this process, for a cluster that the relay serves itself: the same services as the agent's, behind pipes in
//! memory instead of a tunnel.

use podlatch_cluster::Services;
use podlatch_link::stream::{StreamEnd, pair};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Serves streams until it is closed.
pub(super) struct Here {
    services: Services,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Here {
    pub(super) fn new(services: Services, tasks: TaskTracker) -> Self {
        Self { services, tasks, stop: CancellationToken::new() }
    }

    /// The near end of a new stream; `None` once it is closed.
    pub(super) fn open(&self) -> Option<StreamEnd> {
        if self.is_closed() {
            return None;
        }
        let (near, (send, recv)) = pair();
        let (services, stop) = (self.services.clone(), self.stop.clone());
        self.tasks.spawn(async move { stop.run_until_cancelled(services.serve(send, recv)).await });
        Some(near)
    }

    /// Takes no new streams; those that a session took over go on until it ends.
    pub(super) fn close(&self) {
        self.stop.cancel();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub(super) async fn closed(&self) {
        self.stop.cancelled().await;
    }
}

impl std::fmt::Debug for Here {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Here").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}
