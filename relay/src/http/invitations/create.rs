//! `POST /api/v1/invitations`: invites somebody.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use podlatch_protocol::id::{GroupId, InvitationId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::InvitationBody;
use crate::app::App;
use crate::auth::token::{Token, TokenKind};
use crate::domain::access::Administration;
use crate::domain::audit::Place;
use crate::domain::name::Email;
use crate::domain::people::Invitation;
use crate::http::context::CallContext;
use crate::http::extract::JsonBody;
use crate::http::people::{refused, role};
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::store::{NewInvitation, StoreError};

/// How long an invitation is good: somebody on leave for some days can still accept it.
pub const LIFETIME: Duration = Duration::from_hours(7 * 24);

/// The most groups that an invitation names.
const MAX_GROUPS: usize = 50;

/// Who is invited.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvitationBody {
    email: String,
    /// `owner`, `admin`, `auditor` or `member`. Only owners invite owners.
    role: String,
    /// The ids of the groups that the person joins.
    #[serde(default)]
    groups: Vec<String>,
}

/// The invitation, and the link to be sent to its person.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvitedBody {
    invitation: InvitationBody,
    /// Good once. It is shown now and never again.
    url: String,
}

/// Invites somebody. The relay sends no mail: hand the link to the person. Whoever has it can accept it.
#[utoipa::path(
    post,
    path = "/invitations",
    operation_id = "createInvitation",
    tag = "people",
    request_body = NewInvitationBody,
    responses(
        (status = 201, body = InvitedBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    JsonBody(body): JsonBody<NewInvitationBody>,
) -> Result<impl IntoResponse, Problem> {
    let organisation = context.require_administration(&app, Administration::People, Place::Organisation).await?;
    let token = Token::generate(TokenKind::Invitation, &app.entropy);
    let email: Email =
        body.email.parse().map_err(|error| Problem::new(ProblemKind::Unprocessable, format!("{error}.")))?;
    let new = NewInvitation {
        id: InvitationId::new(context.now.since_epoch(), &app.entropy.bytes()),
        hash: token.hash(),
        organisation,
        email,
        role: role(&body.role)?,
        groups: groups(&body.groups)?,
        expires_at: context.now.plus(LIFETIME),
    };
    let created = app.store.create_invitation(&new, &context.origin(), context.now).await.map_err(named)?;
    created.map_err(refused)?;
    let NewInvitation { id, email, role, groups, expires_at, .. } = new;
    let invitation = Invitation { id, email, role, groups, created_at: context.now, expires_at };
    // Behind the #, the token reaches no server's log.
    let url = format!("{}/join#{}", app.public_url, token.expose());
    Ok((StatusCode::CREATED, Json(InvitedBody { invitation: invitation.into(), url })))
}

fn groups(ids: &[String]) -> Result<Vec<GroupId>, Problem> {
    if ids.len() > MAX_GROUPS {
        return Err(Problem::new(ProblemKind::Unprocessable, "An invitation names at most 50 groups."));
    }
    ids.iter().map(|id| id.parse().map_err(|_| Problem::not_found("group"))).collect()
}

fn named(error: StoreError) -> Problem {
    match error {
        StoreError::Taken(_) => Problem::new(ProblemKind::Taken, "Somebody with this address is a member already."),
        StoreError::Missing(_) => Problem::not_found("group"),
        other => other.into(),
    }
}
