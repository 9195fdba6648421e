//! `GET /api/v1/sessions`: the sessions that the caller may see.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::SessionBody;
use crate::app::App;
use crate::domain::access::{SessionScope, session_scope};
use crate::http::context::CallContext;
use crate::http::extract::{PageQuery, QueryOf};
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::{SessionFilter, StateFilter};

/// Which sessions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SessionQuery {
    /// Only those that go on, or only those that ended.
    state: Option<StateQuery>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many items a page may hold: 50 unless given, 200 at most.
    limit: Option<u16>,
}

/// A session's state, for lists.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateQuery {
    /// Opening or live.
    Live,
    /// Over.
    Ended,
}

/// A page of sessions, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionPage {
    items: Vec<SessionBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// The sessions that the caller may see.
#[utoipa::path(
    get,
    path = "/sessions",
    operation_id = "listSessions",
    tag = "sessions",
    params(SessionQuery),
    responses(
        (status = 200, body = SessionPage),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    QueryOf(query): QueryOf<SessionQuery>,
) -> Result<Json<SessionPage>, Problem> {
    let filter = SessionFilter {
        organisation: context.actor.organisation,
        user: match session_scope(&context.actor) {
            SessionScope::All => None,
            SessionScope::Own => Some(context.actor.user),
        },
        cluster: None,
        state: match query.state {
            None => StateFilter::Any,
            Some(StateQuery::Live) => StateFilter::Unfinished,
            Some(StateQuery::Ended) => StateFilter::Ended,
        },
    };
    let page = PageQuery { cursor: query.cursor, limit: query.limit };
    let page = app.store.list_sessions(&filter, page.request()?).await?;
    Ok(Json(SessionPage {
        items: page.items.into_iter().map(SessionBody::from).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}
