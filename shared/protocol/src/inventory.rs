//! What an agent tells about its cluster: namespaces, workloads and pods, typed. Kubernetes' own objects never cross the
//! tunnel, so the relay cannot be used as a proxy to the API server.

use serde::{Deserialize, Serialize};

use crate::close::Refusal;
use crate::pod::PodLabels;

/// What to watch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WatchScope {
    /// The namespaces that the agent may see.
    Namespaces,
    /// Workloads and pods of one namespace.
    Namespace(crate::target::Namespace),
    /// The same, with each pod's labels ([`Item::LabelledPod`] in the place of [`Item::Pod`]).
    LabelledNamespace(crate::target::Namespace),
}

/// One event on a watch stream: one `Snapshot`s run that ends with `Synced`, then changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InventoryEvent {
    /// The item exists, or changed.
    Applied(Item),
    /// The item is gone.
    Deleted(ItemKey),
    /// Everything that existed when the watch began has been sent.
    Synced,
    /// The watch cannot be served. Last event of the stream.
    Refused(Refusal),
}

/// Names an item within its watch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ItemKey {
    /// A namespace's name.
    Namespace(String),
    /// A workload's kind and name.
    Workload(WorkloadKind, String),
    /// A pod's name.
    Pod(String),
}

/// An item of the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// A namespace.
    Namespace(NamespaceItem),
    /// A workload.
    Workload(WorkloadItem),
    /// A pod.
    Pod(PodItem),
    /// A pod with its labels, for those who asked for them.
    LabelledPod(LabelledPod),
}

impl Item {
    /// The item's key within its watch.
    pub fn key(&self) -> ItemKey {
        match self {
            Self::Namespace(item) => ItemKey::Namespace(item.name.clone()),
            Self::Workload(item) => ItemKey::Workload(item.kind, item.name.clone()),
            Self::Pod(item) | Self::LabelledPod(LabelledPod { item, .. }) => ItemKey::Pod(item.name.clone()),
        }
    }
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceItem {
    /// Its name.
    pub name: String,
}

/// Kinds of workloads that are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
    /// `batch/v1` Job.
    Job,
    /// `batch/v1` CronJob.
    CronJob,
}

/// A workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadItem {
    /// What it is.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
    /// How many pods it wants; for jobs, completions.
    pub desired: u32,
    /// How many are ready; for jobs, succeeded.
    pub ready: u32,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodItem {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The workload it belongs to, a replica set already resolved to its deployment.
    pub workload: Option<(WorkloadKind, String)>,
    /// What `kubectl get pods` would print under STATUS: `Running`, `CrashLoopBackOff`, `Terminating`, …
    pub status: String,
    /// Restarts of all its containers.
    pub restarts: u32,
    /// Creation time, in seconds since the Unix epoch.
    pub created_unix_seconds: i64,
    /// Its containers in the order of the spec, then running ephemeral ones.
    pub containers: Vec<ContainerItem>,
    /// The container that an unnamed exec enters: `kubectl.kubernetes.io/default-container`, or the only one.
    pub default_container: Option<String>,
}

/// A pod with its labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelledPod {
    /// The pod.
    pub item: PodItem,
    /// Its labels; `None`: more than are told.
    pub labels: Option<PodLabels>,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerItem {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Whether a process can be started in it now.
    pub state: ContainerState,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// Not started yet, or between restarts.
    Waiting,
    /// A process can be started in it.
    Running,
    /// Ended.
    Terminated,
}
