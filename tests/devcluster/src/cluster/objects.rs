//! The JSON of pods, replica sets and deployments, as a real cluster fills it in.

use jiff::Timestamp;
use rand::Rng;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::container::Ended;

/// The only node.
pub(crate) const NODE: &str = "devcluster";
const HOST_IP: &str = "192.0.2.2";
/// The letters of generated names, without those that could form words.
const NAME_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// What a container is doing, as its status tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Activity {
    Waiting { reason: &'static str },
    Running { since: Timestamp },
    Terminated { since: Timestamp, ended: Ended },
}

/// One container's part of a pod's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerView {
    pub(crate) activity: Activity,
    pub(crate) last: Option<(Timestamp, Ended)>,
    pub(crate) restarts: u32,
    /// Empty until the first start.
    pub(crate) id: String,
}

/// Whether what a pod's containers share (its network, above all) is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sandbox {
    Absent,
    Present,
}

/// The time format of all objects: whole seconds, UTC.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A random end for a name, such as `4lslb`.
pub(crate) fn name_suffix() -> String {
    let mut rng = rand::rng();
    (0..5).map(|_| char::from(NAME_LETTERS[rng.random_range(0..NAME_LETTERS.len())])).collect()
}

/// A container's or image's id: 64 hex digits.
pub(crate) fn random_hex() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// The hash that names the replica set of a pod template.
pub(crate) fn template_hash(template: &Value) -> String {
    let text = template.to_string();
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.to_string().bytes().map(|digit| char::from(NAME_LETTERS[usize::from(digit) % NAME_LETTERS.len()])).collect()
}

/// Fills in what the API server adds to any new object.
pub(crate) fn complete_metadata(object: &mut Value, namespace: &str, now: Timestamp) {
    let metadata = &mut object["metadata"];
    if !namespace.is_empty() {
        metadata["namespace"] = json!(namespace);
    }
    metadata["uid"] = json!(Uuid::new_v4().to_string());
    metadata["creationTimestamp"] = json!(time(now));
    if let Some(map) = object.as_object_mut() {
        map.remove("kind");
        map.remove("apiVersion");
    }
}

/// A new pod as the API server stores it, from a manifest.
pub(crate) fn complete_pod(mut pod: Value, namespace: &str, now: Timestamp) -> Value {
    complete_metadata(&mut pod, namespace, now);
    pod["metadata"]["generation"] = json!(1);
    let volume = format!("kube-api-access-{}", name_suffix());
    complete_pod_spec(&mut pod["spec"]);
    let spec = &mut pod["spec"];
    spec["volumes"] = json!([{"name": volume, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace",
            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}}]);
    for container in spec["containers"].as_array_mut().into_iter().flatten() {
        container["volumeMounts"] =
            json!([{"name": volume, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]);
    }
    for (field, value) in [
        ("serviceAccountName", json!("default")),
        ("serviceAccount", json!("default")),
        ("priority", json!(0)),
        ("enableServiceLinks", json!(true)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
        (
            "tolerations",
            json!([
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                    "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
                    "tolerationSeconds": 300},
            ]),
        ),
    ] {
        set_default(spec, field, value);
    }
    pod["status"] = json!({"phase": "Pending", "qosClass": "BestEffort"});
    pod
}

/// Fills in the defaults that pods and pod templates share.
pub(crate) fn complete_pod_spec(spec: &mut Value) {
    for container in spec["containers"].as_array_mut().into_iter().flatten() {
        complete_container(container);
    }
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
    ] {
        set_default(spec, field, value);
    }
}

/// Fills in the defaults of one container.
pub(crate) fn complete_container(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or_default();
    let tagged = image.rsplit('/').next().is_some_and(|last| last.contains(':') && !last.ends_with(":latest"));
    let pull = if tagged { "IfNotPresent" } else { "Always" };
    for (field, value) in [
        ("resources", json!({})),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
        ("imagePullPolicy", json!(pull)),
    ] {
        set_default(container, field, value);
    }
}

pub(crate) fn set_default(object: &mut Value, field: &str, value: Value) {
    if object[field].is_null() {
        object[field] = value;
    }
}

/// Marks a pod that no node fits.
pub(crate) fn set_unschedulable(pod: &mut Value, now: Timestamp) {
    pod["status"]["conditions"] = json!([{
        "type": "PodScheduled", "status": "False", "observedGeneration": 1, "lastProbeTime": null,
        "lastTransitionTime": time(now), "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. no new claims to \
            deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    }]);
}

/// Gives a pod its node.
pub(crate) fn set_scheduled(pod: &mut Value, now: Timestamp) {
    pod["spec"]["nodeName"] = json!(NODE);
    // The scheduler does not say which generation it saw; the kubelet adds that.
    pod["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": time(now)}]);
}

/// Writes the whole status of a pod on its node.
pub(crate) fn set_status(pod: &mut Value, views: &[ContainerView], sandbox: (Sandbox, &str), now: Timestamp) {
    let (sandbox, pod_ip) = sandbox;
    let last_phase = phase_of(views, pod["spec"]["restartPolicy"].as_str().unwrap_or("Always"));
    let finished = matches!(last_phase, "Succeeded" | "Failed");
    // The phase changes when the sandbox is gone, a moment after the last container.
    let phase = if finished && sandbox == Sandbox::Present { "Running" } else { last_phase };
    let ready = !finished && views.iter().all(|view| matches!(view.activity, Activity::Running { .. }));
    let created = views.iter().any(|view| !view.id.is_empty());
    let (initialized_reason, ready_reason) = match (finished, ready) {
        (true, _) => (Some("PodCompleted"), Some("PodCompleted")),
        (false, true) => (None, None),
        (false, false) => (None, Some("ContainersNotReady")),
    };
    let truth = |value| if value { "True" } else { "False" };
    let mut conditions = [
        condition("PodReadyToStartContainers", truth(sandbox == Sandbox::Present), None, now),
        condition("Initialized", "True", initialized_reason, now),
        condition("Ready", truth(ready), ready_reason, now),
        condition("ContainersReady", truth(ready), ready_reason, now),
        condition("PodScheduled", "True", None, now),
    ];
    let specs = pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
    if ready_reason == Some("ContainersNotReady") {
        let message = json!(unready_message(&specs, views));
        conditions[2]["message"] = message.clone();
        conditions[3]["message"] = message;
    }
    let status = &mut pod["status"];
    let conditions = keep_transition_times(&conditions, &status["conditions"]);
    let ephemeral = status["ephemeralContainerStatuses"].take();
    let start_time = status["startTime"].as_str().map_or_else(|| time(now), str::to_owned);
    *status = json!({
        "observedGeneration": 1, "phase": phase, "conditions": conditions, "startTime": start_time,
        "hostIP": HOST_IP, "hostIPs": [{"ip": HOST_IP}], "qosClass": "BestEffort", "resources": {},
    });
    if created {
        status["podIP"] = json!(pod_ip);
        status["podIPs"] = json!([{"ip": pod_ip}]);
    }
    if !ephemeral.is_null() {
        status["ephemeralContainerStatuses"] = ephemeral;
    }
    let statuses: Vec<_> = specs.iter().zip(views).map(|(spec, view)| container_status(spec, view)).collect();
    pod["status"]["containerStatuses"] = json!(statuses);
}

fn phase_of(views: &[ContainerView], restart_policy: &str) -> &'static str {
    let codes: Option<Vec<_>> = views
        .iter()
        .map(|view| match view.activity {
            Activity::Terminated { ended, .. } => Some(ended.exit_code),
            _ => None,
        })
        .collect();
    match codes {
        Some(codes) if codes.iter().all(|&code| code == 0) && restart_policy != "Always" => "Succeeded",
        Some(_) if restart_policy == "Never" => "Failed",
        _ if views.iter().all(|view| view.id.is_empty()) => "Pending",
        _ => "Running",
    }
}

fn unready_message(specs: &[Value], views: &[ContainerView]) -> String {
    let unready = specs.iter().zip(views).filter(|(_, view)| !matches!(view.activity, Activity::Running { .. }));
    let names: Vec<&str> = unready.filter_map(|(spec, _)| spec["name"].as_str()).collect();
    format!("containers with unready status: [{}]", names.join(" "))
}

fn condition(kind: &str, status: &str, reason: Option<&str>, now: Timestamp) -> Value {
    let mut condition = json!({
        "type": kind, "status": status, "observedGeneration": 1, "lastProbeTime": null,
        "lastTransitionTime": time(now),
    });
    if let Some(reason) = reason {
        condition["reason"] = json!(reason);
    }
    condition
}

fn keep_transition_times(new: &[Value], old: &Value) -> Vec<Value> {
    let old = old.as_array().map(Vec::as_slice).unwrap_or_default();
    new.iter()
        .map(|condition| {
            let mut condition = condition.clone();
            let same = old.iter().find(|one| one["type"] == condition["type"] && one["status"] == condition["status"]);
            if let Some(same) = same {
                condition["lastTransitionTime"] = same["lastTransitionTime"].clone();
            }
            condition
        })
        .collect()
}

fn container_status(spec: &Value, view: &ContainerView) -> Value {
    let image = spec["image"].as_str().unwrap_or_default();
    let running = matches!(view.activity, Activity::Running { .. });
    let terminated = |since: &Timestamp, ended: &Ended| {
        let reason = if ended.exit_code == 0 { "Completed" } else { "Error" };
        json!({"exitCode": ended.exit_code, "reason": reason, "startedAt": time(*since),
            "finishedAt": time(ended.at), "containerID": format!("containerd://{}", view.id)})
    };
    let state = match &view.activity {
        Activity::Waiting { reason } => json!({"waiting": {"reason": reason}}),
        Activity::Running { since } => json!({"running": {"startedAt": time(*since)}}),
        Activity::Terminated { since, ended } => json!({"terminated": terminated(since, ended)}),
    };
    let last = match &view.last {
        Some((since, ended)) => json!({"terminated": terminated(since, ended)}),
        None => json!({}),
    };
    let mut status = json!({
        "name": spec["name"], "state": state, "lastState": last, "ready": running, "started": running,
        "restartCount": view.restarts, "image": image, "imageID": "",
    });
    if !view.id.is_empty() {
        status["imageID"] = json!(image_id(image));
        status["containerID"] = json!(format!("containerd://{}", view.id));
        status["resources"] = json!({});
    }
    if let Some(mounts) = spec["volumeMounts"].as_array() {
        let mounts: Vec<_> = mounts
            .iter()
            .map(|mount| {
                let mut mount = mount.clone();
                mount["recursiveReadOnly"] = json!("Disabled");
                mount
            })
            .collect();
        status["volumeMounts"] = json!(mounts);
    }
    status
}

/// An id that is the same for the same image.
pub(crate) fn image_id(image: &str) -> String {
    let part = |salt: u64| {
        image.bytes().fold(0xcbf2_9ce4_8422_2325_u64 ^ salt, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    format!("sha256:{:016x}{:016x}{:016x}{:016x}", part(1), part(2), part(3), part(4))
}
