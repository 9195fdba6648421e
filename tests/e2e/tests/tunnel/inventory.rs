//! What agents tell of their clusters, against a cluster with real pods.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Parser;
use k8s_openapi::api::core::v1::{Namespace as KubernetesNamespace, Pod};
use kube::api::{Api, DeleteParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use podlatch_agent::config::{Cli, Command};
use podlatch_cluster::guard::Guard;
use podlatch_cluster::inventory::Inventory;
use podlatch_devcluster::{Devcluster, Options};
use podlatch_e2e::poll;
use podlatch_link::framing::{FrameReader, FrameWriter};
use podlatch_link::stream::{RecvHalf, SendHalf};
use podlatch_protocol::close::RefusalCode;
use podlatch_protocol::codec;
use podlatch_protocol::inventory::{ContainerState, InventoryEvent, Item, ItemKey, PodItem, WatchScope, WorkloadKind};
use podlatch_protocol::request::Request;
use podlatch_relay::tunnel::AgentHandle;
use tokio::time::timeout;

use crate::harness::{Agent, PATIENCE, Relay, arguments, round_trip};

async fn devcluster() -> Devcluster {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Devcluster::start(Options::default()).await.expect("starts")
}

pub(crate) async fn client(cluster: &Devcluster, user: &str) -> Client {
    let text = cluster.kubeconfig(user).expect("is a user");
    let kubeconfig = Kubeconfig::from_yaml(&text).expect("is a kubeconfig");
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("is usable");
    Client::try_from(config).expect("is usable")
}

/// A relay and an agent of `cluster` that has this user's rights.
async fn connected(cluster: &Devcluster, user: &str, more: &[&str]) -> (Relay, Agent, AgentHandle) {
    let relay = Relay::start().await;
    let agent = Agent::enrol_in(&relay, &cluster.kubeconfig(user).expect("is a user"), more).await;
    let handle = relay.news().connected().await;
    (relay, agent, handle)
}

/// A watch as the relay sees it.
struct Watch {
    _writer: FrameWriter<SendHalf>,
    reader: FrameReader<RecvHalf>,
    items: BTreeMap<ItemKey, Item>,
}

impl Watch {
    async fn open(agent: &AgentHandle, scope: WatchScope) -> Self {
        let (writer, reader) = agent.request(&Request::Watch(scope)).await.expect("takes a request");
        Self { _writer: writer, reader, items: BTreeMap::new() }
    }

    async fn next(&mut self) -> InventoryEvent {
        let frame = timeout(PATIENCE, self.reader.next()).await.expect("something happens");
        let event: InventoryEvent = codec::decode(&frame.expect("reads").expect("goes on").body).expect("is an event");
        match &event {
            InventoryEvent::Applied(item) => drop(self.items.insert(item.key(), item.clone())),
            InventoryEvent::Deleted(key) => drop(self.items.remove(key)),
            InventoryEvent::Synced | InventoryEvent::Refused(_) => {}
        }
        event
    }

    async fn synced(&mut self) {
        while self.next().await != InventoryEvent::Synced {}
    }

    async fn until(&mut self, reached: impl Fn(&Self) -> bool) {
        while !reached(self) {
            self.next().await;
        }
    }

    async fn refusal(&mut self) -> RefusalCode {
        match self.next().await {
            InventoryEvent::Refused(refusal) => {
                let end = timeout(PATIENCE, self.reader.next()).await.expect("ends");
                assert!(end.expect("ends well").is_none(), "it is the last event");
                refusal.code
            }
            other => panic!("{other:?}"),
        }
    }

    fn pod(&self, name: &str) -> &PodItem {
        match self.items.get(&ItemKey::Pod(name.to_owned())) {
            Some(Item::Pod(pod)) => pod,
            _ => panic!("there is no pod {name}: {:?}", self.items.keys()),
        }
    }

    fn pods_of_web(&self) -> Vec<PodItem> {
        let of_web = Some((WorkloadKind::Deployment, "web".to_owned()));
        let pods = self.items.values().filter_map(|item| match item {
            Item::Pod(pod) if pod.workload == of_web => Some(pod.clone()),
            _ => None,
        });
        pods.collect()
    }
}

fn namespace(name: &str) -> WatchScope {
    WatchScope::Namespace(name.parse().expect("is a namespace"))
}

#[tokio::test]
async fn a_namespace_is_listed_and_then_followed() {
    let cluster = devcluster().await;
    let (_relay, agent, handle) = connected(&cluster, "podlatch-agent", &[]).await;
    let mut watch = Watch::open(&handle, namespace("shop")).await;
    watch.synced().await;
    watch.until(|watch| watch.pods_of_web().len() == 2).await;
    let web = watch.pods_of_web();
    let names: Vec<_> = web[0].containers.iter().map(|container| container.name.as_str()).collect();
    assert_eq!((names, &web[0].default_container), (vec!["app", "sidecar"], &None));
    assert!(web[0].containers.iter().all(|container| container.state == ContainerState::Running));
    assert_eq!(watch.pod("pending").status, "Pending");
    assert_eq!(watch.pod("done").status, "Completed");
    let deployment = ItemKey::Workload(WorkloadKind::Deployment, "web".to_owned());
    match &watch.items[&deployment] {
        Item::Workload(web) => assert_eq!(web.desired, 2),
        other => panic!("{other:?}"),
    }
    let deleted = web[0].name.clone();
    cluster.delete_pod("shop", &deleted);
    let gone = ItemKey::Pod(deleted);
    watch.until(|watch| !watch.items.contains_key(&gone) && watch.pods_of_web().len() == 2).await;
    round_trip(&handle).await;
    agent.stop().await;
}

#[tokio::test]
async fn namespaces_are_listed_and_then_followed() {
    let cluster = devcluster().await;
    let (_relay, agent, handle) = connected(&cluster, "podlatch-agent", &[]).await;
    let mut watch = Watch::open(&handle, WatchScope::Namespaces).await;
    watch.synced().await;
    for name in ["default", "shop"] {
        assert!(watch.items.contains_key(&ItemKey::Namespace(name.to_owned())), "{name}");
    }
    let namespaces: Api<KubernetesNamespace> = Api::all(client(&cluster, "admin").await);
    let mut new = KubernetesNamespace::default();
    new.metadata.name = Some("new".to_owned());
    if namespaces.create(&PostParams::default(), &new).await.is_ok() {
        watch.until(|watch| watch.items.contains_key(&ItemKey::Namespace("new".to_owned()))).await;
    }
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_with_rights_to_one_namespace_shows_that_one() {
    let cluster = devcluster().await;
    let (_relay, agent, handle) = connected(&cluster, "shop-only", &["--namespaces=shop"]).await;
    let mut watch = Watch::open(&handle, WatchScope::Namespaces).await;
    watch.synced().await;
    assert_eq!(watch.items.keys().collect::<Vec<_>>(), [&ItemKey::Namespace("shop".to_owned())]);
    let mut shop = Watch::open(&handle, namespace("shop")).await;
    shop.synced().await;
    shop.until(|watch| watch.pods_of_web().len() == 2).await;
    assert_eq!(Watch::open(&handle, namespace("default")).await.refusal().await, RefusalCode::NotAllowedByAgent);
    agent.stop().await;
}

#[tokio::test]
async fn a_guard_of_labels_and_patterns_hides_everything_else_and_is_told_to_the_relay() {
    let cluster = devcluster().await;
    let guard = ["--namespaces=sh*", "--pod-labels=app=web", "--replica=agent-0"];
    let (relay, agent, handle) = connected(&cluster, "podlatch-agent", &guard).await;
    let mut watch = Watch::open(&handle, WatchScope::Namespaces).await;
    watch.synced().await;
    assert_eq!(watch.items.keys().collect::<Vec<_>>(), [&ItemKey::Namespace("shop".to_owned())]);
    let mut shop = Watch::open(&handle, namespace("shop")).await;
    shop.synced().await;
    shop.until(|watch| watch.pods_of_web().len() == 2).await;
    for hidden in ["pending", "done"] {
        assert!(!shop.items.contains_key(&ItemKey::Pod(hidden.to_owned())), "{hidden}");
    }
    let deployment = ItemKey::Workload(WorkloadKind::Deployment, "web".to_owned());
    assert!(shop.items.contains_key(&deployment));
    assert_eq!(Watch::open(&handle, namespace("default")).await.refusal().await, RefusalCode::NotAllowedByAgent);

    let told = poll::until("it is stored", PATIENCE, || async {
        let agent = relay.store.get_agent(relay.organisation, relay.cluster, handle.agent()).await?;
        Ok(agent.expect("is stored").about.ok_or("nothing"))
    });
    let about = told.await.expect("says what it allows");
    assert_eq!(about, handle.about());
    assert_eq!((about.replica.as_str(), about.guard.namespaces.as_slice()), ("agent-0", &["sh*".to_owned()][..]));
    assert_eq!(about.guard.pod_labels, ["app=web"]);
    agent.stop().await;
}

#[tokio::test]
async fn what_kubernetes_refuses_is_refused_with_its_words() {
    let cluster = devcluster().await;
    let (_relay, agent, handle) = connected(&cluster, "shop-only", &[]).await;
    for scope in [WatchScope::Namespaces, namespace("default")] {
        assert_eq!(Watch::open(&handle, scope).await.refusal().await, RefusalCode::Forbidden);
    }
    let mut shop = Watch::open(&handle, namespace("shop")).await;
    shop.synced().await;
    agent.stop().await;
}

#[tokio::test]
async fn a_watch_survives_an_api_server_that_goes_away_and_an_expired_history() {
    let cluster = devcluster().await;
    let (_relay, agent, handle) = connected(&cluster, "podlatch-agent", &[]).await;
    let mut watch = Watch::open(&handle, namespace("shop")).await;
    watch.synced().await;
    watch.until(|watch| watch.pods_of_web().len() == 2).await;
    cluster.faults().refuse_connections(Duration::from_secs(2));
    cluster.faults().drop_connections();
    let deleted = watch.pods_of_web()[0].name.clone();
    cluster.delete_pod("shop", &deleted);
    let gone = ItemKey::Pod(deleted);
    watch.until(|watch| !watch.items.contains_key(&gone) && watch.pods_of_web().len() == 2).await;
    let deleted = watch.pods_of_web()[0].name.clone();
    cluster.expire_watches();
    cluster.delete_pod("shop", &deleted);
    let gone = ItemKey::Pod(deleted);
    watch.until(|watch| !watch.items.contains_key(&gone) && watch.pods_of_web().len() == 2).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_named_and_works_again_later() {
    let cluster = devcluster().await;
    let (_relay, agent, handle) = connected(&cluster, "podlatch-agent", &[]).await;
    cluster.faults().refuse_connections(Duration::from_hours(1));
    cluster.faults().drop_connections();
    let refusal = Watch::open(&handle, namespace("shop")).await.refusal().await;
    assert_eq!(refusal, RefusalCode::KubernetesUnreachable);
    cluster.faults().accept_connections();
    let mut again = Watch::open(&handle, namespace("shop")).await;
    again.synced().await;
    agent.stop().await;
}

#[tokio::test]
async fn a_pod_is_looked_up_and_its_end_is_noticed() {
    let cluster = devcluster().await;
    let inventory = Inventory::new(client(&cluster, "podlatch-agent").await, Guard::default());
    let shop = || "default".parse().expect("is a namespace");
    let name = || "bb".parse().expect("is a name");
    let pod = inventory.pod(&shop(), &name()).await.expect("is there");
    assert_eq!(pod.default_container.as_deref(), pod.containers.first().map(|container| container.name.as_str()));
    let missing = "nothing".parse().expect("is a name");
    assert_eq!(inventory.pod(&shop(), &missing).await.map_err(|refusal| refusal.code), Err(RefusalCode::PodNotFound));
    let another_uid = inventory.pod_gone(shop(), name(), "another".to_owned());
    timeout(PATIENCE, another_uid).await.expect("another pod of this name is not this one");
    let gone = inventory.pod_gone(shop(), name(), pod.uid.clone());
    tokio::pin!(gone);
    assert!(timeout(Duration::from_millis(500), &mut gone).await.is_err(), "it is still there");
    let pods: Api<Pod> = Api::namespaced(client(&cluster, "admin").await, "default");
    pods.delete("bb", &DeleteParams::default().grace_period(0)).await.expect("deletes");
    timeout(PATIENCE, gone).await.expect("is noticed");
}

#[tokio::test]
async fn the_doctor_finds_what_is_there_and_what_is_missing() {
    let cluster = devcluster().await;
    let relay = Relay::start().await;
    let examine = async |user: &str, folder: &std::path::Path, more: &[&str]| {
        let kubeconfig = cluster.kubeconfig(user).expect("is a user");
        let line = ["podlatch-agent", "doctor"].map(str::to_owned).into_iter();
        let line = line.chain(arguments(&relay, folder, relay.address, &kubeconfig));
        let line = line.chain(more.iter().copied().map(str::to_owned));
        let Command::Doctor(args) = Cli::try_parse_from(line).expect("is a command line").command else {
            unreachable!("asked for doctor");
        };
        podlatch_agent::doctor::run(&args).await.expect("can look")
    };
    let empty = tempfile::tempdir().expect("makes a folder");
    assert!(!examine("podlatch-agent", empty.path(), &[]).await, "there is no identity");
    let agent = Agent::enrol_in(&relay, &cluster.kubeconfig("podlatch-agent").expect("is a user"), &[]).await;
    let handle = relay.news().connected().await;
    let folder = agent.folder.path();
    assert!(examine("podlatch-agent", folder, &[]).await, "everything is there");
    assert!(!examine("alice", folder, &[]).await, "she may do nothing");
    assert!(!examine("shop-only", folder, &[]).await, "not everywhere");
    let current = relay.agents.get(handle.agent()).expect("is connected");
    assert_eq!(current.connection_id(), handle.connection_id(), "the running agent is left alone");
    agent.stop().await;
}
