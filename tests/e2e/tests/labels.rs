//! Access rules that go by the labels of pods, as the cluster says them: who opens, who is listed, and what a label that is changed
//! does to a session that lives.

use std::time::Duration;

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use podlatch_e2e::api::problem;
use podlatch_e2e::cluster::target;
use podlatch_e2e::people::Member;
use podlatch_e2e::stack::{Options, Stack};
use podlatch_e2e::viewer::Viewer;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

/// Whatever takes longer than this does not happen.
const PATIENCE: Duration = Duration::from_secs(90);

/// What is promised of a withdrawal, and what a busy machine may add.
const WITHDRAWN: Duration = Duration::from_secs(15 + 5);

/// What a member sees of a namespace.
struct Sight {
    response: Response,
    told: String,
}

impl Sight {
    async fn open(stack: &Stack, member: &Member, cluster: &str) -> anyhow::Result<Self> {
        let address = format!("{}/api/v1/clusters/{cluster}/namespaces/default/watch", stack.api.base());
        let request = reqwest::Client::builder().no_proxy().build()?.get(address).header("cookie", member.api.cookie());
        Ok(Self { response: request.send().await?.error_for_status()?, told: String::new() })
    }

    /// Everything that is told up to `wanted`.
    async fn until(&mut self, wanted: &str) -> anyhow::Result<&str> {
        while !self.told.contains(wanted) {
            let chunk = timeout(PATIENCE, self.response.chunk()).await.context("nothing is told")??;
            self.told.push_str(&String::from_utf8_lossy(&chunk.context("the watch ended")?));
        }
        Ok(&self.told)
    }
}

async fn label(stack: &Stack, pod: &str, labels: Value) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::namespaced(stack.cluster.client().await?, "default");
    let patch = json!({"metadata": {"labels": labels}});
    pods.patch(pod, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

async fn rule(stack: &Stack, effect: Value, member: &Member, labels: Value) -> anyhow::Result<String> {
    let settings = json!({
        "name": "By labels", "effect": effect, "who": {"users": [member.id]}, "clusters": {"names": ["*"]},
        "namespaces": ["default"], "pod_labels": labels, "containers": ["*"], "actions": ["view", "exec"],
    });
    let made = stack.api.call(Method::POST, "/access-rules", Some(settings)).await?;
    Ok(made["id"].as_str().context("no id")?.to_owned())
}

async fn refusal(member: &Member, cluster: &str, pod: &str) -> anyhow::Result<String> {
    let Err(error) = member.api.open(cluster, &target("default", pod, ""), None).await else {
        anyhow::bail!("{pod} opens");
    };
    let problem = problem(&error);
    ensure!(problem.status == 403, "{problem:?}");
    Ok(problem.detail.clone())
}

/// All of it in one cluster.
async fn rules_go_by_labels(stack: &Stack, cluster: &str, name: &str) -> anyhow::Result<()> {
    let member = stack.api.invite(name, "member").await?;
    rule(stack, json!({"allow": {}}), &member, json!({"app": "tools"})).await?;

    let mut sight = Sight::open(stack, &member, cluster).await?;
    let told = sight.until("synced").await?;
    ensure!(told.contains("\"tools\"") && !told.contains("\"bb\""), "only the pod with the label: {told}");
    for other in ["bb", "no-such-pod"] {
        let detail = refusal(&member, cluster, other).await?;
        ensure!(detail.contains("No access rule allows you this"), "{other}: {detail}");
    }
    let tools = target("default", "tools", "");
    let mut viewer = Viewer::attach(member.api.clone(), member.api.open(cluster, &tools, None).await?).await?;
    assert_eq!(viewer.run("echo $((40 + 2))").await?, "42");

    // A label that the rule does not go by changes nothing; one that it goes by does, within the time of every withdrawal.
    label(stack, "tools", json!({"colour": "blue"})).await?;
    assert_eq!(viewer.run("echo still here").await?, "still here");
    let since = Instant::now();
    label(stack, "tools", json!({"app": "other"})).await?;
    let ended = viewer.ended().await?;
    let after = since.elapsed();
    assert_eq!(ended["cause"], "pod_labels_changed", "{ended}");
    ensure!(after < WITHDRAWN, "ended after {after:?}");
    ensure!(ended["message"].as_str().is_some_and(|text| text.contains("labels")), "{ended}");
    sight.until("event: deleted").await?;
    refusal(&member, cluster, "tools").await?;
    label(stack, "tools", json!({"app": "tools"})).await?;

    // What denies wins, for who is in as well.
    let mut viewer = Viewer::attach(member.api.clone(), member.api.open(cluster, &tools, None).await?).await?;
    assert_eq!(viewer.run("echo back").await?, "back");
    rule(stack, json!("deny"), &member, json!({"colour": "blue"})).await?;
    assert_eq!(viewer.ended().await?["cause"], "rule_changed");
    let detail = refusal(&member, cluster, "tools").await?;
    ensure!(detail.contains("denies"), "{detail}");
    label(stack, "tools", json!({"colour": null})).await?;
    let mut viewer = Viewer::attach(member.api.clone(), member.api.open(cluster, &tools, None).await?).await?;
    assert_eq!(viewer.run("echo allowed again").await?, "allowed again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_go_by_the_labels_of_pods_in_private_and_public_clusters() -> anyhow::Result<()> {
    let relay = vec!["--allow-public-cluster-addresses=127.0.0.0/8,::1".to_owned()];
    let stack = Stack::start_with(Options { relay, ..Options::default() }).await?;
    rules_go_by_labels(&stack, &stack.cluster_id, "lena").await.context("private")?;

    let kubeconfig = std::fs::read_to_string(stack.cluster.agent_kubeconfig())?;
    let body = json!({"type": "public", "name": "direct", "kubeconfig": kubeconfig});
    let made = stack.api.call(Method::POST, "/clusters", Some(body)).await?;
    let direct = made["id"].as_str().context("no id")?;
    stack.wait_until_cluster_online(direct).await?;
    rules_go_by_labels(&stack, direct, "otto").await.context("public")
}
