//! The orders of the outside world: the first signal drains, a second one ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the process was told.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// Take nothing new; let live sessions finish.
    pub drain: CancellationToken,
    /// Do not wait for anything any longer.
    pub hurry: CancellationToken,
}

impl Lifecycle {
    /// Follows SIGTERM and SIGINT. Never returns; cancel safe.
    pub async fn follow_signals(self) -> anyhow::Result<()> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut orders = [self.drain, self.hurry].into_iter();
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if let Some(order) = orders.next() {
                order.cancel();
            }
        }
    }
}
