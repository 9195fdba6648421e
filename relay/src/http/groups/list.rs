//! `GET /api/v1/groups`: the organisation's groups.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{GroupBody, require_view};
use crate::app::App;
use crate::http::context::CallContext;
use crate::http::extract::{PageQuery, QueryOf};
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::List;

/// A page of groups, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupPage {
    items: Vec<GroupBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// The organisation's groups.
#[utoipa::path(
    get,
    path = "/groups",
    operation_id = "listGroups",
    tag = "people",
    params(PageQuery),
    responses(
        (status = 200, body = GroupPage),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<GroupPage>, Problem> {
    require_view(&app, &context).await?;
    let page = app.store.list_groups(context.actor.organisation, query.request(List::Groups)?).await?;
    Ok(Json(GroupPage {
        items: page.items.into_iter().map(GroupBody::from).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}
