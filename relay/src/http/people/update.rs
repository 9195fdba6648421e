//! `PATCH /api/v1/people/{id}`: changes somebody's role, suspends them, or lets them in again.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::UserId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{PersonBody, change, role};
use crate::app::App;
use crate::domain::access::Administration;
use crate::domain::audit::Place;
use crate::domain::people::MemberChange;
use crate::http::context::CallContext;
use crate::http::extract::{IdPath, JsonBody};
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};

/// What is to be changed: one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonChangeBody {
    /// The new role: `owner`, `admin`, `auditor` or `member`.
    role: Option<String>,
    /// Whether they are suspended: their logins and tokens do nothing until they are not.
    suspended: Option<bool>,
}

/// Changes what somebody is in the organisation. Nobody changes themselves, and only owners make or change owners.
#[utoipa::path(
    patch,
    path = "/people/{id}",
    operation_id = "changePerson",
    tag = "people",
    params(("id" = String, Path, description = "The person's id")),
    request_body = PersonChangeBody,
    responses(
        (status = 200, body = PersonBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn patch(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<UserId>,
    JsonBody(body): JsonBody<PersonChangeBody>,
) -> Result<Json<PersonBody>, Problem> {
    let organisation = context.require_administration(&app, Administration::People, Place::Organisation).await?;
    change(&app, &context, id, wanted(&body)?).await?;
    let person = app.store.get_person(organisation, id).await?;
    person.map(|person| Json(person.into())).ok_or_else(|| Problem::not_found("person"))
}

fn wanted(body: &PersonChangeBody) -> Result<MemberChange, Problem> {
    match (&body.role, body.suspended) {
        (Some(slug), None) => role(slug).map(MemberChange::Role),
        (None, Some(true)) => Ok(MemberChange::Suspend),
        (None, Some(false)) => Ok(MemberChange::Resume),
        (Some(_), Some(_)) | (None, None) => {
            Err(Problem::new(ProblemKind::Unprocessable, "Send either a role, or whether the person is suspended."))
        }
    }
}
