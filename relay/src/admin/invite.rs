//! `admin invite`: a one-time link into an organisation.

use std::fmt;

use anyhow::bail;
use clap::Args;
use podlatch_protocol::id::InvitationId;
use serde::Serialize;

use super::{Desk, lookup};
use crate::auth::token::{Token, TokenKind};
use crate::clock::UnixMillis;
use crate::domain::audit::Origin;
use crate::domain::name::Email;
use crate::domain::organisation::Role;
use crate::http::invitations::create::LIFETIME;
use crate::store::{NewInvitation, StoreError};

/// The flags.
#[derive(Debug, Clone, Args)]
pub struct InviteArgs {
    /// The person's address
    #[arg(long, value_name = "ADDRESS")]
    email: Email,

    /// The organisation, by name or id
    #[arg(long, value_name = "NAME|ID")]
    organisation: String,

    /// What they will be: owner, admin, auditor or member
    #[arg(long, value_name = "ROLE", default_value = "member", value_parser = role)]
    role: Role,
}

fn role(slug: &str) -> Result<Role, &'static str> {
    Role::from_slug(slug).ok_or("a role is owner, admin, auditor or member")
}

/// An invitation.
#[derive(Debug, Serialize)]
pub(super) struct Invited {
    invitation: String,
    email: String,
    organisation: String,
    role: &'static str,
    url: String,
    expires_at: UnixMillis,
}

pub(super) async fn run(desk: &Desk, args: InviteArgs) -> anyhow::Result<Invited> {
    let public_url = desk.public_url()?;
    let organisation = lookup::organisation(&desk.store, &args.organisation).await?;
    let token = Token::generate(TokenKind::Invitation, &desk.entropy);
    let new = NewInvitation {
        id: desk.new_id(InvitationId::new),
        hash: token.hash(),
        organisation: organisation.id,
        email: args.email,
        role: args.role,
        groups: Vec::new(),
        expires_at: desk.now().plus(LIFETIME),
    };
    match desk.store.create_invitation(&new, &Origin::operator(), desk.now()).await {
        Ok(Ok(())) => {}
        Ok(Err(refused)) => bail!("{}", refused.sentence()),
        Err(StoreError::Taken(_)) => bail!("{} is a member of {} already", new.email, organisation.name),
        Err(error) => return Err(error.into()),
    }
    Ok(Invited {
        invitation: new.id.to_string(),
        email: new.email.to_string(),
        organisation: organisation.id.to_string(),
        role: new.role.slug(),
        // Behind the #, the token reaches no server's log.
        url: format!("{public_url}/join#{}", token.expose()),
        expires_at: new.expires_at,
    })
}

impl fmt::Display for Invited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { email, role, expires_at, url, .. } = self;
        writeln!(f, "For {email}, to join as {role}, once, until {expires_at}:\n\n  {url}")
    }
}
