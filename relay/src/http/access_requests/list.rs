//! `GET /api/v1/access-requests`: the caller's requests, and those that the caller may decide about.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{RequestBody, rules_to_approve};
use crate::app::App;
use crate::domain::access::{Action, Administration, Decision, authorize};
use crate::http::access::Access;
use crate::http::context::CallContext;
use crate::http::extract::{PageQuery, QueryOf};
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::{List, RequestFilter};

/// A page of requests, newest first. It may hold fewer than were asked for, and still not be the last.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccessRequestPage {
    items: Vec<RequestBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// The caller's requests, and those that the caller may decide about or see to.
#[utoipa::path(
    get,
    path = "/access-requests",
    operation_id = "listAccessRequests",
    tag = "access",
    params(PageQuery),
    responses(
        (status = 200, body = AccessRequestPage),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<AccessRequestPage>, Problem> {
    let organisation = context.actor.organisation;
    let request = query.request(List::AccessRequests)?;
    let page = app.store.list_access_requests(organisation, RequestFilter { user: None }, request).await?;
    let access = Access::of(&app, &context).await?;
    let view = Action::ViewAdministration { organisation, part: Administration::AccessRules };
    let sees_all = authorize(&context.actor, view) == Decision::Allow;
    let mut items = Vec::new();
    for found in page.items {
        let may_decide = !rules_to_approve(&app, &access, &found, context.now).await?.is_empty();
        if sees_all || may_decide || found.request.user == context.actor.user {
            items.push(RequestBody::new(found, may_decide, context.now));
        }
    }
    Ok(Json(AccessRequestPage { items, next_cursor: page.next.map(|cursor| cursor.to_string()) }))
}
