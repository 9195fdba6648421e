//! `PUT /api/v1/access-rules/{id}`: changes an access rule.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::AccessRuleId;

use super::{IfMatch, RuleBody, changed, require_change};
use crate::app::App;
use crate::domain::access::rule::RuleSettings;
use crate::http::context::CallContext;
use crate::http::extract::{IdPath, JsonBody};
use crate::http::problem::{Problem, ProblemDocument};

/// Changes the rule that has the revision of `If-Match`. Live sessions that it no longer allows end.
#[utoipa::path(
    put,
    path = "/access-rules/{id}",
    operation_id = "updateAccessRule",
    tag = "access",
    params(
        ("id" = String, Path, description = "The rule's id"),
        ("If-Match" = String, Header, description = "The revision that was seen, in quotes"),
    ),
    request_body = RuleSettings,
    responses(
        (status = 200, body = RuleBody),
        (status = 412, description = "Somebody else changed it", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn put(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<AccessRuleId>,
    IfMatch(revision): IfMatch,
    JsonBody(settings): JsonBody<RuleSettings>,
) -> Result<Json<RuleBody>, Problem> {
    require_change(&app, &context).await?;
    let which = (context.actor.organisation, id, revision);
    let change = app.store.change_access_rule(which, &settings, &context.origin(), context.now).await?;
    Ok(Json(changed(change, id)?.into()))
}
