//! `admin suspend` and `admin restore`: people and organisations that may do nothing for now. A running relay notices by itself.

use std::fmt;

use anyhow::{anyhow, bail, ensure};
use clap::Subcommand;
use serde::Serialize;

use super::{Desk, lookup};
use crate::domain::audit::Origin;
use crate::domain::name::Email;
use crate::domain::people::{MemberChange, Suspension};

/// Whom.
#[derive(Debug, Clone, Subcommand)]
pub enum SuspendCommand {
    /// Somebody: their account on the whole relay, or only in one organisation
    Person {
        /// The person's address
        #[arg(value_name = "ADDRESS")]
        email: Email,

        /// Only in this organisation, by name or id
        #[arg(long, value_name = "NAME|ID")]
        organisation: Option<String>,
    },
    /// An organisation, with everybody's logins, tokens and sessions in it
    Organisation {
        /// The organisation, by name or id
        #[arg(value_name = "NAME|ID")]
        organisation: String,
    },
}

/// What was done.
#[derive(Debug, Serialize)]
pub(super) struct Suspended {
    kind: &'static str,
    id: String,
    status: &'static str,
}

pub(super) async fn run(desk: &Desk, command: SuspendCommand, what: Suspension) -> anyhow::Result<Suspended> {
    let (kind, id) = match command {
        SuspendCommand::Person { email, organisation: None } => ("account", account(desk, &email, what).await?),
        SuspendCommand::Person { email, organisation: Some(named) } => {
            ("membership", membership(desk, &email, &named, what).await?)
        }
        SuspendCommand::Organisation { organisation } => {
            let organisation = lookup::organisation(&desk.store, &organisation).await?;
            let by = Origin::operator();
            let changed = desk.store.suspend_organisation(organisation.id, what, &by, desk.now()).await?;
            ensure!(changed, already(what));
            ("organisation", organisation.id.to_string())
        }
    };
    let status = match what {
        Suspension::Suspend => "suspended",
        Suspension::Lift => "active",
    };
    Ok(Suspended { kind, id, status })
}

async fn account(desk: &Desk, email: &Email, what: Suspension) -> anyhow::Result<String> {
    let found = desk.store.account_of(email).await?;
    let user =
        found.ok_or_else(|| anyhow!("nobody with the address {email} is there; `admin list people` shows who is"))?;
    let changed = desk.store.suspend_account(user, what, &Origin::operator(), desk.now()).await?;
    ensure!(changed, already(what));
    Ok(user.to_string())
}

async fn membership(desk: &Desk, email: &Email, organisation: &str, what: Suspension) -> anyhow::Result<String> {
    let membership = lookup::membership(&desk.store, email, Some(organisation)).await?;
    let change = match what {
        Suspension::Suspend => MemberChange::Suspend,
        Suspension::Lift => MemberChange::Resume,
    };
    let whose = (membership.organisation.id, membership.user.id);
    match desk.store.change_member(whose, change, &Origin::operator(), desk.now()).await? {
        Ok(()) => Ok(membership.user.id.to_string()),
        Err(refused) => bail!("{}", refused.sentence()),
    }
}

const fn already(what: Suspension) -> &'static str {
    match what {
        Suspension::Suspend => "this is suspended already",
        Suspension::Lift => "this is not suspended",
    }
}

impl fmt::Display for Suspended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The {} {} is {} now.", self.kind, self.id, self.status)
    }
}
