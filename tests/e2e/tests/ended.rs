//! Ended means ended: whatever ends a session, its processes are gone in time, and the person is told why.

use std::time::Duration;

use podlatch_e2e::cluster::{OwnPod, target};
use podlatch_e2e::stack::{Options, Stack};
use podlatch_e2e::viewer::Viewer;
use podlatch_impair::Cut;
use podlatch_protocol::target::PodTarget;
use serde_json::json;
use tokio::time::Instant;

/// Within this nothing of a closed session is alive, also on a busy machine. The relay itself promises five seconds.
const GONE: Duration = Duration::from_secs(20);

/// Within this a person is told that the agent does not answer.
const TOLD: Duration = Duration::from_secs(40);

/// Within this an end that needs no timeout has happened, also on a busy machine.
const SOON: Duration = Duration::from_mins(1);

/// Within this an agent that is cut off has given its connection up, and a grace time of some seconds is over.
const CUT_OFF: Duration = Duration::from_secs(90);

fn options(relay: &[&str], agent: &[&str]) -> Options {
    let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    Options { relay: owned(relay), agent: owned(agent), ..Options::default() }
}

/// How a process is made deaf to SIGHUP.
#[derive(Debug, Clone, Copy)]
enum Nohup {
    /// By `nohup`.
    Program,
    /// As `nohup` does it: not every busybox has one.
    ByHand,
}

/// Waits until the shell reads from its terminal: line editors throw away what was typed before.
async fn prompt(viewer: &mut Viewer) -> anyhow::Result<()> {
    let prompts = ["\u{1b}[?2004h", "# ", "$ ", "% ", "> "];
    viewer.wait("a prompt", |seen| prompts.iter().any(|prompt| seen.text().contains(prompt))).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_leaves_nothing_alive_in_any_shell_and_an_own_exit_leaves_what_was_detached() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let (tools, bb) = (target("default", "tools", ""), target("default", "bb", ""));
    let shells: [(&PodTarget, &[&str], Nohup); 4] = [
        (&tools, &["bash"], Nohup::Program),
        (&bb, &["ash"], Nohup::ByHand),
        (&tools, &["zsh", "-f"], Nohup::Program),
        (&tools, &["fish"], Nohup::Program),
    ];
    for (index, (pod, shell, nohup)) in shells.into_iter().enumerate() {
        let mark = format!("sleep 71{index}");
        let mut viewer = stack.open_command(pod, Some(shell)).await?;
        prompt(&mut viewer).await?;
        let nohup = match nohup {
            Nohup::Program => format!("nohup {mark}2 >/dev/null 2>&1 &"),
            Nohup::ByHand => format!("(trap '' HUP; exec {mark}2 >/dev/null 2>&1) &"),
        };
        viewer.type_text(&format!("{mark}1 & {nohup} setsid {mark}3 >/dev/null 2>&1 & {mark}4\r")).await;
        stack.cluster.wait_for_processes(pod, &mark, 4).await?;
        let closed = Instant::now();
        if index == 0 {
            viewer.send_json(&json!({"type": "close"})).await;
        } else {
            stack.api.end(&viewer.session).await?;
        }
        let ended = viewer.ended().await?;
        assert_eq!((&ended["cause"], &ended["cleanup"]), (&json!("closed_by_user"), &json!("confirmed")), "{shell:?}");
        stack.cluster.wait_until_gone(pod, &mark, GONE).await?;
        println!("{shell:?}: nothing is alive {:?} after closing", closed.elapsed());
    }

    let mark = "sleep 720";
    let mut viewer = stack.open(&tools).await?;
    detach_and_exit(&mut viewer, mark).await?;
    let ended = viewer.ended().await?;
    assert_eq!((&ended["cause"], &ended["cleanup"]), (&json!("exited"), &json!("not_wanted")));
    let left = stack.cluster.processes(&tools, mark).await?;
    assert_eq!(left.len(), 2, "what was detached on purpose stays");
    for process in left {
        stack.cluster.run(&tools, &["kill", "-9", &process.to_string()]).await?;
    }
    Ok(())
}

async fn detach_and_exit(viewer: &mut Viewer, mark: &str) -> anyhow::Result<()> {
    let detached = ">/dev/null 2>&1 </dev/null &";
    viewer.run(&format!("nohup {mark}1 {detached} setsid {mark}2 {detached} sleep 0.2")).await?;
    viewer.type_text("exit 0\r").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_nobody_can_reach_ends_after_its_grace_time_on_either_side() -> anyhow::Result<()> {
    let (stack, proxy) = Stack::start_behind_proxy(options(&["--grace", "8s", "--end-detached-on-exit"], &[])).await?;
    let tools = target("default", "tools", "");

    // The setting that ends what was detached.
    let mut viewer = stack.open(&tools).await?;
    detach_and_exit(&mut viewer, "sleep 730").await?;
    let ended = viewer.ended().await?;
    assert_eq!((&ended["cause"], &ended["cleanup"]), (&json!("exited"), &json!("confirmed")));
    stack.cluster.wait_until_gone(&tools, "sleep 730", GONE).await?;

    // Nobody returns.
    let mut viewer = stack.open(&tools).await?;
    let session = viewer.session.clone();
    viewer.run("nohup sleep 7311 >/dev/null 2>&1 & setsid sleep 7312 & true").await?;
    viewer.type_text("sleep 7313\r").await;
    stack.cluster.wait_for_processes(&tools, "sleep 731", 3).await?;
    drop(viewer);
    let end = stack.api.wait_until_ended(&session, SOON).await?;
    assert_eq!((&end["cause"], &end["cleanup"]), (&json!("abandoned"), &json!("confirmed")));
    stack.cluster.wait_until_gone(&tools, "sleep 731", GONE).await?;

    // The agent is cut off: both sides end the session, each by itself.
    let mut viewer = stack.open(&tools).await?;
    viewer.run("nohup sleep 7321 >/dev/null 2>&1 & setsid sleep 7322 & true").await?;
    stack.cluster.wait_for_processes(&tools, "sleep 732", 2).await?;
    proxy.cut(Cut::Both);
    let took = stack.cluster.wait_until_gone(&tools, "sleep 732", CUT_OFF).await?;
    println!("a cut-off agent had ended its session after {took:?}");
    let ended = viewer.ended().await?;
    assert_eq!((&ended["cause"], &ended["cleanup"]), (&json!("agent_lost"), &json!("unconfirmed")));
    proxy.heal();
    stack.wait_until_online().await?;
    let mut viewer = stack.open(&tools).await?;
    assert_eq!(viewer.run("echo again").await?, "again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_of_relay_and_agent_are_told_and_leave_no_orphan() -> anyhow::Result<()> {
    let mut stack = Stack::start_with(options(&[], &["--drain-timeout", "2s"])).await?;
    let tools = target("default", "tools", "");

    // The relay stops as an operator stops it.
    let mut viewer = stack.open(&tools).await?;
    let shell = viewer.run("echo $$").await?;
    let status = stack.relay.terminate(SOON).await?;
    assert!(status.success(), "{status}");
    let lost = viewer.wait("word of the restart", |seen| seen.lost.is_some()).await?.lost;
    assert!(lost.as_deref().is_some_and(|lost| lost.contains("4103")), "{lost:?}");
    let before = viewer.seen().attachments;
    stack.restart_relay().await?;
    viewer.wait("the new relay", |seen| seen.attachments > before).await?;
    assert_eq!(viewer.run("echo $$").await?, shell);

    // The agent is killed: it is said, and what it left is found by its next life.
    viewer.run("setsid sleep 7411 & nohup sleep 7412 >/dev/null 2>&1 & true").await?;
    viewer.type_text("sleep 7413\r").await;
    stack.cluster.wait_for_processes(&tools, "sleep 741", 3).await?;
    let killed = Instant::now();
    stack.kill_agent().await?;
    viewer.wait("word of the agent's silence", |seen| seen.agent.as_deref() == Some("silent")).await?;
    println!("an agent's death is told after {:?}", killed.elapsed());
    assert!(killed.elapsed() <= TOLD, "{:?}", killed.elapsed());
    assert_eq!(stack.cluster.processes(&tools, "sleep 741").await?.len(), 3, "Kubernetes lets the orphans live");
    stack.restart_agent()?;
    let ended = viewer.ended().await?;
    assert_eq!((&ended["cause"], &ended["cleanup"]), (&json!("agent_restarted"), &json!("confirmed")));
    stack.cluster.wait_until_gone(&tools, "sleep 741", GONE).await?;

    // The agent stops as an operator stops it.
    stack.wait_until_online().await?;
    let mut viewer = stack.open(&tools).await?;
    viewer.run("setsid sleep 7421 & nohup sleep 7422 >/dev/null 2>&1 & true").await?;
    viewer.type_text("sleep 7423\r").await;
    stack.cluster.wait_for_processes(&tools, "sleep 742", 3).await?;
    let status = stack.agent.terminate(SOON).await?;
    assert!(status.success(), "{status}");
    let ended = viewer.ended().await?;
    assert_eq!((&ended["cause"], &ended["cleanup"]), (&json!("agent_shutdown"), &json!("confirmed")));
    stack.cluster.wait_until_gone(&tools, "sleep 742", GONE).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pod_ends_its_sessions_also_where_its_streams_say_nothing() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let pod = OwnPod::start(&stack.cluster, "e2e-deleted").await?;
    let mut viewer = stack.open(&pod.target).await?;
    viewer.run("echo here").await?;
    pod.delete().await?;
    expect_pod_gone(&mut viewer, "a deleted pod").await?;

    if stack.cluster.process.is_none() {
        println!("left out: only a devcluster can freeze the streams of a pod that is deleted");
        return Ok(());
    }
    let pod = OwnPod::start(&stack.cluster, "e2e-frozen").await?;
    let mut viewer = stack.open(&pod.target).await?;
    viewer.run("echo here").await?;
    stack.cluster.fault("freeze-exec", &json!({"namespace": "default", "pod": pod.target.pod.as_str()})).await?;
    pod.delete().await?;
    expect_pod_gone(&mut viewer, "a deleted pod with frozen streams").await
}

async fn expect_pod_gone(viewer: &mut Viewer, what: &str) -> anyhow::Result<()> {
    let deleted = Instant::now();
    let ended = viewer.ended().await?;
    println!("{what} is told after {:?}", deleted.elapsed());
    assert!(deleted.elapsed() <= SOON, "{what}: {:?}", deleted.elapsed());
    assert_eq!((&ended["cause"], &ended["cleanup"]), (&json!("pod_gone"), &json!("confirmed")), "{what}");
    Ok(())
}
