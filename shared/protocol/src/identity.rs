//! As whom Kubernetes is asked: what a relay claims on the wire ([`Identity`]), and what may be claimed ([`Impersonated`]).

use serde::{Deserialize, Serialize};

use crate::text::checked_text;

/// Largest name of a user or a group in bytes.
pub const MAX_IDENTITY_NAME_BYTES: usize = 253;

/// Largest number of groups of one person.
pub const MAX_IDENTITY_GROUPS: usize = 64;

/// What Kubernetes keeps for itself: `system:masters` may do everything, `system:serviceaccount:…` are programs.
const RESERVED_PREFIX: &str = "system:";

/// As whom a session's requests to Kubernetes are made. Names are as the peer claims them: parse them with
/// [`Impersonated::parse`] before they are used for anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// By the agent's own credential.
    Agent,
    /// As this person, by impersonation.
    Person(ClaimedPerson),
}

/// A person's names for Kubernetes, not checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedPerson {
    /// The user name.
    pub user: String,
    /// The groups.
    pub groups: Vec<String>,
}

/// A name that nobody may be impersonated by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Nobody is named.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// It is longer than [`MAX_IDENTITY_NAME_BYTES`].
    #[error("{0} is longer than {MAX_IDENTITY_NAME_BYTES} bytes")]
    TooLong(&'static str),
    /// It would not travel unchanged in an HTTP header.
    #[error("{0} may hold printable ASCII characters, and spaces inside, and nothing else")]
    Characters(&'static str),
    /// It is one of Kubernetes' own.
    #[error("{0} begins with \"system:\", which Kubernetes keeps for itself")]
    Reserved(&'static str),
    /// There are more than [`MAX_IDENTITY_GROUPS`].
    #[error("there are more than {MAX_IDENTITY_GROUPS} groups")]
    TooManyGroups,
}

checked_text!(
    /// A user name that a person may be impersonated by: never one of Kubernetes' own.
    KubernetesUser,
    IdentityError,
    |text: &str| check("the user name", text)
);
checked_text!(
    /// A group that a person may be impersonated with: never one of Kubernetes' own.
    KubernetesGroup,
    IdentityError,
    |text: &str| check("the group name", text)
);

fn check(what: &'static str, text: &str) -> Result<(), IdentityError> {
    if text.is_empty() {
        return Err(IdentityError::Empty(what));
    }
    if text.len() > MAX_IDENTITY_NAME_BYTES {
        return Err(IdentityError::TooLong(what));
    }
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    // Servers cut spaces off the ends of a header, so " system:masters" would be another name than the one that was checked.
    if !printable || text.starts_with(' ') || text.ends_with(' ') {
        return Err(IdentityError::Characters(what));
    }
    let reserved = text.get(..RESERVED_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX));
    if reserved { Err(IdentityError::Reserved(what)) } else { Ok(()) }
}

/// A person as whom requests may be made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Impersonated {
    /// The user name.
    pub user: KubernetesUser,
    /// The groups; at most [`MAX_IDENTITY_GROUPS`].
    pub groups: Vec<KubernetesGroup>,
}

impl Impersonated {
    /// Checks what a peer claims. One bad name refuses all of it.
    pub fn parse(claimed: ClaimedPerson) -> Result<Self, IdentityError> {
        if claimed.groups.len() > MAX_IDENTITY_GROUPS {
            return Err(IdentityError::TooManyGroups);
        }
        let groups = claimed.groups.into_iter().map(KubernetesGroup::try_from).collect::<Result<_, _>>()?;
        Ok(Self { user: claimed.user.try_into()?, groups })
    }

    /// The person as they travel.
    pub fn claim(self) -> ClaimedPerson {
        ClaimedPerson { user: self.user.into(), groups: self.groups.into_iter().map(String::from).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(user: &str, groups: &[&str]) -> Result<Impersonated, IdentityError> {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Impersonated::parse(ClaimedPerson { user: user.to_owned(), groups })
    }

    #[test]
    fn people_and_their_groups_pass_unchanged() {
        let person = claimed("podlatch:anna@example.com", &["shop:developers", "Domain Users"]).expect("may pass");
        assert_eq!(person.clone().claim().groups, ["shop:developers", "Domain Users"]);
        assert_eq!(person.user.as_str(), "podlatch:anna@example.com");
        assert!(claimed("a", &[]).is_ok());
    }

    #[test]
    fn what_kubernetes_keeps_for_itself_never_passes() {
        for name in ["system:masters", "System:Masters", "system:", "system:serviceaccount:kube-system:admin"] {
            assert_eq!(claimed(name, &[]), Err(IdentityError::Reserved("the user name")), "{name}");
            assert_eq!(claimed("anna", &["dev", name]), Err(IdentityError::Reserved("the group name")), "{name}");
        }
    }

    #[test]
    fn what_a_header_would_change_never_passes() {
        let long = "a".repeat(MAX_IDENTITY_NAME_BYTES + 1);
        for name in ["", " a", "a ", "\tsystem:masters", "a\r\nImpersonate-Group: b", "a\0", "é", "\u{7f}", &long] {
            assert!(claimed(name, &[]).is_err() && claimed("anna", &[name]).is_err(), "{name:?}");
        }
        assert!(claimed("anna", &vec!["g"; MAX_IDENTITY_GROUPS + 1]).is_err());
    }
}
