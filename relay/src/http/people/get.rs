//! `GET /api/v1/people/{id}`: one of the organisation's people.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::UserId;

use super::PersonBody;
use crate::app::App;
use crate::domain::access::{Action, Administration};
use crate::domain::audit::Place;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// One of the organisation's people.
#[utoipa::path(
    get,
    path = "/people/{id}",
    operation_id = "getPerson",
    tag = "people",
    params(("id" = String, Path, description = "The person's id")),
    responses(
        (status = 200, body = PersonBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<UserId>,
) -> Result<Json<PersonBody>, Problem> {
    let organisation = context.actor.organisation;
    let action = Action::ViewAdministration { organisation, part: Administration::People };
    context.require(&app, action, Place::Organisation).await?;
    let person = app.store.get_person(organisation, id).await?;
    person.map(|person| Json(person.into())).ok_or_else(|| Problem::not_found("person"))
}
