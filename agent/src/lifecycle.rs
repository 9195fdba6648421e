//! The orders of the outside world: the first signal drains, a second one ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
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
    /// Follows the signals. Never returns; cancel safe.
    pub async fn follow(self, mut signals: Signals) {
        let mut orders = [self.drain, self.hurry].into_iter();
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => {}
                _ = signals.interrupt.recv() => {}
            }
            if let Some(order) = orders.next() {
                order.cancel();
            }
        }
    }
}

/// SIGTERM and SIGINT, caught from the moment that this exists.
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
}
