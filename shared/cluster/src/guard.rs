//! What this agent allows, whatever the relay asks for: a cap of the cluster's owner on top of Kubernetes' own rules. It is
//! made of this process' settings alone; the relay is told of it, and cannot change it.

mod labels;
mod namespaces;

use std::collections::BTreeMap;

use podlatch_protocol::control::GuardReport;
use podlatch_protocol::target::Namespace;

pub use self::labels::{InvalidLabelCondition, LabelCondition, LabelConditions};
pub use self::namespaces::{InvalidNamespacePattern, NamespacePattern, NamespacePatterns};

/// Which namespaces and pods may be seen and entered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    namespaces: NamespacePatterns,
    pod_labels: LabelConditions,
}

impl Guard {
    /// The guard for these settings. No pattern allows every namespace, and no condition every pod, that Kubernetes allows.
    pub const fn new(namespaces: NamespacePatterns, pod_labels: LabelConditions) -> Self {
        Self { namespaces, pod_labels }
    }

    /// Whether the namespace may be seen and entered.
    pub fn permits(&self, namespace: &Namespace) -> bool {
        self.namespaces.permit(namespace.as_str())
    }

    /// Whether a pod with these labels may be seen and entered.
    pub fn permits_pod(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        self.pod_labels.hold(labels)
    }

    /// Whether it takes a look at a pod to know if it may be entered.
    pub const fn judges_pods(&self) -> bool {
        !self.pod_labels.is_empty()
    }

    /// All the namespaces that it allows, where it names each of them.
    pub fn named_namespaces(&self) -> Option<Vec<Namespace>> {
        self.namespaces.names()
    }

    /// What the relay is told.
    pub fn report(&self) -> GuardReport {
        GuardReport { namespaces: self.namespaces.texts(), pod_labels: self.pod_labels.texts() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(namespaces: &str, labels: &str) -> Guard {
        Guard::new(namespaces.parse().expect("patterns"), labels.parse().expect("conditions"))
    }

    fn namespace(name: &str) -> Namespace {
        name.parse().expect("is a namespace")
    }

    #[test]
    fn a_list_allows_what_it_names_and_nothing_else() {
        let guard = guard("shop, team-*", "");
        for allowed in ["shop", "team-a", "team-"] {
            assert!(guard.permits_text(allowed), "{allowed}");
        }
        for refused in ["shop-2", "kube-system", "a-team-x", "team"] {
            assert!(!guard.permits(&namespace(refused)), "{refused}");
        }
        assert_eq!(guard.named_namespaces(), None);
        assert_eq!(self::guard("shop", "").named_namespaces(), Some(vec![namespace("shop")]));
    }

    #[test]
    fn no_list_allows_everything() {
        let guard = Guard::default();
        assert!(guard.permits(&namespace("any")) && guard.permits_pod(None) && !guard.judges_pods());
    }

    #[test]
    fn the_relay_is_told_what_holds() {
        let report = guard("team-*,shop", "app=web,!secret").report();
        assert_eq!(report.namespaces, ["team-*", "shop"]);
        assert_eq!(report.pod_labels, ["app=web", "!secret"]);
    }

    impl Guard {
        fn permits_text(&self, namespace: &str) -> bool {
            self.namespaces.permit(namespace)
        }
    }
}
