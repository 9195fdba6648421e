//! Typed ids. All of them are UUIDv7, made from a time and random bytes that the caller supplies.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An id's text was not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} id")]
pub struct ParseIdError {
    kind: &'static str,
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a UUIDv7 of `unix_millis` and ten random bytes.
            pub fn new(unix_millis: u64, random: &[u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(unix_millis, random).into_uuid())
            }

            /// Wraps a UUID that came from storage or from a peer.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID for storage.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                // Only the hyphenated form: one id has one spelling in URLs, logs and SQL.
                if text.len() != 36 {
                    return Err(ParseIdError { kind: $kind });
                }
                Uuid::try_parse(text).map(Self).map_err(|_| ParseIdError { kind: $kind })
            }
        }
    };
}

typed_id!(
    /// An organisation: the tenant that owns clusters, people and sessions.
    OrganisationId,
    "organisation"
);
typed_id!(
    /// A person who signs in.
    UserId,
    "user"
);
typed_id!(
    /// A login session: one browser of one person.
    LoginSessionId,
    "login session"
);
typed_id!(
    /// A registered Kubernetes cluster.
    ClusterId,
    "cluster"
);
typed_id!(
    /// One enrolled agent of a cluster; durable across its restarts and reconnects.
    AgentId,
    "agent"
);
typed_id!(
    /// One life of an agent process: made at its start, so a restart shows.
    AgentInstanceId,
    "agent instance"
);
typed_id!(
    /// A one-use token with which an agent enrols.
    JoinTokenId,
    "join token"
);
typed_id!(
    /// One person's audited exec; outlives every connection.
    SessionId,
    "session"
);
typed_id!(
    /// A person's passkey.
    PasskeyId,
    "passkey"
);
typed_id!(
    /// Where an organisation's people sign in: an OpenID Connect provider.
    SignInProviderId,
    "sign-in provider"
);
typed_id!(
    /// A group of people of an organisation.
    GroupId,
    "group"
);
typed_id!(
    /// An invitation into an organisation.
    InvitationId,
    "invitation"
);
typed_id!(
    /// An access rule: who may open what.
    AccessRuleId,
    "access rule"
);
typed_id!(
    /// Somebody's request for an access that another person has to approve.
    AccessRequestId,
    "access request"
);

/// Names one source of input within a session: a browser tab, chosen at random by that tab.
///
/// Input is numbered per writer, so a tab that returns after any failure of the path can tell which of its bytes were
/// applied, whatever other tabs did meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WriterId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_7_and_sort_by_time() {
        let early = SessionId::new(1_000, &[255; 10]);
        let late = SessionId::new(1_001, &[0; 10]);
        assert_eq!(early.as_uuid().get_version_num(), 7);
        assert!(early < late);
    }

    #[test]
    fn an_id_has_one_spelling() {
        let id = ClusterId::new(1, &[7; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.as_uuid().simple().to_string().parse::<ClusterId>().is_err());
        assert!(id.as_uuid().braced().to_string().parse::<ClusterId>().is_err());
        assert!("".parse::<ClusterId>().is_err());
    }
}
