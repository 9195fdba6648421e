//! The kube crate, as the agent uses it.

use futures_util::{AsyncBufReadExt, StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{AttachParams, DeleteParams, ListParams, LogParams, TerminalSize};
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{cluster, kube_client, web_pod, within};

/// Reads a watcher's initial list; gives back the names, sorted.
async fn initial<K>(api: Api<K>, config: watcher::Config) -> Vec<String>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
    K::DynamicType: Default,
{
    let mut events = std::pin::pin!(watcher::watcher(api, config));
    let mut names = Vec::new();
    loop {
        match within("an event", events.next()).await.expect("a watcher never ends").expect("the watch works") {
            Event::InitApply(object) => names.push(object.name_any()),
            Event::InitDone => break,
            Event::Init | Event::Apply(_) | Event::Delete(_) => (),
        }
    }
    names.sort();
    names
}

#[tokio::test]
async fn both_kinds_of_watcher_see_the_whole_state() {
    let cluster = cluster().await;
    let client = kube_client(&cluster, "podlatch-agent").await;
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let pods = initial(Api::<Pod>::namespaced(client.clone(), "default"), config.clone()).await;
        assert_eq!(pods, ["bb", "distroless", "tools"]);
        let namespaces = initial(Api::<Namespace>::all(client.clone()), config.clone()).await;
        assert!(namespaces.contains(&"shop".to_owned()), "{namespaces:?}");
        assert_eq!(initial(Api::<Deployment>::all(client.clone()), config.clone()).await, ["web"]);
        assert_eq!(initial(Api::<ReplicaSet>::all(client.clone()), config).await.len(), 1);
    }
    let paged = watcher::Config::default().page_size(2);
    assert_eq!(initial(Api::<Pod>::all(client.clone()), paged).await.len(), 7);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_watcher_sees_a_replica_go_and_its_successor_come_and_survives_an_expired_version() {
    let cluster = cluster().await;
    let pod = web_pod(&cluster).await;
    let client = kube_client(&cluster, "admin").await;
    let pods: Api<Pod> = Api::namespaced(client, "shop");
    let mut events = std::pin::pin!(watcher::watcher(pods.clone(), watcher::Config::default()));
    let mut next = async || within("an event", events.next()).await.expect("a watcher never ends");
    while !matches!(next().await, Ok(Event::InitDone)) {}
    pods.delete(&pod, &DeleteParams::default()).await.expect("admin may delete");
    let (mut gone, mut running) = (false, false);
    while !(gone && running) {
        match next().await.expect("the watch works") {
            Event::Delete(deleted) => gone |= deleted.name_any() == pod,
            Event::Apply(other) => {
                let phase = other.status.as_ref().and_then(|status| status.phase.as_deref());
                running |= other.name_any() != pod && phase == Some("Running");
            }
            Event::Init | Event::InitApply(_) | Event::InitDone => (),
        }
    }
    cluster.expire_watches();
    while !matches!(next().await, Ok(Event::InitDone)) {}
    cluster.shutdown().await;
}

#[tokio::test]
async fn exec_through_kube_carries_input_output_sizes_and_the_exit_code() {
    let cluster = cluster().await;
    let client = kube_client(&cluster, "podlatch-agent").await;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let mut process = pods.exec("bb", ["sh"], &AttachParams::interactive_tty()).await.expect("the exec starts");
    let mut size = process.terminal_size().expect("a terminal has a size");
    size.try_send(TerminalSize { width: 100, height: 30 }).expect("the size is taken");
    let mut stdin = process.stdin().expect("stdin is attached");
    let mut stdout = process.stdout().expect("stdout is attached");
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    let mut asked = false;
    while !seen.contains("30 100\r\n") {
        let count = within("output", stdout.read(&mut buffer)).await.expect("the output goes on");
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        if !asked && seen.contains("# ") {
            stdin.write_all(b"stty size; exit 3\r").await.expect("input is taken");
            asked = true;
        }
        assert!(count > 0, "the end after {seen:?}");
    }
    let status = within("the status", process.take_status().expect("there is one status")).await.expect("it comes");
    assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"));
    cluster.shutdown().await;
}

#[tokio::test]
async fn logs_and_lists_through_kube() {
    let cluster = cluster().await;
    let pod = web_pod(&cluster).await;
    let client = kube_client(&cluster, "admin").await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
    let params = LogParams { container: Some("sidecar".to_owned()), follow: true, ..LogParams::default() };
    let lines = pods.log_stream(&pod, &params).await.expect("the log is there");
    let first = within("a line", lines.lines().try_next()).await.expect("the log goes on").expect("has a line");
    assert!(first.contains("20"), "a date has a year: {first}");
    let selected = ListParams::default().labels("app=web").limit(1);
    let page = Api::<Pod>::all(client).list(&selected).await.expect("the list is there");
    assert_eq!(page.items.len(), 1);
    assert!(page.metadata.continue_.is_some());
    cluster.shutdown().await;
}
