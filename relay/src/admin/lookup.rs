//! Organisations and clusters as operators name them: by name, or by id where a name is not enough.

use anyhow::{anyhow, bail};
use podlatch_protocol::id::OrganisationId;

use crate::domain::cluster::Cluster;
use crate::domain::name::Email;
use crate::domain::organisation::{Membership, Organisation};
use crate::store::Store;

pub(super) async fn organisation(store: &Store, named: &str) -> anyhow::Result<Organisation> {
    if let Ok(id) = named.parse::<OrganisationId>() {
        let found = store.get_organisation(id).await?;
        return found.ok_or_else(|| anyhow!("there is no organisation with the id {named}"));
    }
    let mut found = store.organisations_named(&named.parse()?).await?;
    match (found.pop(), found.pop()) {
        (Some(one), None) => Ok(one),
        (None, _) => bail!("there is no organisation {named:?}; `admin list organisations` shows those that there are"),
        (Some(_), Some(_)) => bail!("several organisations are called {named:?}; give the id of the one you mean"),
    }
}

/// The one membership of the person with this address that is meant.
pub(super) async fn membership(store: &Store, email: &Email, organisation: Option<&str>) -> anyhow::Result<Membership> {
    let mut found = store.memberships_of(email).await?;
    if let Some(wanted) = organisation {
        found.retain(|membership| {
            let organisation = &membership.organisation;
            organisation.id.to_string() == wanted || organisation.name.as_str() == wanted
        });
    }
    match (found.pop(), found.pop()) {
        (Some(one), None) => Ok(one),
        (None, _) => bail!("nobody with the address {email} is there; `admin list people` shows who is"),
        (Some(_), Some(_)) => {
            bail!("{email} is in several organisations; say which with --organisation and its id")
        }
    }
}

pub(super) async fn cluster(store: &Store, named: &str) -> anyhow::Result<Cluster> {
    let mut found = store.clusters_named(named).await?;
    match (found.pop(), found.pop()) {
        (Some(one), None) => Ok(one),
        (None, _) => bail!("there is no cluster {named:?}; `admin list clusters` shows those that there are"),
        (Some(_), Some(_)) => bail!("several clusters are called {named:?}; give the id of the one you mean"),
    }
}
