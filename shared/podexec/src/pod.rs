//! What has to be known of a pod before anything is started in it.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, SecurityContext};
use kube::{Api, Client};
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::target::{ContainerName, Namespace, PodName, PodTarget};

use crate::client;

/// The annotation with which a pod names the container that an unnamed exec enters.
pub const DEFAULT_CONTAINER_ANNOTATION: &str = "kubectl.kubernetes.io/default-container";

/// How long the API server may take to describe a pod.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// A container that a process can be started in.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedContainer {
    /// The pod's UID.
    pub pod_uid: String,
    /// The container.
    pub container: ContainerName,
    /// What the container may, as its pod says.
    pub(crate) security: Option<SecurityContext>,
}

/// Looks the target up and chooses its container as kubectl would. Cancel safe.
pub async fn resolve(client: &Client, target: &PodTarget) -> Result<ResolvedContainer, Refusal> {
    let pod = look_up(client, &target.namespace, &target.pod).await?;
    choose(&pod, target)
}

/// Asks for a pod. Cancel safe.
pub(crate) async fn look_up(client: &Client, namespace: &Namespace, pod: &PodName) -> Result<Pod, Refusal> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace.as_str());
    match tokio::time::timeout(LOOK_UP_TIMEOUT, api.get(pod.as_str())).await {
        Ok(Ok(pod)) => Ok(pod),
        Ok(Err(kube::Error::Api(status))) => {
            let code = match status.code {
                404 => RefusalCode::PodNotFound,
                401 | 403 => RefusalCode::Forbidden,
                _ => RefusalCode::KubernetesError,
            };
            if status.code == 401 {
                return Err(Refusal::new(code, client::UNAUTHENTICATED));
            }
            Err(Refusal::new(code, status.message.clone()))
        }
        Ok(Err(error)) => Err(Refusal::new(RefusalCode::KubernetesUnreachable, client::explain(&error))),
        Err(_) => Err(Refusal::new(RefusalCode::KubernetesUnreachable, "no answer within 10 s")),
    }
}

/// Chooses the container and checks that the pod can run a process at all. Pure.
fn choose(pod: &Pod, target: &PodTarget) -> Result<ResolvedContainer, Refusal> {
    let names = container_names(pod);
    let container = match &target.container {
        Some(container) if names.iter().any(|name| name == container.as_str()) => container.clone(),
        Some(container) => {
            let detail = format!("{container} is not one of: {}", names.join(", "));
            return Err(Refusal::new(RefusalCode::ContainerNotFound, detail));
        }
        None => default_container(pod)
            .and_then(|name| name.parse().ok())
            .ok_or_else(|| Refusal::new(RefusalCode::ContainerRequired, names.join(", ")))?,
    };
    match pod.status.as_ref().and_then(|status| status.phase.as_deref()) {
        Some("Pending") => return Err(Refusal::new(RefusalCode::PodPending, "")),
        Some("Succeeded" | "Failed") => return Err(Refusal::new(RefusalCode::PodEnded, "")),
        _ => {}
    }
    let security = security_of(pod, &container);
    Ok(ResolvedContainer { pod_uid: pod.metadata.uid.clone().unwrap_or_default(), container, security })
}

fn security_of(pod: &Pod, container: &ContainerName) -> Option<SecurityContext> {
    let spec = pod.spec.as_ref()?;
    let mut containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    containers.find(|one| one.name == container.as_str())?.security_context.clone()
}

/// The container that an exec without a name enters: the annotated one, or the only one.
pub fn default_container(pod: &Pod) -> Option<String> {
    let annotated = pod.metadata.annotations.as_ref().and_then(|all| all.get(DEFAULT_CONTAINER_ANNOTATION));
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    match (annotated, containers) {
        (Some(name), _) if containers.iter().any(|container| &container.name == name) => Some(name.clone()),
        (_, [only]) => Some(only.name.clone()),
        _ => None,
    }
}

/// Every container that a process could be started in.
pub fn container_names(pod: &Pod) -> Vec<String> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(|container| container.name.clone());
    // Init containers can be entered too: sidecars are init containers that never end.
    let init = spec.init_containers.iter().flatten().map(|container| container.name.clone());
    spec.containers.iter().map(|container| container.name.clone()).chain(ephemeral).chain(init).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(value: serde_json::Value) -> Pod {
        serde_json::from_value(value).expect("a pod")
    }

    fn target(container: Option<&str>) -> PodTarget {
        PodTarget {
            namespace: "default".parse().expect("valid"),
            pod: "p".parse().expect("valid"),
            container: container.map(|name| name.parse().expect("valid")),
        }
    }

    fn two(annotation: &str, phase: &str) -> Pod {
        pod(json!({
            "metadata": {"uid": "u", "annotations": {DEFAULT_CONTAINER_ANNOTATION: annotation}},
            "spec": {"containers": [{"name": "app"}, {"name": "sidecar"}]},
            "status": {"phase": phase},
        }))
    }

    #[test]
    fn chooses_as_kubectl_does() {
        let one = pod(json!({"metadata": {"uid": "u"}, "spec": {"containers": [{"name": "main"}]}}));
        assert_eq!(choose(&one, &target(None)).expect("chosen").container.as_str(), "main");
        assert_eq!(choose(&two("sidecar", "Running"), &target(None)).expect("chosen").container.as_str(), "sidecar");
        assert_eq!(
            choose(&two("app", "Running"), &target(Some("sidecar"))).expect("named").container.as_str(),
            "sidecar"
        );
    }

    #[test]
    fn names_the_choices_when_it_cannot_choose() {
        let refusal = choose(&two("nonsense", "Running"), &target(None)).expect_err("ambiguous");
        assert_eq!((refusal.code, refusal.detail.as_str()), (RefusalCode::ContainerRequired, "app, sidecar"));
        let refusal = choose(&two("app", "Running"), &target(Some("zzz"))).expect_err("unknown");
        assert_eq!(refusal.code, RefusalCode::ContainerNotFound);
    }

    #[test]
    fn a_pod_that_cannot_run_anything_is_refused_before_the_exec() {
        let code = |phase| choose(&two("app", phase), &target(None)).expect_err("refused").code;
        assert_eq!(code("Pending"), RefusalCode::PodPending);
        assert_eq!(code("Succeeded"), RefusalCode::PodEnded);
        assert_eq!(code("Failed"), RefusalCode::PodEnded);
    }
}
