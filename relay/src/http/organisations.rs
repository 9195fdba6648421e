//! `GET /api/v1/organisations`: where the caller is a member.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::CallContext;
use super::problem::{Problem, ProblemDocument};
use crate::app::App;

/// One of the caller's organisations.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnOrganisation {
    id: String,
    name: String,
    /// What the caller is there: `owner`, `admin`, `auditor` or `member`.
    #[schema(example = "member")]
    role: &'static str,
    /// Whether the caller, or the organisation, is suspended.
    suspended: bool,
    /// Whether it is the one that the request is answered for.
    current: bool,
}

/// The caller's organisations.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnOrganisations {
    items: Vec<OwnOrganisation>,
}

/// Where the caller is a member. To a program with an API token it is the token's organisation alone.
#[utoipa::path(
    get,
    path = "/organisations",
    operation_id = "listOwnOrganisations",
    tag = "login",
    responses(
        (status = 200, body = OwnOrganisations),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(State(app): State<App>, context: CallContext) -> Result<Json<OwnOrganisations>, Problem> {
    let here = context.actor.organisation;
    let memberships = app.store.organisations_of(context.actor.user).await?;
    let shown = memberships.into_iter().filter(|own| context.is_browser() || own.organisation.id == here);
    let items = shown.map(|own| OwnOrganisation {
        id: own.organisation.id.to_string(),
        name: own.organisation.name.to_string(),
        role: own.role.slug(),
        suspended: own.suspended,
        current: own.organisation.id == here,
    });
    Ok(Json(OwnOrganisations { items: items.collect() }))
}
