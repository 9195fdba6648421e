//! A relay's tunnel side and whole agents, in this process.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use podlatch_agent::config::{Cli, Command};
use podlatch_agent::lifecycle::Lifecycle;
use podlatch_protocol::close::RefusalCode;
use podlatch_protocol::id::{ClusterId, JoinTokenId, OrganisationId, SessionId, UserId};
use podlatch_protocol::request::{Attach, Request};
use podlatch_protocol::session::ToRelay;
use podlatch_relay::auth::token::{Token, TokenKind};
use podlatch_relay::clock::{Clock, UnixMillis};
use podlatch_relay::domain::audit::Origin;
use podlatch_relay::domain::cluster::ClusterType;
use podlatch_relay::domain::labels::Labels;
use podlatch_relay::entropy::Entropy;
use podlatch_relay::pki::{Ca, Lifetimes};
use podlatch_relay::store::{DatabaseUrl, NewCluster, NewJoinToken, NewOrganisation, Store};
use podlatch_relay::tunnel::{AgentEvent, AgentHandle, Agents, Context, Tunnel};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// Whatever takes longer than this does not happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What `kubeconfig` must hold for an agent that never needs Kubernetes: nobody listens there.
const NO_CLUSTER: &str = r#"{"apiVersion":"v1","kind":"Config","current-context":"none",
"clusters":[{"name":"none","cluster":{"server":"http://127.0.0.1:1"}}],
"users":[{"name":"none","user":{}}],"contexts":[{"name":"none","context":{"cluster":"none","user":"none"}}]}"#;

/// A relay's tunnel, in a runtime of its own so that it can be killed.
pub(crate) struct Relay {
    runtime: Option<Runtime>,
    tunnel: Option<Tunnel>,
    folder: Arc<tempfile::TempDir>,
    lifetimes: Lifetimes,
    pub(crate) agents: Agents,
    pub(crate) address: SocketAddr,
    pub(crate) ca: Arc<Ca>,
    pub(crate) store: Store,
    pub(crate) organisation: OrganisationId,
    pub(crate) cluster: ClusterId,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        Self::start_with(Lifetimes::default()).await
    }

    pub(crate) async fn start_with(lifetimes: Lifetimes) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = Arc::new(tempfile::tempdir().expect("makes a folder"));
        let ids = (OrganisationId::new(1, &rand::random()), ClusterId::new(2, &rand::random()));
        let relay = Self::launch(folder, (Ipv4Addr::LOCALHOST, 0).into(), lifetimes, ids).await;
        relay.populate().await;
        relay
    }

    async fn launch(
        folder: Arc<tempfile::TempDir>,
        address: SocketAddr,
        lifetimes: Lifetimes,
        (organisation, cluster): (OrganisationId, ClusterId),
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("starts a runtime");
        let data = folder.path().to_owned();
        let agents = Agents::default();
        let (handle, shown) = (runtime.handle().clone(), agents.clone());
        let started = tokio::task::spawn_blocking(move || handle.block_on(serve(data, address, lifetimes, shown)));
        let (tunnel, ca, store) = started.await.expect("starts");
        let address = tunnel.address().expect("is bound");
        let (runtime, tunnel) = (Some(runtime), Some(tunnel));
        Self { runtime, tunnel, folder, lifetimes, agents, address, ca, store, organisation, cluster }
    }

    async fn populate(&self) {
        let organisation = NewOrganisation {
            id: self.organisation,
            name: "Test".parse().expect("is a name"),
            owner_id: UserId::new(3, &[0; 10]),
            owner_email: "owner@example.com".parse().expect("is an address"),
            owner_name: "Owner".parse().expect("is a name"),
        };
        let now = Clock::system().now();
        self.store.create_organisation_with_owner(&organisation, &Origin::operator(), now).await.expect("is stored");
        let cluster = NewCluster {
            id: self.cluster,
            organisation: self.organisation,
            name: "test".parse().expect("is a name"),
            cluster_type: ClusterType::Private,
            labels: Labels::default(),
        };
        self.store.create_cluster(&cluster, &Origin::operator(), now).await.expect("is stored");
    }

    /// A join token that is good for half an hour.
    pub(crate) async fn join_token(&self) -> String {
        self.join_token_until(Clock::system().now().plus(Duration::from_mins(30))).await
    }

    pub(crate) async fn join_token_until(&self, expires_at: UnixMillis) -> String {
        self.new_join_token(expires_at, 1).await
    }

    /// A join token for so many replicas.
    pub(crate) async fn join_token_for(&self, agents: u16) -> String {
        self.new_join_token(Clock::system().now().plus(Duration::from_mins(30)), agents).await
    }

    async fn new_join_token(&self, expires_at: UnixMillis, agents: u16) -> String {
        let token = Token::generate(TokenKind::Join, &Entropy::system());
        let new = NewJoinToken {
            id: JoinTokenId::new(4, &rand::random()),
            hash: token.hash(),
            organisation: self.organisation,
            cluster: self.cluster,
            expires_at,
            agents,
        };
        self.store.create_join_token(&new, &Origin::operator(), UnixMillis::new(0)).await.expect("is stored");
        token.expose().to_owned()
    }

    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn news(&self) -> News {
        News(self.agents.subscribe())
    }

    /// Ends it as an operator does, and starts it again on the same port.
    pub(crate) async fn restart(mut self) -> Self {
        let tunnel = self.tunnel.take().expect("runs");
        self.runtime.as_ref().expect("runs").spawn(tunnel.shutdown()).await.expect("ends");
        self.launch_again().await
    }

    /// Ends it without a word to anybody, and starts it again on the same port.
    pub(crate) async fn kill_and_restart(mut self) -> Self {
        self.kill().await;
        self.launch_again().await
    }

    async fn kill(&mut self) {
        let (runtime, tunnel) = (self.runtime.take().expect("runs"), self.tunnel.take());
        let handles = self.agents.all();
        tokio::task::spawn_blocking(move || {
            runtime.shutdown_timeout(PATIENCE);
            drop((tunnel, handles));
        })
        .await
        .expect("ends");
        self.agents = Agents::default();
    }

    async fn launch_again(mut self) -> Self {
        if self.runtime.is_some() {
            self.kill().await;
        }
        let ids = (self.organisation, self.cluster);
        Self::launch(Arc::clone(&self.folder), self.address, self.lifetimes, ids).await
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(data: PathBuf, address: SocketAddr, lifetimes: Lifetimes, agents: Agents) -> (Tunnel, Arc<Ca>, Store) {
    let store = Store::open(&DatabaseUrl::in_folder(&data)).await.expect("opens");
    store.migrate().await.expect("migrates");
    let clock = Clock::system();
    let ca = Arc::new(Ca::load_or_create(&data, clock.now()).expect("has a CA").with_lifetimes(lifetimes));
    let context = Context {
        store: store.clone(),
        ca: Arc::clone(&ca),
        clock,
        entropy: Entropy::system(),
        tasks: TaskTracker::new(),
        refusals: Arc::new(podlatch_relay::tunnel::refusal_limit()),
        guesses: podlatch_relay::http::guesses::Guesses::default(),
    };
    (Tunnel::start(address, context, agents).expect("starts"), ca, store)
}

/// What happens to agents.
pub(crate) struct News(mpsc::Receiver<AgentEvent>);

impl News {
    pub(crate) async fn next(&mut self) -> AgentEvent {
        timeout(PATIENCE, self.0.recv()).await.expect("something happens").expect("the relay runs")
    }

    /// The next agent that connects.
    pub(crate) async fn connected(&mut self) -> AgentHandle {
        loop {
            if let AgentEvent::Connected { handle, .. } = self.next().await {
                return handle;
            }
        }
    }

    /// What happened up to now and was not looked at yet.
    pub(crate) fn so_far(&mut self) -> Vec<AgentEvent> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

/// A whole agent.
pub(crate) struct Agent {
    pub(crate) folder: Arc<tempfile::TempDir>,
    pub(crate) lifecycle: Lifecycle,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Agent {
    /// An agent that enrols with a new token.
    pub(crate) async fn enrol(relay: &Relay) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("makes a folder"));
        Self::start(relay, &folder, relay.address, Some(&relay.join_token().await))
    }

    /// An agent of a real cluster, with further arguments.
    pub(crate) async fn enrol_in(relay: &Relay, kubeconfig: &str, more: &[&str]) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("makes a folder"));
        let mut args = arguments(relay, folder.path(), relay.address, kubeconfig);
        args.push(format!("--join-token={}", relay.join_token().await));
        args.extend(more.iter().copied().map(str::to_owned));
        Self::run(folder, args)
    }

    /// An agent with its identity in `folder`, which dials `address`.
    pub(crate) fn start(
        relay: &Relay,
        folder: &Arc<tempfile::TempDir>,
        address: SocketAddr,
        token: Option<&str>,
    ) -> Self {
        Self::start_with(relay, folder, address, token, &[])
    }

    /// The same, with further arguments.
    pub(crate) fn start_with(
        relay: &Relay,
        folder: &Arc<tempfile::TempDir>,
        address: SocketAddr,
        token: Option<&str>,
        more: &[&str],
    ) -> Self {
        let mut args = arguments(relay, folder.path(), address, NO_CLUSTER);
        args.extend(token.map(|token| format!("--join-token={token}")));
        args.extend(more.iter().copied().map(str::to_owned));
        Self::run(Arc::clone(folder), args)
    }

    fn run(folder: Arc<tempfile::TempDir>, arguments: Vec<String>) -> Self {
        let line = ["podlatch-agent", "run"].map(str::to_owned).into_iter().chain(arguments);
        let Command::Run(args) = Cli::try_parse_from(line).expect("is a command line").command else {
            unreachable!("asked for run");
        };
        let lifecycle = Lifecycle::default();
        let running = tokio::spawn(podlatch_agent::run(args, lifecycle.clone()));
        Self { folder, lifecycle, running }
    }

    /// How it ends by itself.
    pub(crate) async fn outcome(self) -> anyhow::Result<()> {
        timeout(PATIENCE, self.running).await.expect("ends").expect("does not panic")
    }

    /// Ends it as an operator does.
    pub(crate) async fn stop(self) {
        self.lifecycle.drain.cancel();
        self.lifecycle.hurry.cancel();
        self.outcome().await.expect("ends well");
    }
}

/// What every command of the agent needs.
pub(crate) fn arguments(relay: &Relay, folder: &Path, address: SocketAddr, kubeconfig: &str) -> Vec<String> {
    let file = folder.join("kubeconfig");
    fs::write(&file, kubeconfig).expect("writes");
    vec![
        format!("--relay={address}"),
        format!("--ca-pin={}", relay.ca.pin()),
        format!("--identity=file:{}", folder.display()),
        format!("--kubeconfig={}", file.display()),
    ]
}

/// Asks an agent something and waits for its answer: the tunnel works both ways.
pub(crate) async fn round_trip(handle: &AgentHandle) -> RefusalCode {
    let attach = Attach { session: SessionId::new(1, &[1; 10]), have_offset: 0, credit: 0 };
    let exchange = async {
        let (_writer, mut reader) = handle.request(&Request::Attach(attach)).await.expect("takes a request");
        let frame = reader.next().await.expect("answers").expect("answers");
        match ToRelay::decode(frame).expect("is a message") {
            Some(ToRelay::Refused(refusal)) => refusal.code,
            other => panic!("an unexpected answer: {other:?}"),
        }
    };
    timeout(PATIENCE, exchange).await.expect("answers in time")
}
