//! `GET /api/v1/api-tokens`: one's own API tokens.

use axum::Json;
use axum::extract::State;

use crate::app::App;
use crate::domain::login::LoginKind;
use crate::http::context::CallContext;
use crate::http::extract::{PageQuery, QueryOf};
use crate::http::login_sessions::body::LoginBody;
use crate::http::login_sessions::list::LoginPage;
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::{List, LoginFilter};

/// The caller's API tokens in this organisation that stand, newest first. Administrators find everybody's with
/// `GET /login-sessions?whose=all&kind=token`.
#[utoipa::path(
    get,
    path = "/api-tokens",
    operation_id = "listApiTokens",
    tag = "login",
    params(PageQuery),
    responses(
        (status = 200, body = LoginPage),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<LoginPage>, Problem> {
    let (organisation, user) = (context.actor.organisation, Some(context.actor.user));
    let filter = LoginFilter { organisation, user, kind: Some(LoginKind::Token) };
    let page = app.store.list_logins(&filter, context.now, query.request(List::Logins)?).await?;
    let items = page.items.into_iter().map(|login| LoginBody::new(login, &context.actor)).collect();
    Ok(Json(LoginPage::new(items, page.next)))
}
