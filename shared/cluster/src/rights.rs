//! By whose rights this agent asks Kubernetes, and which debug containers it adds: decided by its owner, whatever the relay wants.

use std::collections::BTreeSet;
use std::str::FromStr;

use podlatch_podexec::cluster::Acting;
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::debug::{DebugImage, ImageError};
use podlatch_protocol::identity::{Identity, IdentityError, Impersonated, KubernetesGroup, KubernetesUser};

/// By whose rights sessions are opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// The agent's own.
    Agent,
    /// The signed-in person's, by impersonation.
    Impersonate(Impersonation),
    /// Whichever the relay says, for it is the holder of the credential itself: there is nobody else to set up alike.
    AsAsked,
}

/// Who may be impersonated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impersonation {
    /// What every user name begins with, so that the relay can name nobody else.
    pub user_prefix: String,
    /// The groups that a person may be given; others are left out.
    pub groups: BTreeSet<KubernetesGroup>,
}

impl Rights {
    /// As whom a session is opened that the relay wants opened as `claimed`. Both must be set up alike: nobody gets the agent's
    /// rights where people are to have their own, and nobody is impersonated where that is not wanted.
    pub fn acting(&self, claimed: Identity) -> Result<Acting, Refusal> {
        match (self, claimed) {
            (Self::Agent | Self::AsAsked, Identity::Agent) => Ok(Acting::Own),
            (Self::AsAsked, Identity::Person(person)) => {
                Impersonated::parse(person).map(Acting::Person).map_err(|error| refused(&error))
            }
            (Self::Impersonate(allowed), Identity::Person(person)) => {
                let person = Impersonated::parse(person).map_err(|error| refused(&error))?;
                allowed.narrow(person).map(Acting::Person)
            }
            (Self::Agent, Identity::Person(_)) => {
                Err(Refusal::new(RefusalCode::IdentityMode, "the agent is set up to impersonate nobody"))
            }
            (Self::Impersonate(_), Identity::Agent) => {
                Err(Refusal::new(RefusalCode::IdentityMode, "the agent opens terminals as the signed-in person only"))
            }
        }
    }
}

fn refused(error: &IdentityError) -> Refusal {
    Refusal::new(RefusalCode::IdentityRefused, error.to_string())
}

impl Impersonation {
    /// The person with no more groups than are allowed here.
    fn narrow(&self, person: Impersonated) -> Result<Impersonated, Refusal> {
        let Impersonated { user, groups } = person;
        let named = user.as_str().strip_prefix(self.user_prefix.as_str());
        if named.is_none_or(str::is_empty) {
            let detail = format!("the user name must begin with \"{}\" and go on", self.user_prefix);
            return Err(Refusal::new(RefusalCode::IdentityRefused, detail));
        }
        let groups = groups.into_iter().filter(|group| self.groups.contains(group)).collect();
        Ok(Impersonated { user, groups })
    }
}

/// Groups, written with commas between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupList(pub BTreeSet<KubernetesGroup>);

impl FromStr for GroupList {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// What user names begin with: empty, or a beginning that Kubernetes does not keep for itself.
pub fn user_prefix(text: &str) -> Result<String, String> {
    let name: Result<KubernetesUser, _> = format!("{text}x").parse();
    name.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Of which images debug containers are added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DebugImages {
    /// None: no debug containers.
    None,
    /// Whatever the organisation allows.
    Any,
    /// These alone, of those that the organisation allows.
    Only(BTreeSet<DebugImage>),
}

impl DebugImages {
    /// Whether a debug container of this image may be added.
    pub fn permit(&self, image: &DebugImage) -> Result<(), Refusal> {
        let why = match self {
            Self::Any => return Ok(()),
            Self::Only(images) if images.contains(image) => return Ok(()),
            Self::Only(_) => format!("the agent does not allow {image}"),
            Self::None => "the agent adds no debug containers".to_owned(),
        };
        Err(Refusal::new(RefusalCode::DebugNotAllowed, why))
    }
}

impl FromStr for DebugImages {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        match text.trim() {
            "" => Ok(Self::None),
            "*" => Ok(Self::Any),
            list => {
                let images = list.split(',').map(str::trim).filter(|image| !image.is_empty());
                images.map(str::parse).collect::<Result<_, _>>().map(Self::Only)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use podlatch_protocol::identity::ClaimedPerson;

    use super::*;

    fn impersonating() -> Rights {
        let groups = "dev, shop:ops".parse::<GroupList>().expect("valid").0;
        Rights::Impersonate(Impersonation { user_prefix: "podlatch:".to_owned(), groups })
    }

    fn person(user: &str, groups: &[&str]) -> Identity {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Identity::Person(ClaimedPerson { user: user.to_owned(), groups })
    }

    fn code(result: Result<Acting, Refusal>) -> Option<RefusalCode> {
        result.err().map(|refusal| refusal.code)
    }

    #[test]
    fn both_sides_must_want_the_same() {
        assert_eq!(Rights::Agent.acting(Identity::Agent), Ok(Acting::Own));
        let anna = || person("podlatch:anna", &[]);
        assert_eq!(code(Rights::Agent.acting(anna())), Some(RefusalCode::IdentityMode));
        assert_eq!(code(impersonating().acting(Identity::Agent)), Some(RefusalCode::IdentityMode));
        assert!(impersonating().acting(anna()).is_ok());
    }

    #[test]
    fn the_relay_cannot_name_whom_it_likes() {
        for user in ["", "system:masters", "admin", "podlatch:", "podlatc:anna", "podlatch:\nanna"] {
            assert_eq!(code(impersonating().acting(person(user, &[]))), Some(RefusalCode::IdentityRefused), "{user:?}");
        }
        let masters = person("podlatch:anna", &["dev", "system:masters"]);
        assert_eq!(code(impersonating().acting(masters)), Some(RefusalCode::IdentityRefused));
    }

    #[test]
    fn who_holds_the_credential_decides_alone_but_never_as_what_kubernetes_keeps_for_itself() {
        assert_eq!(Rights::AsAsked.acting(Identity::Agent), Ok(Acting::Own));
        let acting = Rights::AsAsked.acting(person("corp:anna", &["dev"])).expect("may act");
        assert!(matches!(acting, Acting::Person(anna) if anna.user.as_str() == "corp:anna" && anna.groups.len() == 1));
        for bad in [person("system:admin", &[]), person("corp:anna", &["System:masters"]), person("", &[])] {
            assert_eq!(code(Rights::AsAsked.acting(bad)), Some(RefusalCode::IdentityRefused));
        }
    }

    #[test]
    fn groups_that_are_not_allowed_here_are_left_out() {
        let acting = impersonating().acting(person("podlatch:anna", &["admins", "dev"])).expect("may act");
        let Acting::Person(anna) = acting else { panic!("is not the agent") };
        assert_eq!(anna.groups.iter().map(KubernetesGroup::as_str).collect::<Vec<_>>(), ["dev"]);
    }

    #[test]
    fn lists_never_hold_what_kubernetes_keeps_for_itself() {
        assert!("dev,system:masters".parse::<GroupList>().is_err());
        assert!(user_prefix("system:").is_err() && user_prefix("sys\n").is_err());
        assert_eq!((user_prefix(""), user_prefix("corp:")), (Ok(String::new()), Ok("corp:".to_owned())));
    }

    #[test]
    fn images_are_allowed_by_a_list_or_a_star() {
        let image = |name: &str| name.parse::<DebugImage>().expect("valid");
        let permits = |list: &str, name| list.parse::<DebugImages>().expect("valid").permit(&image(name)).is_ok();
        assert!(!permits("", "busybox:1.36"));
        assert!(permits("*", "busybox:1.36"));
        assert!(permits("busybox:1.36, alpine", "alpine") && !permits("busybox:1.36, alpine", "busybox"));
        assert!("a b".parse::<DebugImages>().is_err());
    }
}
