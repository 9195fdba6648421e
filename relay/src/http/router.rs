//! The one table of what the relay serves over HTTP.

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{any, get};
use axum::{Json, Router, middleware as layer};
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Description;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::MAX_BODY_BYTES;
use super::problem::{Problem, ProblemKind};
use super::{
    access_requests, access_rules, api_tokens, assets, audit_events, clusters, debug_images, groups, health, inventory,
    invitations, login_sessions, me, middleware, organisations, own_password, passkeys, people, recordings, sessions,
    sign_in, sign_in_providers,
};
use crate::app::App;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Podlatch",
        description = "What browsers and scripts ask of a Podlatch relay. A browser proves itself with a cookie, a \
                       program with `Authorization: Bearer plt_…` (an API token). With a cookie, every request that changes \
                       something needs an `Origin` header that equals the relay's public URL. Failures are RFC 9457 problem documents."
    ),
    tags(
        (name = "login", description = "Signing in and out"),
        (name = "people", description = "The organisation's people, their groups, and invitations"),
        (name = "clusters", description = "Registered clusters and what is in them"),
        (name = "access", description = "Who may open what"),
        (name = "sessions", description = "Terminals"),
        (name = "recordings", description = "What was on the screens of sessions"),
        (name = "settings", description = "How the organisation is set up"),
        (name = "audit", description = "What was done, by whom and from where"),
    )
)]
struct Api;

/// Everything that is served.
pub fn router(app: App) -> Router {
    let (api, description) = api().split_for_parts();
    let api = api
        .route("/api/v1/openapi.json", get(async || Json(description)))
        .route("/api/{*rest}", any(no_endpoint))
        .route("/api", any(no_endpoint))
        .fallback(assets::serve)
        .method_not_allowed_fallback(no_method)
        .layer(layer::from_fn_with_state(app.clone(), middleware::age_rights))
        .layer(layer::from_fn_with_state(app.clone(), middleware::require_origin))
        .layer(layer::from_fn_with_state(app.clone(), middleware::require_host));
    Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .merge(api)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(layer::from_fn(middleware::deadline))
        .layer(layer::from_fn_with_state(app.clone(), middleware::guard_headers))
        .layer(layer::from_fn(middleware::log))
        .with_state(app)
}

/// The description of the API, for those who make clients.
pub fn description() -> Description {
    api().into_openapi()
}

fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Api::openapi()).nest(
        "/api/v1",
        OpenApiRouter::new()
            // Signing in and out
            .routes(routes!(login_sessions::create::post))
            .routes(routes!(login_sessions::delete_current::delete))
            .routes(routes!(me::get))
            .routes(routes!(sign_in::methods::get))
            .routes(routes!(sign_in::password::post))
            .routes(routes!(sign_in::passkey_challenge::post))
            .routes(routes!(sign_in::passkey::post))
            .routes(routes!(sign_in::oidc_start::get))
            .routes(routes!(sign_in::oidc_callback::get))
            // One's own passwords and passkeys
            .routes(routes!(own_password::get, own_password::put, own_password::delete))
            .routes(routes!(passkeys::challenge::post))
            .routes(routes!(passkeys::list::get, passkeys::create::post))
            .routes(routes!(passkeys::change::patch, passkeys::delete::delete))
            // How an organisation's people sign in
            .routes(routes!(sign_in_providers::list::get, sign_in_providers::create::post))
            .routes(routes!(sign_in_providers::change::put, sign_in_providers::delete::delete))
            .routes(routes!(login_sessions::list::get))
            .routes(routes!(login_sessions::revoke::delete))
            .routes(routes!(login_sessions::switch::post))
            .routes(routes!(organisations::get))
            .routes(routes!(api_tokens::list::get))
            .routes(routes!(api_tokens::create::post))
            .routes(routes!(api_tokens::revoke::delete))
            .routes(routes!(invitations::preview::post))
            .routes(routes!(invitations::accept::post))
            // People and groups
            .routes(routes!(people::list::get))
            .routes(routes!(people::get::get))
            .routes(routes!(people::update::patch))
            .routes(routes!(people::remove::delete))
            .routes(routes!(invitations::list::get))
            .routes(routes!(invitations::create::post))
            .routes(routes!(invitations::revoke::delete))
            .routes(routes!(groups::list::get))
            .routes(routes!(groups::create::post))
            .routes(routes!(groups::get::get))
            .routes(routes!(groups::update::patch))
            .routes(routes!(groups::delete::delete))
            .routes(routes!(groups::list_members::get))
            .routes(routes!(groups::add_member::put))
            .routes(routes!(groups::remove_member::delete))
            // Clusters and what is in them
            .routes(routes!(clusters::list::get))
            .routes(routes!(clusters::get::get))
            .routes(routes!(clusters::create::post))
            .routes(routes!(clusters::update::patch))
            .routes(routes!(clusters::revoke::delete))
            .routes(routes!(clusters::join_tokens::post))
            .routes(routes!(clusters::agents::get))
            .routes(routes!(clusters::revoke_agent::delete))
            .routes(routes!(clusters::access::put))
            .routes(routes!(clusters::connection_tests::post))
            .routes(routes!(clusters::connection_tests::post_registered))
            .routes(routes!(clusters::kubernetes_identity::get, clusters::kubernetes_identity::put))
            .routes(routes!(debug_images::get, debug_images::put))
            .routes(routes!(inventory::namespaces::get))
            .routes(routes!(inventory::namespace::get))
            // Who may open what
            .routes(routes!(access_rules::list::get))
            .routes(routes!(access_rules::create::post))
            .routes(routes!(access_rules::dry_run::post))
            .routes(routes!(access_rules::get::get))
            .routes(routes!(access_rules::update::put))
            .routes(routes!(access_rules::delete::delete))
            .routes(routes!(access_rules::explanation::get))
            .routes(routes!(access_requests::list::get))
            .routes(routes!(access_requests::create::post))
            .routes(routes!(access_requests::decide::post))
            // What was done
            .routes(routes!(audit_events::list::get))
            .routes(routes!(audit_events::stream::get))
            .routes(routes!(audit_events::export::get))
            // Terminals
            .routes(routes!(sessions::create::post))
            .routes(routes!(sessions::list::get))
            .routes(routes!(sessions::get::get))
            .routes(routes!(sessions::end::delete))
            .routes(routes!(sessions::tickets::post))
            .routes(routes!(sessions::observer_tickets::post))
            .routes(routes!(sessions::terminal::get))
            // Recordings
            .routes(routes!(recordings::get::get))
            .routes(routes!(recordings::open::post))
            .routes(routes!(recordings::segment::get))
            .routes(routes!(recordings::screen::get))
            .routes(routes!(recordings::search::get))
            .routes(routes!(recordings::cast::get)),
    )
}

async fn no_endpoint(State(_): State<App>) -> Problem {
    Problem::new(ProblemKind::NotFound, "There is no such endpoint. /api/v1/openapi.json lists those that there are.")
}

async fn no_method() -> Problem {
    Problem::new(ProblemKind::MethodNotAllowed, "This address does not take this method.")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::http::testing::TestRelay;

    #[tokio::test]
    async fn the_api_describes_itself() {
        let relay = TestRelay::new().await;
        let response = relay.get("/api/v1/openapi.json").send().await;
        assert_eq!(response.status, 200);
        let description = response.json();
        for path in ["/api/v1/login-sessions", "/api/v1/me", "/api/v1/clusters", "/api/v1/clusters/{id}"] {
            assert!(description["paths"][path].is_object(), "{path}");
        }
        assert!(description["components"]["schemas"]["Problem"].is_object());
    }

    #[tokio::test]
    async fn every_described_endpoint_exists_and_wants_a_login() {
        let relay = TestRelay::new().await;
        let description = serde_json::to_value(super::description()).expect("JSON");
        for (path, methods) in description["paths"].as_object().expect("paths") {
            for method in methods.as_object().expect("methods").keys() {
                let path = path
                    .replace("{id}", "01890000-0000-7000-8000-000000000000")
                    .replace("{user}", "01890000-0000-7000-8000-000000000000")
                    .replace("{namespace}", "shop")
                    .replace("{agent}", "01890000-0000-7000-8000-000000000000")
                    .replace("{index}", "1");
                let response = relay.request(&method.to_uppercase(), &path).json(Value::Null).send().await;
                let expected: &[u16] = match path.strip_prefix("/api/v1/").unwrap_or_default() {
                    "login-sessions" if method == "get" => &[401],
                    "login-sessions"
                    | "sign-in/password"
                    | "sign-in/passkey"
                    | "invitations/previews"
                    | "invitations/acceptances" => &[422],
                    "sign-in/methods" | "sign-in/passkey/challenge" => &[200],
                    // A browser is on its way: it is sent to a page that says what is wrong.
                    browser if browser.starts_with("sign-in/oidc/") => &[303],
                    _ => &[401],
                };
                assert!(expected.contains(&response.status), "{method} {path}: {}", response.status);
            }
        }
    }

    #[tokio::test]
    async fn an_unknown_endpoint_or_method_is_named() {
        let relay = TestRelay::new().await;
        for path in ["/api", "/api/", "/api/v1", "/api/v1/nothing", "/api/v2/me"] {
            relay.get(path).send().await.assert_problem(404, "not_found");
        }
        relay.post("/api/v1/me").send().await.assert_problem(405, "method_not_allowed");
    }

    #[tokio::test]
    async fn a_request_for_another_host_is_refused() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        for host in ["evil.example", "127.0.0.1", "127.0.0.1:8081", "localhost:8080", ""] {
            let response = relay.get("/api/v1/me").cookie(&ada.cookie).header("host", host).send().await;
            response.assert_problem(421, "wrong_host");
            assert!(response.detail().contains("http://127.0.0.1:8080"));
            relay.get("/").header("host", host).send().await.assert_problem(421, "wrong_host");
        }
        relay.get("/api/v1/me").without("host").send().await.assert_problem(421, "wrong_host");
        let absolute = relay.get("http://evil.example/api/v1/me").cookie(&ada.cookie).send().await;
        absolute.assert_problem(421, "wrong_host");
    }

    #[tokio::test]
    async fn every_answer_guards_the_page() {
        let relay = TestRelay::new().await;
        for path in ["/", "/api/v1/me", "/healthz", "/api/nothing"] {
            let response = relay.get(path).send().await;
            let policy = response.header("content-security-policy");
            assert!(policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"), "{policy}");
            assert!(policy.contains("connect-src 'self' ws://127.0.0.1:8080;"), "{policy}");
            assert_eq!(response.header("x-content-type-options"), "nosniff");
            assert_eq!(response.header("referrer-policy"), "no-referrer");
            assert!(!response.headers.contains_key("strict-transport-security"), "plain http");
        }
    }

    #[tokio::test]
    async fn a_websocket_of_a_foreign_page_is_refused() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let upgrade = || relay.get("/api/v1/me").cookie(&ada.cookie).header("upgrade", "websocket");
        upgrade().send().await.assert_problem(403, "foreign_origin");
        upgrade().header("origin", "https://evil.example").send().await.assert_problem(403, "foreign_origin");
        assert_eq!(upgrade().header("origin", "http://127.0.0.1:8080").send().await.status, 200);
    }
}
