//! Reading the log: pages for people, runs of events for those who follow it.

use podlatch_protocol::id::{ClusterId, OrganisationId, SessionId, UserId};

use super::row::{EventRow, event_sql};
use crate::clock::UnixMillis;
use crate::domain::access::AuditScope;
use crate::domain::audit::{Action, Event};
use crate::store::engine::{fetch_all, fetch_optional};
use crate::store::rows::number;
use crate::store::{Store, StoreError};

/// How many positions one statement looks at. A filter that finds little must not keep the database busy for long.
const WINDOW: i64 = 20_000;

/// How many of those one page may take. What is left is found from the page's cursor on.
const MAX_WINDOWS: u32 = 25;

/// Which events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFilter {
    /// Whose log.
    pub organisation: OrganisationId,
    /// What the caller may see of it.
    pub scope: AuditScope,
    /// Only of this cluster.
    pub cluster: Option<ClusterId>,
    /// Only by or about this person.
    pub user: Option<UserFilter>,
    /// Only in this namespace.
    pub namespace: Option<String>,
    /// Only in a pod of this name.
    pub pod: Option<String>,
    /// Only in this session.
    pub session: Option<SessionId>,
    /// Only this.
    pub action: Option<Action>,
    /// Only where a command, a pod, a person, a program or a detail contains this text, in whatever case.
    pub text: Option<String>,
    /// Not before.
    pub from: Option<UnixMillis>,
    /// Before.
    pub to: Option<UnixMillis>,
}

/// A person, as a filter names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserFilter {
    /// By id.
    Id(UserId),
    /// By the address that they had at the time.
    Name(String),
}

/// A page of the log, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The events.
    pub items: Vec<Event>,
    /// The position below which the log goes on; `None` where nothing is left. A page may hold fewer events than asked for
    /// and go on all the same.
    pub next: Option<u64>,
}

/// A run of the log, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRun {
    /// The events.
    pub items: Vec<Event>,
    /// Everything up to this position has been looked at.
    pub reached: u64,
    /// Whether there is nothing behind it at this moment.
    pub at_end: bool,
}

impl AuditFilter {
    /// Everything that a scope lets one see of an organisation's log.
    pub const fn everything(organisation: OrganisationId, scope: AuditScope) -> Self {
        Self {
            organisation,
            scope,
            cluster: None,
            user: None,
            namespace: None,
            pod: None,
            session: None,
            action: None,
            text: None,
            from: None,
            to: None,
        }
    }

    /// The text as a pattern, in lower case.
    fn pattern(&self) -> Option<String> {
        let text = self.text.as_ref()?.to_lowercase();
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        Some(format!("%{escaped}%"))
    }
}

/// The statement that filters, then its order. `$15` is the session, for those that ask for one.
macro_rules! filtered_sql {
    ($rest:literal) => {
        event_sql!(
            "WHERE organisation_id = $1 AND position > $2 AND position <= $3
                 AND ($4 IS NULL OR actor_id = $4 OR user_id = $4)
                 AND ($5 IS NULL OR cluster_id = $5)
                 AND ($6 IS NULL OR actor_id = $6 OR user_id = $6)
                 AND ($7 IS NULL OR actor_name = $7 OR user_name = $7)
                 AND ($8 IS NULL OR namespace = $8) AND ($9 IS NULL OR pod = $9)
                 AND ($10 IS NULL OR action = $10) AND at >= $11 AND at < $12
                 AND ($13 IS NULL OR LOWER(COALESCE(command, '')) LIKE $13 ESCAPE '\\'
                     OR LOWER(COALESCE(pod, '')) LIKE $13 ESCAPE '\\' OR LOWER(actor_name) LIKE $13 ESCAPE '\\'
                     OR LOWER(COALESCE(user_name, '')) LIKE $13 ESCAPE '\\'
                     OR LOWER(COALESCE(user_agent, '')) LIKE $13 ESCAPE '\\' OR LOWER(details) LIKE $13 ESCAPE '\\') ",
            $rest
        )
    };
}

impl Store {
    /// Events, newest first: at most `limit` of those below position `before`. Cancel safe.
    pub async fn list_audit(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: u16,
    ) -> Result<AuditPage, StoreError> {
        let (low, high) = self.audit_bounds(filter).await?;
        let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
        let mut top = high.min(before - 1);
        let mut items = Vec::new();
        for _ in 0..MAX_WINDOWS {
            if top <= low || items.len() >= usize::from(limit) {
                break;
            }
            let bottom = if filter.session.is_some() { low } else { low.max(top - WINDOW) };
            let wanted = i64::from(limit) - i64::try_from(items.len()).unwrap_or(i64::MAX);
            let found = self.audit_between(filter, (bottom, top), Order::NewestFirst, wanted).await?;
            // A full answer has not looked at everything: the log goes on below the last one found.
            top = match found.last() {
                Some(last) if found.len() >= usize::try_from(wanted).unwrap_or(usize::MAX) => {
                    i64::try_from(last.position).unwrap_or(i64::MAX) - 1
                }
                _ => bottom,
            };
            items.extend(found);
        }
        let next = if top > low { Some(number("audit_events.position", top + 1)?) } else { None };
        Ok(AuditPage { items, next })
    }

    /// Events, oldest first: at most `limit` of those behind position `after`. Cancel safe.
    pub async fn audit_run(&self, filter: &AuditFilter, after: u64, limit: u16) -> Result<AuditRun, StoreError> {
        let last = i64::try_from(self.audit_position(filter.organisation).await?).unwrap_or(i64::MAX);
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let top = last.min(after.saturating_add(WINDOW)).max(after);
        let items = self.audit_between(filter, (after, top), Order::OldestFirst, i64::from(limit)).await?;
        let reached = match items.last() {
            Some(item) if items.len() >= usize::from(limit) => item.position,
            _ => number("audit_events.position", top)?,
        };
        Ok(AuditRun { at_end: i64::try_from(reached).is_ok_and(|reached| reached >= last), items, reached })
    }

    /// The last position of an organisation's log; 0 where it is empty. Cancel safe.
    pub async fn audit_position(&self, organisation: OrganisationId) -> Result<u64, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            (i64,),
            "SELECT position FROM audit_positions WHERE organisation_id = $1",
            organisation.as_uuid(),
        )?;
        row.map_or(Ok(0), |(position,)| number("audit_positions.position", position))
    }

    /// Between which positions (the first excluded) a filter can find anything at all.
    async fn audit_bounds(&self, filter: &AuditFilter) -> Result<(i64, i64), StoreError> {
        if filter.from.is_none() && filter.to.is_none() {
            let last = self.audit_position(filter.organisation).await?;
            return Ok((0, i64::try_from(last).unwrap_or(i64::MAX)));
        }
        let row = fetch_optional!(
            self.reader(),
            (Option<i64>, Option<i64>),
            "SELECT MIN(position), MAX(position) FROM audit_events WHERE organisation_id = $1 AND at >= $2 AND at < $3",
            filter.organisation.as_uuid(),
            filter.from.map_or(i64::MIN, UnixMillis::get),
            filter.to.map_or(i64::MAX, UnixMillis::get),
        )?;
        Ok(match row {
            Some((Some(first), Some(last))) => (first - 1, last),
            _ => (0, 0),
        })
    }

    async fn audit_between(
        &self,
        filter: &AuditFilter,
        (above, up_to): (i64, i64),
        order: Order,
        limit: i64,
    ) -> Result<Vec<Event>, StoreError> {
        let (user, name) = match &filter.user {
            None => (None, None),
            Some(UserFilter::Id(id)) => (Some(id.as_uuid()), None),
            Some(UserFilter::Name(name)) => (None, Some(name.to_lowercase())),
        };
        let scope = match filter.scope {
            AuditScope::All => None,
            AuditScope::Of(user) => Some(user.as_uuid()),
        };
        let sql = match (filter.session, order) {
            (None, Order::NewestFirst) => filtered_sql!("ORDER BY position DESC LIMIT $14"),
            (None, Order::OldestFirst) => filtered_sql!("ORDER BY position LIMIT $14"),
            (Some(_), Order::NewestFirst) => filtered_sql!("AND session_id = $15 ORDER BY position DESC LIMIT $14"),
            (Some(_), Order::OldestFirst) => filtered_sql!("AND session_id = $15 ORDER BY position LIMIT $14"),
        };
        let rows = fetch_all!(
            self.reader(),
            EventRow,
            sql,
            filter.organisation.as_uuid(),
            above,
            up_to,
            scope,
            filter.cluster.map(|cluster| cluster.as_uuid()),
            user,
            name.as_deref(),
            filter.namespace.as_deref(),
            filter.pod.as_deref(),
            filter.action.map(Action::slug),
            filter.from.map_or(i64::MIN, UnixMillis::get),
            filter.to.map_or(i64::MAX, UnixMillis::get),
            filter.pattern().as_deref(),
            limit,
            filter.session.map(|session| session.as_uuid()),
        )?;
        rows.into_iter().map(Event::try_from).collect()
    }
}

#[derive(Debug, Clone, Copy)]
enum Order {
    NewestFirst,
    OldestFirst,
}
