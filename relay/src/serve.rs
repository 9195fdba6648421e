//! `podlatch-relay serve`: puts the parts together, says when it is ready, stops when told to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::audit;
use crate::auth::seal::SealingKeys;
use crate::auth::sign_in::SignInMethods;
use crate::clock::{Clock, UnixMillis};
use crate::config::{Config, PublicUrl};
use crate::data_folder::{self, DataFolderLock};
use crate::entropy::Entropy;
use crate::http;
use crate::http::guesses::Guesses;
use crate::joining::Joining;
use crate::lifecycle::{Lifecycle, Signals};
use crate::outbound::{Dialler, SystemResolver};
use crate::pki::Ca;
use crate::public::health::Healths;
use crate::public::keeper::{Keeper, KeeperBell, KeeperParts};
use crate::recording::archive::Archives;
use crate::recording::{Recorder, RecorderParts, RecordingsStore, Sealed};
use crate::recording_jobs;
use crate::replay::Replays;
use crate::session::{Sessions, Settings};
use crate::store::{DatabaseUrl, Store};
use crate::tunnel::{self, AgentEvent, Agents, Tunnel};

/// A relay that serves.
#[derive(Debug)]
pub struct Serving {
    /// What its parts share.
    pub app: App,
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Where tunnels are served.
    pub tunnel: SocketAddr,
    tunnel_listener: Tunnel,
    _lock: Option<DataFolderLock>,
}

/// Starts a relay. When it returns, both listeners are open. Not cancel safe.
pub async fn start(config: Config) -> anyhow::Result<Serving> {
    data_folder::create(&config.data)?;
    // Two relays on one SQLite file would each believe to hold the sessions.
    let lock = match &config.database {
        DatabaseUrl::Sqlite(_) => Some(DataFolderLock::take(&config.data)?),
        DatabaseUrl::Postgres(_) => None,
    };
    let store = Store::open(&config.database).await.with_context(|| format!("cannot open {}", config.database))?;
    store.migrate().await?;
    let (clock, entropy, agents) = (Clock::system(), Entropy::system(), Agents::default());
    store.give_first_rules(clock.now()).await?;

    let listener = TcpListener::bind(config.http_listen)
        .await
        .with_context(|| format!("cannot serve HTTP on {}; choose another --http-listen", config.http_listen))?;
    let http = listener.local_addr()?;
    let public_url = match &config.public_url {
        Some(url) => url.clone(),
        None => PublicUrl::of_listener(http)?,
    };
    let sealing = SealingKeys::load_or_create(config.sealing_key_file.as_deref(), &config.data, &entropy)?;
    let recordings = RecordingsStore::open(&config.recordings_store, std::env::vars())
        .with_context(|| format!("recordings cannot be kept in {}", config.recordings_store))?;
    let archives = Archives::new(recordings.clone(), data_folder::create_hot_logs(&config.data)?);
    let (recorder, sealed) = recorder(&config, recordings.clone())?;
    let sessions = sessions(&config, &store, recorder, &agents, (&clock, &entropy));
    sessions.restore().await?;
    let sign_in = SignInMethods::new(config.passwords, config.issuers.clone(), &public_url, &entropy)?;
    // Before the first agent can connect, so that no news is missed.
    let news = agents.subscribe();
    let authority = Arc::new(load_authority(config.data.clone(), clock.now()).await?);
    let parts = (store.clone(), Arc::clone(&authority), clock.clone(), entropy.clone());
    let guesses = Guesses::default();
    let tunnel_listener = listen_for_agents(config.tunnel_listen, parts, guesses.clone(), agents.clone())?;
    let tunnel = tunnel_listener.address()?;
    let dialler = Dialler::new(config.outbound.clone(), Arc::new(SystemResolver));
    let app = App {
        joining: joining(&config, &public_url, tunnel, &authority),
        config: Arc::new(config),
        public_url: Arc::new(public_url),
        store,
        clock,
        entropy,
        sealing,
        lifecycle: Lifecycle::new(),
        agents: agents.clone(),
        dialler,
        public_clusters: KeeperBell::default(),
        public_healths: Healths::default(),
        sessions: sessions.clone(),
        archives,
        replays: Replays::default(),
        guesses,
        sign_in,
    };
    app.lifecycle.spawn(follow_agents(app.clone(), news));
    app.lifecycle.spawn(keep_public_clusters(app.clone()));
    // Not waited for when the relay stops: what is not noted is noted by the next life.
    tokio::spawn(recording_jobs::note_sealed(app.store.clone(), app.clock.clone(), sealed));
    app.lifecycle.spawn(store_activity(app.clone()));
    app.lifecycle.spawn(age_rights(app.clone()));
    tokio::spawn(recording_jobs::keep_retention(app.store.clone(), recordings, app.clock.clone()));
    http::server::spawn(listener, &app);
    Ok(Serving { app, http, tunnel, tunnel_listener, _lock: lock })
}

impl Serving {
    /// The one line that says where the relay is served, by addresses that this machine can dial.
    pub fn ready_line(&self) -> String {
        format!("ready http=http://{} tunnel={}", dialable(self.http), dialable(self.tunnel))
    }

    /// Serves until one of the signals, then stops. Not cancel safe.
    pub async fn until(self, signals: Signals) {
        let life = self.app.lifecycle.clone();
        let ended = self.ended();
        tokio::pin!(ended);
        tokio::select! {
            () = &mut ended => return,
            () = life.obey(signals) => {}
        }
        ended.await;
    }

    /// Serves until the lifecycle is drained, then stops. Not cancel safe.
    pub async fn ended(self) {
        // Not before: the line that says that the relay is ready comes first on standard output, whatever else goes there.
        if let Err(error) = audit::start_outboxes(&self.app) {
            tracing::error!("the audit log is kept, but not passed on: {error:#}");
        }
        self.app.lifecycle.ended().await;
        // Terminals first, so that their last words still travel.
        self.tunnel_listener.shutdown().await;
        if let Err(error) = self.app.sessions.store_last_activity().await {
            tracing::warn!(%error, "it could not be stored when people last typed");
        }
        self.app.store.close().await;
        tracing::info!("stopped");
    }
}

/// Recordings that may wait to be noted as stored.
const SEALED: usize = 64;

fn recorder(config: &Config, store: RecordingsStore) -> anyhow::Result<(Recorder, mpsc::Receiver<Sealed>)> {
    let (sealed, receiver) = mpsc::channel(SEALED);
    let hot = data_folder::create_hot_logs(&config.data)?;
    let recorder = Recorder::start(RecorderParts { hot, store, patience: config.recordings_patience, sealed })?;
    Ok((recorder, receiver))
}

fn sessions(
    config: &Config,
    store: &Store,
    recorder: Recorder,
    agents: &Agents,
    (clock, entropy): (&Clock, &Entropy),
) -> Sessions {
    let Config { grace, limits, after_exit, commands, .. } = *config;
    let settings = Settings { grace, limits, after_exit, commands };
    // Its own tracker: sessions outlive the relay, so nothing waits for them when it stops.
    let tracker = TaskTracker::new();
    Sessions::new(store.clone(), recorder, agents.clone(), (clock.clone(), entropy.clone()), settings, tracker)
}

async fn follow_agents(app: App, events: mpsc::Receiver<AgentEvent>) {
    tokio::select! {
        () = app.sessions.clone().follow_agents(events) => {}
        () = app.lifecycle.draining().cancelled() => {}
    }
}

async fn age_rights(app: App) {
    tokio::select! {
        () = app.sessions.age_rights() => {}
        () = app.lifecycle.draining().cancelled() => {}
    }
}

async fn keep_public_clusters(app: App) {
    let parts = KeeperParts {
        store: app.store,
        sealing: app.sealing,
        dialler: app.dialler,
        agents: app.agents,
        healths: app.public_healths,
        clock: app.clock,
        entropy: app.entropy,
    };
    Keeper::new(parts).run(app.public_clusters, app.lifecycle.draining().clone()).await;
}

async fn store_activity(app: App) {
    tokio::select! {
        () = app.sessions.store_activity() => {}
        () = app.lifecycle.draining().cancelled() => {}
    }
}

fn listen_for_agents(
    address: SocketAddr,
    (store, ca, clock, entropy): (Store, Arc<Ca>, Clock, Entropy),
    guesses: Guesses,
    agents: Agents,
) -> anyhow::Result<Tunnel> {
    let (tasks, refusals) = (TaskTracker::new(), Arc::new(tunnel::refusal_limit()));
    let context = tunnel::Context { store, ca, clock, entropy, tasks, refusals, guesses };
    Ok(Tunnel::start(address, context, agents)?)
}

/// How agents join this relay, as far as it can tell.
fn joining(config: &Config, public_url: &PublicUrl, tunnel: SocketAddr, authority: &Ca) -> Option<Arc<Joining>> {
    let relay = Joining::address(config.tunnel_address.as_ref(), public_url, tunnel.port()).ok();
    if relay.is_none() {
        tracing::warn!("no agent can be asked to join: say with --tunnel-address what agents dial");
    }
    relay.map(|relay| Arc::new(Joining { relay, pin: authority.pin() }))
}

async fn load_authority(data: PathBuf, now: UnixMillis) -> anyhow::Result<Ca> {
    let loaded = tokio::task::spawn_blocking(move || Ca::load_or_create(&data, now)).await?;
    loaded.context("the relay's own certificate authority cannot be used; run `podlatch-relay doctor`")
}

/// A listener on every address is reached on loopback, among others.
fn dialable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        specified => specified,
    };
    SocketAddr::new(ip, address.port())
}
