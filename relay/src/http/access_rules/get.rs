//! `GET /api/v1/access-rules/{id}`: one access rule.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::AccessRuleId;

use super::{RuleBody, require_view};
use crate::app::App;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// One access rule.
#[utoipa::path(
    get,
    path = "/access-rules/{id}",
    operation_id = "getAccessRule",
    tag = "access",
    params(("id" = String, Path, description = "The rule's id")),
    responses(
        (status = 200, body = RuleBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<AccessRuleId>,
) -> Result<Json<RuleBody>, Problem> {
    require_view(&app, &context).await?;
    let rule = app.store.get_access_rule(context.actor.organisation, id).await?;
    rule.map(|rule| Json(rule.into())).ok_or_else(|| Problem::not_found("access rule"))
}
