//! `GET /api/v1/invitations`: who was invited and has not come yet.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::InvitationBody;
use crate::app::App;
use crate::domain::access::{Action, Administration};
use crate::domain::audit::Place;
use crate::http::context::CallContext;
use crate::http::extract::{PageQuery, QueryOf};
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::List;

/// A page of invitations, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvitationPage {
    items: Vec<InvitationBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// The invitations that nobody has accepted or withdrawn; one that has expired is among them.
#[utoipa::path(
    get,
    path = "/invitations",
    operation_id = "listInvitations",
    tag = "people",
    params(PageQuery),
    responses(
        (status = 200, body = InvitationPage),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<InvitationPage>, Problem> {
    let organisation = context.actor.organisation;
    let action = Action::ViewAdministration { organisation, part: Administration::People };
    context.require(&app, action, Place::Organisation).await?;
    let page = app.store.list_invitations(organisation, query.request(List::Invitations)?).await?;
    Ok(Json(InvitationPage {
        items: page.items.into_iter().map(InvitationBody::from).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}
