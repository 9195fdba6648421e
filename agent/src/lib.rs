//! The Podlatch agent. It dials out of a private cluster to its relay ([`tunnel`]), as the identity that a join token got
//! it ([`enrolment`], [`identity`]), and serves what the relay asks for there: `podlatch_cluster` does, within what the
//! cluster's owner allows.

pub mod config;
pub mod doctor;
pub mod enrolment;
pub mod health;
pub mod identity;
pub mod kubernetes;
pub mod lifecycle;
pub mod telemetry;
pub mod tls;
pub mod tunnel;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use podlatch_cluster::Services;
use podlatch_cluster::inventory::Inventory;
use podlatch_cluster::session::{Limits, Sessions};
use podlatch_protocol::close::EndCause;
use podlatch_protocol::control::About;
use podlatch_protocol::id::AgentInstanceId;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{IdentityPlace, RunArgs};
use crate::enrolment::Enrolment;
use crate::health::Health;
use crate::identity::{FileStore, Identity, IdentityStore, SecretStore};
use crate::lifecycle::{Lifecycle, Signals};
use crate::tunnel::{End, OnRefusal, Orders, Settings, Tunnel, TunnelStatus};

/// How long the sessions have to end their processes once the drain timeout is over.
const SESSION_END: Duration = Duration::from_secs(10);

/// How long the tunnel and the probes have to close.
const CLOSE: Duration = Duration::from_secs(3);

/// Runs the agent until `lifecycle` ends it. An error is something that a person must mend. Not cancel safe: cancel by the
/// lifecycle.
pub async fn run(args: RunArgs, lifecycle: Lifecycle) -> anyhow::Result<()> {
    let (status, status_reader) = watch::channel(TunnelStatus::Down("the agent is starting".to_owned()));
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    if let Some(address) = args.health_listen {
        let health = Health::bind(address, status_reader).await?;
        announce_health(&health)?;
        tasks.spawn(health.serve(stop.clone()));
    }
    let agent = Agent::start(&args, status).await?;
    let outcome = agent.work(&args, &lifecycle, &stop).await;
    stop.cancel();
    tasks.close();
    let _ = timeout(CLOSE, tasks.wait()).await;
    outcome
}

/// One line on standard output: where the probes are.
fn announce_health(health: &Health) -> anyhow::Result<()> {
    println!("health http://{}", health.address()?);
    Ok(())
}

/// Opens the place where the identity is kept.
pub fn identity_store(place: &IdentityPlace, client: &kube::Client) -> Arc<dyn IdentityStore> {
    match place {
        IdentityPlace::File(folder) => Arc::new(FileStore::new(folder)),
        IdentityPlace::Secret { namespace, name } => {
            Arc::new(SecretStore::new(client.clone(), namespace.to_string(), name.clone()))
        }
    }
}

struct Agent {
    client: kube::Client,
    store: Arc<dyn IdentityStore>,
    enrolment: Enrolment,
    services: Services,
    status: watch::Sender<TunnelStatus>,
}

impl Agent {
    async fn start(args: &RunArgs, status: watch::Sender<TunnelStatus>) -> anyhow::Result<Self> {
        let client = kubernetes::client(args.common.kubeconfig.as_deref()).await?;
        let enrolment =
            Enrolment { relay: args.common.relay.clone(), pin: args.common.ca_pin, token: args.join_token()? };
        let guard = args.common.guard();
        let limits = Limits {
            guard: guard.clone(),
            rights: args.common.rights(),
            debug_images: args.common.debug_images.clone(),
            max_sessions: usize::try_from(args.max_sessions).unwrap_or(usize::MAX),
        };
        let inventory = Inventory::new(client.clone(), guard);
        let exec_client = kubernetes::exec_client(args.common.kubeconfig.as_deref(), &limits.rights).await?;
        let sessions = Sessions::new(exec_client, inventory.clone(), limits, TaskTracker::new());
        let services = Services { sessions, inventory };
        let store = identity_store(&args.common.identity, &client);
        Ok(Self { client, store, enrolment, services, status })
    }

    /// Enrols where needed, then keeps the tunnel up until told to drain, drains, and ends.
    async fn work(self, args: &RunArgs, lifecycle: &Lifecycle, stop: &CancellationToken) -> anyhow::Result<()> {
        let identity = tokio::select! {
            identity = self.enrolment.obtain(&*self.store) => identity?,
            () = lifecycle.drain.cancelled() => return Ok(()),
        };
        let orders = Orders { drain: lifecycle.drain.clone(), stop: stop.clone() };
        let sessions = self.services.sessions.clone();
        let (drain_timeout, tunnel) = (args.drain_timeout, self.keep_tunnel(args, identity, orders));
        tokio::pin!(tunnel);
        tokio::select! {
            ended = &mut tunnel => return ended,
            () = drain(&sessions, lifecycle, drain_timeout) => {}
        }
        stop.cancel();
        timeout(CLOSE, tunnel).await.unwrap_or(Ok(()))
    }

    /// Keeps a tunnel up; where the relay does not take the identity and there is another token, enrols anew once.
    async fn keep_tunnel(self, args: &RunArgs, identity: Identity, orders: Orders) -> anyhow::Result<()> {
        let fresh_token = self.enrolment.has_fresh_token(&identity);
        let mut settings = Settings {
            relay: args.common.relay.clone(),
            max_sessions: args.max_sessions,
            instance: new_instance(),
            kubernetes_version: kubernetes::version(&self.client).await,
            about: About { replica: args.replica.clone(), guard: args.common.guard().report() },
            on_refusal: if fresh_token { OnRefusal::End } else { OnRefusal::Retry },
        };
        let tunnel = |settings: &Settings, identity| {
            let store = Arc::clone(&self.store);
            Tunnel::new(settings.clone(), identity, store, self.services.clone(), orders.clone(), self.status.clone())
        };
        let mut end = tunnel(&settings, identity).run().await;
        if let End::IdentityRefused(sentence) = &end {
            tracing::warn!("{sentence}; trying the join token");
            let identity = self.enrolment.enrol(&*self.store).await?;
            settings.on_refusal = OnRefusal::Retry;
            end = tunnel(&settings, identity).run().await;
        }
        match end {
            End::Stopped => Ok(()),
            End::IdentityRefused(sentence) => bail!(sentence),
            End::IdentityExpired => bail!(
                "this agent's certificate has run out while its relay could not be reached; create a new join token for the cluster and start the agent with it"
            ),
        }
    }
}

/// Waits for the order to drain, then for the sessions to end, and ends those that do not.
async fn drain(sessions: &Sessions, lifecycle: &Lifecycle, drain_timeout: Duration) {
    lifecycle.drain.cancelled().await;
    tracing::info!(timeout_seconds = drain_timeout.as_secs(), "draining: no new sessions, live ones may finish");
    sessions.drain();
    tokio::select! {
        () = sessions.idle() => {}
        () = tokio::time::sleep(drain_timeout) => {}
        () = lifecycle.hurry.cancelled() => {}
    }
    let ended = async {
        sessions.end_all(EndCause::AgentShutdown).await;
        sessions.idle().await;
    };
    if timeout(SESSION_END, ended).await.is_err() {
        tracing::error!("not every session could be ended; their processes may still run");
    }
}

fn new_instance() -> AgentInstanceId {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    AgentInstanceId::new(u64::try_from(since_epoch.as_millis()).unwrap_or(0), &rand::random())
}

/// Runs `doctor` or `run`, as the command line says; false where `doctor` found something.
pub async fn execute(cli: config::Cli) -> anyhow::Result<bool> {
    match cli.command {
        config::Command::Run(args) => {
            telemetry::init(&args.common)?;
            if let Err(error) = podlatch_link::descriptors::raise_limit() {
                tracing::warn!(%error, "the limit of open files cannot be raised; it bounds the number of sessions");
            }
            // Before anyone is told that the agent is ready: a signal must find it listening.
            let signals = Signals::catch().context("signals cannot be caught")?;
            let lifecycle = Lifecycle::default();
            let obeying = lifecycle.clone().follow(signals);
            tokio::select! {
                outcome = run(args, lifecycle) => outcome.map(|()| true),
                () = obeying => Ok(true),
            }
        }
        config::Command::Doctor(args) => {
            telemetry::init(&args)?;
            doctor::run(&args).await
        }
    }
}
