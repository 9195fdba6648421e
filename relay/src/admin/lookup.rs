//! Organisations and clusters as operators name them: by name, or by id where a name is not enough.

use anyhow::{anyhow, bail};
use podlatch_protocol::id::OrganisationId;

use crate::domain::cluster::Cluster;
use crate::domain::organisation::Organisation;
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

pub(super) async fn cluster(store: &Store, named: &str) -> anyhow::Result<Cluster> {
    let mut found = store.clusters_named(named).await?;
    match (found.pop(), found.pop()) {
        (Some(one), None) => Ok(one),
        (None, _) => bail!("there is no cluster {named:?}; `admin list clusters` shows those that there are"),
        (Some(_), Some(_)) => bail!("several clusters are called {named:?}; give the id of the one you mean"),
    }
}
