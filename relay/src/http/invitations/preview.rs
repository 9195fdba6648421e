//! `POST /api/v1/invitations/previews`: what an invitation is about, for whoever has its link.

use axum::Json;
use axum::extract::State;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{bad_try, redeemed, unknown};
use crate::app::App;
use crate::auth::token::{TokenHash, TokenKind};
use crate::domain::organisation::ClientInfo;
use crate::http::client::ClientAddress;
use crate::http::extract::JsonBody;
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::Redemption;

/// The link's token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationTokenBody {
    /// What stands behind the # of the link: `pli_…`.
    #[schema(value_type = String, example = "pli_…")]
    token: SecretString,
}

/// What the invitation is about.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvitationPreviewBody {
    /// What the organisation is called.
    organisation: String,
    email: String,
    /// `owner`, `admin`, `auditor` or `member`.
    #[schema(example = "member")]
    role: &'static str,
}

/// Tells what an invitation is about. Nothing is used up.
#[utoipa::path(
    post,
    path = "/invitations/previews",
    operation_id = "previewInvitation",
    tag = "login",
    request_body = InvitationTokenBody,
    responses(
        (status = 200, body = InvitationPreviewBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    client: ClientInfo,
    JsonBody(body): JsonBody<InvitationTokenBody>,
) -> Result<Json<InvitationPreviewBody>, Problem> {
    let now = app.clock.now();
    let preview = match TokenHash::parse(TokenKind::Invitation, body.token.expose_secret()) {
        Some(hash) => app.store.preview_invitation(&hash, now).await?,
        None => Redemption::Unknown,
    };
    if matches!(preview, Redemption::Unknown) {
        bad_try(&app, address, client, now).await?;
        return Err(unknown());
    }
    let preview = redeemed(preview)?;
    Ok(Json(InvitationPreviewBody {
        organisation: preview.organisation.to_string(),
        email: preview.email.to_string(),
        role: preview.role.slug(),
    }))
}
