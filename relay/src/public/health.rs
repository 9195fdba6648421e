//! Whether public clusters answer: each is asked again and again, since no agent tells of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use podlatch_cluster::DirectServer;
use podlatch_cluster::probe::{self, ProbeError};
use podlatch_protocol::id::ClusterId;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::access::ClusterAccess;
use super::connection_test::{self, Tried};
use super::sentence;
use crate::clock::{Clock, UnixMillis};
use crate::outbound::Dialler;

/// Between two questions. A cluster that is gone is noticed within this time and the ten seconds that an answer may take.
const EVERY: Duration = Duration::from_secs(30);

/// What was last found of a public cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// When it answered last, in this life of the relay.
    pub answered_at: Option<UnixMillis>,
    /// Which version it said that it is. Untrusted text.
    pub version: Option<String>,
    /// Why it does not answer, as a sentence; `None` where it does. Untrusted text.
    pub trouble: Option<String>,
}

/// What was found of the public clusters. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Healths(Arc<Mutex<BTreeMap<ClusterId, Health>>>);

impl Healths {
    /// What was found of a cluster, once it was asked.
    pub fn get(&self, cluster: ClusterId) -> Option<Health> {
        self.table().get(&cluster).cloned()
    }

    /// It answered, with its version if it tells that.
    pub(crate) fn note_answer(&self, cluster: ClusterId, version: Option<String>, now: UnixMillis) {
        let mut table = self.table();
        let health = table.entry(cluster).or_default();
        if health.answered_at.is_none() || health.trouble.is_some() {
            info!(cluster.id = %cluster, "a public cluster answers");
        }
        health.answered_at = Some(now);
        health.version = version.or_else(|| health.version.take());
        health.trouble = None;
    }

    /// It does not answer, or its credential is of no use.
    pub(crate) fn note_trouble(&self, cluster: ClusterId, trouble: String) {
        let mut table = self.table();
        let health = table.entry(cluster).or_default();
        if health.trouble.is_none() {
            // What a stranger's server says is not for the log.
            warn!(cluster.id = %cluster, "a public cluster does not answer");
        }
        health.trouble = Some(trouble);
    }

    pub(super) fn forget(&self, cluster: ClusterId) {
        self.table().remove(&cluster);
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<ClusterId, Health>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cluster that is asked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) cluster: ClusterId,
    pub(super) server: DirectServer,
    pub(super) dialler: Dialler,
    pub(super) healths: Healths,
    pub(super) clock: Clock,
}

/// Has a cluster asked until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    access: watch::Sender<ClusterAccess>,
    _stop: DropGuard,
}

impl Watch {
    pub(super) fn start(asked: Asked, access: ClusterAccess, tasks: &TaskTracker) -> Self {
        let (access, accesses) = watch::channel(access);
        let stop = CancellationToken::new();
        let (asking, stopped) = (asked.again_and_again(accesses), stop.clone());
        tasks.spawn(async move { stopped.run_until_cancelled(asking).await });
        Self { access, _stop: stop.drop_guard() }
    }

    /// Has it asked at once: this is its access now.
    pub(super) fn replace(&self, access: ClusterAccess) {
        self.access.send_replace(access);
    }
}

impl Asked {
    /// Never returns while there is an access. Cancel safe.
    async fn again_and_again(self, mut accesses: watch::Receiver<ClusterAccess>) {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                changed = accesses.changed() => if changed.is_err() { return },
            }
            let access = accesses.borrow_and_update().clone();
            self.ask(&access).await;
        }
    }

    async fn ask(&self, access: &ClusterAccess) {
        match probe::version(&self.server.client()).await {
            Ok(version) => self.healths.note_answer(self.cluster, Some(version), self.clock.now()),
            // Whom it knows and what it tells them are two things.
            Err(ProbeError::Refused(_)) => self.healths.note_answer(self.cluster, None, self.clock.now()),
            Err(error @ ProbeError::Unauthenticated(_)) => self.healths.note_trouble(self.cluster, sentence(&error)),
            Err(error @ ProbeError::NoAnswer(_)) => {
                let why = self.why_not(access).await;
                self.healths.note_trouble(self.cluster, why.unwrap_or_else(|| sentence(&error)));
            }
        }
    }

    /// Finds out, step by step, why it is not reached; `None` where it is by now.
    async fn why_not(&self, access: &ClusterAccess) -> Option<String> {
        let findings = connection_test::run(&self.dialler, access).await;
        findings.steps.into_iter().find_map(|(_, tried)| match tried {
            Tried::Failed(sentence) => Some(sentence),
            Tried::Ok(_) | Tried::NotTried => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_known_of_a_cluster_stays_while_it_does_not_answer() {
        let (healths, cluster) = (Healths::default(), ClusterId::new(1, &[1; 10]));
        let now = UnixMillis::new(7);
        assert_eq!(healths.get(cluster), None);
        healths.note_answer(cluster, Some("v1.33.1".into()), now);
        healths.note_trouble(cluster, "No answer.".into());
        let expected =
            Health { answered_at: Some(now), version: Some("v1.33.1".into()), trouble: Some("No answer.".into()) };
        assert_eq!(healths.get(cluster), Some(expected.clone()));
        healths.note_answer(cluster, None, UnixMillis::new(9));
        let expected = Health { answered_at: Some(UnixMillis::new(9)), trouble: None, ..expected };
        assert_eq!(healths.get(cluster), Some(expected));
        healths.forget(cluster);
        assert_eq!(healths.get(cluster), None);
    }
}
