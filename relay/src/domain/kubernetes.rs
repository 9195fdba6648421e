//! By whose rights terminals are opened in a cluster, and what Kubernetes is told of a person.

use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::identity::{
    ClaimedPerson, Identity, IdentityError, Impersonated, KubernetesGroup, KubernetesUser,
};

use super::name::Email;

/// By whose rights terminals are opened in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KubernetesIdentity {
    /// By the credential that the cluster gave Podlatch.
    Agent,
    /// By those of the signed-in person.
    Impersonate(UserPrefix),
}

impl KubernetesIdentity {
    /// The stable name, for storage and APIs.
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Impersonate(_) => "impersonate",
        }
    }
}

/// What a person's address stands behind as a user name, so that nobody is taken for a user of another kind. May be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPrefix(String);

impl UserPrefix {
    /// The prefix as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for UserPrefix {
    fn default() -> Self {
        Self("podlatch:".to_owned())
    }
}

impl std::str::FromStr for UserPrefix {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let name: KubernetesUser = format!("{text}x").parse()?;
        drop(name);
        Ok(Self(text.to_owned()))
    }
}

/// A person and the groups that theirs are mapped to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesPerson {
    /// Their address.
    pub email: Email,
    /// Of all their groups.
    pub groups: Vec<KubernetesGroup>,
}

/// As whom Kubernetes is asked for a session of this person. Whoever cannot be named is refused, never opened for by other
/// rights. Pure.
pub fn identity_of(identity: &KubernetesIdentity, person: &KubernetesPerson) -> Result<Identity, Refusal> {
    match identity {
        KubernetesIdentity::Agent => Ok(Identity::Agent),
        KubernetesIdentity::Impersonate(prefix) => {
            let user = format!("{}{}", prefix.as_str(), person.email.as_str());
            let groups = person.groups.iter().cloned().map(String::from).collect();
            let person = Impersonated::parse(ClaimedPerson { user, groups });
            let refused = |error: IdentityError| Refusal::new(RefusalCode::IdentityRefused, error.to_string());
            person.map(|person| Identity::Person(person.claim())).map_err(refused)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(email: &str, groups: &[&str]) -> KubernetesPerson {
        let groups = groups.iter().map(|group| group.parse().expect("is a group")).collect();
        KubernetesPerson { email: email.parse().expect("is an address"), groups }
    }

    #[test]
    fn a_person_is_named_by_address_and_groups() {
        let identity = KubernetesIdentity::Impersonate(UserPrefix::default());
        let claimed = identity_of(&identity, &person("anna@example.com", &["dev"])).expect("may be named");
        let expected = ClaimedPerson { user: "podlatch:anna@example.com".to_owned(), groups: vec!["dev".to_owned()] };
        assert_eq!(claimed, Identity::Person(expected));
        assert_eq!(identity_of(&KubernetesIdentity::Agent, &person("anna@example.com", &[])), Ok(Identity::Agent));
    }

    #[test]
    fn a_prefix_never_makes_a_name_of_kubernetes_own() {
        for bad in ["system:", "System:serviceaccount:", "a\n", " a"] {
            assert!(bad.parse::<UserPrefix>().is_err(), "{bad:?}");
        }
        assert!("".parse::<UserPrefix>().is_ok());
    }
}
