//! Requests for an access that another person has to approve.

use std::collections::BTreeSet;
use std::time::Duration;

use podlatch_protocol::id::{AccessRequestId, AccessRuleId, ClusterId, OrganisationId, UserId};
use podlatch_protocol::target::{Namespace, PodName};
use uuid::Uuid;

use super::audit::append;
use super::engine::{execute, fetch_all, fetch_optional};
use super::rows::{duration, known, millis, parse, time};
use super::{List, Page, PageRequest, Store, StoreError};
use crate::clock::UnixMillis;
use crate::domain::access::decision::Approval;
use crate::domain::access::rule::AccessAction;
use crate::domain::audit::{Action, NewEvent, Origin, Outcome, Place};
use crate::domain::name::{DisplayName, Email, ReasonText};

/// A request to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccessRequest {
    /// Its id.
    pub id: AccessRequestId,
    /// In which organisation.
    pub organisation: OrganisationId,
    /// Who asks.
    pub user: UserId,
    /// In which cluster.
    pub cluster: ClusterId,
    /// In which namespace; `None`: in any.
    pub namespace: Option<Namespace>,
    /// In which pod; `None`: in any.
    pub pod: Option<PodName>,
    /// What for.
    pub action: AccessAction,
    /// Why.
    pub reason: ReasonText,
    /// For how long.
    pub duration: Duration,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestState {
    /// Nobody has decided.
    Pending,
    /// It was approved.
    Approved {
        /// By whom.
        by: UserId,
        /// For which rules it counts.
        rules: BTreeSet<AccessRuleId>,
        /// Until when.
        expires_at: UnixMillis,
    },
    /// It was denied.
    Denied {
        /// By whom.
        by: UserId,
    },
    /// The person wants it no more.
    Withdrawn,
}

/// A request as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRequest {
    /// What was asked for.
    pub request: NewAccessRequest,
    /// The person's address.
    pub email: Email,
    /// The cluster's name.
    pub cluster_name: DisplayName,
    /// What became of it.
    pub state: RequestState,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// Which requests to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestFilter {
    /// Only this person's.
    pub user: Option<UserId>,
}

/// What somebody decides about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It is approved.
    Approve {
        /// For these rules.
        rules: BTreeSet<AccessRuleId>,
        /// Until then.
        expires_at: UnixMillis,
    },
    /// It is denied.
    Deny,
}

impl Store {
    /// Stores a request. Cancel safe.
    pub async fn create_access_request(
        &self,
        new: &NewAccessRequest,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        execute!(
            tx.on(),
            "INSERT INTO access_requests (id, organisation_id, user_id, cluster_id, namespace, pod, action, reason,
                 duration, state, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', $10)",
            new.id.as_uuid(),
            new.organisation.as_uuid(),
            new.user.as_uuid(),
            new.cluster.as_uuid(),
            new.namespace.as_ref().map(Namespace::as_str),
            new.pod.as_ref().map(PodName::as_str),
            new.action.slug(),
            new.reason.as_str(),
            millis(new.duration),
            now.get(),
        )?;
        append(&mut tx, &describe(Action::AccessRequested, new, by, now)).await?;
        self.commit_audited(tx).await
    }

    /// A request of the organisation. Cancel safe.
    pub async fn get_access_request(
        &self,
        organisation: OrganisationId,
        id: AccessRequestId,
    ) -> Result<Option<AccessRequest>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            RequestRow,
            request_sql!("WHERE r.organisation_id = $1 AND r.id = $2"),
            organisation.as_uuid(),
            id.as_uuid(),
        )?;
        row.map(AccessRequest::try_from).transpose()
    }

    /// Requests, newest first. Cancel safe.
    pub async fn list_access_requests(
        &self,
        organisation: OrganisationId,
        filter: RequestFilter,
        page: PageRequest,
    ) -> Result<Page<AccessRequest>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            RequestRow,
            request_sql!(
                "WHERE r.organisation_id = $1 AND ($2 IS NULL OR r.user_id = $2) AND ($3 IS NULL OR r.id < $3)
                 ORDER BY r.id DESC LIMIT $4"
            ),
            organisation.as_uuid(),
            filter.user.map(|user| user.as_uuid()),
            page.after(),
            page.limit(),
        )?;
        page.read(List::AccessRequests, rows, AccessRequest::try_from, |request| request.request.id.as_uuid())
    }

    /// Decides about a pending request of somebody else; false if it is not pending, or the decider's own. Cancel safe.
    pub async fn decide_access_request(
        &self,
        request: &AccessRequest,
        ruling: &Ruling,
        (decider, by, now): (UserId, &Origin, UnixMillis),
    ) -> Result<bool, StoreError> {
        let (state, rules, expires_at, action) = match ruling {
            Ruling::Approve { rules, expires_at } => {
                ("approved", rules.clone(), Some(*expires_at), Action::AccessApproved)
            }
            Ruling::Deny => ("denied", BTreeSet::new(), None, Action::AccessDenied),
        };
        let new = &request.request;
        let rules = serde_json::to_string(&rules).map_err(|_| StoreError::Corrupt("access_requests.rules"))?;
        let mut tx = self.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE access_requests SET state = $3, decided_by = $4, decided_at = $5, rules = $6, expires_at = $7
             WHERE organisation_id = $1 AND id = $2 AND state = 'pending' AND user_id <> $4",
            new.organisation.as_uuid(),
            new.id.as_uuid(),
            state,
            decider.as_uuid(),
            now.get(),
            rules.as_str(),
            expires_at.map(UnixMillis::get),
        )?;
        if changed != 1 {
            return Ok(false);
        }
        let event = describe(action, new, by, now).about(new.user);
        let event = event.detail("expires_at", expires_at.map(|at| at.to_string()));
        append(&mut tx, &event).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// Takes an approval, or a request, back: by its person, or by whoever may approve. False if there is none. Cancel safe.
    pub async fn withdraw_access_request(
        &self,
        request: &AccessRequest,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let new = &request.request;
        let mut tx = self.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE access_requests SET state = 'withdrawn'
             WHERE organisation_id = $1 AND id = $2 AND state IN ('pending', 'approved')",
            new.organisation.as_uuid(),
            new.id.as_uuid(),
        )?;
        if changed != 1 {
            return Ok(false);
        }
        let event = describe(Action::AccessDenied, new, by, now).about(new.user).outcome(Outcome::Success);
        append(&mut tx, &event.detail("withdrawn", true)).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// The approvals of an organisation that are in force at `now`; of one person, or of everybody. Cancel safe.
    pub async fn approvals(
        &self,
        organisation: OrganisationId,
        user: Option<UserId>,
        now: UnixMillis,
    ) -> Result<Vec<Approval>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            RequestRow,
            request_sql!(
                "WHERE r.organisation_id = $1 AND ($2 IS NULL OR r.user_id = $2) AND r.state = 'approved'
                     AND r.expires_at > $3 ORDER BY r.id"
            ),
            organisation.as_uuid(),
            user.map(|user| user.as_uuid()),
            now.get(),
        )?;
        let requests = rows.into_iter().map(AccessRequest::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(requests.into_iter().filter_map(AccessRequest::approval).collect())
    }
}

impl AccessRequest {
    /// The approval that it became.
    pub fn approval(self) -> Option<Approval> {
        let RequestState::Approved { rules, expires_at, .. } = self.state else {
            return None;
        };
        let NewAccessRequest { id, organisation, user, cluster, namespace, pod, action, .. } = self.request;
        Some(Approval { id, organisation, user, cluster, namespace, pod, action, rules, expires_at })
    }
}

fn describe(action: Action, new: &NewAccessRequest, by: &Origin, now: UnixMillis) -> NewEvent {
    NewEvent::new(action, new.organisation, by.clone(), now)
        .at(Place::Cluster(new.cluster))
        .detail("request", new.id.to_string())
        .detail("asked", new.action.slug())
        .detail("asked_namespace", new.namespace.as_ref().map(Namespace::as_str))
        .detail("asked_pod", new.pod.as_ref().map(PodName::as_str))
        .detail("reason", new.reason.as_str())
        .detail("duration_ms", millis(new.duration))
}

/// The columns of a [`RequestRow`], then whatever else the statement needs.
macro_rules! request_sql {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.organisation_id, r.user_id, u.email, r.cluster_id, c.name AS cluster_name, r.namespace, r.pod, \
             r.action, r.reason, r.duration, r.state, r.created_at, r.decided_by, r.rules, r.expires_at \
             FROM access_requests r JOIN users u ON u.id = r.user_id JOIN clusters c ON c.id = r.cluster_id ",
            $rest
        )
    };
}
use request_sql;

#[derive(sqlx::FromRow)]
struct RequestRow {
    id: Uuid,
    organisation_id: Uuid,
    user_id: Uuid,
    email: String,
    cluster_id: Uuid,
    cluster_name: String,
    namespace: Option<String>,
    pod: Option<String>,
    action: String,
    reason: String,
    duration: i64,
    state: String,
    created_at: i64,
    decided_by: Option<Uuid>,
    rules: String,
    expires_at: Option<i64>,
}

impl RequestRow {
    fn request_state(&self) -> Result<RequestState, StoreError> {
        let by = || known("access_requests.decided_by", self.decided_by).map(UserId::from_uuid);
        Ok(match self.state.as_str() {
            "pending" => RequestState::Pending,
            "approved" => RequestState::Approved {
                by: by()?,
                rules: serde_json::from_str(&self.rules).map_err(|_| StoreError::Corrupt("access_requests.rules"))?,
                expires_at: known("access_requests.expires_at", time(self.expires_at))?,
            },
            "denied" => RequestState::Denied { by: by()? },
            "withdrawn" => RequestState::Withdrawn,
            _ => return Err(StoreError::Corrupt("access_requests.state")),
        })
    }
}

impl TryFrom<RequestRow> for AccessRequest {
    type Error = StoreError;

    fn try_from(row: RequestRow) -> Result<Self, StoreError> {
        let state = row.request_state()?;
        let namespace = row.namespace.as_deref().map(|name| parse("access_requests.namespace", name)).transpose()?;
        let pod = row.pod.as_deref().map(|name| parse("access_requests.pod", name)).transpose()?;
        Ok(Self {
            state,
            email: parse("users.email", &row.email)?,
            cluster_name: parse("clusters.name", &row.cluster_name)?,
            created_at: UnixMillis::new(row.created_at),
            request: NewAccessRequest {
                id: AccessRequestId::from_uuid(row.id),
                organisation: OrganisationId::from_uuid(row.organisation_id),
                user: UserId::from_uuid(row.user_id),
                cluster: ClusterId::from_uuid(row.cluster_id),
                namespace,
                pod,
                action: known("access_requests.action", AccessAction::from_slug(&row.action))?,
                reason: parse("access_requests.reason", &row.reason)?,
                duration: duration("access_requests.duration", row.duration)?,
            },
        })
    }
}
