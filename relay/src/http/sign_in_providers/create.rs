//! `POST /api/v1/sign-in-providers`: adds a provider.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use podlatch_protocol::id::SignInProviderId;

use super::{SignInProviderBody, SignInProviderSettingsBody, stored};
use crate::app::App;
use crate::domain::access::Administration;
use crate::domain::audit::Place;
use crate::http::context::CallContext;
use crate::http::extract::JsonBody;
use crate::http::problem::{Problem, ProblemDocument};

/// Adds a provider.
#[utoipa::path(
    post,
    path = "/sign-in-providers",
    operation_id = "createSignInProvider",
    tag = "login",
    request_body = SignInProviderSettingsBody,
    responses(
        (status = 201, body = SignInProviderBody),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    JsonBody(body): JsonBody<SignInProviderSettingsBody>,
) -> Result<(StatusCode, Json<SignInProviderBody>), Problem> {
    context.require_administration(&app, Administration::SignIn, Place::Organisation).await?;
    let id = SignInProviderId::new(context.now.since_epoch(), &app.entropy.bytes());
    let new = body.provider(&app, &context, None, id)?;
    app.store.create_sign_in_provider(&new, &context.origin(), context.now).await.map_err(stored)?;
    Ok((StatusCode::CREATED, Json(SignInProviderBody::new(&app, new))))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::domain::organisation::Role;
    use crate::http::testing::TestRelay;

    const PATH: &str = "/api/v1/sign-in-providers";

    fn settings() -> Value {
        json!({"name": "Work", "issuer": "https://login.example.org", "client_id": "podlatch", "client_secret": "s3cret-s3cret"})
    }

    #[tokio::test]
    async fn a_provider_is_added_changed_and_removed_and_its_secret_never_shown() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let made = relay.post(PATH).cookie(&ada.cookie).json(settings()).send().await;
        assert_eq!(made.status, 201, "{:?}", made.body);
        let id = made.json()["id"].as_str().expect("an id").to_owned();
        let expected = format!("http://127.0.0.1:8080/api/v1/sign-in/oidc/{id}/callback");
        assert_eq!(made.json()["redirect_url"], expected);
        relay.post(PATH).cookie(&ada.cookie).json(settings()).send().await.assert_problem(409, "taken");
        let mut change = settings();
        change["client_secret"] = Value::Null;
        change["email_domains"] = json!(["@Example.org"]);
        let path = format!("{PATH}/{id}");
        let changed = relay.request("PUT", &path).cookie(&ada.cookie).json(change).send().await;
        assert_eq!(changed.status, 200, "{:?}", changed.body);
        let list = relay.get(PATH).cookie(&ada.cookie).send().await;
        assert!(!String::from_utf8_lossy(&list.body).contains("s3cret"));
        let item = list.json()["items"][0].clone();
        assert_eq!((&item["has_client_secret"], &item["email_domains"]), (&json!(true), &json!(["example.org"])));
        let methods = relay.get("/api/v1/sign-in/methods").send().await.json();
        assert_eq!(methods["providers"], json!([{"id": id, "name": "Work"}]));
        assert_eq!(relay.delete(&path).cookie(&ada.cookie).send().await.status, 204);
        relay.delete(&path).cookie(&ada.cookie).send().await.assert_problem(404, "not_found");
    }

    #[tokio::test]
    async fn only_administrators_say_how_people_sign_in_and_only_owners_let_a_provider_recognise_them() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        for (role, sees, changes) in [(Role::Member, 403, 403), (Role::Auditor, 200, 403), (Role::Admin, 200, 201)] {
            let bob = relay.joins(&ada, &format!("{}@example.org", role.slug()), role).await;
            assert_eq!(relay.get(PATH).cookie(&bob.cookie).send().await.status, sees, "{role:?}");
            assert_eq!(relay.post(PATH).cookie(&bob.cookie).json(settings()).send().await.status, changes, "{role:?}");
            let mut recognising = settings();
            recognising["name"] = json!("Other");
            recognising["known_members"] = json!("are_recognised");
            recognising["email_domains"] = json!(["example.org"]);
            relay.post(PATH).cookie(&bob.cookie).json(recognising).send().await.assert_problem(403, "forbidden");
        }
    }

    #[tokio::test]
    async fn another_organisations_provider_is_not_there() {
        let relay = TestRelay::new().await;
        let (ada, bob) = (relay.sign_in("ada@example.org").await, relay.sign_in("bob@example.org").await);
        let made = relay.post(PATH).cookie(&ada.cookie).json(settings()).send().await.json();
        let path = format!("{PATH}/{}", made["id"].as_str().expect("an id"));
        relay.request("PUT", &path).cookie(&bob.cookie).json(settings()).send().await.assert_problem(404, "not_found");
        relay.delete(&path).cookie(&bob.cookie).send().await.assert_problem(404, "not_found");
        assert_eq!(relay.get(PATH).cookie(&bob.cookie).send().await.json()["items"], json!([]));
        let methods = relay.get("/api/v1/sign-in/methods").send().await.json();
        assert_eq!(methods["providers"], json!([]), "on a relay of several, nobody is told who is here");
    }

    #[tokio::test]
    async fn a_setting_that_makes_no_sense_is_named() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        for (key, value) in [
            ("issuer", json!("login.example.org")),
            ("issuer", json!("http://login.example.org")),
            ("issuer", json!("file:///etc/passwd")),
            ("client_id", json!("")),
            ("name", json!("")),
            ("unknown_people", json!("become_owners")),
            ("scopes", json!(["a\nb"])),
            ("known_members", json!("are_recognised")),
        ] {
            let mut body = settings();
            body[key] = value;
            let response = relay.post(PATH).cookie(&ada.cookie).json(body).send().await;
            response.assert_problem(422, "unprocessable");
        }
    }
}
