//! What the owner of a proxy wants, shared with its tasks.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::counters::{Counters, Tallies};
use crate::profile::{Impairment, Profile};

/// Which directions swallow everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cut {
    /// None.
    #[default]
    Healed,
    /// From the clients to the upstream.
    ToUpstream,
    /// From the upstream to the clients.
    ToClient,
    /// Both.
    Both,
}

/// One of the two directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToUpstream,
    ToClient,
}

/// The wanted state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) profile: Profile,
    pub(crate) cut: Cut,
    /// Raised to ask for new source ports (UDP).
    pub(crate) address: u64,
    /// Raised to ask for resets (TCP).
    pub(crate) resets: u64,
}

impl Wanted {
    pub(crate) fn impairment(&self, direction: Direction) -> Impairment {
        match direction {
            Direction::ToUpstream => self.profile.to_upstream,
            Direction::ToClient => self.profile.to_client,
        }
    }

    pub(crate) fn is_cut(&self, direction: Direction) -> bool {
        match self.cut {
            Cut::Healed => false,
            Cut::Both => true,
            Cut::ToUpstream => direction == Direction::ToUpstream,
            Cut::ToClient => direction == Direction::ToClient,
        }
    }
}

/// The owner's end: changes the wanted state, ends the tasks when it is dropped.
#[derive(Debug)]
pub(crate) struct Owner {
    wanted: watch::Sender<Wanted>,
    tallies: Arc<Tallies>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What every task of a proxy gets.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) wanted: watch::Receiver<Wanted>,
    pub(crate) tallies: Arc<Tallies>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) seed: u64,
}

impl Owner {
    pub(crate) fn new(profile: Profile, seed: u64) -> (Self, Shared) {
        let (sender, receiver) = watch::channel(Wanted { profile, cut: Cut::Healed, address: 0, resets: 0 });
        let (tallies, stop, tasks) = (Arc::<Tallies>::default(), CancellationToken::new(), TaskTracker::new());
        let shared =
            Shared { wanted: receiver, tallies: Arc::clone(&tallies), stop: stop.clone(), tasks: tasks.clone(), seed };
        (Self { wanted: sender, tallies, stop, tasks }, shared)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Wanted)) {
        self.wanted.send_modify(change);
    }

    pub(crate) fn counters(&self) -> Counters {
        self.tallies.read()
    }

    pub(crate) async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
