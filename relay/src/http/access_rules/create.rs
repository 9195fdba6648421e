//! `POST /api/v1/access-rules`: makes an access rule.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use podlatch_protocol::id::AccessRuleId;

use super::{RuleBody, require_change};
use crate::app::App;
use crate::domain::access::rule::RuleSettings;
use crate::http::context::CallContext;
use crate::http::extract::JsonBody;
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::store::{NewAccessRule, StoreError};

/// Makes an access rule. It holds at once.
#[utoipa::path(
    post,
    path = "/access-rules",
    operation_id = "createAccessRule",
    tag = "access",
    request_body = RuleSettings,
    responses(
        (status = 201, body = RuleBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    JsonBody(settings): JsonBody<RuleSettings>,
) -> Result<impl IntoResponse, Problem> {
    require_change(&app, &context).await?;
    let id = AccessRuleId::new(context.now.since_epoch(), &app.entropy.bytes());
    let new = NewAccessRule { id, organisation: context.actor.organisation, settings };
    let rule = app.store.create_access_rule(&new, &context.origin(), context.now).await.map_err(full)?;
    Ok((StatusCode::CREATED, Json(RuleBody::from(rule))))
}

fn full(error: StoreError) -> Problem {
    match error {
        StoreError::Taken(_) => {
            let detail = "The organisation has as many access rules as it can have. Delete one, or let one name more.";
            Problem::new(ProblemKind::Unprocessable, detail)
        }
        other => other.into(),
    }
}
