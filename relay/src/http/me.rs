//! `GET /api/v1/me`: who is signed in.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::CallContext;
use super::problem::{Problem, ProblemDocument};
use crate::domain::organisation::{Organisation, User};

/// Who is signed in, where, as what.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    user: UserBody,
    organisation: OrganisationBody,
    /// `owner`, `admin`, `auditor` or `member`.
    #[schema(example = "owner")]
    role: &'static str,
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserBody {
    id: String,
    email: String,
    name: String,
}

impl From<&User> for UserBody {
    fn from(user: &User) -> Self {
        Self { id: user.id.to_string(), email: user.email.to_string(), name: user.name.to_string() }
    }
}

/// An organisation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Organisation)]
pub struct OrganisationBody {
    id: String,
    name: String,
}

impl From<&Organisation> for OrganisationBody {
    fn from(organisation: &Organisation) -> Self {
        Self { id: organisation.id.to_string(), name: organisation.name.to_string() }
    }
}

/// Who is signed in.
#[utoipa::path(
    get,
    path = "/me",
    operation_id = "getMe",
    tag = "login",
    responses((status = 200, body = Me), (status = 401, body = ProblemDocument, content_type = "application/problem+json"))
)]
pub async fn get(context: CallContext) -> Result<Json<Me>, Problem> {
    let membership = &context.login.membership;
    Ok(Json(Me {
        user: (&membership.user).into(),
        organisation: (&membership.organisation).into(),
        role: membership.role.slug(),
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use crate::http::testing::TestRelay;

    #[tokio::test]
    async fn tells_who_is_signed_in() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let response = relay.get("/api/v1/me").cookie(&ada.cookie).send().await;
        assert_eq!(response.status, 200);
        assert_eq!(
            response.json(),
            json!({
                "user": {"id": ada.membership.user.id.to_string(), "email": "ada@example.org", "name": "Ada"},
                "organisation": {"id": ada.membership.organisation.id.to_string(), "name": "Shop"},
                "role": "owner",
            })
        );
        assert_eq!(response.header("cache-control"), "no-store");
    }

    #[tokio::test]
    async fn nobody_is_signed_in_without_a_good_cookie() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let (_, secret) = ada.cookie.split_once('=').expect("a pair");
        let wrong_name = format!("__Host-podlatch={secret}");
        let wrong_token = format!("podlatch=pls_{}", "a".repeat(43));
        let twice = format!("{0}; {0}", ada.cookie);
        for cookie in ["", "podlatch=", "podlatch=x", &wrong_name, &wrong_token, &twice] {
            let response = relay.get("/api/v1/me").cookie(cookie).send().await;
            response.assert_problem(401, "unauthenticated");
        }
        relay.get("/api/v1/me").send().await.assert_problem(401, "unauthenticated");
    }

    #[tokio::test]
    async fn a_login_ends_by_itself() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        relay.hand.advance(Duration::from_hours(13));
        relay.get("/api/v1/me").cookie(&ada.cookie).send().await.assert_problem(401, "unauthenticated");
    }
}
