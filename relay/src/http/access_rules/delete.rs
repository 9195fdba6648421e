//! `DELETE /api/v1/access-rules/{id}`: deletes an access rule.

use axum::extract::State;
use http::StatusCode;
use podlatch_protocol::id::AccessRuleId;

use super::{IfMatch, changed, require_change};
use crate::app::App;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// Deletes the rule that has the revision of `If-Match`. Live sessions that nothing else allows end.
#[utoipa::path(
    delete,
    path = "/access-rules/{id}",
    operation_id = "deleteAccessRule",
    tag = "access",
    params(
        ("id" = String, Path, description = "The rule's id"),
        ("If-Match" = String, Header, description = "The revision that was seen, in quotes"),
    ),
    responses(
        (status = 204),
        (status = 412, description = "Somebody else changed it", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<AccessRuleId>,
    IfMatch(revision): IfMatch,
) -> Result<StatusCode, Problem> {
    require_change(&app, &context).await?;
    let which = (context.actor.organisation, id, revision);
    let change = app.store.delete_access_rule(which, &context.origin(), context.now).await?;
    changed(change, id)?;
    Ok(StatusCode::NO_CONTENT)
}
