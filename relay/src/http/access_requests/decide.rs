//! `POST /api/v1/access-requests/{id}/decision`: approves, denies or withdraws a request.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::AccessRequestId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{RequestBody, ids, rules_to_approve};
use crate::app::App;
use crate::domain::access::approval::lasts;
use crate::domain::audit::{self, Outcome, Place};
use crate::http::access::Access;
use crate::http::context::CallContext;
use crate::http::extract::{IdPath, JsonBody};
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::store::{AccessRequest, Ruling};

/// A decision.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessRequestDecision)]
pub struct DecisionBody {
    decision: DecisionKind,
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecisionKind {
    /// The person may, for a time. Never one's own request.
    Approve,
    /// They may not.
    Deny,
    /// It is wanted no more, or the approval is taken back: live sessions that need it end.
    Withdraw,
}

/// Decides about a request. Only somebody else than its person approves it.
#[utoipa::path(
    post,
    path = "/access-requests/{id}/decision",
    operation_id = "decideAccessRequest",
    tag = "access",
    params(("id" = String, Path, description = "The request's id")),
    request_body = DecisionBody,
    responses(
        (status = 200, body = RequestBody),
        (status = 412, description = "It was decided already", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<AccessRequestId>,
    JsonBody(body): JsonBody<DecisionBody>,
) -> Result<Json<RequestBody>, Problem> {
    let organisation = context.actor.organisation;
    let found = app.store.get_access_request(organisation, id).await?;
    let request = found.ok_or_else(|| Problem::not_found("request"))?;
    let access = Access::of(&app, &context).await?;
    let rules = rules_to_approve(&app, &access, &request, context.now).await?;
    let own = request.request.user == context.actor.user;
    if rules.is_empty() && !(own && body.decision == DecisionKind::Withdraw) {
        return Err(refuse(&app, &context, &request).await?);
    }
    let by = (context.actor.user, &context.origin(), context.now);
    let done = match body.decision {
        DecisionKind::Withdraw => app.store.withdraw_access_request(&request, &context.origin(), context.now).await?,
        DecisionKind::Deny => app.store.decide_access_request(&request, &Ruling::Deny, by).await?,
        DecisionKind::Approve => {
            let expires_at = context.now.plus(lasts(&rules, request.request.duration));
            let ruling = Ruling::Approve { rules: ids(&rules), expires_at };
            app.store.decide_access_request(&request, &ruling, by).await?
        }
    };
    if !done {
        return Err(Problem::new(ProblemKind::Conflict, "This request was decided already. Load it again."));
    }
    let stored = app.store.get_access_request(organisation, id).await?;
    let stored = stored.ok_or_else(|| Problem::not_found("request"))?;
    Ok(Json(RequestBody::new(stored, !rules.is_empty(), context.now)))
}

/// A refusal is audited. Whoever neither made the request nor may decide about it does not learn that it is there.
async fn refuse(app: &App, context: &CallContext, request: &AccessRequest) -> Result<Problem, Problem> {
    let event = context.event(audit::Action::AccessRefused).at(Place::Cluster(request.request.cluster));
    let event = event.outcome(Outcome::Refused).detail("asked", "decide_access_request");
    app.store.append_audit(&event.detail("request", request.request.id.to_string())).await?;
    Ok(if request.request.user == context.actor.user {
        Problem::new(ProblemKind::Forbidden, "Nobody approves their own request. Ask somebody who may approve it.")
    } else {
        Problem::not_found("request")
    })
}
