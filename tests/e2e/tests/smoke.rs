//! The line, end to end: a shell, its size, its end.

use std::time::Duration;

use podlatch_e2e::cluster::target;
use podlatch_e2e::stack::Stack;
use serde_json::json;

#[tokio::test]
async fn a_shell_of_a_private_pod_answers_and_follows_the_window() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut viewer = stack.open(&target("default", "tools", "")).await?;
    assert_eq!(viewer.run("echo $((40 + 2))").await?, "42");
    assert_eq!(viewer.run("stty size").await?, "24 80");
    viewer.send_json(&json!({"type": "resize", "columns": 101, "rows": 33})).await;
    viewer.run("sleep 0.2").await?;
    assert_eq!(viewer.run("stty size").await?, "33 101");
    viewer.type_text("exit 3\r").await;
    let ended = viewer.ended().await?;
    assert_eq!((&ended["cause"], &ended["exit_code"]), (&json!("exited"), &json!(3)));
    Ok(())
}

#[tokio::test]
async fn closing_a_session_leaves_no_process() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let tools = target("default", "tools", "");
    let mut viewer = stack.open(&tools).await?;
    viewer.run("sleep 7771 & nohup sleep 7772 >/dev/null 2>&1 & setsid sleep 7773 & true").await?;
    viewer.type_text("sleep 7774\r").await;
    viewer.wait_for("sleep 7774").await?;
    assert_eq!(stack.cluster.processes(&tools, "sleep 777").await?.len(), 4);
    stack.api.end(&viewer.session).await?;
    let ended = viewer.ended().await?;
    assert_eq!((&ended["cause"], &ended["cleanup"]), (&json!("closed_by_user"), &json!("confirmed")));
    stack.cluster.wait_until_gone(&tools, "sleep 777", Duration::from_secs(20)).await?;
    Ok(())
}
