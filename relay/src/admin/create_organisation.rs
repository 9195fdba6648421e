//! `admin create-organisation`: a tenant and its first owner.

use std::fmt;

use clap::Args;
use podlatch_protocol::id::{OrganisationId, UserId};
use serde::Serialize;

use super::Desk;
use super::sign_in_link::{SignInLink, issue};
use crate::domain::audit::Origin;
use crate::domain::name::{DisplayName, Email};
use crate::store::NewOrganisation;

/// The flags.
#[derive(Debug, Clone, Args)]
pub struct CreateOrganisationArgs {
    /// The organisation's name
    #[arg(long, value_name = "NAME")]
    name: DisplayName,

    /// The owner's address
    #[arg(long, value_name = "ADDRESS")]
    owner_email: Email,

    /// What the owner is called; without it, their address
    #[arg(long, value_name = "NAME")]
    owner_name: Option<DisplayName>,
}

/// What was created.
#[derive(Debug, Serialize)]
pub(super) struct Created {
    organisation: String,
    name: String,
    owner: String,
    owner_email: String,
    sign_in_link: SignInLink,
}

pub(super) async fn run(desk: &Desk, args: CreateOrganisationArgs) -> anyhow::Result<Created> {
    let public_url = desk.public_url()?;
    let owner_name = match args.owner_name {
        Some(name) => name,
        None => args.owner_email.as_str().chars().take(100).collect::<String>().parse()?,
    };
    let new = NewOrganisation {
        id: desk.new_id(OrganisationId::new),
        name: args.name,
        owner_id: desk.new_id(UserId::new),
        owner_email: args.owner_email,
        owner_name,
    };
    let owner = desk.store.create_organisation_with_owner(&new, &Origin::operator(), desk.now()).await?;
    let sign_in_link = issue(desk, &owner, &public_url).await?;
    Ok(Created {
        organisation: owner.organisation.id.to_string(),
        name: owner.organisation.name.to_string(),
        owner: owner.user.id.to_string(),
        owner_email: owner.user.email.to_string(),
        sign_in_link,
    })
}

impl fmt::Display for Created {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Organisation {} ({}), owned by {}.\n", self.name, self.organisation, self.owner_email)?;
        self.sign_in_link.fmt(f)
    }
}
