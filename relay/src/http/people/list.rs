//! `GET /api/v1/people`: the organisation's people.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::PersonBody;
use crate::app::App;
use crate::domain::access::{Action, Administration};
use crate::domain::audit::Place;
use crate::http::context::CallContext;
use crate::http::extract::{PageQuery, QueryOf};
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::List;

/// A page of people.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonPage {
    items: Vec<PersonBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// The organisation's people.
#[utoipa::path(
    get,
    path = "/people",
    operation_id = "listPeople",
    tag = "people",
    params(PageQuery),
    responses(
        (status = 200, body = PersonPage),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<PersonPage>, Problem> {
    let organisation = context.actor.organisation;
    let action = Action::ViewAdministration { organisation, part: Administration::People };
    context.require(&app, action, Place::Organisation).await?;
    let page = app.store.list_people(organisation, query.request(List::People)?).await?;
    Ok(Json(PersonPage {
        items: page.items.into_iter().map(PersonBody::from).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}
