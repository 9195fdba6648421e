//! Objects, lists and watches, compared with the recorded answers of a real cluster.

use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::support::{Answer, Ask, cluster, small_cluster, until_holds, within};

/// Fields that differ from run to run, or with the images and the node.
const VOLATILE: [&str; 26] = [
    "address",
    "annotations",
    "containerID",
    "continue",
    "creationTimestamp",
    "deletionTimestamp",
    "finishedAt",
    "generateName",
    "hostIP",
    "image",
    "imageID",
    "imagePullPolicy",
    "ip",
    "lastTransitionTime",
    "lastUpdateTime",
    "message",
    "mountPath",
    "name",
    "nodeName",
    "pod-template-hash",
    "podIP",
    "resourceVersion",
    "serverAddress",
    "startTime",
    "startedAt",
    "uid",
];
/// What only `kubectl apply` or server-side apply writes, and what not every pod of the fixtures has.
const NOT_HERE: [&str; 4] =
    ["annotations", "command", "kubectl.kubernetes.io/last-applied-configuration", "managedFields"];

/// Says where two answers differ in their shape, or in a value that never varies.
fn differences(path: &str, recorded: &Value, here: &Value, out: &mut Vec<String>) {
    match (recorded, here) {
        (Value::Object(recorded), Value::Object(here)) => {
            let keys: std::collections::BTreeSet<_> = recorded.keys().chain(here.keys()).collect();
            for key in keys.into_iter().filter(|key| !NOT_HERE.contains(&key.as_str())) {
                let path = format!("{path}.{key}");
                match (recorded.get(key), here.get(key)) {
                    (Some(recorded), Some(here)) => differences(&path, recorded, here, out),
                    (Some(_), None) => out.push(format!("{path} is missing")),
                    (None, _) => out.push(format!("{path} is too much")),
                }
            }
        }
        (Value::Array(recorded), Value::Array(here)) => {
            let last = path.rsplit('.').next().unwrap_or_default();
            if VOLATILE.contains(&last) || last == "sources" {
                return;
            }
            if recorded.len() != here.len() {
                out.push(format!("{path} has {} items, not {}", here.len(), recorded.len()));
            }
            for (index, (recorded, here)) in recorded.iter().zip(here).enumerate() {
                differences(&format!("{path}[{index}]"), recorded, here, out);
            }
        }
        (recorded, here) if std::mem::discriminant(recorded) != std::mem::discriminant(here) => {
            out.push(format!("{path} is {here}, not {recorded}"));
        }
        (recorded, here) => {
            let last = path.rsplit('.').next().unwrap_or_default();
            if recorded != here && !VOLATILE.contains(&last) {
                out.push(format!("{path} is {here}, not {recorded}"));
            }
        }
    }
}

fn assert_alike(recorded: &str, here: &Answer) {
    let recorded: Value = serde_json::from_str(recorded).expect("the recording is JSON");
    let mut found = Vec::new();
    differences("", &recorded, &here.json(), &mut found);
    assert!(found.is_empty(), "differs from the recording:\n{}", found.join("\n"));
}

#[tokio::test]
async fn discovery_answers_as_recorded() {
    let cluster = small_cluster().await;
    let alice = Ask::of(&cluster, "alice");
    for (path, recorded) in [
        ("/version", include_str!("../recorded/rest/version.json")),
        ("/api", include_str!("../recorded/rest/api.json")),
        ("/apis", include_str!("../recorded/rest/apis.json")),
        ("/api/v1", include_str!("../recorded/rest/api-v1.json")),
        ("/apis/apps/v1", include_str!("../recorded/rest/apis-apps-v1.json")),
    ] {
        assert_alike(recorded, &alice.get(path).await);
    }
    assert_eq!(alice.get("/apis/nope/v1").await.status, 404);
    cluster.shutdown().await;
}

#[tokio::test]
async fn objects_have_the_recorded_shape() {
    let cluster = cluster().await;
    let admin = Ask::of(&cluster, "admin");
    for (path, recorded) in [
        ("/api/v1/namespaces/shop/pods", include_str!("../recorded/rest/pods-shop.json")),
        ("/apis/apps/v1/namespaces/shop/deployments", include_str!("../recorded/rest/deployments-shop.json")),
        ("/apis/apps/v1/namespaces/shop/replicasets", include_str!("../recorded/rest/replicasets-shop.json")),
    ] {
        assert_alike(recorded, &admin.get(path).await);
    }
    let namespaces = admin.get("/api/v1/namespaces").await.json();
    let recorded: Value = serde_json::from_str(include_str!("../recorded/rest/namespaces.json")).expect("is JSON");
    for recorded in recorded["items"].as_array().expect("is a list") {
        let name = &recorded["metadata"]["name"];
        let here = namespaces["items"].as_array().expect("is a list");
        let here = here.iter().find(|one| one["metadata"]["name"] == *name).expect("the namespace is there");
        let mut found = Vec::new();
        differences("", recorded, here, &mut found);
        assert!(found.is_empty(), "{name}: {found:?}");
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_page_is_like_the_recorded_one_and_the_pages_make_the_whole() {
    let cluster = cluster().await;
    let admin = Ask::of(&cluster, "admin");
    let first = admin.get("/api/v1/pods?limit=2").await;
    assert_alike(include_str!("../recorded/rest/pods-all-limit2.json"), &first);
    let mut names = Vec::new();
    let mut page = first.json();
    loop {
        for pod in page["items"].as_array().expect("is a list") {
            names.push(pod["metadata"]["name"].as_str().expect("has a name").to_owned());
        }
        let Some(token) = page["metadata"]["continue"].as_str() else { break };
        page = admin.get(&format!("/api/v1/pods?limit=2&continue={token}")).await.json();
    }
    assert_eq!(names.len(), 7, "{names:?}");
    assert_eq!(names[..5], ["bb", "distroless", "tools", "done", "pending"]);
    let one = admin.get("/api/v1/pods?fieldSelector=metadata.name%3Dbb").await.json();
    assert_eq!(one["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(admin.get("/api/v1/pods?limit=2&continue=x").await.status, 400);
    cluster.shutdown().await;
}

/// A watch, read event by event.
struct Watch {
    body: hyper::body::Incoming,
    buffer: Vec<u8>,
}

impl Watch {
    async fn open(ask: &Ask<'_>, path: &str) -> Self {
        Self { body: ask.request("GET", path, "").await.into_body(), buffer: Vec::new() }
    }

    /// The next events, as many as are wanted, or fewer at the end of the watch.
    async fn take(&mut self, wanted: usize) -> Vec<Value> {
        let mut events = Vec::new();
        while events.len() < wanted {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                events.push(serde_json::from_slice(&line).expect("an event is JSON"));
                continue;
            }
            let Some(frame) = within("a watch event", self.body.frame()).await else { break };
            self.buffer.extend_from_slice(&frame.expect("the watch goes on").into_data().expect("is data"));
        }
        events
    }
}

async fn watch_lines(ask: &Ask<'_>, path: &str, wanted: usize) -> Vec<Value> {
    Watch::open(ask, path).await.take(wanted).await
}

#[tokio::test]
async fn a_watch_tells_the_recorded_life_of_a_pod() {
    let cluster = small_cluster().await;
    let admin = Ask::of(&cluster, "admin");
    let recorded: Vec<Value> = include_str!("../recorded/rest/pods-watch-list.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("an event is JSON"))
        .filter(|event: &Value| event["object"]["metadata"]["name"] != "deb")
        .filter(|event: &Value| event["object"]["metadata"]["name"] != "distroless")
        .collect();
    let path = "/api/v1/namespaces/default/pods?watch=true&allowWatchBookmarks=true&sendInitialEvents=true\
                &resourceVersionMatch=NotOlderThan&timeoutSeconds=7";
    let life = async {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "short", "labels": {"run": "short"}},
            "spec": {"restartPolicy": "Never", "containers":
                [{"name": "short", "image": "busybox:1.36", "args": ["sleep", "2"]}]}});
        assert_eq!(admin.send("POST", "/api/v1/namespaces/default/pods", &pod.to_string()).await.status, 201);
        let short = "/api/v1/namespaces/default/pods/short";
        let succeeded = async || admin.get(short).await.json()["status"]["phase"] == "Succeeded";
        until_holds("the pod succeeds", succeeded).await;
        assert_eq!(admin.send("DELETE", short, "").await.status, 200);
    };
    let mut watch = Watch::open(&admin, path).await;
    let mut here = watch.take(2).await;
    life.await;
    here.extend(watch.take(usize::MAX).await);
    let kinds = |events: &[Value]| -> Vec<String> {
        let of = |event: &Value| format!("{} {}", event["type"], event["object"]["status"]["phase"]);
        events.iter().map(of).collect()
    };
    assert_eq!(kinds(&here), kinds(&recorded));
    for (recorded, here) in recorded.iter().zip(&here) {
        let mut found = Vec::new();
        differences("", recorded, here, &mut found);
        found.retain(|difference| !difference.contains("tolerationSeconds"));
        assert!(found.is_empty(), "{} differs:\n{}", recorded["type"], found.join("\n"));
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_watch_goes_on_from_a_version_and_selectors_make_objects_come_and_go() {
    let cluster = small_cluster().await;
    let admin = Ask::of(&cluster, "admin");
    let path = "/api/v1/namespaces/default/configmaps";
    let version = admin.get(path).await.json()["metadata"]["resourceVersion"].as_str().expect("has one").to_owned();
    let map = |label: &str| json!({"metadata": {"name": "m", "labels": {"app": label}}}).to_string();
    assert_eq!(admin.send("POST", path, &map("a")).await.status, 201);
    assert_eq!(admin.send("POST", path, &map("a")).await.status, 409);
    let patch = Ask::of(&cluster, "admin").header("content-type", "application/merge-patch+json");
    assert_eq!(patch.send("PATCH", &format!("{path}/m"), &map("b")).await.status, 200);
    assert_eq!(admin.send("DELETE", &format!("{path}/m"), "").await.status, 200);
    let types = |events: Vec<Value>| -> Vec<String> {
        events.iter().map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let all = watch_lines(&admin, &format!("{path}?watch=1&resourceVersion={version}"), 3).await;
    assert_eq!(types(all), ["ADDED", "MODIFIED", "DELETED"]);
    let selected = format!("{path}?watch=1&resourceVersion={version}&labelSelector=app%3Da");
    assert_eq!(types(watch_lines(&admin, &selected, 2).await), ["ADDED", "DELETED"]);
    cluster.expire_watches();
    let expired = watch_lines(&admin, &format!("{path}?watch=1&resourceVersion={version}"), 1).await;
    assert_eq!(expired[0]["type"], "ERROR");
    assert_eq!(expired[0]["object"]["code"], 410);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_deleted_replica_is_replaced() {
    let cluster = cluster().await;
    let admin = Ask::of(&cluster, "admin");
    let names = async || -> Vec<String> {
        let list = admin.get("/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb").await.json();
        let items = list["items"].as_array().expect("is a list").clone();
        items.iter().filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)).collect()
    };
    let before = names().await;
    cluster.delete_pod("shop", &before[0]);
    until_holds("the replacement", async || {
        let now = names().await;
        now.len() == 2 && !now.contains(&before[0]) && now.contains(&before[1])
    })
    .await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_deleted_deployment_takes_its_replica_sets_and_pods_along() {
    let cluster = cluster().await;
    let admin = Ask::of(&cluster, "admin");
    assert_eq!(admin.send("DELETE", "/apis/apps/v1/namespaces/shop/deployments/web", "").await.status, 200);
    until_holds("the end of the pods", async || {
        let pods = admin.get("/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb").await.json();
        let sets = admin.get("/apis/apps/v1/replicasets").await.json();
        pods["items"] == json!([]) && sets["items"] == json!([])
    })
    .await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn secrets_are_kept_and_concurrent_changes_conflict() {
    let cluster = small_cluster().await;
    let agent = Ask::of(&cluster, "podlatch-agent");
    let path = "/api/v1/namespaces/podlatch/secrets";
    let secret = json!({"metadata": {"name": "podlatch-agent-identity"}, "data": {"key": "YQ=="}});
    assert_eq!(agent.send("POST", path, &secret.to_string()).await.status, 201);
    let mut stored = agent.get(&format!("{path}/podlatch-agent-identity")).await.json();
    stored["data"]["key"] = json!("Yg==");
    let put = async |object: &Value| {
        agent.send("PUT", &format!("{path}/podlatch-agent-identity"), &object.to_string()).await.status
    };
    assert_eq!(put(&stored).await, 200);
    assert_eq!(put(&stored).await, 409, "the version is old by now");
    assert_eq!(agent.get(&format!("{path}/podlatch-agent-identity")).await.json()["data"]["key"], "Yg==");
    assert_eq!(agent.get("/api/v1/namespaces/default/secrets/x").await.status, 403);
    cluster.shutdown().await;
}
