//! Lists of sessions: each statement goes along an index that has them in the list's order.

use podlatch_protocol::id::{ClusterId, OrganisationId, SessionId, UserId};
use uuid::Uuid;

use super::row::{SessionRow, session_sql};
use crate::clock::UnixMillis;
use crate::domain::session::{Session, SessionStatus};
use crate::store::engine::{Part, fetch_all};
use crate::store::{List, Page, PageRequest, Store, StoreError};

/// How far the time in a session's id may be from when it began. Both are the same moment; this is for a clock's sake.
const ID_SLACK_MILLIS: i64 = 3_600_000;

/// The last moment that an id can tell.
const LAST_ID_MILLIS: i64 = (1 << 48) - 1;

/// Which sessions to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionFilter {
    /// Whose.
    pub organisation: OrganisationId,
    /// Only this person's.
    pub user: Option<UserId>,
    /// Of what is over, only this person's.
    pub ended_of: Option<UserId>,
    /// Only this cluster's.
    pub cluster: Option<ClusterId>,
    /// Only in this state.
    pub state: StateFilter,
    /// Only with this status at `now`.
    pub status: Option<SessionStatus>,
    /// Only those that began at this moment or later.
    pub from: Option<UnixMillis>,
    /// Only those that began before this moment.
    pub to: Option<UnixMillis>,
    /// When this is asked: time alone makes a session expire.
    pub now: UnixMillis,
}

impl SessionFilter {
    /// Every session of an organisation, asked for at `now`.
    pub const fn all(organisation: OrganisationId, now: UnixMillis) -> Self {
        Self {
            organisation,
            user: None,
            ended_of: None,
            cluster: None,
            state: StateFilter::Any,
            status: None,
            from: None,
            to: None,
            now,
        }
    }
}

/// Which states to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateFilter {
    /// All of them.
    Any,
    /// Those that are not over: opening or live.
    Unfinished,
    /// Those that are over.
    Ended,
}

/// By what the sessions are found; the filter's other conditions are looked up in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Lead {
    /// The organisation's, one after the other.
    All,
    /// Those that are not over.
    Unfinished,
    /// Those whose time is up.
    Expired,
    /// A person's.
    User,
    /// A person's, and everybody's that are not over.
    OwnAndUnfinished,
    /// A cluster's.
    Cluster,
}

/// Sessions whose ids are below `$5` and not below `$6`.
const SESSIONS: &str = session_sql!("WHERE s.organisation_id = $1 AND s.id < $5 AND s.id >= $6");

impl Lead {
    const fn of(filter: &SessionFilter) -> Self {
        let unfinished = matches!(filter.state, StateFilter::Unfinished);
        match (filter.status, filter.user, filter.ended_of, filter.cluster) {
            _ if unfinished => Self::Unfinished,
            (Some(SessionStatus::Active), ..) => Self::Unfinished,
            (_, Some(_), ..) => Self::User,
            (Some(SessionStatus::Expired), ..) => Self::Expired,
            (_, _, Some(_), _) => Self::OwnAndUnfinished,
            (_, _, _, Some(_)) => Self::Cluster,
            (Some(SessionStatus::Closed) | None, None, None, None) => Self::All,
        }
    }

    /// The statement that lists by it, the newest first. It holds those of the filter's conditions that are given, and no
    /// others: what is not there does not mislead the planner.
    pub(in crate::store) fn sql(self, filter: &SessionFilter) -> Vec<Part> {
        let conditions = conditions(filter);
        let part = |(index, lead): &(&'static str, &str)| Part {
            index: Some(*index),
            sql: format!("{SESSIONS}{lead}{conditions}"),
        };
        Part::union(self.ways().iter().map(part), ENDING)
    }

    /// The indexes, and what is asked of each.
    const fn ways(self) -> &'static [(&'static str, &'static str)] {
        const UNFINISHED: (&str, &str) = ("sessions_unfinished_by_organisation", " AND s.state <> 'ended'");
        match self {
            Self::All => &[("sessions_by_organisation", "")],
            Self::Unfinished => &[UNFINISHED],
            Self::Expired => &[
                ("sessions_expired_by_organisation", " AND s.end_cause = 'expired' AND s.state = 'ended'"),
                UNFINISHED,
            ],
            Self::User => &[("sessions_by_user", " AND s.user_id = $2")],
            Self::OwnAndUnfinished => &[("sessions_by_user", " AND s.user_id = $10 AND s.state = 'ended'"), UNFINISHED],
            Self::Cluster => &[("sessions_by_cluster", " AND s.cluster_id = $3")],
        }
    }
}

/// The first column is the id.
const ENDING: &str = " ORDER BY 1 DESC LIMIT $9";

fn conditions(filter: &SessionFilter) -> String {
    let state = match filter.state {
        StateFilter::Any => "",
        StateFilter::Unfinished => " AND s.state <> 'ended'",
        StateFilter::Ended => " AND s.state = 'ended'",
    };
    let status = match filter.status {
        None => "",
        Some(SessionStatus::Active) => " AND s.state <> 'ended' AND s.expires_at > $4",
        Some(SessionStatus::Expired) => {
            " AND (s.state = 'ended' AND s.end_cause = 'expired' OR s.state <> 'ended' AND s.expires_at <= $4)"
        }
        Some(SessionStatus::Closed) => " AND s.state = 'ended' AND s.end_cause <> 'expired'",
    };
    let given = [
        (filter.user.is_some(), " AND s.user_id = $2"),
        (filter.cluster.is_some(), " AND s.cluster_id = $3"),
        (filter.from.is_some(), " AND s.started_at >= $7"),
        (filter.to.is_some(), " AND s.started_at < $8"),
        (filter.ended_of.is_some(), " AND (s.user_id = $10 OR s.state <> 'ended')"),
    ];
    let given = given.into_iter().filter(|(is_given, _)| *is_given).map(|(_, condition)| condition);
    [state, status].into_iter().chain(given).collect()
}

impl Store {
    /// Sessions, newest first. Cancel safe.
    pub async fn list_sessions(&self, filter: &SessionFilter, page: PageRequest) -> Result<Page<Session>, StoreError> {
        let (first, behind) = id_range(filter.from, filter.to);
        let sql = self.reader().statement("sessions s", Lead::of(filter).sql(filter));
        let rows = fetch_all!(
            self.reader(),
            SessionRow,
            sql,
            filter.organisation.as_uuid(),
            filter.user.map(|user| user.as_uuid()),
            filter.cluster.map(|cluster| cluster.as_uuid()),
            filter.now.get(),
            page.after().map_or(behind, |after| after.min(behind)),
            first,
            filter.from.map(UnixMillis::get),
            filter.to.map(UnixMillis::get),
            page.limit(),
            filter.ended_of.map(|user| user.as_uuid()),
        )?;
        page.read(List::Sessions, rows, Session::try_from, |session| session.id().as_uuid())
    }
}

/// The ids of whatever began between two moments: from the first id on, and below the second. They begin with the time.
fn id_range(from: Option<UnixMillis>, to: Option<UnixMillis>) -> (Uuid, Uuid) {
    let id = |millis: i64| SessionId::new(millis.clamp(0, LAST_ID_MILLIS).unsigned_abs(), &[0; 10]).as_uuid();
    (
        from.map_or(Uuid::nil(), |from| id(from.get().saturating_sub(ID_SLACK_MILLIS))),
        to.map_or(Uuid::max(), |to| id(to.get().saturating_add(ID_SLACK_MILLIS))),
    )
}
