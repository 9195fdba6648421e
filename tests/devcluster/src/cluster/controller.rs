//! Keeps deployments and replica sets at their number of pods, as kube-controller-manager does.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::kubelet::Kubelet;
use super::objects;
use crate::store::{Key, Kind, Store, kind_of};

/// Reconciles after every change until it is stopped.
pub(crate) async fn run(store: Arc<Store>, kubelet: Arc<Kubelet>, stop: CancellationToken) {
    let mut changes = store.subscribe();
    loop {
        reconcile(&store, &kubelet);
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// One round: makes what is missing, asks for the end of what is too much, and brings the statuses up to date.
fn reconcile(store: &Arc<Store>, kubelet: &Arc<Kubelet>) {
    let (Some(deployments), Some(replica_sets)) = (kind_of("apps", "deployments"), kind_of("apps", "replicasets"))
    else {
        return;
    };
    for (key, deployment) in store.list(deployments, None).1 {
        let set = replica_set_of(&key, &deployment, replica_sets);
        if store.get(&set.0).is_none() {
            store.create(set.0.clone(), set.1);
        }
        let replicas = wanted(&deployment);
        store.update(&set.0, |set| set["spec"]["replicas"] = json!(replicas));
        if let Some(set) = store.get(&set.0) {
            let ready = set["status"]["readyReplicas"].as_u64().unwrap_or(0);
            store.update(&key, |deployment| deployment_status(deployment, ready, &set));
        }
    }
    for (key, set) in store.list(replica_sets, None).1 {
        reconcile_set(store, kubelet, &key, &set);
    }
    collect_garbage(store, kubelet);
}

/// Deletes what belongs to an owner that is gone.
fn collect_garbage(store: &Arc<Store>, kubelet: &Arc<Kubelet>) {
    let owners: HashSet<_> = ["deployments", "replicasets", "statefulsets", "daemonsets"]
        .into_iter()
        .filter_map(|plural| kind_of("apps", plural))
        .flat_map(|kind| store.list(kind, None).1)
        .map(|(_, object)| object["metadata"]["uid"].clone())
        .collect();
    let is_orphan = |object: &Value| {
        let owner = &object["metadata"]["ownerReferences"][0];
        owner["apiVersion"] == "apps/v1" && !owners.contains(&owner["uid"])
    };
    for kind in [kind_of("apps", "replicasets"), kind_of("", "pods")].into_iter().flatten() {
        for (key, object) in store.list(kind, None).1.into_iter().filter(|(_, object)| is_orphan(object)) {
            if kind.name != "Pod" {
                store.delete(&key);
            } else if object["metadata"]["deletionTimestamp"].is_null() {
                super::delete_pod(store, kubelet, &key, None);
            }
        }
    }
}

fn reconcile_set(store: &Arc<Store>, kubelet: &Arc<Kubelet>, key: &Key, set: &Value) {
    let Some(pods) = kind_of("", "pods") else { return };
    let uid = &set["metadata"]["uid"];
    let owned: Vec<_> = store
        .list(pods, Some(&key.namespace))
        .1
        .into_iter()
        .filter(|(_, pod)| pod["metadata"]["ownerReferences"][0]["uid"] == *uid)
        .filter(|(_, pod)| pod["metadata"]["deletionTimestamp"].is_null())
        .collect();
    let wanted = wanted(set);
    let count = owned.len() as u64;
    for _ in count..wanted {
        let pod = pod_of(key, set);
        let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let pod_key = Key::new(pods, &key.namespace, &name);
        if store.create(pod_key.clone(), pod).is_some() {
            kubelet.adopt(pod_key);
        }
    }
    for (pod, _) in owned.iter().skip(usize::try_from(wanted).unwrap_or(usize::MAX)) {
        super::delete_pod(store, kubelet, pod, None);
    }
    let ready = owned.iter().filter(|(_, pod)| is_ready(pod)).count();
    store.update(key, |set| set_status(set, wanted, ready as u64));
}

fn wanted(object: &Value) -> u64 {
    object["spec"]["replicas"].as_u64().unwrap_or(1)
}

fn is_ready(pod: &Value) -> bool {
    pod["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// The replica set that a deployment's template asks for.
fn replica_set_of(key: &Key, deployment: &Value, kind: &'static Kind) -> (Key, Value) {
    let hash = objects::template_hash(&deployment["spec"]["template"]);
    let name = format!("{}-{hash}", key.name);
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"]["pod-template-hash"] = json!(hash);
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"]["pod-template-hash"] = json!(hash);
    let replicas = wanted(deployment);
    let mut set = json!({
        "metadata": {
            "name": name, "generation": 1, "labels": template["metadata"]["labels"],
            "annotations": {
                "deployment.kubernetes.io/desired-replicas": replicas.to_string(),
                "deployment.kubernetes.io/max-replicas": (replicas + replicas.div_ceil(4)).to_string(),
                "deployment.kubernetes.io/revision": "1",
            },
            "ownerReferences": [owner("Deployment", key, deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
        "status": {"replicas": 0},
    });
    objects::complete_metadata(&mut set, &key.namespace, Timestamp::now());
    (Key::new(kind, &key.namespace, &name), set)
}

/// A new pod of a replica set.
fn pod_of(key: &Key, set: &Value) -> Value {
    let template = &set["spec"]["template"];
    let prefix = format!("{}-", key.name);
    let pod = json!({
        "metadata": {
            "name": format!("{prefix}{}", objects::name_suffix()), "generateName": prefix,
            "labels": template["metadata"]["labels"], "ownerReferences": [owner("ReplicaSet", key, set)],
        },
        "spec": template["spec"],
    });
    objects::complete_pod(pod, &key.namespace, Timestamp::now())
}

fn owner(kind: &str, key: &Key, object: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": kind, "name": key.name, "uid": object["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true})
}

fn set_status(set: &mut Value, replicas: u64, ready: u64) {
    set["status"] = json!({"replicas": replicas, "fullyLabeledReplicas": replicas, "terminatingReplicas": 0,
        "observedGeneration": 1});
    if ready > 0 {
        set["status"]["readyReplicas"] = json!(ready);
        set["status"]["availableReplicas"] = json!(ready);
    }
}

fn deployment_status(deployment: &mut Value, ready: u64, set: &Value) {
    let replicas = wanted(deployment);
    let now = objects::time(Timestamp::now());
    let old = deployment["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let set_name = set["metadata"]["name"].as_str().unwrap_or_default();
    let available = ready >= replicas;
    let mut conditions = Vec::new();
    for (kind, status, reason, message) in [available_condition(available), progressing_condition(available, set_name)]
    {
        let known = old.iter().find(|one| one["type"] == kind && one["reason"] == reason && one["status"] == status);
        conditions.push(known.cloned().unwrap_or_else(|| {
            json!({"type": kind, "status": status, "lastUpdateTime": now, "lastTransitionTime": now,
                "reason": reason, "message": message})
        }));
    }
    let mut status = json!({"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas,
        "terminatingReplicas": 0, "conditions": conditions});
    if ready > 0 {
        status["readyReplicas"] = json!(ready);
        status["availableReplicas"] = json!(ready);
    }
    deployment["status"] = status;
}

type Condition = (&'static str, &'static str, &'static str, String);

fn available_condition(available: bool) -> Condition {
    if available {
        let message = "Deployment has minimum availability.".to_owned();
        ("Available", "True", "MinimumReplicasAvailable", message)
    } else {
        let message = "Deployment does not have minimum availability.".to_owned();
        ("Available", "False", "MinimumReplicasUnavailable", message)
    }
}

fn progressing_condition(available: bool, set: &str) -> Condition {
    if available {
        ("Progressing", "True", "NewReplicaSetAvailable", format!("ReplicaSet \"{set}\" has successfully progressed."))
    } else {
        ("Progressing", "True", "ReplicaSetUpdated", format!("ReplicaSet \"{set}\" is progressing."))
    }
}
