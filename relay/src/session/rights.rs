//! Looks again and again whether the rights to all live sessions still stand: a few statements for all of them together.
//!
//! A lease counts from the last look, not from its sending. So a right that is withdrawn is used for no longer than a lease,
//! whoever can be reached, and where nobody can look, because the database does not answer, every session freezes.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::{GroupId, OrganisationId, SessionId, UserId};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::life::LEASE_VALID;
use super::sessions::Sessions;
use crate::clock::UnixMillis;
use crate::domain::access::decision::Approval;
use crate::domain::access::rule::AccessRule;
use crate::store::{Store, StoreError};

/// How often rights are looked at when nothing is known to have changed: more often than leases are given.
const INTERVAL: Duration = Duration::from_secs(3);

/// Between two looks, whatever changes.
const LEAST_INTERVAL: Duration = Duration::from_millis(250);

/// What was seen last.
#[derive(Debug, Default)]
pub(super) struct Rights {
    seen: Mutex<Seen>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    /// When the last look that came to an end began.
    at: Option<Instant>,
    lost: HashSet<SessionId>,
}

impl Rights {
    /// How long a lease may be that is given at `now` to a session whose right was decided by itself at `decided`. `None`: the
    /// right is lost, or nobody has looked for too long.
    pub(super) fn lease(&self, session: SessionId, decided: Option<Instant>, now: Instant) -> Option<Duration> {
        let seen = self.seen();
        if seen.lost.contains(&session) {
            return None;
        }
        let at = decided.max(seen.at)?;
        LEASE_VALID.checked_sub(now.saturating_duration_since(at)).filter(|valid| !valid.is_zero())
    }

    /// Something changed on which rights depend.
    pub(super) fn note_change(&self) {
        self.changed.notify_one();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing panics while it holds the lock.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    /// Looks at once whether the rights to live sessions still stand, because something changed on which they depend.
    pub fn recheck_rights(&self) {
        self.shared.rights.note_change();
    }

    /// Ends sessions whose right is withdrawn, for as long as it runs. Cancel safe.
    pub async fn age_rights(&self) {
        loop {
            if self.count() > 0
                && let Err(error) = self.look().await
            {
                warn!(%error, "it is not known whether the rights to live sessions still stand");
            }
            sleep(LEAST_INTERVAL).await;
            // Time being over is as good as news.
            let _news = timeout(INTERVAL.saturating_sub(LEAST_INTERVAL), self.shared.rights.changed.notified()).await;
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let began = Instant::now();
        let lost = lost_rights(&self.shared.store, self.shared.clock.now()).await?;
        {
            let mut seen = self.shared.rights.seen();
            seen.at = Some(began);
            seen.lost = lost.iter().map(|(session, _)| *session).collect();
        }
        for (session, cause) in lost {
            if let Some(live) = self.get(session) {
                info!(session.id = %session, cause = cause.slug(), "the right to a session is withdrawn");
                // An owner that does not listen now is told again at the next look, and gets no lease until then.
                let _busy = timeout(LEAST_INTERVAL, live.end(cause)).await;
            }
        }
        Ok(())
    }
}

/// The sessions whose right does not stand at `now`, each with its cause.
async fn lost_rights(store: &Store, now: UnixMillis) -> Result<Vec<(SessionId, EndCause)>, StoreError> {
    let mut organisations: HashMap<OrganisationId, Rulebook> = HashMap::new();
    let mut lost = Vec::new();
    let nothing = BTreeSet::new();
    for rights in store.session_rights(now).await? {
        let rulebook = match organisations.entry(rights.organisation) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Rulebook::load(store, rights.organisation, now).await?),
        };
        let groups = rulebook.groups.get(&rights.user).unwrap_or(&nothing);
        let inputs = rights.inputs(groups, &rulebook.rules, &rulebook.approvals);
        if let Err(cause) = inputs.stands(now) {
            lost.push((rights.session, cause));
        }
    }
    Ok(lost)
}

/// What an organisation's rights depend on.
struct Rulebook {
    rules: Vec<AccessRule>,
    groups: HashMap<UserId, BTreeSet<GroupId>>,
    approvals: Vec<Approval>,
}

impl Rulebook {
    async fn load(store: &Store, organisation: OrganisationId, now: UnixMillis) -> Result<Self, StoreError> {
        Ok(Self {
            rules: store.access_rules(organisation).await?,
            groups: store.groups_by_person(organisation).await?,
            approvals: store.approvals(organisation, None, now).await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const SESSION: SessionId = SessionId::from_uuid(Uuid::from_u128(1));

    #[test]
    fn a_lease_counts_from_the_last_look_and_ends_with_the_right() {
        let rights = Rights::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(rights.lease(SESSION, None, start), None, "nobody has looked");
        assert_eq!(rights.lease(SESSION, Some(start), at(5)), Some(Duration::from_secs(10)));
        assert_eq!(rights.lease(SESSION, Some(start), at(15)), None, "nobody has looked for too long");
        rights.seen().at = Some(at(12));
        assert_eq!(rights.lease(SESSION, Some(start), at(15)), Some(Duration::from_secs(12)));
        rights.seen().lost.insert(SESSION);
        assert_eq!(rights.lease(SESSION, Some(start), at(15)), None);
    }
}
