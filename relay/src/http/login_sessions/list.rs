//! `GET /api/v1/login-sessions`: who is signed in, from where, and with which API tokens.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::LoginBody;
use crate::app::App;
use crate::domain::access::{Action, Administration};
use crate::domain::audit::Place;
use crate::domain::login::LoginKind;
use crate::http::context::CallContext;
use crate::http::extract::{PageQuery, QueryOf};
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::{Cursor, List, LoginFilter};

/// Which logins.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LoginQuery {
    /// `own` (unless given), or `all`: everybody's in the organisation, for its administrators.
    whose: Option<Whose>,
    /// `browser` or `token`; both unless given.
    kind: Option<Kind>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many items a page may hold: 50 unless given, 200 at most.
    limit: Option<u16>,
}

/// Whose logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WhoseLogins)]
pub enum Whose {
    /// The caller's.
    Own,
    /// Everybody's.
    All,
}

/// Which kind of login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LoginKind)]
pub enum Kind {
    /// Cookies.
    Browser,
    /// API tokens.
    Token,
}

/// A page of logins, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoginPage {
    items: Vec<LoginBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

impl LoginPage {
    pub(crate) fn new(items: Vec<LoginBody>, next: Option<Cursor>) -> Self {
        Self { items, next_cursor: next.map(|cursor| cursor.to_string()) }
    }
}

/// The logins and API tokens of this organisation that stand.
#[utoipa::path(
    get,
    path = "/login-sessions",
    operation_id = "listLoginSessions",
    tag = "login",
    params(LoginQuery),
    responses(
        (status = 200, body = LoginPage),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    QueryOf(query): QueryOf<LoginQuery>,
) -> Result<Json<LoginPage>, Problem> {
    let organisation = context.actor.organisation;
    let user = match query.whose {
        None | Some(Whose::Own) => Some(context.actor.user),
        Some(Whose::All) => {
            let action = Action::ViewAdministration { organisation, part: Administration::People };
            context.require(&app, action, Place::Organisation).await?;
            None
        }
    };
    let kind = query.kind.map(|kind| match kind {
        Kind::Browser => LoginKind::Browser,
        Kind::Token => LoginKind::Token,
    });
    let request = PageQuery { cursor: query.cursor, limit: query.limit }.request(List::Logins)?;
    let page = app.store.list_logins(&LoginFilter { organisation, user, kind }, context.now, request).await?;
    let items = page.items.into_iter().map(|login| LoginBody::new(login, &context.actor)).collect();
    Ok(Json(LoginPage::new(items, page.next)))
}
