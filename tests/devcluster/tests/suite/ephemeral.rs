//! Ephemeral containers: added by a patch, beside a container that has no shell.

use std::time::Duration;

use serde_json::{Value, json};

use crate::kubectl::Kubectl;
use crate::support::{Ask, cluster, within};
use podlatch_devcluster::Devcluster;

const POD: &str = "/api/v1/namespaces/default/pods/distroless";

async fn add(cluster: &Devcluster, user: &str, container: &Value) -> crate::support::Answer {
    let patch = json!({"spec": {"ephemeralContainers": [container]}}).to_string();
    let ask = Ask::of(cluster, user).header("content-type", "application/strategic-merge-patch+json");
    ask.send("PATCH", &format!("{POD}/ephemeralcontainers"), &patch).await
}

/// Waits until the status of the container named `d` has a state that `wanted` names, and gives it back.
async fn state(cluster: &Devcluster, wanted: &str) -> Value {
    let seen = async {
        loop {
            let pod = Ask::of(cluster, "admin").get(POD).await.json();
            let found = &pod["status"]["ephemeralContainerStatuses"][0]["state"];
            if found.to_string().contains(wanted) {
                return found.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within(wanted, seen).await
}

#[tokio::test]
async fn a_debug_container_sees_the_processes_of_its_target_and_ends_with_its_first_process() {
    let cluster = cluster().await;
    let wait = "trap 'exit 0' HUP; sleep 1000 & wait";
    let container = json!({"name": "d", "image": "busybox:1.36", "command": ["sh", "-c", wait],
        "targetContainerName": "main", "env": [{"name": "MARK", "value": "here"}]});
    let added = add(&cluster, "admin", &container).await;
    assert_eq!(added.status, 200, "{}", added.body);
    state(&cluster, "running").await;
    let kubectl = Kubectl::of(&cluster, "admin");
    let processes = kubectl.succeed(&["exec", "distroless", "-c", "d", "--", "ps"]).await;
    if cluster.prerequisites().isolation == podlatch_devcluster::Isolation::Namespaces {
        assert!(processes.contains("/pause"), "{processes}");
    }
    let script = "for d in /proc/[0-9]*; do grep -q MARK=here $d/environ && grep -q trap $d/cmdline && kill -HUP ${d#/proc/}; done 2>/dev/null; true";
    kubectl.run(&["exec", "distroless", "-c", "d", "--", "sh", "-c", script]).await;
    state(&cluster, "terminated").await;
    let (_, gone) = kubectl.fail(&["exec", "distroless", "-c", "d", "--", "ps"]).await;
    assert!(gone.contains("container not found"), "{gone}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_added_is_refused_and_what_cannot_be_pulled_is_told() {
    let cluster = cluster().await;
    let target = json!({"name": "d", "image": "busybox:1.36", "targetContainerName": "nope"});
    assert_eq!(add(&cluster, "admin", &target).await.status, 422);
    let container = json!({"name": "d", "image": "example.com/nope:1", "targetContainerName": "main"});
    let refused = add(&cluster, "podlatch-agent", &container).await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("cannot patch resource \\\"pods/ephemeralcontainers\\\""), "{}", refused.body);
    assert_eq!(add(&cluster, "admin", &container).await.status, 200);
    let waiting = state(&cluster, "ImagePullBackOff").await;
    assert!(
        waiting["waiting"]["message"].as_str().is_some_and(|text| text.contains("example.com/nope:1")),
        "{waiting}"
    );
    cluster.shutdown().await;
}

#[tokio::test]
async fn kubectl_debug_works() {
    let cluster = cluster().await;
    let kubectl = Kubectl::of(&cluster, "admin");
    let arguments = ["debug", "distroless", "--image=busybox:1.36", "--target=main", "-c", "d", "--", "sleep", "1000"];
    kubectl.succeed(&arguments).await;
    state(&cluster, "running").await;
    assert_eq!(kubectl.succeed(&["exec", "distroless", "-c", "d", "--", "echo", "hi"]).await, "hi\n");
    cluster.shutdown().await;
}
