//! Looks again and again whether the rights to all live sessions still stand: a few statements for all of them together.
//!
//! A lease counts from the last look, not from its sending. So a right that is withdrawn is used for no longer than a lease,
//! whoever can be reached, and where nobody can look, because the database does not answer, every session freezes. What cannot
//! be read of one session, or of one organisation, freezes that alone.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::{GroupId, OrganisationId, SessionId, UserId};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

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
    /// When the last look began that found a session's right standing.
    stood: HashMap<SessionId, Instant>,
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
        let at = decided.max(seen.stood.get(&session).copied())?;
        LEASE_VALID.checked_sub(now.saturating_duration_since(at)).filter(|valid| !valid.is_zero())
    }

    /// Something changed on which rights depend.
    pub(super) fn note_change(&self) {
        self.changed.notify_one();
    }

    /// A look that began at `began` came to an end. A right that it could not judge stands for what is left of its last lease.
    fn note(&self, began: Instant, found: &Found) {
        let mut seen = self.seen();
        seen.stood.retain(|_, at| began.saturating_duration_since(*at) < LEASE_VALID);
        seen.stood.extend(found.standing.iter().map(|session| (*session, began)));
        seen.lost = found.lost.iter().map(|(session, _)| *session).collect();
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
        let found = judge(&self.shared.store, self.shared.clock.now()).await?;
        self.shared.rights.note(began, &found);
        for (session, cause) in found.lost {
            if let Some(live) = self.get(session) {
                info!(session.id = %session, cause = cause.slug(), "the right to a session is withdrawn");
                // An owner that does not listen now is told again at the next look, and gets no lease until then.
                let _busy = timeout(LEAST_INTERVAL, live.end(cause)).await;
            }
        }
        Ok(())
    }
}

/// What a look found. A session that is in neither list could not be judged.
#[derive(Debug, Default)]
struct Found {
    standing: Vec<SessionId>,
    lost: Vec<(SessionId, EndCause)>,
}

/// Judges the right to every session at `now`. What is broken in one organisation is left out; an error means that nobody
/// could be judged.
async fn judge(store: &Store, now: UnixMillis) -> Result<Found, StoreError> {
    let mut organisations: HashMap<OrganisationId, Option<Rulebook>> = HashMap::new();
    let mut found = Found::default();
    let nothing = BTreeSet::new();
    for rights in store.session_rights(now).await? {
        let rights = match rights {
            Ok(rights) => rights,
            Err(broken) => {
                error!(session.id = ?broken.session, error = %broken.error, "the right to a session cannot be read, so it freezes");
                continue;
            }
        };
        let rulebook = match organisations.entry(rights.organisation) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Rulebook::load_if_readable(store, rights.organisation, now).await?),
        };
        let Some(rulebook) = rulebook else {
            continue;
        };
        let groups = rulebook.groups.get(&rights.user).unwrap_or(&nothing);
        match rights.inputs(groups, &rulebook.rules, &rulebook.approvals).stands(now) {
            Ok(()) => found.standing.push(rights.session),
            Err(cause) => found.lost.push((rights.session, cause)),
        }
    }
    Ok(found)
}

/// What an organisation's rights depend on.
struct Rulebook {
    rules: Vec<AccessRule>,
    groups: HashMap<UserId, BTreeSet<GroupId>>,
    approvals: Vec<Approval>,
}

impl Rulebook {
    /// `None` where something of it cannot be read: that is this organisation's trouble alone.
    async fn load_if_readable(
        store: &Store,
        organisation: OrganisationId,
        now: UnixMillis,
    ) -> Result<Option<Self>, StoreError> {
        match Self::load(store, organisation, now).await {
            Ok(rulebook) => Ok(Some(rulebook)),
            Err(error) if error.is_unreadable() => {
                error!(organisation.id = %organisation, %error, "an organisation's rules cannot be read, so its sessions freeze");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

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
    use podlatch_protocol::request::Program;
    use podlatch_protocol::target::PodTarget;
    use podlatch_protocol::terminal::TerminalSize;
    use uuid::Uuid;

    use super::*;
    use crate::domain::organisation::ClientInfo;
    use crate::domain::session::{NewSession, SessionAccess};
    use crate::domain::session_limits::SessionLimits;
    use crate::http::testing::{SignedIn, TestRelay};

    const SESSION: SessionId = SessionId::from_uuid(Uuid::from_u128(1));

    fn found(standing: &[SessionId], lost: &[SessionId]) -> Found {
        let lost = lost.iter().map(|session| (*session, EndCause::RuleChanged)).collect();
        Found { standing: standing.to_vec(), lost }
    }

    #[test]
    fn a_lease_counts_from_the_last_look_and_ends_with_the_right() {
        let rights = Rights::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(rights.lease(SESSION, None, start), None, "nobody has looked");
        assert_eq!(rights.lease(SESSION, Some(start), at(5)), Some(Duration::from_secs(10)));
        assert_eq!(rights.lease(SESSION, Some(start), at(15)), None, "nobody has looked for too long");
        rights.note(at(12), &found(&[SESSION], &[]));
        assert_eq!(rights.lease(SESSION, Some(start), at(15)), Some(Duration::from_secs(12)));
        rights.note(at(15), &found(&[], &[SESSION]));
        assert_eq!(rights.lease(SESSION, Some(start), at(15)), None);
    }

    #[test]
    fn a_right_that_could_not_be_judged_stands_for_what_is_left_of_its_last_lease() {
        let rights = Rights::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        rights.note(start, &found(&[SESSION], &[]));
        rights.note(at(9), &found(&[], &[]));
        assert_eq!(rights.lease(SESSION, None, at(10)), Some(Duration::from_secs(5)));
        rights.note(at(18), &found(&[], &[]));
        assert_eq!(rights.lease(SESSION, None, at(18)), None);
    }

    /// A session of somebody in an organisation of their own.
    async fn session_of(relay: &TestRelay, person: &SignedIn) -> SessionId {
        let cluster = relay.cluster(person, "berlin").await;
        let (organisation, user) = (person.membership.organisation.id, person.membership.user.id);
        let app = &relay.app;
        let new = NewSession {
            id: SessionId::new(app.clock.now().since_epoch(), &app.entropy.bytes()),
            organisation,
            cluster: cluster.id,
            agent: Some(relay.agent(&cluster).await),
            user,
            login_session: person.login,
            target: PodTarget {
                namespace: "shop".parse().expect("a namespace"),
                pod: "web".parse().expect("a pod"),
                container: Some("app".parse().expect("a container")),
            },
            program: Program::Shell,
            size: TerminalSize::clamped(80, 24),
            client: ClientInfo::default(),
            started_at: app.clock.now(),
            expires_at: app.clock.now().plus(Duration::from_hours(1)),
            idle: SessionLimits::default().idle,
            reason: None,
            access: SessionAccess::default(),
        };
        app.store.insert_session(&new).await.expect("inserts");
        new.id
    }

    #[tokio::test]
    async fn what_is_broken_in_one_organisation_freezes_no_other() {
        for breaking in [
            "UPDATE access_rules SET settings = '{' WHERE organisation_id = (SELECT organisation_id FROM sessions WHERE namespace = 'broken')",
            "UPDATE sessions SET pod = 'not/a/pod' WHERE namespace = 'broken'",
            "UPDATE sessions SET access = '{' WHERE namespace = 'broken'",
            "UPDATE sessions SET namespace = 'Not A Namespace' WHERE namespace = 'broken'",
            "UPDATE login_sessions SET expires_at = 'soon' WHERE id = (SELECT login_session_id FROM sessions WHERE namespace = 'broken')",
            "UPDATE clusters SET labels = '[]' WHERE id = (SELECT cluster_id FROM sessions WHERE namespace = 'broken')",
        ] {
            let relay = TestRelay::new().await;
            let (ada, bob) = (relay.sign_in("ada@example.org").await, relay.sign_in("bob@example.org").await);
            let broken = session_of(&relay, &ada).await;
            relay.execute("UPDATE sessions SET namespace = 'broken'").await;
            let whole = session_of(&relay, &bob).await;
            let sessions = &relay.app.sessions;
            let lease = |session| sessions.shared.rights.lease(session, None, Instant::now());
            sessions.look().await.expect("looks");
            assert!(lease(broken).is_some() && lease(whole).is_some(), "both stand at first");
            sessions.shared.rights.seen().stood.clear();

            relay.execute(breaking).await;
            sessions.look().await.expect("looks");
            assert!(lease(whole).is_some(), "the other organisation goes on: {breaking}");
            assert_eq!(lease(broken), None, "nobody knows whether it stands: {breaking}");
        }
    }

    #[tokio::test]
    async fn a_database_that_is_away_as_a_whole_lets_nobody_go_on() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let session = session_of(&relay, &ada).await;
        relay.execute("ALTER TABLE access_rules RENAME TO elsewhere").await;
        relay.app.sessions.look().await.expect_err("nobody could be judged");
        assert_eq!(relay.app.sessions.shared.rights.lease(session, None, Instant::now()), None);
    }
}
