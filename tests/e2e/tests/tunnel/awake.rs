//! Exec streams that carry nothing, in a cluster that closes such streams.

use std::time::Duration;

use podlatch_devcluster::{Devcluster, Options};
use podlatch_podexec::exec::{self, ExecReader, ExecRequest, ExecWriter, ProcessEnd, ReadEvent, Streams};
use tokio::time::{Instant, sleep, timeout};

use crate::harness::PATIENCE;
use crate::inventory::client;

const LIMIT: Duration = Duration::from_secs(2);

async fn shell(cluster: &Devcluster) -> (ExecReader, ExecWriter) {
    let request = ExecRequest {
        namespace: "default".parse().expect("a namespace"),
        pod: "bb".parse().expect("a pod"),
        container: "main".parse().expect("a container"),
        command: vec!["cat".to_owned()],
        streams: Streams::Terminal,
    };
    exec::start(&client(cluster, "podlatch-agent").await, &request).await.expect("starts")
}

/// Reads until the text is there.
async fn read_until(reader: &mut ExecReader, text: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        match timeout(PATIENCE, reader.next()).await.expect("something comes") {
            ReadEvent::Output(bytes) => seen.extend_from_slice(&bytes),
            other => panic!("{other:?} in place of {text}"),
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_kept_awake_outlives_the_idle_limit_of_the_kubelet() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cluster = Devcluster::start(Options::default()).await.expect("starts");
    cluster.faults().limit_stream_idle(LIMIT);
    let (mut neglected, _its_writer) = shell(&cluster).await;
    let (mut reader, mut writer) = shell(&cluster).await;
    // The limit is of real time.
    let begun = Instant::now();
    while begun.elapsed() < 2 * LIMIT {
        writer.keep_awake().await.expect("the connection stands");
        sleep(LIMIT / 8).await;
    }
    writer.input(b"still here\r").await.expect("takes input");
    read_until(&mut reader, "still here").await;
    while let ReadEvent::Output(_) = timeout(PATIENCE, neglected.next()).await.expect("it ends") {}
    assert!(matches!(timeout(PATIENCE, neglected.next()).await, Ok(ReadEvent::End(ProcessEnd::Unknown))));
    cluster.shutdown().await;
}
