//! Inventory items and events as browsers get them.

use axum::response::sse::Event;
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::inventory::{
    ContainerItem, ContainerState, InventoryEvent, Item, ItemKey, LabelledPod, PodItem, WorkloadKind,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::UnixMillis;

/// The data of an event; the event's name says which it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = InventoryEvent)]
pub enum InventoryEventBody {
    /// `applied`
    Applied(ItemBody),
    /// `deleted`
    Deleted(KeyBody),
    /// `synced`
    Synced(SyncedBody),
    /// `refused`
    Refused(RefusedBody),
}

/// Nothing more to say.
#[derive(Debug, Serialize, ToSchema)]
pub struct SyncedBody {}

/// Why the watch cannot be served.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefusedBody {
    /// The kind's stable name.
    #[schema(example = "forbidden")]
    code: &'static str,
    /// For a person. May hold text from Kubernetes: escape it.
    message: String,
}

/// Something in the cluster. All texts come from the cluster: escape them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = InventoryItem)]
pub enum ItemBody {
    /// A namespace.
    Namespace {
        /// Its name.
        name: String,
    },
    /// A workload.
    Workload {
        /// `deployment`, `stateful_set`, `daemon_set`, `job` or `cron_job`.
        #[schema(value_type = String, example = "deployment")]
        kind: WorkloadKind,
        /// Its name.
        name: String,
        /// How many pods it wants.
        desired: u32,
        /// How many are ready.
        ready: u32,
    },
    /// A pod.
    Pod(PodBody),
}

/// A pod.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InventoryPod)]
pub struct PodBody {
    name: String,
    uid: String,
    /// The workload that it belongs to, if any.
    workload: Option<WorkloadBody>,
    /// As `kubectl get pods` prints it.
    #[schema(example = "Running")]
    status: String,
    restarts: u32,
    /// RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    created_at: UnixMillis,
    containers: Vec<ContainerBody>,
    /// The container that is entered when none is named; null where one must be chosen.
    default_container: Option<String>,
}

/// The workload of a pod.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InventoryWorkloadRef)]
pub struct WorkloadBody {
    #[schema(value_type = String, example = "deployment")]
    kind: WorkloadKind,
    name: String,
}

/// A container of a pod.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InventoryContainer)]
pub struct ContainerBody {
    name: String,
    image: String,
    /// `waiting`, `running` or `terminated`; a process can be started in a running one.
    #[schema(value_type = String, example = "running")]
    state: ContainerState,
}

/// Names something in the cluster.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = InventoryKey)]
pub enum KeyBody {
    /// A namespace.
    Namespace {
        /// Its name.
        name: String,
    },
    /// A workload.
    Workload {
        /// Its kind.
        #[schema(value_type = String, example = "deployment")]
        kind: WorkloadKind,
        /// Its name.
        name: String,
    },
    /// A pod.
    Pod {
        /// Its name.
        name: String,
    },
}

/// Whether a refusal may pass by itself: a client then does well to come again.
pub(super) const fn is_passing(refusal: &Refusal) -> bool {
    matches!(
        refusal.code,
        RefusalCode::KubernetesUnreachable
            | RefusalCode::KubernetesError
            | RefusalCode::Draining
            | RefusalCode::AgentTimeout
    )
}

impl InventoryEventBody {
    const fn name(&self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::Deleted(_) => "deleted",
            Self::Synced(_) => "synced",
            Self::Refused(_) => "refused",
        }
    }

    /// As it is sent.
    pub(super) fn event(&self) -> Result<Event, axum::Error> {
        Event::default().event(self.name()).json_data(self)
    }
}

impl From<InventoryEvent> for InventoryEventBody {
    fn from(event: InventoryEvent) -> Self {
        match event {
            InventoryEvent::Applied(item) => Self::Applied(item.into()),
            InventoryEvent::Deleted(key) => Self::Deleted(key.into()),
            InventoryEvent::Synced => Self::Synced(SyncedBody {}),
            InventoryEvent::Refused(refusal) => {
                Self::Refused(RefusedBody { code: refusal.code.slug(), message: refusal.to_string() })
            }
        }
    }
}

impl From<Item> for ItemBody {
    fn from(item: Item) -> Self {
        match item {
            Item::Namespace(item) => Self::Namespace { name: item.name },
            Item::Workload(item) => {
                Self::Workload { kind: item.kind, name: item.name, desired: item.desired, ready: item.ready }
            }
            Item::Pod(item) | Item::LabelledPod(LabelledPod { item, .. }) => Self::Pod(item.into()),
        }
    }
}

impl From<PodItem> for PodBody {
    fn from(pod: PodItem) -> Self {
        Self {
            name: pod.name,
            uid: pod.uid,
            workload: pod.workload.map(|(kind, name)| WorkloadBody { kind, name }),
            status: pod.status,
            restarts: pod.restarts,
            created_at: UnixMillis::new(pod.created_unix_seconds.saturating_mul(1_000)),
            containers: pod.containers.into_iter().map(ContainerBody::from).collect(),
            default_container: pod.default_container,
        }
    }
}

impl From<ContainerItem> for ContainerBody {
    fn from(container: ContainerItem) -> Self {
        Self { name: container.name, image: container.image, state: container.state }
    }
}

impl From<ItemKey> for KeyBody {
    fn from(key: ItemKey) -> Self {
        match key {
            ItemKey::Namespace(name) => Self::Namespace { name },
            ItemKey::Workload(kind, name) => Self::Workload { kind, name },
            ItemKey::Pod(name) => Self::Pod { name },
        }
    }
}

#[cfg(test)]
mod tests {
    use podlatch_protocol::inventory::WorkloadItem;
    use serde_json::{Value, json};

    use super::*;

    fn data(event: InventoryEvent) -> (&'static str, Value) {
        let body = InventoryEventBody::from(event);
        (body.name(), serde_json::to_value(&body).expect("JSON"))
    }

    #[test]
    fn events_have_the_promised_names_and_fields() {
        let workload = WorkloadItem { kind: WorkloadKind::StatefulSet, name: "db".to_owned(), desired: 3, ready: 2 };
        let expected = json!({ "type": "workload", "kind": "stateful_set", "name": "db", "desired": 3, "ready": 2 });
        assert_eq!(data(InventoryEvent::Applied(Item::Workload(workload))), ("applied", expected));
        let pod = PodItem {
            name: "web-1".to_owned(),
            uid: "u".to_owned(),
            workload: Some((WorkloadKind::Deployment, "web".to_owned())),
            status: "Running".to_owned(),
            restarts: 1,
            created_unix_seconds: 1_700_000_000,
            containers: vec![ContainerItem {
                name: "app".to_owned(),
                image: "nginx".to_owned(),
                state: ContainerState::Running,
            }],
            default_container: None,
        };
        let expected = json!({
            "type": "pod", "name": "web-1", "uid": "u", "workload": { "kind": "deployment", "name": "web" },
            "status": "Running", "restarts": 1, "created_at": "2023-11-14T22:13:20.000Z",
            "containers": [{ "name": "app", "image": "nginx", "state": "running" }], "default_container": null,
        });
        assert_eq!(data(InventoryEvent::Applied(Item::Pod(pod))), ("applied", expected));
        let key = ItemKey::Workload(WorkloadKind::CronJob, "nightly".to_owned());
        let expected = json!({ "type": "workload", "kind": "cron_job", "name": "nightly" });
        assert_eq!(data(InventoryEvent::Deleted(key)), ("deleted", expected));
        assert_eq!(data(InventoryEvent::Synced), ("synced", json!({})));
        let (name, refused) = data(InventoryEvent::Refused(Refusal::new(RefusalCode::NotAllowedByAgent, "x")));
        assert_eq!((name, &refused["code"]), ("refused", &json!("not_allowed_by_agent")));
    }
}
