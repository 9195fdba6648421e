//! Two replicas of one agent, one of them killed: what is new goes to the other one, the sessions of the killed one are told,
//! and what they left in their pods is gone once it is back.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use podlatch_e2e::cluster::target;
use podlatch_e2e::process::Process;
use podlatch_e2e::stack::Stack;
use podlatch_e2e::viewer::{PATIENCE, Viewer};
use podlatch_protocol::target::PodTarget;
use reqwest::Method;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// Within this what is left of a session is gone, once its agent is back.
const GONE: Duration = Duration::from_secs(90);

/// Most sessions that it takes until both replicas have one.
const MOST: u32 = 8;

fn replica(stack: &Stack, token: Option<&str>) -> anyhow::Result<Process> {
    let identity = format!("file:{}", stack.folder().join("second").display());
    let kubeconfig = stack.cluster.agent_kubeconfig().to_str().context("not UTF-8")?;
    let mut arguments = vec!["run", "--relay", &stack.tunnel, "--ca-pin", stack.pin()];
    arguments.extend(["--identity", &identity, "--kubeconfig", kubeconfig]);
    arguments.extend(token.map(|token| ["--join-token", token]).into_iter().flatten());
    Process::start("podlatch-agent", &arguments, &[])
}

/// Waits until as many agents of the cluster answer.
async fn answering(stack: &Stack, wanted: usize) -> anyhow::Result<()> {
    let since = Instant::now();
    loop {
        let agents = stack.api.call(Method::GET, &format!("/clusters/{}/agents", stack.cluster_id), None).await?;
        let items = agents["items"].as_array().context("no list")?;
        if items.iter().filter(|agent| agent["health"] == "online").count() == wanted {
            return Ok(());
        }
        ensure!(since.elapsed() < PATIENCE, "{agents}");
        // The API has no event for this; it is asked again.
        sleep(Duration::from_millis(100)).await;
    }
}

/// Which agent holds a session; the API does not tell.
async fn agent_of(stack: &Stack, session: &str) -> anyhow::Result<Uuid> {
    let database = SqliteConnectOptions::new().filename(stack.relay_data().join("podlatch.db"));
    let mut database = database.read_only(true).connect().await?;
    let row = sqlx::query_as::<_, (Uuid,)>("SELECT agent_id FROM sessions WHERE id = $1");
    let (agent,) = row.bind(session.parse::<Uuid>()?).fetch_one(&mut database).await?;
    database.close().await?;
    Ok(agent)
}

/// A session with a process that shows it in the pod.
async fn marked(stack: &Stack, pod: &PodTarget, mark: &str) -> anyhow::Result<Viewer> {
    let mut viewer = stack.open(pod).await?;
    viewer.run(&format!("sleep {mark} & true")).await?;
    Ok(viewer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_killed_takes_its_own_sessions_along_and_no_others() -> anyhow::Result<()> {
    let (stack, pod) = (Stack::start().await?, target("default", "tools", ""));
    let first = agent_of(&stack, &stack.open(&pod).await?.session).await?;
    let mut second = replica(&stack, Some(&stack.join_token().await?))?;
    answering(&stack, 2).await?;

    let mut sessions = BTreeMap::new();
    for number in 0..MOST {
        let mark = format!("8765{number}");
        let viewer = marked(&stack, &pod, &mark).await?;
        let agent = agent_of(&stack, &viewer.session).await?;
        sessions.entry(agent == first).or_insert((viewer, mark));
        if sessions.len() == 2 {
            break;
        }
    }
    let (mut stays, _) = sessions.remove(&true).context("nothing went to the first")?;
    let (mut goes, mark) = sessions.remove(&false).context("nothing went to the second")?;

    second.kill().await?;
    let told = goes.wait("being told that the agent is silent", |seen| seen.agent.as_deref() == Some("silent"));
    assert!(told.await?.ended.is_none(), "it may still come back");
    assert_eq!(stays.run("echo well").await?, "well");
    for _ in 0..3 {
        let mut new = stack.open(&pod).await.context("a new session beside a replica that is gone")?;
        assert_eq!(new.run("echo new").await?, "new");
        assert_eq!(agent_of(&stack, &new.session).await?, first);
    }

    let _second = replica(&stack, None)?;
    let ended = goes.ended().await?;
    assert_eq!(ended["cause"], "agent_restarted", "{ended}");
    assert!(ended["message"].as_str().is_some_and(|sentence| sentence.contains("restarted")), "{ended}");
    stack.cluster.wait_until_gone(&pod, &mark, GONE).await?;
    answering(&stack, 2).await?;
    assert_eq!(stays.run("echo still well").await?, "still well");
    Ok(())
}
