//! One connection of an agent: what is known of it, and how a stream to it is opened.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

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
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::here::Here;
use crate::pki::AgentIdentity;

/// How long an agent may take to accept a stream and its request.
const REQUEST: Duration = Duration::from_secs(5);

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

/// Names one connection of an agent; never used again while the relay runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(super) u64);

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

/// Whether an agent is heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hearing {
    Heard,
    Silent,
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

/// An agent that was found to be who it says it is.
#[derive(Debug)]
pub(super) struct Welcomed {
    pub(super) identity: AgentIdentity,
    pub(super) hello: Hello,
    pub(super) path: Path,
}

impl AgentHandle {
    /// A connection that was just welcomed. `tasks` gets what counts its streams.
    pub(super) fn new(welcomed: Welcomed, connection_id: ConnectionId, tasks: TaskTracker) -> Self {
        let Welcomed { identity, hello, path } = welcomed;
        let inner = Inner {
            identity,
            connection_id,
            hello,
            path,
            silent: watch::Sender::new(false),
            about: Mutex::default(),
            withdrawn: OnceLock::new(),
            draining: AtomicBool::new(false),
            open_streams: AtomicUsize::new(0),
            tasks,
        };
        Self { inner: Arc::new(inner) }
    }

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

    /// It says this of itself from now on.
    pub(super) fn note_about(&self, about: About) {
        *self.inner.about.lock().unwrap_or_else(PoisonError::into_inner) = about;
    }

    /// Whether it is heard of.
    pub(super) fn note_hearing(&self, hearing: Hearing) {
        self.inner.silent.send_replace(hearing == Hearing::Silent);
    }

    pub(super) fn note_draining(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
    }

    /// Withdraws its right. Returns whether it had one until now.
    pub(super) fn withdraw(&self, cause: EndCause) -> bool {
        self.inner.withdrawn.set(cause).is_ok()
    }

    /// Ends the connection.
    pub(super) fn close(&self, reason: Disconnect) {
        self.inner.path.close(reason);
    }

    /// Stops serving a cluster in this process. A tunnel is closed by who owns its connection.
    pub(super) fn leave(&self) {
        if let Path::Here(here) = &self.inner.path {
            here.close();
        }
    }
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
