//! By whose rights Kubernetes is asked, and debug containers: what the cluster's own RBAC, the organisation and the owner of the
//! agent each decide.

use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use podlatch_e2e::api::{OpenedSession, problem};
use podlatch_e2e::audit::events;
use podlatch_e2e::cluster::target;
use podlatch_e2e::process::Process;
use podlatch_e2e::stack::{Options, Stack};
use podlatch_e2e::viewer::Viewer;
use podlatch_e2e::{poll, replay};
use reqwest::Method;
use serde_json::{Value, json};

/// Within this what needs no timeout has happened, also on a busy machine.
const SOON: Duration = Duration::from_mins(1);

const BUSYBOX: &str = "docker.io/library/busybox:1.36";

/// Adds a cluster that an agent with this account of the devcluster and these arguments serves.
async fn serve(stack: &Stack, name: &str, account: &str, more: &[&str]) -> anyhow::Result<(String, Process)> {
    let (cluster, token) = stack.create_cluster(name).await?;
    let identity = format!("file:{}", stack.folder().join(name).display());
    let kubeconfig = stack.cluster.kubeconfig_of(account);
    let kubeconfig = kubeconfig.to_str().context("not UTF-8")?;
    let mut arguments = vec!["run", "--relay", &stack.tunnel, "--ca-pin", stack.pin(), "--join-token", &token];
    arguments.extend(["--identity", &identity, "--kubeconfig", kubeconfig]);
    arguments.extend(more);
    let agent = Process::start("podlatch-agent", &arguments, &[])?;
    stack.wait_until_cluster_online(&cluster).await?;
    Ok((cluster, agent))
}

async fn set_identity(stack: &Stack, cluster: &str, identity: Value) -> anyhow::Result<()> {
    let path = format!("/clusters/{cluster}/kubernetes-identity");
    stack.api.call(Method::PUT, &path, Some(identity)).await.map(drop)
}

async fn grant(stack: &Stack, who: (&str, &str), verbs: &[&str], resource: &str) -> anyhow::Result<()> {
    let rule = json!({ who.0: who.1, "verbs": verbs, "api_group": "", "resources": [resource] });
    stack.cluster.fault("grant", &rule).await
}

async fn open(stack: &Stack, cluster: &str, pod: &str, image: Option<&str>) -> anyhow::Result<OpenedSession> {
    let debug = image.map(|image| json!({ "image": image }));
    let body = json!({
        "cluster": cluster, "namespace": "default", "pod": pod, "columns": 80, "rows": 24, "debug": debug,
    });
    let opened = stack.api.call(Method::POST, "/sessions", Some(body)).await?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("not what was promised");
    Ok(OpenedSession { id: text(&opened["session"]["id"])?, ticket: text(&opened["ticket"])? })
}

async fn refusal(stack: &Stack, cluster: &str, pod: &str, image: Option<&str>) -> anyhow::Result<(String, String)> {
    let error = open(stack, cluster, pod, image).await.err().with_context(|| format!("{pod} opened"))?;
    let refusal = problem(&error);
    println!("{refusal}");
    Ok((refusal.slug.clone(), refusal.detail.clone()))
}

/// Asserts that it is refused with this name, and says all of this.
async fn refused(stack: &Stack, cluster: &str, slug: &str, says: &[&str]) -> anyhow::Result<()> {
    let (found, detail) = refusal(stack, cluster, "bb", None).await?;
    assert_eq!(found, slug, "{detail}");
    assert!(says.iter().all(|part| detail.contains(part)), "{says:?}: {detail}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impersonated_person_has_their_own_rights_in_the_cluster_and_no_others() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    if stack.cluster.process.is_none() {
        println!("left out: only a devcluster grants rights on demand");
        return Ok(());
    }
    let settings = ["--kubernetes-identity=impersonate", "--impersonate-groups=dev"];
    let (cluster, _agent) = serve(&stack, "people", "podlatch-agent-impersonating", &settings).await?;
    // The two are not set alike, in either direction.
    refused(&stack, &cluster, "identity_mode", &["the signed-in person only"]).await?;
    set_identity(&stack, &stack.cluster_id, json!({ "mode": "impersonate" })).await?;
    refused(&stack, &stack.cluster_id, "identity_mode", &["impersonate nobody"]).await?;
    set_identity(&stack, &stack.cluster_id, json!({ "mode": "agent" })).await?;
    // A prefix that the agent's owner does not allow.
    set_identity(&stack, &cluster, json!({ "mode": "impersonate", "user_prefix": "corp:" })).await?;
    refused(&stack, &cluster, "identity_refused", &["podlatch:"]).await?;

    set_identity(&stack, &cluster, json!({ "mode": "impersonate" })).await?;
    let ada = "podlatch:ada@example.org";
    refused(&stack, &cluster, "forbidden", &[ada, "\"create\" on \"pods/exec\"", "Kubernetes says: "]).await?;
    grant(&stack, ("user", ada), &["get"], "pods").await?;
    grant(&stack, ("user", ada), &["create"], "pods/exec").await?;
    let reason = format!("User \"{ada}\" cannot get resource \"pods/exec\"");
    refused(&stack, &cluster, "forbidden", &["lacks \"get\" on \"pods/exec\"", &reason]).await?;

    // The last right comes with a group of Kubernetes, which a group of the organisation is mapped to.
    grant(&stack, ("group", "dev"), &["get"], "pods/exec").await?;
    refused(&stack, &cluster, "forbidden", &["lacks \"get\" on \"pods/exec\""]).await?;
    let body = json!({ "name": "Developers", "kubernetes_groups": ["dev", "not-allowed-by-the-agent"] });
    let group = stack.api.call(Method::POST, "/groups", Some(body)).await?;
    let me = stack.api.call(Method::GET, "/me", None).await?;
    let (group, me) = (group["id"].as_str().context("no id")?, me["user"]["id"].as_str().context("no id")?);
    stack.api.call(Method::PUT, &format!("/groups/{group}/members/{me}"), None).await?;
    let mut viewer = Viewer::attach(stack.api.clone(), open(&stack, &cluster, "bb", None).await?).await?;
    assert_eq!(viewer.run("echo $((40 + 2))").await?, "42");

    // Who lost their rights in the cluster is ended all the same.
    viewer.run("nohup sleep 7901 >/dev/null 2>&1 & true").await?;
    stack.cluster.fault("revoke", &json!({ "user": ada })).await?;
    stack.api.end(&viewer.session).await?;
    assert_eq!(viewer.ended().await?["cleanup"], "confirmed");
    stack.cluster.wait_until_gone(&target("default", "bb", ""), "sleep 7901", SOON).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_impersonates_in_public_clusters_by_the_same_setting() -> anyhow::Result<()> {
    let relay = vec!["--allow-public-cluster-addresses=127.0.0.0/8,::1".to_owned()];
    let stack = Stack::start_with(Options { relay, ..Options::default() }).await?;
    if stack.cluster.process.is_none() {
        println!("left out: only a devcluster grants rights on demand");
        return Ok(());
    }
    let kubeconfig = std::fs::read_to_string(stack.cluster.kubeconfig_of("podlatch-agent-impersonating"))?;
    let body = json!({ "type": "public", "name": "direct", "kubeconfig": kubeconfig });
    let made = stack.api.call(Method::POST, "/clusters", Some(body)).await?;
    let cluster = made["id"].as_str().context("no id")?.to_owned();
    stack.wait_until_cluster_online(&cluster).await?;
    let mut viewer = Viewer::attach(stack.api.clone(), open(&stack, &cluster, "bb", None).await?).await?;
    assert_eq!(viewer.run("echo own").await?, "own");

    set_identity(&stack, &cluster, json!({ "mode": "impersonate", "user_prefix": "corp:" })).await?;
    let ada = "corp:ada@example.org";
    refused(&stack, &cluster, "forbidden", &[ada, "\"create\" on \"pods/exec\""]).await?;
    grant(&stack, ("user", ada), &["get"], "pods").await?;
    grant(&stack, ("user", ada), &["create", "get"], "pods/exec").await?;
    let mut viewer = Viewer::attach(stack.api.clone(), open(&stack, &cluster, "bb", None).await?).await?;
    assert_eq!(viewer.run("echo person").await?, "person");
    let path = format!("/clusters/{cluster}/kubernetes-identity");
    let reserved = json!({ "mode": "impersonate", "user_prefix": "system:" });
    let error = stack.api.call(Method::PUT, &path, Some(reserved)).await.expect_err("is Kubernetes' own");
    assert_eq!(problem(&error).status, 422);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_without_a_shell_is_entered_through_a_debug_container_that_leaves_nothing() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    if stack.cluster.process.is_none() {
        println!("left out: only a devcluster grants rights on demand");
        return Ok(());
    }
    let unknown = "registry.example.com/none:1";
    let images = json!({ "images": [BUSYBOX, "docker.io/library/debian:12", unknown] });
    stack.api.call(Method::PUT, "/debug-images", Some(images)).await?;
    let only = format!("--debug-images={BUSYBOX},{unknown}");
    let (cluster, _agent) = serve(&stack, "debug", "podlatch-agent", &[&only]).await?;
    assert_eq!(refusal(&stack, &cluster, "distroless", None).await?.0, "no_shell");
    // The agent of the other cluster adds none; this one not every image; the organisation neither.
    let expect = async |cluster: &str, image: &str, slug: &str, says: &str| -> anyhow::Result<()> {
        let (found, detail) = refusal(&stack, cluster, "distroless", Some(image)).await?;
        assert_eq!(found, slug, "{detail}");
        assert!(detail.contains(says), "{says}: {detail}");
        Ok(())
    };
    expect(&stack.cluster_id, BUSYBOX, "debug_not_allowed", "the agent adds no debug containers").await?;
    expect(&cluster, "docker.io/library/debian:12", "debug_not_allowed", "the agent does not allow").await?;
    expect(&cluster, "docker.io/library/alpine:3", "debug_not_allowed", "the organisation does not allow").await?;
    expect(&cluster, BUSYBOX, "forbidden", "\"patch\" on \"pods/ephemeralcontainers\"").await?;
    let agent = "system:serviceaccount:podlatch:podlatch-agent";
    grant(&stack, ("user", agent), &["patch"], "pods/ephemeralcontainers").await?;
    expect(&cluster, unknown, "debug_image_failed", unknown).await?;

    let mut viewer =
        Viewer::attach(stack.api.clone(), open(&stack, &cluster, "distroless", Some(BUSYBOX)).await?).await?;
    let session = viewer.session.clone();
    assert_eq!(viewer.run("echo $((40 + 2))").await?, "42");
    let container = format!("podlatch-{session}");
    assert_eq!(stack.api.session(&session).await?["container"], json!(container));
    viewer.run("nohup sleep 7902 >/dev/null 2>&1 & true").await?;
    stack.api.end(&session).await?;
    let ended = viewer.ended().await?;
    assert_eq!((&ended["cause"], &ended["cleanup"]), (&json!("closed_by_user"), &json!("confirmed")));
    wait_until_terminated(&stack, &container).await?;
    assert!(String::from_utf8_lossy(&replay::output(&stack, &session).await?).contains("42"));
    let added = events(&stack.api, &[("session", &session), ("action", "debug_container_added")]).await?;
    assert_eq!(added.len(), 1, "{added:?}");
    let details = added[0].to_string();
    assert!(details.contains(BUSYBOX) && details.contains(&container), "{details}");
    Ok(())
}

/// A container whose first process has ended has no process left.
async fn wait_until_terminated(stack: &Stack, container: &str) -> anyhow::Result<()> {
    let pods: kube::Api<Pod> = kube::Api::namespaced(stack.cluster.client().await?, "default");
    poll::holds("the container has ended", SOON, || async {
        let status = pods.get("distroless").await?.status.context("no status")?;
        let statuses = status.ephemeral_container_statuses.unwrap_or_default();
        let state = statuses.into_iter().find(|status| status.name == container).and_then(|status| status.state);
        Ok(state.is_some_and(|state| state.terminated.is_some()))
    })
    .await
}
