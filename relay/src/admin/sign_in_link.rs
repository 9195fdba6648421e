//! `admin sign-in-link`: lets somebody in, once.

use std::fmt;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::{Desk, lookup};
use crate::auth::token::{Token, TokenKind};
use crate::clock::UnixMillis;
use crate::config::PublicUrl;
use crate::domain::audit::Origin;
use crate::domain::name::Email;
use crate::domain::organisation::Membership;
use crate::store::NewSignInLink;

/// How long a sign-in link is good: long enough to be sent to its person, short enough to be worthless in an old mailbox.
const LIFETIME: Duration = Duration::from_hours(1);

/// The flags.
#[derive(Debug, Clone, Args)]
pub struct SignInLinkArgs {
    /// The person's address
    #[arg(long, value_name = "ADDRESS")]
    email: Email,

    /// The organisation, by name or id; needed where the person is in several
    #[arg(long, value_name = "NAME|ID")]
    organisation: Option<String>,
}

/// A sign-in link.
#[derive(Debug, Serialize)]
pub(super) struct SignInLink {
    url: String,
    expires_at: UnixMillis,
}

pub(super) async fn run(desk: &Desk, args: SignInLinkArgs) -> anyhow::Result<SignInLink> {
    let public_url = desk.public_url()?;
    let membership = lookup::membership(&desk.store, &args.email, args.organisation.as_deref()).await?;
    issue(desk, &membership, &public_url).await
}

/// Makes a link for a member.
pub(super) async fn issue(desk: &Desk, membership: &Membership, public_url: &PublicUrl) -> anyhow::Result<SignInLink> {
    let token = Token::generate(TokenKind::SignInLink, &desk.entropy);
    let expires_at = desk.now().plus(LIFETIME);
    let new = NewSignInLink {
        hash: token.hash(),
        organisation: membership.organisation.id,
        user: membership.user.id,
        expires_at,
    };
    desk.store.create_sign_in_link(&new, &Origin::operator(), desk.now()).await?;
    // Behind the #, the token reaches no server's log.
    Ok(SignInLink { url: format!("{public_url}/sign-in#{}", token.expose()), expires_at })
}

impl fmt::Display for SignInLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Sign in once, until {}:\n\n  {}", self.expires_at, self.url)
    }
}
