//! Requests for an access that another person has to approve.

pub mod create;
pub mod decide;
pub mod list;

use std::collections::BTreeSet;

use podlatch_protocol::id::AccessRuleId;
use serde::Serialize;
use utoipa::ToSchema;

use super::access::Access;
use super::problem::Problem;
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::access::approval::{approvable, may_approve};
use crate::domain::access::decision::{Question, Reason, Subject, Target};
use crate::domain::access::rule::AccessRule;
use crate::store::{AccessRequest, RequestState};

/// A request for access.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccessRequest)]
pub struct RequestBody {
    id: String,
    user: String,
    email: String,
    cluster: String,
    cluster_name: String,
    /// Null: anywhere in the cluster.
    namespace: Option<String>,
    /// Null: any pod.
    pod: Option<String>,
    /// `exec` or `debug`.
    action: &'static str,
    /// Untrusted text: escape it.
    reason: String,
    duration_seconds: u64,
    /// `pending`, `approved`, `denied`, `withdrawn` or `over`.
    #[schema(example = "pending")]
    state: &'static str,
    /// Who decided.
    decided_by: Option<String>,
    /// When the approval is over (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<UnixMillis>,
    /// When it was made (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    created_at: UnixMillis,
    /// Whether the caller may decide about it.
    may_decide: bool,
}

impl RequestBody {
    fn new(request: AccessRequest, may_decide: bool, now: UnixMillis) -> Self {
        let AccessRequest { request, email, cluster_name, state, created_at } = request;
        let (state, decided_by, expires_at) = match state {
            RequestState::Pending => ("pending", None, None),
            RequestState::Approved { by, expires_at, .. } => {
                (if now < expires_at { "approved" } else { "over" }, Some(by), Some(expires_at))
            }
            RequestState::Denied { by } => ("denied", Some(by), None),
            RequestState::Withdrawn => ("withdrawn", None, None),
        };
        Self {
            id: request.id.to_string(),
            user: request.user.to_string(),
            email: email.to_string(),
            cluster: request.cluster.to_string(),
            cluster_name: cluster_name.to_string(),
            namespace: request.namespace.map(String::from),
            pod: request.pod.map(String::from),
            action: request.action.slug(),
            reason: request.reason.into(),
            duration_seconds: request.duration.as_secs(),
            state,
            decided_by: decided_by.map(|by| by.to_string()),
            expires_at,
            created_at,
            may_decide,
        }
    }
}

/// The rules by which `approver` may approve a request; none where the request is the approver's own.
async fn rules_to_approve(
    app: &App,
    approver: &Access,
    request: &AccessRequest,
    now: UnixMillis,
) -> Result<Vec<AccessRule>, Problem> {
    let new = &request.request;
    if new.user == approver.subject.user {
        return Ok(Vec::new());
    }
    let cluster = app.store.get_cluster(new.organisation, new.cluster).await?;
    let (Some(cluster), Some(person)) = (cluster, app.store.colleague(new.organisation, new.user).await?) else {
        return Ok(Vec::new());
    };
    let subject = Subject { user: new.user, organisation: new.organisation, role: person.role, groups: person.groups };
    let target = Target { namespace: new.namespace.clone(), pod: new.pod.clone(), ..Target::cluster(&cluster.cluster) };
    let question = Question {
        subject: &subject,
        target: &target,
        action: new.action,
        reason: Reason::Given,
        rules: &approver.rules,
        approvals: &[],
        now,
    };
    let rules = approvable(&question).filter(|rule| may_approve(rule, &approver.subject));
    Ok(rules.cloned().collect())
}

fn ids(rules: &[AccessRule]) -> BTreeSet<AccessRuleId> {
    rules.iter().map(|rule| rule.id).collect()
}
