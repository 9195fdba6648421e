//! Faults on demand.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::support::{Ask, Exec, Received, small_cluster, within};

#[tokio::test]
async fn a_refusing_server_closes_connections_and_comes_back() {
    let cluster = small_cluster().await;
    cluster.faults().refuse_connections(Duration::from_hours(1));
    let address = cluster.url().trim_start_matches("https://");
    let mut tcp = tokio::net::TcpStream::connect(address).await.expect("the port is open");
    let read = within("the end", tcp.read(&mut [0; 1])).await;
    assert!(!matches!(read, Ok(1..)), "something came");
    cluster.faults().accept_connections();
    assert_eq!(Ask::of(&cluster, "admin").get("/version").await.status, 200);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_frozen_exec_tells_nothing_until_it_thaws_not_even_the_end_of_its_pod() {
    let cluster = small_cluster().await;
    let mut exec = Exec::terminal(&cluster, "bb", &["sh"]).await;
    exec.until("# ").await;
    cluster.faults().freeze_exec("default", "bb");
    cluster.delete_pod("default", "bb");
    let waited = tokio::time::timeout(Duration::from_millis(500), exec.receive()).await;
    assert!(waited.is_err(), "{waited:?}");
    cluster.faults().thaw_exec("default", "bb");
    let (_, _, status) = exec.finish().await;
    assert_eq!(status["details"]["causes"][0]["message"], "137");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_delayed_exec_starts_late() {
    let cluster = small_cluster().await;
    let delay = Duration::from_millis(400);
    cluster.faults().delay_exec(delay);
    let begun = Instant::now();
    let mut exec = Exec::terminal(&cluster, "bb", &["echo", "late"]).await;
    assert_eq!(exec.receive().await, Received::Data(1, bytes::Bytes::new()));
    exec.until("late").await;
    assert!(begun.elapsed() >= delay);
    cluster.shutdown().await;
}

#[tokio::test]
async fn another_process_can_ask_for_faults_over_http() {
    let cluster = small_cluster().await;
    let admin = Ask::of(&cluster, "admin");
    let post = async |action: &str, body: serde_json::Value| {
        admin.send("POST", &format!("/devcluster/{action}"), &body.to_string()).await.status
    };
    let pod = json!({"namespace": "default", "pod": "bb"});
    for (action, body) in [
        ("freeze-exec", pod.clone()),
        ("thaw-exec", pod),
        ("delay-exec", json!({"milliseconds": 0})),
        ("limit-stream-idle", json!({"milliseconds": 600_000})),
        ("expire-watches", json!({})),
        ("grant", json!({"user": "alice", "verbs": ["list"], "api_group": "", "resources": ["pods"]})),
    ] {
        assert_eq!(post(action, body).await, 204, "{action}");
    }
    let alice = Ask::of(&cluster, "alice");
    assert_eq!(alice.get("/api/v1/pods").await.status, 200);
    assert_eq!(post("revoke", json!({"user": "alice"})).await, 204);
    assert_eq!(alice.get("/api/v1/pods").await.status, 403);
    assert_eq!(alice.send("POST", "/devcluster/drop-connections", "").await.status, 403);
    assert_eq!(post("nonsense", json!({})).await, 404);
    let mut exec = Exec::terminal(&cluster, "bb", &["sleep", "60"]).await;
    exec.receive().await;
    let io = admin.request("POST", "/devcluster/drop-connections", "");
    // The answer itself may be cut off.
    let _ = tokio::time::timeout(Duration::from_secs(5), async { drop(io.await) }).await;
    assert_eq!(exec.receive().await, Received::Closed(None));
    cluster.shutdown().await;
}
