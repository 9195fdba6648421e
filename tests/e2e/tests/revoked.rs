//! A right that is withdrawn from an agent, or from its whole cluster, ends the sessions there with that cause: by the API and
//! by the operator's command in another process, while the agent can be reached and while it cannot.

use std::time::Duration;

use podlatch_e2e::cluster::target;
use podlatch_e2e::stack::{Options, Stack};
use podlatch_e2e::viewer::Viewer;
use podlatch_impair::Cut;
use podlatch_protocol::target::PodTarget;
use reqwest::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

/// The relay promises two seconds, on a machine of its own.
const SOON: Duration = Duration::from_secs(15);

/// Within this nothing of a session is alive any more.
const GONE: Duration = Duration::from_secs(20);

async fn open_with_process(stack: &Stack, pod: &PodTarget, mark: &str) -> anyhow::Result<Viewer> {
    let viewer = stack.open(pod).await?;
    viewer.type_text(&format!("sleep {mark}\r")).await;
    stack.cluster.wait_for_processes(pod, &format!("sleep {mark}"), 1).await?;
    Ok(viewer)
}

async fn agent_of(stack: &Stack) -> anyhow::Result<String> {
    let path = format!("/clusters/{}/agents", stack.cluster_id);
    let agents = stack.api.call(Method::GET, &path, None).await?;
    Ok(agents["items"][0]["id"].as_str().unwrap_or_default().to_owned())
}

/// Waits for the end that the viewer is told of, and says how long that took.
async fn expect_end(viewer: &mut Viewer, since: Instant, cause: &str) -> anyhow::Result<Duration> {
    let ended = viewer.ended().await?;
    let took = since.elapsed();
    assert_eq!(ended["cause"], json!(cause), "{ended}");
    assert!(took < SOON, "{took:?}");
    Ok(took)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_agents_sessions_end_at_once_and_it_says_why_without_hammering() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let tools = target("default", "tools", "");
    let mut viewer = open_with_process(&stack, &tools, "771").await?;
    let agent = agent_of(&stack).await?;
    let start = Instant::now();
    stack.admin(&["revoke", "agent", &agent]).await?;
    let took = expect_end(&mut viewer, start, "agent_revoked").await?;
    println!("revoked by the operator's command: the session had ended after {took:?}");
    stack.cluster.wait_until_gone(&tools, "sleep 771", GONE).await?;
    let path = format!("/clusters/{}/agents", stack.cluster_id);
    let listed = stack.api.call(Method::GET, &path, None).await?;
    assert_eq!(listed["items"][0]["health"], "revoked");
    let said = |log: &str| log.lines().filter(|line| line.contains("was revoked")).count();
    stack.agent.logged("was revoked", SOON).await?;
    // A real lapse of time: that it does not ask again is seen by nothing else. It waits 15 s at least before it does.
    sleep(Duration::from_secs(5)).await;
    assert!(said(&stack.agent.log()) <= 2, "{}", stack.agent.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_clusters_sessions_end_also_where_its_agent_is_cut_off() -> anyhow::Result<()> {
    let (stack, proxy) = Stack::start_behind_proxy(Options::default()).await?;
    let tools = target("default", "tools", "");
    let mut viewer = open_with_process(&stack, &tools, "772").await?;
    proxy.cut(Cut::Both);
    let start = Instant::now();
    stack.api.call(Method::DELETE, &format!("/clusters/{}", stack.cluster_id), None).await?;
    let took = expect_end(&mut viewer, start, "cluster_revoked").await?;
    println!("revoked over the API while cut off: the session had ended after {took:?}");
    // When it can be reached again it learns of it, and ends what it holds.
    proxy.heal();
    stack.cluster.wait_until_gone(&tools, "sleep 772", Duration::from_secs(90)).await?;
    Ok(())
}
