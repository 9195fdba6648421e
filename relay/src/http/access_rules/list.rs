//! `GET /api/v1/access-rules`: the organisation's access rules.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{RuleBody, require_view};
use crate::app::App;
use crate::http::context::CallContext;
use crate::http::extract::{PageQuery, QueryOf};
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::List;

/// A page of access rules, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccessRulePage {
    items: Vec<RuleBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// The organisation's access rules.
#[utoipa::path(
    get,
    path = "/access-rules",
    operation_id = "listAccessRules",
    tag = "access",
    params(PageQuery),
    responses(
        (status = 200, body = AccessRulePage),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<AccessRulePage>, Problem> {
    require_view(&app, &context).await?;
    let request = query.request(List::AccessRules)?;
    let page = app.store.list_access_rules(context.actor.organisation, request).await?;
    Ok(Json(AccessRulePage {
        items: page.items.into_iter().map(RuleBody::from).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}
