//! The kinds of objects that this cluster keeps.

/// Whether the objects of a kind live in namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scope {
    Cluster,
    Namespaced,
}

/// One kind of object.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Kind {
    /// Empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) name: &'static str,
    pub(crate) scope: Scope,
}

impl Kind {
    /// What an object's `apiVersion` says.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
}

const fn kind(group: &'static str, plural: &'static str, name: &'static str, scope: Scope) -> Kind {
    Kind { group, version: "v1", plural, name, scope }
}

static KINDS: [Kind; 22] = [
    kind("", "namespaces", "Namespace", Scope::Cluster),
    kind("", "nodes", "Node", Scope::Cluster),
    kind("", "persistentvolumes", "PersistentVolume", Scope::Cluster),
    kind("", "pods", "Pod", Scope::Namespaced),
    kind("", "configmaps", "ConfigMap", Scope::Namespaced),
    kind("", "endpoints", "Endpoints", Scope::Namespaced),
    kind("", "events", "Event", Scope::Namespaced),
    kind("", "limitranges", "LimitRange", Scope::Namespaced),
    kind("", "persistentvolumeclaims", "PersistentVolumeClaim", Scope::Namespaced),
    kind("", "podtemplates", "PodTemplate", Scope::Namespaced),
    kind("", "replicationcontrollers", "ReplicationController", Scope::Namespaced),
    kind("", "resourcequotas", "ResourceQuota", Scope::Namespaced),
    kind("", "secrets", "Secret", Scope::Namespaced),
    kind("", "serviceaccounts", "ServiceAccount", Scope::Namespaced),
    kind("", "services", "Service", Scope::Namespaced),
    kind("apps", "controllerrevisions", "ControllerRevision", Scope::Namespaced),
    kind("apps", "daemonsets", "DaemonSet", Scope::Namespaced),
    kind("apps", "deployments", "Deployment", Scope::Namespaced),
    kind("apps", "replicasets", "ReplicaSet", Scope::Namespaced),
    kind("apps", "statefulsets", "StatefulSet", Scope::Namespaced),
    kind("batch", "cronjobs", "CronJob", Scope::Namespaced),
    kind("batch", "jobs", "Job", Scope::Namespaced),
];

/// All kinds.
pub(crate) fn kinds() -> &'static [Kind] {
    &KINDS
}

/// Finds a kind by its group and plural name.
pub(crate) fn kind_of(group: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.group == group && kind.plural == plural)
}
