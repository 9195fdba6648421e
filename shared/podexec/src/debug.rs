//! Debug containers: an ephemeral container of an allowed image, added to a pod beside a container that has no shell.
//!
//! Kubernetes can neither remove nor restart one, so it must end by itself: its first process carries the session's marker, and
//! so ends with the session's other processes ([`crate::reap`]); and it ends when the session's time is up, whatever happens.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerState, EnvVar, EphemeralContainer, Pod, SecurityContext};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::debug::{DebugImage, container_name};
use podlatch_protocol::limits::DEBUG_START;
use podlatch_protocol::request::Open;
use podlatch_protocol::target::ContainerName;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::pod::{self, ResolvedContainer};
use crate::prelude::MARKER_VARIABLE;

/// How long the API server may take to take the container in.
const ADD_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two looks at the pod. A watch would be told sooner, but not everybody who may debug may watch.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Waits for `$1` seconds, or until the session's processes are ended. As process 1 it would not notice a signal that it does
/// not catch.
const WAIT: &str = r#"trap 'exit 0' HUP TERM INT; sleep "$1" & wait"#;

/// Adds a container for the session and waits until it runs. A failure may leave the container behind; it ends when the
/// session's time would have been up. Not cancel safe for the same reason.
pub(crate) async fn start(
    client: &Client,
    open: &Open,
    target: &ResolvedContainer,
    image: &DebugImage,
) -> Result<ContainerName, Refusal> {
    let name =
        container_name(open.session).map_err(|error| Refusal::new(RefusalCode::DebugFailed, error.to_string()))?;
    add(client, open, &container(open, target, image, &name)).await?;
    match timeout(DEBUG_START, wait_until_running(client, open, target, &name)).await {
        Ok(running) => running.map(|()| name),
        Err(_) => Err(Refusal::new(RefusalCode::DebugFailed, "it does not run after 60 s")),
    }
}

fn container(open: &Open, target: &ResolvedContainer, image: &DebugImage, name: &ContainerName) -> EphemeralContainer {
    let life = open.lease.expires_in.as_secs().max(1).to_string();
    let command = ["sh", "-c", WAIT, "podlatch", &life].map(str::to_owned);
    let marker = EnvVar { name: MARKER_VARIABLE.to_owned(), value: Some(open.session.to_string()), value_from: None };
    EphemeralContainer {
        name: name.to_string(),
        image: Some(image.to_string()),
        command: Some(command.to_vec()),
        env: Some(vec![marker]),
        security_context: Some(security(target.security.clone())),
        target_container_name: Some(target.container.to_string()),
        ..EphemeralContainer::default()
    }
}

/// What the target may, so that its files and processes can be looked into and the same policies let it in; but never the whole
/// machine.
fn security(target: Option<SecurityContext>) -> SecurityContext {
    SecurityContext { privileged: None, ..target.unwrap_or_default() }
}

async fn add(client: &Client, open: &Open, container: &EphemeralContainer) -> Result<(), Refusal> {
    let api: Api<Pod> = Api::namespaced(client.clone(), open.target.namespace.as_str());
    let patch = Patch::Strategic(json!({"spec": {"ephemeralContainers": [container]}}));
    let params = PatchParams::default();
    let added = api.patch_ephemeral_containers(open.target.pod.as_str(), &params, &patch);
    match timeout(ADD_TIMEOUT, added).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kube::Error::Api(status))) => {
            let code = match status.code {
                404 => RefusalCode::PodNotFound,
                // RBAC was asked before, so this is admission: pod security, or a policy of the cluster.
                _ => RefusalCode::DebugFailed,
            };
            Err(Refusal::new(code, format!("Kubernetes says: {}", status.message)))
        }
        Ok(Err(error)) => Err(Refusal::new(RefusalCode::KubernetesUnreachable, error.to_string())),
        Err(_) => Err(Refusal::new(RefusalCode::KubernetesUnreachable, "no answer within 10 s")),
    }
}

async fn wait_until_running(
    client: &Client,
    open: &Open,
    target: &ResolvedContainer,
    name: &ContainerName,
) -> Result<(), Refusal> {
    loop {
        let pod = pod::look_up(client, &open.target.namespace, &open.target.pod).await?;
        if pod.metadata.uid.as_deref() != Some(target.pod_uid.as_str()) {
            return Err(Refusal::new(RefusalCode::PodNotFound, "the pod was replaced"));
        }
        match progress(&pod, name) {
            Progress::Running => return Ok(()),
            Progress::Failed(refusal) => return Err(refusal),
            Progress::Waiting => sleep(POLL_INTERVAL).await,
        }
    }
}

/// How far the container has come.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    Running,
    Failed(Refusal),
}

/// Pure.
fn progress(pod: &Pod, name: &ContainerName) -> Progress {
    let statuses = pod.status.iter().flat_map(|status| status.ephemeral_container_statuses.iter().flatten());
    let Some(state) = statuses.filter(|status| status.name == name.as_str()).find_map(|status| status.state.as_ref())
    else {
        return Progress::Waiting;
    };
    match state {
        ContainerState { running: Some(_), .. } => Progress::Running,
        ContainerState { terminated: Some(ended), .. } => {
            let why = [ended.reason.as_deref(), ended.message.as_deref()];
            let why = said(why).unwrap_or_else(|| format!("it ended at once with {}", ended.exit_code));
            Progress::Failed(Refusal::new(RefusalCode::DebugFailed, why))
        }
        ContainerState { waiting: Some(waiting), .. } => {
            let why = said([waiting.reason.as_deref(), waiting.message.as_deref()]).unwrap_or_default();
            match waiting.reason.as_deref() {
                Some("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull") => {
                    Progress::Failed(Refusal::new(RefusalCode::DebugImageFailed, why))
                }
                Some("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => {
                    Progress::Failed(Refusal::new(RefusalCode::DebugFailed, why))
                }
                _ => Progress::Waiting,
            }
        }
        ContainerState { .. } => Progress::Waiting,
    }
}

fn said(parts: [Option<&str>; 2]) -> Option<String> {
    let parts: Vec<_> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| format!("Kubernetes says: {}", parts.join(": ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> ContainerName {
        "podlatch-1".parse().expect("valid")
    }

    fn seen(state: &serde_json::Value) -> Progress {
        let statuses = json!([
            {"name": "other", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"running": {}}},
            {"name": "podlatch-1", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state},
        ]);
        let pod = json!({"metadata": {}, "status": {"ephemeralContainerStatuses": statuses}});
        progress(&serde_json::from_value(pod).expect("a pod"), &name())
    }

    fn code(progress: Progress) -> Option<RefusalCode> {
        match progress {
            Progress::Failed(refusal) => Some(refusal.code),
            Progress::Waiting | Progress::Running => None,
        }
    }

    #[test]
    fn a_container_is_waited_for_until_it_runs() {
        assert_eq!(progress(&Pod::default(), &name()), Progress::Waiting);
        assert_eq!(seen(&json!({"waiting": {"reason": "ContainerCreating"}})), Progress::Waiting);
        assert_eq!(seen(&json!({"running": {"startedAt": null}})), Progress::Running);
    }

    #[test]
    fn what_will_not_get_better_is_told_with_kubernetes_own_words() {
        let pull = seen(&json!({"waiting": {"reason": "ErrImagePull", "message": "no such host"}}));
        assert_eq!(
            pull,
            Progress::Failed(Refusal::new(
                RefusalCode::DebugImageFailed,
                "Kubernetes says: ErrImagePull: no such host"
            ))
        );
        let refused = json!({"waiting": {"reason": "CreateContainerConfigError", "message": "runs as root"}});
        assert_eq!(code(seen(&refused)), Some(RefusalCode::DebugFailed));
        assert_eq!(code(seen(&json!({"terminated": {"exitCode": 127}}))), Some(RefusalCode::DebugFailed));
    }

    #[test]
    fn it_may_what_the_target_may_but_is_never_privileged() {
        let target = json!({"runAsUser": 1000, "privileged": true, "capabilities": {"drop": ["ALL"]}});
        let given = security(Some(serde_json::from_value(target).expect("a security context")));
        let given = serde_json::to_value(given).expect("JSON");
        assert_eq!(given, json!({"runAsUser": 1000, "capabilities": {"drop": ["ALL"]}}));
    }
}
