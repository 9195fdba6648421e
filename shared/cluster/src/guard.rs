//! What this agent allows, whatever the relay asks for: a cap of the cluster's owner on top of Kubernetes' own rules.

use std::collections::BTreeSet;

use podlatch_protocol::target::Namespace;

/// Which namespaces may be seen and entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// All that Kubernetes allows.
    Everything,
    /// These alone.
    Only(BTreeSet<Namespace>),
}

impl Guard {
    /// The guard for a list of namespaces; an empty list allows everything that Kubernetes does.
    pub fn new(namespaces: BTreeSet<Namespace>) -> Self {
        if namespaces.is_empty() { Self::Everything } else { Self::Only(namespaces) }
    }

    /// Whether the namespace may be seen and entered.
    pub fn permits(&self, namespace: &Namespace) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(namespaces) => namespaces.contains(namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(name: &str) -> Namespace {
        name.parse().expect("is a namespace")
    }

    #[test]
    fn a_list_allows_what_it_names_and_nothing_else() {
        let guard = Guard::new(BTreeSet::from([namespace("shop")]));
        assert!(guard.permits(&namespace("shop")));
        assert!(!guard.permits(&namespace("shop-2")) && !guard.permits(&namespace("kube-system")));
    }

    #[test]
    fn no_list_allows_everything() {
        assert!(Guard::new(BTreeSet::new()).permits(&namespace("any")));
    }
}
