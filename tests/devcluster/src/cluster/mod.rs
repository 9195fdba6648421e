//! The cluster behind the API: objects, pods, rights, faults.

mod controller;
mod kubelet;
pub(crate) mod objects;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use kubelet::{Instance, Kubelet, PodName, pod_name};

use crate::faults::Faults;
use crate::rbac::{Policy, User};
use crate::store::{Key, Store};

/// Everything that a request may need.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) store: Arc<Store>,
    pub(crate) kubelet: Arc<Kubelet>,
    pub(crate) policy: RwLock<Policy>,
    pub(crate) tokens: RwLock<HashMap<String, User>>,
    pub(crate) faults: Faults,
    /// What clients connect to, for example `127.0.0.1:6443`.
    pub(crate) address: String,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Cluster {
    /// Starts the controllers; they run until the cluster stops.
    pub(crate) fn start_controllers(&self) {
        let run = controller::run(Arc::clone(&self.store), Arc::clone(&self.kubelet), self.stop.clone());
        self.tasks.spawn(run);
    }

    /// The user that a token names.
    pub(crate) fn user_of(&self, token: &str) -> Option<User> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// Stores a new pod and runs it; none if there is one of that name.
    pub(crate) fn create_pod(&self, key: &Key, manifest: Value) -> Option<Arc<Value>> {
        let pod = objects::complete_pod(manifest, &key.namespace, Timestamp::now());
        let stored = self.store.create(key.clone(), pod)?;
        self.kubelet.adopt(key.clone());
        Some(stored)
    }

    /// Begins the deletion of a pod; gives back the pod as it is then.
    pub(crate) fn delete_pod(&self, key: &Key, grace: Option<Duration>) -> Option<Arc<Value>> {
        delete_pod(&self.store, &self.kubelet, key, grace)
    }
}

fn delete_pod(store: &Store, kubelet: &Kubelet, key: &Key, grace: Option<Duration>) -> Option<Arc<Value>> {
    let pod = store.get(key)?;
    let own = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
    let finished = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let unscheduled = pod["spec"]["nodeName"].is_null();
    let grace = match grace {
        _ if finished || unscheduled => Duration::ZERO,
        Some(grace) => grace,
        None => Duration::from_secs(own),
    };
    let stored = store.update(key, |pod| {
        let metadata = &mut pod["metadata"];
        if metadata["deletionTimestamp"].is_null() {
            let generation = metadata["generation"].as_u64().unwrap_or(1);
            metadata["generation"] = json!(generation + 1);
        }
        let end = Timestamp::now() + SignedDuration::try_from(grace).unwrap_or_default();
        metadata["deletionTimestamp"] = json!(objects::time(end));
        metadata["deletionGracePeriodSeconds"] = json!(grace.as_secs());
    });
    kubelet.delete(&pod_name(key), grace);
    stored
}
