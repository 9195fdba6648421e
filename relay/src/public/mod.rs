//! Public clusters: those that the relay reaches by itself.
//!
//! What a person gives is read strictly ([`kubeconfig`], [`access`]), sealed before it is stored, and dialled through
//! [`crate::outbound`]. [`keeper`] serves each cluster with the agent's own code, as an agent in this process; so whatever
//! works in private clusters works here; [`health`] knows which of them answer. What ends with this process are the sessions: their execs are its own.

pub mod access;
pub mod client;
pub mod connection_test;
pub mod health;
pub mod keeper;
pub mod kubeconfig;

use podlatch_protocol::id::{ClusterId, OrganisationId};

pub use self::access::{ClusterAccess, Credential};
use crate::auth::seal::{SealError, SealingKeys};
use crate::store::StoredAccess;

/// An access with its credential sealed for its cluster.
pub fn seal(
    keys: &SealingKeys,
    (organisation, cluster): (OrganisationId, ClusterId),
    access: &ClusterAccess,
) -> Result<StoredAccess, SealError> {
    let place = access::sealed_place(organisation, cluster);
    Ok(StoredAccess {
        server: access.server.clone(),
        credential_kind: access.credential.kind(),
        credential: keys.seal(&place, &access.credential.to_secret())?,
    })
}

/// A stored access with its credential opened.
pub fn unseal(
    keys: &SealingKeys,
    (organisation, cluster): (OrganisationId, ClusterId),
    stored: StoredAccess,
) -> Result<ClusterAccess, SealError> {
    let secret = keys.open(&access::sealed_place(organisation, cluster), &stored.credential)?;
    let credential = Credential::from_secret(&secret).ok_or(SealError::Damaged)?;
    Ok(ClusterAccess { server: stored.server, credential })
}

/// An error as a sentence.
pub(crate) fn sentence(error: &dyn std::fmt::Display) -> String {
    let mut text = error.to_string();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}
