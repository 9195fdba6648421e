//! Tables: what `kubectl get` prints.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::store::Kind;

/// Whether the client asks for tables.
pub(crate) fn is_wanted(accept: &str) -> bool {
    accept.split(',').next().is_some_and(|first| first.contains("as=Table") && first.contains("application/json"))
}

/// A table of objects of one kind.
pub(crate) fn of_objects(kind: &Kind, version: &str, objects: &[Value]) -> Value {
    let columns: Vec<_> = columns(kind)
        .iter()
        .map(|name| json!({"name": name, "type": "string", "format": "", "description": "", "priority": 0}))
        .collect();
    let rows: Vec<_> = objects.iter().map(|object| row(kind, object)).collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": version},
        "columnDefinitions": columns, "rows": rows})
}

fn columns(kind: &Kind) -> &'static [&'static str] {
    match kind.name {
        "Pod" => &["Name", "Ready", "Status", "Restarts", "Age"],
        "Namespace" => &["Name", "Status", "Age"],
        "Deployment" => &["Name", "Ready", "Up-to-date", "Available", "Age"],
        "ReplicaSet" => &["Name", "Desired", "Current", "Ready", "Age"],
        _ => &["Name", "Age"],
    }
}

fn row(kind: &Kind, object: &Value) -> Value {
    let name = &object["metadata"]["name"];
    let age = age(object);
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let cells = match kind.name {
        "Pod" => json!([name, ready(object), pod_status(object), restarts(object).to_string(), age]),
        "Namespace" => json!([name, object["status"]["phase"], age]),
        "Deployment" => {
            let ready = format!("{}/{}", number("/status/readyReplicas"), number("/spec/replicas"));
            let updated = number("/status/updatedReplicas");
            json!([name, ready, updated, number("/status/availableReplicas"), age])
        }
        "ReplicaSet" => {
            let (desired, current) = (number("/spec/replicas"), number("/status/replicas"));
            json!([name, desired, current, number("/status/readyReplicas"), age])
        }
        _ => json!([name, age]),
    };
    let metadata = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"]});
    json!({"cells": cells, "object": metadata})
}

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["status"]["containerStatuses"].as_array().into_iter().flatten()
}

fn ready(pod: &Value) -> String {
    let all = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    format!("{}/{all}", statuses(pod).filter(|status| status["ready"] == true).count())
}

fn restarts(pod: &Value) -> u64 {
    statuses(pod).filter_map(|status| status["restartCount"].as_u64()).sum()
}

fn pod_status(pod: &Value) -> String {
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return "Terminating".to_owned();
    }
    let reason = statuses(pod).find_map(|status| {
        let state = &status["state"];
        state["waiting"]["reason"].as_str().or_else(|| state["terminated"]["reason"].as_str())
    });
    reason.or_else(|| pod["status"]["phase"].as_str()).unwrap_or("Unknown").to_owned()
}

fn age(object: &Value) -> String {
    let created: Option<Timestamp> =
        object["metadata"]["creationTimestamp"].as_str().and_then(|text| text.parse().ok());
    let Some(created) = created else { return "<unknown>".to_owned() };
    let seconds = Timestamp::now().duration_since(created).as_secs();
    match seconds {
        ..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
