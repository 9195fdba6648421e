//! Which agents are connected, and how to reach them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use podlatch_cluster::Services;
use podlatch_link::disconnect::Disconnect;
use podlatch_link::framing::{FrameReader, FrameWriter};
use podlatch_link::stream::{RecvHalf, SendHalf, StreamEnd};
use podlatch_link::transport::SESSION_PRIORITY;
use podlatch_protocol::close::{EndCause, RefusalCode};
use podlatch_protocol::codec::{self, CodecError};
use podlatch_protocol::control::{About, Hello};
use podlatch_protocol::frame::{self, FrameKind};
use podlatch_protocol::id::{AgentId, AgentInstanceId, ClusterId, OrganisationId, SessionId};
use podlatch_protocol::request::Request;
use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::here::Here;
use crate::pki::AgentIdentity;

/// How long an agent may take to accept a stream and its request.
const REQUEST: Duration = Duration::from_secs(5);

/// Events that the slowest subscriber may be behind before it is told anew who is connected.
const EVENT_BACKLOG: usize = 1_024;

/// How long a revoked agent stays connected, so that its sessions can be ended by it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Replaced lives of one agent that are remembered.
const REMEMBERED_LIVES: usize = 8;

/// Events that wait for one subscriber besides.
const SUBSCRIBER_BACKLOG: usize = 16;

/// The connected agents. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Agents {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    table: Mutex<BTreeMap<AgentId, AgentHandle>>,
    events: broadcast::Sender<AgentEvent>,
    next_connection: AtomicU64,
    tasks: TaskTracker,
    revoked: Notify,
    replaced: Mutex<BTreeMap<AgentId, VecDeque<AgentInstanceId>>>,
}

/// Names one connection of an agent; never used again while the relay runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

/// Something happened to an agent.
#[derive(Debug, Clone)]
pub enum AgentEvent {
    /// It is connected; an older connection of it was replaced.
    Connected {
        /// How to reach it.
        handle: AgentHandle,
        /// What it said.
        hello: Hello,
    },
    /// Nothing was heard of it for a while.
    Silent {
        /// Which agent.
        agent: AgentId,
    },
    /// It answers again.
    Answering {
        /// Which agent.
        agent: AgentId,
    },
    /// Its right was withdrawn: its sessions end for this, whether it is connected or not.
    Revoked {
        /// Which agent.
        agent: AgentId,
        /// What for.
        cause: EndCause,
    },
    /// This connection of it is over; a newer one may have replaced it before.
    Disconnected {
        /// Which agent.
        agent: AgentId,
        /// Which connection.
        connection: ConnectionId,
    },
}

/// What a connected agent is doing. Ordered by preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgentState {
    /// It answers.
    Answering,
    /// Nothing was heard of it for a while.
    Silent,
    /// It takes no new sessions.
    Draining,
}

/// An agent could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Its connection is over.
    #[error("the agent's connection is over")]
    Gone(#[from] quinn::ConnectionError),
    /// It did not take the stream in time.
    #[error("the agent did not take a request in time")]
    TimedOut,
    /// The stream failed.
    #[error("the agent's stream failed")]
    Stream(#[from] std::io::Error),
    /// The request does not fit a frame.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl LinkError {
    /// The refusal that a person gets to see.
    pub const fn refusal(&self) -> RefusalCode {
        match self {
            Self::Gone(_) | Self::Stream(_) => RefusalCode::AgentOffline,
            Self::TimedOut => RefusalCode::AgentTimeout,
            Self::Codec(_) => RefusalCode::BadRequest,
        }
    }
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            shared: Arc::new(Shared {
                table: Mutex::default(),
                events: broadcast::channel(EVENT_BACKLOG).0,
                next_connection: AtomicU64::new(1),
                tasks: TaskTracker::new(),
                revoked: Notify::new(),
                replaced: Mutex::default(),
            }),
        }
    }
}

impl Agents {
    /// The agent of a cluster that is best asked for something new: answering rather than silent rather than draining,
    /// then the one with the fewest streams.
    pub fn pick(&self, cluster: ClusterId) -> Option<AgentHandle> {
        let table = self.table();
        let agents = table.values().filter(|agent| agent.cluster() == cluster && agent.withdrawn().is_none());
        agents.min_by_key(|agent| (agent.state(), agent.open_streams())).cloned()
    }

    /// An agent, if it is connected.
    pub fn get(&self, agent: AgentId) -> Option<AgentHandle> {
        self.table().get(&agent).cloned()
    }

    /// Every connected agent.
    pub fn all(&self) -> Vec<AgentHandle> {
        self.table().values().cloned().collect()
    }

    /// Whether no agent is connected.
    pub fn is_empty(&self) -> bool {
        self.table().is_empty()
    }

    /// Whether any agent of the cluster is connected and answers.
    pub fn online(&self, cluster: ClusterId) -> bool {
        self.pick(cluster).is_some_and(|agent| agent.state() != AgentState::Silent)
    }

    /// Who is connected, and what happens from now on. A subscriber that falls far behind is told again who is connected.
    pub fn subscribe(&self) -> mpsc::Receiver<AgentEvent> {
        let (sender, receiver) = mpsc::channel(SUBSCRIBER_BACKLOG);
        let (events, connected) = self.snapshot();
        self.shared.tasks.spawn(self.clone().forward(events, connected, sender));
        receiver
    }

    async fn forward(
        self,
        mut events: broadcast::Receiver<AgentEvent>,
        mut connected: Vec<AgentHandle>,
        sender: mpsc::Sender<AgentEvent>,
    ) {
        loop {
            for handle in connected.drain(..) {
                if sender.send(handle.connected()).await.is_err() {
                    return;
                }
            }
            let event = tokio::select! {
                event = events.recv() => event,
                () = sender.closed() => return,
            };
            match event {
                Ok(event) => {
                    if sender.send(event).await.is_err() {
                        return;
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => (events, connected) = self.snapshot(),
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    /// Under one lock, so that no event is in both or in neither.
    fn snapshot(&self) -> (broadcast::Receiver<AgentEvent>, Vec<AgentHandle>) {
        let table = self.table();
        (self.shared.events.subscribe(), table.values().cloned().collect())
    }

    /// Has the store asked for agents whose right was withdrawn just now, instead of a little later.
    pub fn look_for_revoked(&self) {
        self.shared.revoked.notify_one();
    }

    /// Returns when somebody said [`Self::look_for_revoked`]. Cancel safe.
    pub(super) async fn asked_for_revoked(&self) {
        self.shared.revoked.notified().await;
    }

    /// Withdraws an agent's right: it gets nothing new, its sessions end for `cause`, and then it is disconnected.
    pub fn revoke(&self, agent: AgentId, cause: EndCause) {
        if let Some(handle) = self.get(agent) {
            if handle.inner.withdrawn.set(cause).is_err() {
                return;
            }
            tracing::info!(agent.id = %agent, cause = cause.slug(), "disconnecting a revoked agent");
            self.shared.tasks.spawn(async move {
                sleep(LAST_WORDS).await;
                handle.inner.path.close(Disconnect::Revoked);
            });
        }
        self.shared.send(AgentEvent::Revoked { agent, cause });
    }

    /// Whether this agent is connected.
    pub fn is_connected(&self, agent: AgentId) -> bool {
        self.table().contains_key(&agent)
    }

    /// Enters an agent in this process, which serves a cluster that the relay reaches by itself. It leaves when the
    /// registration is dropped; `tasks` gets what it runs.
    pub fn serve_here(
        &self,
        identity: AgentIdentity,
        hello: Hello,
        services: Services,
        tasks: TaskTracker,
    ) -> Registration {
        self.register(Welcomed { identity, hello, path: Path::Here(Here::new(services, tasks)) })
    }

    /// Enters an agent, in place of an older connection of it. It leaves when the registration is dropped.
    pub(super) fn register(&self, welcomed: Welcomed) -> Registration {
        let connection_id = ConnectionId(self.shared.next_connection.fetch_add(1, Ordering::Relaxed));
        let handle = AgentHandle {
            inner: Arc::new(Inner {
                identity: welcomed.identity,
                connection_id,
                hello: welcomed.hello,
                path: welcomed.path,
                silent: watch::Sender::new(false),
                about: Mutex::default(),
                withdrawn: OnceLock::new(),
                draining: AtomicBool::new(false),
                open_streams: AtomicUsize::new(0),
                tasks: self.shared.tasks.clone(),
            }),
        };
        let mut table = self.table();
        let older = table.insert(handle.agent(), handle.clone());
        if let Some(older) = &older {
            tracing::info!(agent.id = %handle.agent(), "a newer connection replaces an older one");
            older.inner.path.close(Disconnect::Replaced);
        }
        self.shared.send(handle.connected());
        drop(table);
        let standing = self.shared.stand(&handle, older.as_ref());
        Registration { agents: self.clone(), handle, standing }
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<AgentId, AgentHandle>> {
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// A life of an agent that comes back after another life took its place: both run, so the identity was copied.
    fn stand(&self, handle: &AgentHandle, older: Option<&AgentHandle>) -> Standing {
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        let lives = replaced.entry(handle.agent()).or_default();
        let standing = if lives.contains(&handle.instance()) { Standing::Copied } else { Standing::Alone };
        if let Some(older) = older.filter(|older| older.instance() != handle.instance()) {
            lives.truncate(REMEMBERED_LIVES - 1);
            lives.push_front(older.instance());
        } else if lives.is_empty() {
            replaced.remove(&handle.agent());
        }
        standing
    }

    fn send(&self, event: AgentEvent) {
        // An error means that nobody listens, which is fine.
        let _ = self.events.send(event);
    }
}

/// An agent that was found to be who it says it is.
#[derive(Debug)]
pub(super) struct Welcomed {
    pub(super) identity: AgentIdentity,
    pub(super) hello: Hello,
    pub(super) path: Path,
}

/// Where an agent is.
#[derive(Debug)]
pub(super) enum Path {
    /// At the other end of a tunnel.
    Tunnel(quinn::Connection),
    /// In this process: for a cluster that the relay serves itself.
    Here(Here),
}

impl Path {
    async fn open(&self) -> Result<StreamEnd, LinkError> {
        match self {
            Self::Tunnel(connection) => {
                let (send, recv) = connection.open_bi().await?;
                Ok((send.into(), recv.into()))
            }
            Self::Here(here) => here.open().ok_or(LinkError::Gone(quinn::ConnectionError::LocallyClosed)),
        }
    }

    fn close(&self, reason: Disconnect) {
        match self {
            Self::Tunnel(connection) => reason.close(connection),
            Self::Here(here) => here.close(),
        }
    }
}

/// Keeps an agent in the table.
#[derive(Debug)]
pub struct Registration {
    agents: Agents,
    handle: AgentHandle,
    standing: Standing,
}

/// Whether an agent is the only one with its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// As far as anybody can tell.
    Alone,
    /// Another process uses it too.
    Copied,
}

impl Registration {
    /// How to reach it.
    pub const fn handle(&self) -> &AgentHandle {
        &self.handle
    }

    pub(super) const fn standing(&self) -> Standing {
        self.standing
    }

    pub(super) fn about(&self, about: About) {
        *self.handle.inner.about.lock().unwrap_or_else(PoisonError::into_inner) = about;
    }

    pub(super) fn silent(&self) {
        self.handle.inner.silent.send_replace(true);
        self.tell(AgentEvent::Silent { agent: self.handle.agent() });
    }

    pub(super) fn answering(&self) {
        self.handle.inner.silent.send_replace(false);
        self.tell(AgentEvent::Answering { agent: self.handle.agent() });
    }

    pub(super) fn draining(&self) {
        self.handle.inner.draining.store(true, Ordering::Relaxed);
    }

    /// A connection that was replaced says nothing about its agent any more.
    fn tell(&self, event: AgentEvent) {
        let table = self.agents.table();
        if table.get(&self.handle.agent()).is_some_and(|current| current.connection_id() == self.handle.connection_id())
        {
            self.agents.shared.send(event);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let (agent, connection) = (self.handle.agent(), self.handle.connection_id());
        if let Path::Here(here) = &self.handle.inner.path {
            here.close();
        }
        let mut table = self.agents.table();
        if table.get(&agent).is_some_and(|current| current.connection_id() == connection) {
            table.remove(&agent);
        }
        self.agents.shared.send(AgentEvent::Disconnected { agent, connection });
    }
}

/// One connection of an agent. Cheap to clone; of no use once the connection is over.
#[derive(Debug, Clone)]
pub struct AgentHandle {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    identity: AgentIdentity,
    connection_id: ConnectionId,
    hello: Hello,
    path: Path,
    silent: watch::Sender<bool>,
    about: Mutex<About>,
    withdrawn: OnceLock<EndCause>,
    draining: AtomicBool,
    open_streams: AtomicUsize,
    tasks: TaskTracker,
}

impl AgentHandle {
    /// The agent.
    pub fn agent(&self) -> AgentId {
        self.inner.identity.agent
    }

    /// Its cluster.
    pub fn cluster(&self) -> ClusterId {
        self.inner.identity.cluster
    }

    /// The cluster's owner.
    pub fn organisation(&self) -> OrganisationId {
        self.inner.identity.organisation
    }

    /// This life of the agent's process: another one holds none of its sessions.
    pub fn instance(&self) -> AgentInstanceId {
        self.inner.hello.instance
    }

    /// The sessions that it held when it connected.
    pub fn sessions(&self) -> &[SessionId] {
        &self.inner.hello.sessions
    }

    /// What it said when it connected.
    pub fn hello(&self) -> &Hello {
        &self.inner.hello
    }

    /// What it says of itself besides, since it said so.
    pub fn about(&self) -> About {
        self.inner.about.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What its sessions end for, if its right was withdrawn.
    pub fn withdrawn(&self) -> Option<EndCause> {
        self.inner.withdrawn.get().copied()
    }

    /// Which connection this is.
    pub fn connection_id(&self) -> ConnectionId {
        self.inner.connection_id
    }

    /// What it is doing.
    pub fn state(&self) -> AgentState {
        if self.inner.draining.load(Ordering::Relaxed) {
            AgentState::Draining
        } else if *self.inner.silent.borrow() {
            AgentState::Silent
        } else {
            AgentState::Answering
        }
    }

    /// Streams that this relay has open to it.
    pub fn open_streams(&self) -> usize {
        self.inner.open_streams.load(Ordering::Relaxed)
    }

    /// The smoothed round-trip time.
    pub fn round_trip(&self) -> Duration {
        match &self.inner.path {
            Path::Tunnel(connection) => connection.rtt(),
            Path::Here(_) => Duration::ZERO,
        }
    }

    /// Whether the connection is not known to be over.
    pub fn is_connected(&self) -> bool {
        match &self.inner.path {
            Path::Tunnel(connection) => connection.close_reason().is_none(),
            Path::Here(here) => !here.is_closed(),
        }
    }

    /// Returns when nothing was heard of it for a while, at once where that is so already. Cancel safe.
    pub async fn falls_silent(&self) {
        let mut silent = self.inner.silent.subscribe();
        // An error is impossible: the sender lives as long as this handle.
        let _silent = silent.wait_for(|silent| *silent).await;
    }

    /// Returns when the connection is over. Cancel safe.
    pub async fn closed(&self) {
        match &self.inner.path {
            Path::Tunnel(connection) => drop(connection.closed().await),
            Path::Here(here) => here.closed().await,
        }
    }

    /// Opens a stream and sends its request; what follows on it is the request's business. Cancel safe: a stream that was
    /// begun is reset.
    pub async fn request(
        &self,
        request: &Request,
    ) -> Result<(FrameWriter<SendHalf>, FrameReader<RecvHalf>), LinkError> {
        let body = codec::encode(request)?;
        timeout(REQUEST, self.open(&body)).await.map_err(|_| LinkError::TimedOut)?
    }

    async fn open(&self, body: &[u8]) -> Result<(FrameWriter<SendHalf>, FrameReader<RecvHalf>), LinkError> {
        let (send, recv) = self.inner.path.open().await?;
        // Cannot fail: the stream was opened just now.
        let _ = send.set_priority(SESSION_PRIORITY);
        self.count(&send);
        let mut writer = FrameWriter::new(send);
        frame::put(writer.buffer(), FrameKind::REQUEST, body);
        writer.flush().await?;
        Ok((writer, FrameReader::new(recv)))
    }

    /// Counts a stream until it is over: it ends with its sending side, or with the connection.
    fn count(&self, send: &SendHalf) {
        let (stopped, inner) = (send.stopped(), Arc::clone(&self.inner));
        inner.open_streams.fetch_add(1, Ordering::Relaxed);
        self.inner.tasks.spawn(async move {
            stopped.await;
            inner.open_streams.fetch_sub(1, Ordering::Relaxed);
        });
    }

    fn connected(&self) -> AgentEvent {
        AgentEvent::Connected { handle: self.clone(), hello: self.inner.hello.clone() }
    }
}
