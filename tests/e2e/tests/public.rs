//! Public clusters, which the relay reaches by itself: the same line, without an agent.

use std::time::Duration;

use anyhow::Context;
use podlatch_e2e::api::problem;
use podlatch_e2e::cluster::target;
use podlatch_e2e::stack::{Options, Stack};
use podlatch_e2e::viewer::Viewer;
use podlatch_e2e::{poll, replay};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

/// Within this what needs no timeout has happened, also on a busy machine.
const SOON: Duration = Duration::from_mins(1);

/// A stack whose relay may dial the devcluster, which is on this machine.
async fn stack() -> anyhow::Result<Stack> {
    let relay = vec!["--allow-public-cluster-addresses=127.0.0.0/8,::1".to_owned()];
    Stack::start_with(Options { relay, ..Options::default() }).await
}

fn kubeconfig(stack: &Stack) -> anyhow::Result<String> {
    Ok(std::fs::read_to_string(stack.cluster.agent_kubeconfig())?)
}

/// Registers the stack's cluster once more, as a public one; returns its id.
async fn register(stack: &Stack, name: &str, kubeconfig: &str) -> anyhow::Result<String> {
    let body = json!({ "type": "public", "name": name, "kubeconfig": kubeconfig });
    let made = stack.api.call(Method::POST, "/clusters", Some(body)).await?;
    let id = made["id"].as_str().context("no id")?.to_owned();
    assert!(!made.to_string().contains("token"), "{made}");
    Ok(id)
}

/// Waits until a cluster answers, or does not; returns it.
async fn found(stack: &Stack, cluster: &str, state: &str) -> anyhow::Result<Value> {
    let path = format!("/clusters/{cluster}");
    poll::until(state, SOON, || async {
        let found = stack.api.call(Method::GET, &path, None).await?;
        Ok(if found["state"] == state { Ok(found) } else { Err(found) })
    })
    .await
}

async fn open(stack: &Stack, cluster: &str) -> anyhow::Result<Viewer> {
    let opened = stack.api.open(cluster, &target("default", "tools", ""), None).await?;
    Viewer::attach(stack.api.clone(), opened).await
}

/// What a watch tells until it has told everything.
async fn watched(stack: &Stack, path: &str) -> anyhow::Result<String> {
    let address = format!("{}/api/v1{path}", stack.api.base());
    let request = reqwest::Client::new().get(address).header("cookie", stack.api.cookie());
    let mut response = request.send().await?.error_for_status()?;
    let mut told = String::new();
    while !told.contains("synced") {
        let chunk = timeout(SOON, response.chunk()).await??.context("the watch ended")?;
        told.push_str(&String::from_utf8_lossy(&chunk));
    }
    Ok(told)
}

fn step<'a>(test: &'a Value, name: &str) -> &'a Value {
    let steps = test["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    steps.iter().find(|step| step["step"] == name).unwrap_or(&Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_cluster_works_as_a_private_one_does() -> anyhow::Result<()> {
    let stack = stack().await?;
    let kubeconfig = kubeconfig(&stack)?;
    let body = json!({ "kubeconfig": kubeconfig });
    let test = stack.api.call(Method::POST, "/clusters/connection-tests", Some(body)).await?;
    assert_eq!(test["ok"], true, "{test:#}");
    let direct = register(&stack, "direct", &kubeconfig).await?;
    let shown = found(&stack, &direct, "online").await?;
    assert!(shown["kubernetes_version"].as_str().is_some_and(|version| version.starts_with('v')), "{shown:#}");
    assert_eq!(shown["trouble"], Value::Null);
    let path = format!("/clusters/{direct}/connection-tests");
    let again = stack.api.call(Method::POST, &path, None).await?;
    assert_eq!((&again["ok"], &again["permissions"]), (&json!(true), &test["permissions"]));

    assert!(watched(&stack, &format!("/clusters/{direct}/namespaces/watch")).await?.contains("default"));
    assert!(watched(&stack, &format!("/clusters/{direct}/namespaces/default/watch")).await?.contains("tools"));

    let tools = target("default", "tools", "");
    let mut viewer = open(&stack, &direct).await?;
    assert_eq!(viewer.run("echo $((40 + 2))").await?, "42");
    viewer.send_json(&json!({"type": "resize", "columns": 101, "rows": 33})).await;
    viewer.run("sleep 0.2").await?;
    assert_eq!(viewer.run("stty size").await?, "33 101");
    viewer.type_text("sleep 7801\r").await;
    stack.cluster.wait_for_processes(&tools, "sleep 7801", 1).await?;
    viewer.type_text("\u{3}").await;
    assert_eq!(viewer.run("echo interrupted").await?, "interrupted");
    let session = viewer.session.clone();
    stack.api.end(&session).await?;
    let ended = viewer.ended().await?;
    assert_eq!((&ended["cause"], &ended["cleanup"]), (&json!("closed_by_user"), &json!("confirmed")));
    assert_eq!(stack.api.session(&session).await?["cluster"]["type"], "public");
    let played = String::from_utf8_lossy(&replay::output(&stack, &session).await?).into_owned();
    assert!(played.contains("interrupted"), "{played}");

    // Revoked: what runs ends, its processes too.
    let mut viewer = open(&stack, &direct).await?;
    viewer.run("nohup sleep 7802 >/dev/null 2>&1 & true").await?;
    stack.api.call(Method::DELETE, &format!("/clusters/{direct}"), None).await?;
    let ended = viewer.ended().await?;
    assert_eq!(ended["cause"], "revoked");
    stack.cluster.wait_until_gone(&tools, "sleep 7802", SOON).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_restart_ends_sessions_in_public_clusters_says_so_and_cleans_up() -> anyhow::Result<()> {
    let mut stack = stack().await?;
    let direct = register(&stack, "direct", &kubeconfig(&stack)?).await?;
    stack.wait_until_cluster_online(&direct).await?;
    let tools = target("default", "tools", "");
    let mut viewer = open(&stack, &direct).await?;
    viewer.run("nohup sleep 7811 >/dev/null 2>&1 & true").await?;
    let session = viewer.session.clone();
    drop(viewer);
    stack.kill_relay().await?;
    stack.restart_relay().await?;
    let end = stack.api.wait_until_ended(&session, SOON).await?;
    assert_eq!(end["cause"], "relay_restarted", "{end}");
    stack.cluster.wait_until_gone(&tools, "sleep 7811", SOON).await?;
    // What was stored sealed is of use to the next life.
    stack.wait_until_cluster_online(&direct).await?;
    let mut viewer = open(&stack, &direct).await?;
    assert_eq!(viewer.run("echo again").await?, "again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_public_cluster_is_told_and_can_be_mended() -> anyhow::Result<()> {
    let stack = stack().await?;
    let good = kubeconfig(&stack)?;
    let mut parsed: Value = serde_yaml::from_str(&good).context("the cluster's kubeconfig is no YAML")?;
    parsed["users"][0]["user"] = json!({ "token": "not-a-token" });
    let wrong_token = parsed.to_string();
    let test =
        stack.api.call(Method::POST, "/clusters/connection-tests", Some(json!({ "kubeconfig": wrong_token }))).await?;
    assert_eq!((&test["ok"], &step(&test, "trusted")["state"]), (&json!(false), &json!("ok")), "{test:#}");
    assert_eq!(step(&test, "authenticated")["state"], "failed", "{test:#}");

    let mut parsed: Value = serde_yaml::from_str(&good)?;
    parsed["clusters"][0]["cluster"]["certificate-authority-data"].take();
    let body = json!({ "kubeconfig": parsed.to_string() });
    let test = stack.api.call(Method::POST, "/clusters/connection-tests", Some(body)).await?;
    assert_eq!(step(&test, "trusted")["state"], "failed", "{test:#}");
    assert!(step(&test, "trusted")["sentence"].as_str().is_some_and(|text| text.contains("CA")), "{test:#}");

    let direct = register(&stack, "direct", &wrong_token).await?;
    let shown = found(&stack, &direct, "offline").await?;
    let trouble = shown["trouble"].as_str().unwrap_or_default();
    assert!(trouble.contains("does not accept the credential"), "{shown:#}");
    assert_eq!(shown["last_seen_at"], Value::Null, "it never answered");
    let refused = stack.api.open(&direct, &target("default", "tools", ""), None).await.expect_err("has no right");
    assert!(problem(&refused).detail.contains("does not accept the credential"), "{refused:#}");
    let path = format!("/clusters/{direct}/access");
    stack.api.call(Method::PUT, &path, Some(json!({ "kubeconfig": good }))).await?;
    let shown = found(&stack, &direct, "online").await?;
    assert_eq!(shown["trouble"], Value::Null);
    let mut viewer = open(&stack, &direct).await?;
    assert_eq!(viewer.run("echo mended").await?, "mended");

    // No credential is told again, nor written anywhere in the clear.
    let user = &serde_yaml::from_str::<Value>(&good)?["users"][0]["user"];
    let secret = user["token"].as_str().or(user["client-key-data"].as_str()).context("no token and no key")?.to_owned();
    for path in [format!("/clusters/{direct}"), "/clusters".to_owned(), "/audit-events".to_owned()] {
        let told = stack.api.call(Method::GET, &path, None).await?.to_string();
        assert!(!told.contains(&secret), "{path}");
    }
    for entry in std::fs::read_dir(stack.relay_data())? {
        let path = entry?.path();
        if path.is_file() {
            let bytes = std::fs::read(&path)?;
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{}", path.display());
        }
    }
    assert!(!stack.relay.log().contains(&secret));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_unless_the_operator_allows_it() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let body = json!({ "kubeconfig": kubeconfig(&stack)? });
    let test = stack.api.call(Method::POST, "/clusters/connection-tests", Some(body)).await?;
    assert_eq!(step(&test, "allowed")["state"], "failed", "{test:#}");
    assert_eq!(step(&test, "reachable")["state"], "not_tried", "{test:#}");

    let direct = register(&stack, "direct", &kubeconfig(&stack)?).await?;
    let shown = found(&stack, &direct, "offline").await?;
    assert_eq!(shown["trouble"], step(&test, "allowed")["sentence"], "{shown:#}");
    Ok(())
}
