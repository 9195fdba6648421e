//! `GET /api/v1/audit-events`: a page of the audit log.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::cursor;
use super::query::AuditQuery;
use crate::app::App;
use crate::audit::body::EventBody;
use crate::domain::access::Action;
use crate::domain::audit::Place;
use crate::http::context::CallContext;
use crate::http::extract::{PageQuery, QueryOf};
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::PageRequest;

/// A page of the audit log, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEventPage {
    items: Vec<EventBody>,
    /// Where the next page begins; null on the last. A page may hold fewer items than asked for, even none, and go on all
    /// the same: a filter that finds little is searched for piece by piece.
    next_cursor: Option<String>,
}

/// The audit log, newest first: all of it for owners, admins and auditors; what they did and what happened in their
/// sessions for members.
#[utoipa::path(
    get,
    path = "/audit-events",
    operation_id = "listAuditEvents",
    tag = "audit",
    params(AuditQuery, PageQuery),
    responses(
        (status = 200, body = AuditEventPage),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    QueryOf(query): QueryOf<AuditQuery>,
    QueryOf(page): QueryOf<PageQuery>,
) -> Result<Json<AuditEventPage>, Problem> {
    let organisation = context.actor.organisation;
    context.require(&app, Action::ViewAudit { organisation }, Place::Organisation).await?;
    let filter = query.filter(&context)?;
    let before = page.cursor.as_deref().map(|text| cursor::read(&filter, text)).transpose()?;
    let items = page.limit.unwrap_or(PageRequest::DEFAULT_ITEMS).clamp(1, PageRequest::MAX_ITEMS);
    let page = app.store.list_audit(&filter, before, items).await?;
    Ok(Json(AuditEventPage {
        items: page.items.into_iter().map(EventBody::from).collect(),
        next_cursor: page.next.map(|before| cursor::write(&filter, before)),
    }))
}
