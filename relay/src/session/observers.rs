//! How many people watch a session: whoever works in it is told.

use tokio::sync::watch;

/// Counts a session's observers. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Observers(watch::Sender<u32>);

impl Observers {
    /// Nobody watches yet.
    pub(super) fn none() -> Self {
        Self(watch::Sender::new(0))
    }

    /// How many there are, and each change of it.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u32> {
        self.0.subscribe()
    }

    /// Counts one more, until what it returns is dropped.
    pub(crate) fn join(&self) -> Observing {
        self.0.send_modify(|count| *count += 1);
        Observing(self.0.clone())
    }
}

/// An observer who is counted; dropped, they are gone.
#[derive(Debug)]
pub(crate) struct Observing(watch::Sender<u32>);

impl Drop for Observing {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
