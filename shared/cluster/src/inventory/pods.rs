//! Pods, as people know them from `kubectl get pods`.

use k8s_openapi::api::core::v1::{
    Container, ContainerState as KubernetesState, ContainerStatus, Pod, PodSpec, PodStatus,
};
use podlatch_podexec::pod::{container_names, default_container as podexec_default};
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::inventory::{ContainerItem, ContainerState, LabelledPod, PodItem, WorkloadKind};
use podlatch_protocol::pod::{PodDescription, PodLabels, TooManyLabels};

/// Names the container that an unnamed exec enters.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// A Deployment's controller puts this label on each of its pods, and its value at the end of the replica set's name.
const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// Longest image reference and status that are passed on, in bytes.
const MAX_TEXT: usize = 512;

/// Whether processes may still be running in a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// They may.
    Alive,
    /// All its containers have ended for good.
    Ended,
}

/// A pod as the protocol has it; `None` for an object without a name, which no API server sends.
pub(super) fn item(pod: &Pod) -> Option<PodItem> {
    let no_spec = PodSpec::default();
    let no_status = PodStatus::default();
    let (spec, status) = (pod.spec.as_ref().unwrap_or(&no_spec), pod.status.as_ref().unwrap_or(&no_status));
    let (text, restarts) = status_column(pod, spec, status);
    Some(PodItem {
        name: pod.metadata.name.clone()?,
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        workload: workload(pod),
        status: cut(text),
        restarts,
        created_unix_seconds: pod.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
        containers: containers(spec, status),
        default_container: default_container(pod, spec),
    })
}

/// A pod with its labels.
pub(super) fn labelled(pod: &Pod) -> Option<LabelledPod> {
    Some(LabelledPod { item: item(pod)?, labels: labels(pod).ok() })
}

/// What a pod is, for whoever decides by it.
pub(super) fn description(pod: &Pod) -> Result<PodDescription, Refusal> {
    let labels = labels(pod).map_err(|error| Refusal::new(RefusalCode::PodLabelsUnknown, error.to_string()))?;
    Ok(PodDescription {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        labels,
        containers: container_names(pod).iter().filter_map(|name| name.parse().ok()).collect(),
        default_container: podexec_default(pod).and_then(|name| name.parse().ok()),
    })
}

fn labels(pod: &Pod) -> Result<PodLabels, TooManyLabels> {
    pod.metadata.labels.clone().unwrap_or_default().try_into()
}

/// Whether the pod has ended.
pub(super) fn life(pod: &Pod) -> Life {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if matches!(phase, Some("Succeeded" | "Failed")) { Life::Ended } else { Life::Alive }
}

/// The workload that controls the pod. A replica set is resolved by its name, which its Deployment makes of its own name and
/// the hash that it also puts on the pod; so nobody has to watch replica sets, of which there are many.
fn workload(pod: &Pod) -> Option<(WorkloadKind, String)> {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    let kind = match (owner.api_version.split_once('/').map(|(group, _)| group), owner.kind.as_str()) {
        (Some("apps"), "StatefulSet") => WorkloadKind::StatefulSet,
        (Some("apps"), "DaemonSet") => WorkloadKind::DaemonSet,
        (Some("batch"), "Job") => WorkloadKind::Job,
        (Some("apps"), "ReplicaSet") => {
            let hash = pod.metadata.labels.as_ref()?.get(POD_TEMPLATE_HASH)?;
            let deployment = owner.name.strip_suffix(hash.as_str())?.strip_suffix('-')?;
            return Some((WorkloadKind::Deployment, deployment.to_owned()));
        }
        _ => return None,
    };
    Some((kind, owner.name.clone()))
}

/// Containers in the order of the spec, then sidecars and ephemeral containers that run.
fn containers(spec: &PodSpec, status: &PodStatus) -> Vec<ContainerItem> {
    let main = spec.containers.iter().map(|container| {
        let state = state_of(status.container_statuses.as_deref(), &container.name);
        container_item(&container.name, container.image.as_ref(), state)
    });
    let sidecars = spec.init_containers.iter().flatten().filter(|container| is_sidecar(container)).map(|container| {
        let state = state_of(status.init_container_statuses.as_deref(), &container.name);
        container_item(&container.name, container.image.as_ref(), state)
    });
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(|container| {
        let state = state_of(status.ephemeral_container_statuses.as_deref(), &container.name);
        container_item(&container.name, container.image.as_ref(), state)
    });
    let running = |item: &ContainerItem| item.state == ContainerState::Running;
    main.chain(sidecars.chain(ephemeral).filter(running)).collect()
}

fn container_item(name: &str, image: Option<&String>, state: ContainerState) -> ContainerItem {
    ContainerItem { name: name.to_owned(), image: cut(image.cloned().unwrap_or_default()), state }
}

fn state_of(statuses: Option<&[ContainerStatus]>, name: &str) -> ContainerState {
    let status = statuses.unwrap_or_default().iter().find(|status| status.name == name);
    match status.and_then(|status| status.state.as_ref()) {
        Some(KubernetesState { running: Some(_), .. }) => ContainerState::Running,
        Some(KubernetesState { terminated: Some(_), .. }) => ContainerState::Terminated,
        _ => ContainerState::Waiting,
    }
}

fn default_container(pod: &Pod, spec: &PodSpec) -> Option<String> {
    let named = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DEFAULT_CONTAINER));
    if let Some(name) = named.filter(|name| spec.containers.iter().any(|container| container.name == **name)) {
        return Some(name.clone());
    }
    match &spec.containers[..] {
        [only] => Some(only.name.clone()),
        _ => None,
    }
}

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// What kubectl prints under STATUS, and the number under RESTARTS.
///
/// Follows `printPod` of Kubernetes' `pkg/printers/internalversion/printers.go`.
fn status_column(pod: &Pod, spec: &PodSpec, status: &PodStatus) -> (String, u32) {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let gated = conditions
        .iter()
        .any(|condition| condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("SchedulingGated"));
    let phase = status.phase.clone().unwrap_or_default();
    let mut reason = if gated { "SchedulingGated".to_owned() } else { status.reason.clone().unwrap_or(phase) };
    let init = init_status(spec, status);
    let mut restarts = init.restarts;
    if let Some(text) = &init.unfinished {
        reason.clone_from(text);
    }
    let is_true = |name: &str| conditions.iter().any(|condition| condition.type_ == name && condition.status == "True");
    if init.unfinished.is_none() || is_true("Initialized") {
        restarts = init.sidecar_restarts;
        let mut has_running = false;
        for container in status.container_statuses.iter().flatten().rev() {
            restarts = restarts.saturating_add(count(container));
            match stopped_reason(container) {
                Some(text) => reason = text,
                None => has_running |= container.ready && is_running(container),
            }
        }
        if reason == "Completed" && has_running {
            (if is_true("Ready") { "Running" } else { "NotReady" }).clone_into(&mut reason);
        }
    }
    if pod.metadata.deletion_timestamp.is_some() {
        if status.reason.as_deref() == Some("NodeLost") {
            "Unknown".clone_into(&mut reason);
        } else if life(pod) == Life::Alive {
            "Terminating".clone_into(&mut reason);
        }
    }
    (reason, restarts)
}

struct InitStatus {
    /// What the first init container that is not done says.
    unfinished: Option<String>,
    restarts: u32,
    sidecar_restarts: u32,
}

fn init_status(spec: &PodSpec, status: &PodStatus) -> InitStatus {
    let specs = spec.init_containers.as_deref().unwrap_or_default();
    let mut init = InitStatus { unfinished: None, restarts: 0, sidecar_restarts: 0 };
    for (index, container) in status.init_container_statuses.iter().flatten().enumerate() {
        let sidecar = specs.iter().any(|spec| spec.name == container.name && is_sidecar(spec));
        init.restarts = init.restarts.saturating_add(count(container));
        if sidecar {
            init.sidecar_restarts = init.sidecar_restarts.saturating_add(count(container));
        }
        let state = container.state.as_ref();
        let terminated = state.and_then(|state| state.terminated.as_ref());
        let waiting = state.and_then(|state| state.waiting.as_ref()).and_then(|waiting| waiting.reason.as_deref());
        let done = terminated.is_some_and(|terminated| terminated.exit_code == 0);
        if done || (sidecar && container.started == Some(true)) {
            continue;
        }
        init.unfinished = Some(match (terminated, waiting) {
            (Some(_), _) => format!("Init:{}", stopped_reason(container).unwrap_or_default()),
            (None, Some(waiting)) if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
            _ => format!("Init:{index}/{}", specs.len()),
        });
        break;
    }
    init
}

/// Why a container does not run, if it says so.
fn stopped_reason(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    if let Some(reason) =
        state.waiting.as_ref().and_then(|waiting| waiting.reason.clone()).filter(|text| !text.is_empty())
    {
        return Some(reason);
    }
    let terminated = state.terminated.as_ref()?;
    Some(match (terminated.reason.as_deref(), terminated.signal) {
        (Some(reason), _) if !reason.is_empty() => reason.to_owned(),
        (_, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", terminated.exit_code),
    })
}

fn is_running(container: &ContainerStatus) -> bool {
    container.state.as_ref().is_some_and(|state| state.running.is_some())
}

fn count(container: &ContainerStatus) -> u32 {
    u32::try_from(container.restart_count).unwrap_or(0)
}

fn cut(mut text: String) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(value: Value) -> Pod {
        serde_json::from_value(value).expect("is a pod")
    }

    fn status_of(spec: &Value, status: &Value) -> (String, u32) {
        let item = item(&pod(json!({ "metadata": { "name": "p" }, "spec": spec, "status": status })));
        let item = item.expect("has a name");
        (item.status, item.restarts)
    }

    fn one() -> Value {
        json!({ "containers": [{ "name": "c", "image": "i" }] })
    }

    #[test]
    fn the_status_is_what_kubectl_prints() {
        for (status, expected) in [
            (json!({ "phase": "Pending" }), "Pending"),
            (json!({ "phase": "Failed", "reason": "Evicted" }), "Evicted"),
            (
                json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "SchedulingGated" }] }),
                "SchedulingGated",
            ),
            (json!({ "phase": "Running", "containerStatuses": [container(&json!({ "running": {} }), 3)] }), "Running"),
            (
                json!({ "phase": "Running", "containerStatuses": [container(&json!({ "waiting": { "reason": "CrashLoopBackOff" } }), 3)] }),
                "CrashLoopBackOff",
            ),
            (
                json!({ "phase": "Succeeded", "containerStatuses": [container(&json!({ "terminated": { "exitCode": 0, "reason": "Completed" } }), 0)] }),
                "Completed",
            ),
            (
                json!({ "phase": "Failed", "containerStatuses": [container(&json!({ "terminated": { "exitCode": 3 } }), 0)] }),
                "ExitCode:3",
            ),
            (
                json!({ "phase": "Failed", "containerStatuses": [container(&json!({ "terminated": { "exitCode": 137, "signal": 9 } }), 0)] }),
                "Signal:9",
            ),
        ] {
            assert_eq!(status_of(&one(), &status).0, expected, "{status}");
        }
    }

    fn container(state: &Value, restarts: u32) -> Value {
        json!({ "name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": restarts, "state": state })
    }

    #[test]
    fn init_containers_show_how_far_they_are_and_sidecars_do_not_count_as_such() {
        let spec = json!({
            "initContainers": [{ "name": "a" }, { "name": "s", "restartPolicy": "Always" }, { "name": "b" }],
            "containers": [{ "name": "c" }],
        });
        let init = |name: &str, state: Value, started: bool| json!({ "name": name, "image": "", "imageID": "", "ready": true, "restartCount": 1, "started": started, "state": state });
        let done = || init("a", json!({ "terminated": { "exitCode": 0 } }), false);
        let sidecar = || init("s", json!({ "running": {} }), true);
        for (statuses, expected) in [
            (json!([init("a", json!({ "waiting": { "reason": "PodInitializing" } }), false)]), "Init:0/3"),
            (json!([done(), sidecar(), init("b", json!({ "running": {} }), false)]), "Init:2/3"),
            (json!([init("a", json!({ "terminated": { "exitCode": 2, "reason": "Error" } }), false)]), "Init:Error"),
            (json!([init("a", json!({ "terminated": { "exitCode": 2 } }), false)]), "Init:ExitCode:2"),
            (
                json!([init("a", json!({ "waiting": { "reason": "ImagePullBackOff" } }), false)]),
                "Init:ImagePullBackOff",
            ),
        ] {
            let status = json!({ "phase": "Pending", "initContainerStatuses": statuses });
            assert_eq!(status_of(&spec, &status).0, expected);
        }
        let status = json!({
            "phase": "Running",
            "conditions": [{ "type": "Initialized", "status": "True" }],
            "initContainerStatuses": [done(), sidecar(), init("b", json!({ "terminated": { "exitCode": 0 } }), false)],
            "containerStatuses": [container(&json!({ "running": {} }), 4)],
        });
        assert_eq!(status_of(&spec, &status), ("Running".to_owned(), 5));
        let whole =
            item(&pod(json!({ "metadata": { "name": "p" }, "spec": spec, "status": status }))).expect("has a name");
        let names: Vec<_> = whole.containers.iter().map(|container| container.name.as_str()).collect();
        assert_eq!(names, ["c", "s"]);
    }

    #[test]
    fn a_pod_that_is_being_deleted_is_terminating_unless_it_has_ended() {
        let deleted = |status: Value| {
            let metadata = json!({ "name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z" });
            item(&pod(json!({ "metadata": metadata, "spec": one(), "status": status }))).expect("has a name").status
        };
        assert_eq!(deleted(json!({ "phase": "Running" })), "Terminating");
        assert_eq!(deleted(json!({ "phase": "Succeeded" })), "Succeeded");
        assert_eq!(deleted(json!({ "phase": "Running", "reason": "NodeLost" })), "Unknown");
    }

    #[test]
    fn a_replica_sets_pod_belongs_to_its_deployment() {
        let owned = |api: &str, kind: &str, name: &str, labels: Value| {
            let owner = json!({ "apiVersion": api, "kind": kind, "name": name, "uid": "u", "controller": true });
            workload(&pod(json!({ "metadata": { "name": "p", "labels": labels, "ownerReferences": [owner] } })))
        };
        let hash = || json!({ "pod-template-hash": "847d88cc4" });
        let deployment = Some((WorkloadKind::Deployment, "web".to_owned()));
        assert_eq!(owned("apps/v1", "ReplicaSet", "web-847d88cc4", hash()), deployment);
        assert_eq!(owned("apps/v1", "ReplicaSet", "bare", json!({})), None);
        assert_eq!(owned("argoproj.io/v1alpha1", "ReplicaSet", "web-847d88cc4", hash()), None);
        assert_eq!(owned("batch/v1", "Job", "j", json!({})), Some((WorkloadKind::Job, "j".to_owned())));
        assert_eq!(owned("v1", "Node", "n", json!({})), None);
    }

    #[test]
    fn the_default_container_is_the_annotated_or_the_only_one() {
        let default = |annotations: Value, containers: Value| {
            let metadata = json!({ "name": "p", "annotations": annotations });
            let pod = pod(json!({ "metadata": metadata, "spec": { "containers": containers } }));
            item(&pod).expect("has a name").default_container
        };
        let two = || json!([{ "name": "app" }, { "name": "log" }]);
        assert_eq!(default(json!({}), json!([{ "name": "app" }])), Some("app".to_owned()));
        assert_eq!(default(json!({}), two()), None);
        assert_eq!(default(json!({ DEFAULT_CONTAINER: "log" }), two()), Some("log".to_owned()));
        assert_eq!(default(json!({ DEFAULT_CONTAINER: "gone" }), two()), None);
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(cut("ä".repeat(400)).len(), MAX_TEXT);
        assert_eq!(cut("short".to_owned()), "short");
    }
}
