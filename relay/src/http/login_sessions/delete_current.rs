//! `DELETE /api/v1/login-sessions/current`: signs out.

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse};
use http::{StatusCode, header};

use crate::app::App;
use crate::http::context::CallContext;
use crate::http::cookie;
use crate::http::problem::{Problem, ProblemDocument};

/// Signs out: the login session ends, and the cookie goes.
#[utoipa::path(
    delete,
    path = "/login-sessions/current",
    operation_id = "deleteCurrentLoginSession",
    tag = "login",
    responses((status = 204), (status = 401, body = ProblemDocument, content_type = "application/problem+json"))
)]
pub async fn delete(State(app): State<App>, context: CallContext) -> Result<impl IntoResponse, Problem> {
    let actor = &context.actor;
    app.store.revoke_login_session(actor.organisation, actor.login_session, &context.origin(), context.now).await?;
    let cookie = cookie::clear(&app.public_url).map_err(|_| Problem::internal())?;
    Ok((StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, cookie)])))
}

#[cfg(test)]
mod tests {
    use crate::http::testing::TestRelay;

    const PATH: &str = "/api/v1/login-sessions/current";

    #[tokio::test]
    async fn signing_out_ends_this_login_alone() {
        let relay = TestRelay::new().await;
        let here = relay.sign_in("ada@example.org").await;
        let there = relay.sign_in("ada@example.org").await;
        let response = relay.delete(PATH).cookie(&here.cookie).send().await;
        assert_eq!(response.status, 204);
        assert_eq!(response.header("set-cookie"), "podlatch=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
        relay.get("/api/v1/me").cookie(&here.cookie).send().await.assert_problem(401, "unauthenticated");
        assert_eq!(relay.get("/api/v1/me").cookie(&there.cookie).send().await.status, 200);
        relay.delete(PATH).cookie(&here.cookie).send().await.assert_problem(401, "unauthenticated");
    }

    #[tokio::test]
    async fn a_foreign_page_cannot_sign_anybody_out() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let foreign = relay.delete(PATH).cookie(&ada.cookie).header("origin", "https://evil.example").send().await;
        foreign.assert_problem(403, "foreign_origin");
        relay.delete(PATH).cookie(&ada.cookie).without("origin").send().await.assert_problem(403, "foreign_origin");
        assert_eq!(relay.get("/api/v1/me").cookie(&ada.cookie).send().await.status, 200);
    }
}
