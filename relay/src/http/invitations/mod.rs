//! Invitations into an organisation.

pub mod accept;
pub mod create;
pub mod list;
pub mod preview;
pub mod revoke;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use serde::Serialize;
use utoipa::ToSchema;

use super::guesses::{self, Secret};
use super::problem::{Problem, ProblemKind};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::audit::{NO_ORGANISATION, Origin};
use crate::domain::organisation::ClientInfo;
use crate::domain::people::Invitation;
use crate::store::Redemption;

/// An invitation that nobody has accepted yet.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Invitation)]
pub struct InvitationBody {
    id: String,
    email: String,
    /// `owner`, `admin`, `auditor` or `member`.
    #[schema(example = "member")]
    role: &'static str,
    /// The ids of the groups that the person joins.
    groups: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: UnixMillis,
    /// Until when it is good (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    expires_at: UnixMillis,
}

impl From<Invitation> for InvitationBody {
    fn from(invitation: Invitation) -> Self {
        Self {
            id: invitation.id.to_string(),
            email: invitation.email.to_string(),
            role: invitation.role.slug(),
            groups: invitation.groups.iter().map(ToString::to_string).collect(),
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
        }
    }
}

/// Counts a bad try; who tries too often has to wait. What is good is never refused for what others tried from the same
/// address.
async fn bad_try(app: &App, from: Option<IpAddr>, client: ClientInfo, now: UnixMillis) -> Result<(), Problem> {
    let Err(limited) = app.guesses.bad(Secret::Invitation, from, now) else {
        return Ok(());
    };
    let event = guesses::guessing(NO_ORGANISATION, Origin::unknown(client), now);
    Err(guesses::refuse(&app.store, Secret::Invitation, limited, event).await)
}

/// What was redeemed, or why it is no good.
fn redeemed<T>(redemption: Redemption<T>) -> Result<T, Problem> {
    Err(match redemption {
        Redemption::Redeemed(value) => return Ok(value),
        Redemption::Unknown => unknown(),
        Redemption::Used => no_good("This invitation has been used or withdrawn. Ask for a new one."),
        Redemption::Expired => no_good("This invitation has expired. Ask for a new one."),
        Redemption::Withdrawn => {
            no_good("This invitation cannot be accepted: the organisation or your account is suspended.")
        }
    })
}

fn unknown() -> Problem {
    no_good("This is not an invitation of this relay. Check that the whole link was copied, or ask for a new one.")
}

fn no_good(detail: &str) -> Problem {
    Problem::new(ProblemKind::BadSignInLink, detail)
}
