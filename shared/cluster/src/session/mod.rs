//! The sessions that this agent holds: opens them, hands them over to a relay that returns, and ends them.
//!
//! A session belongs to its holder's task (`podlatch_podexec::holder`), not to any stream: streams come and go.

mod priority;
mod pump;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use podlatch_link::stream::{RecvHalf, SendHalf};
use podlatch_podexec::cluster::Cluster;
use podlatch_podexec::holder::{self, HolderHandle, Opening, Started};
use podlatch_podexec::reap::{self, Remains};
use podlatch_protocol::close::{EndCause, Refusal, RefusalCode};
use podlatch_protocol::id::SessionId;
use podlatch_protocol::identity::Identity;
use podlatch_protocol::limits::MAX_COMMAND_WORDS;
use podlatch_protocol::request::{Attach, Open, OpenWith, Program, Reap, ReapReply};
use podlatch_protocol::session::{Cleanup, ToRelay};
use podlatch_protocol::target::PodTarget;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::guard::Guard;
use crate::inventory::Inventory;
use crate::rights::{DebugImages, Rights};

/// What the relay asks of a session in the first frame of a stream.
#[derive(Debug)]
pub enum SessionRequest {
    /// Start one.
    Open(Box<Asked>),
    /// Take one over.
    Attach(Attach),
    /// Kill what an earlier life left behind.
    Reap(Reap),
}

/// A session to be started.
#[derive(Debug)]
pub struct Asked {
    /// What, and as whom.
    pub with: OpenWith,
    /// In the pod of this UID alone.
    pub pod_uid: Option<String>,
}

impl SessionRequest {
    /// One that is started by the agent's own credential, in a container that is there.
    pub fn open(open: Open) -> Self {
        let with = OpenWith { open, identity: Identity::Agent, debug: None };
        Self::Open(Box::new(Asked { with, pod_uid: None }))
    }
}

/// The sessions that this agent holds. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
}

/// What this agent does for its relay at most.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Where.
    pub guard: Guard,
    /// By whose rights.
    pub rights: Rights,
    /// In debug containers of which images.
    pub debug_images: DebugImages,
    /// How many sessions at once.
    pub max_sessions: usize,
}

struct Shared {
    cluster: Cluster,
    inventory: Inventory,
    limits: Limits,
    tracker: TaskTracker,
    draining: AtomicBool,
    held: Mutex<HashMap<SessionId, Held>>,
    /// How many are held; for those who wait until it is none.
    count: watch::Sender<usize>,
}

/// A place in the table: taken before the process is started, so that one id never starts two.
#[derive(Clone)]
enum Held {
    Opening,
    Live(HolderHandle),
}

impl Sessions {
    /// An empty table. `tracker` gets every task that is spawned here.
    pub fn new(client: Client, inventory: Inventory, limits: Limits, tracker: TaskTracker) -> Self {
        let shared = Shared {
            cluster: Cluster::new(client),
            inventory,
            limits,
            tracker,
            draining: AtomicBool::new(false),
            held: Mutex::default(),
            count: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Serves one stream of the relay until it ends. Cancel safe: a dropped stream detaches, the session lives on.
    pub async fn serve(&self, request: SessionRequest, send: SendHalf, recv: RecvHalf) {
        match request {
            SessionRequest::Open(open) => self.open(*open, send, recv).await,
            SessionRequest::Attach(attach) => self.attach(attach, send, recv).await,
            SessionRequest::Reap(reap) => {
                let cleanup = self.reap(reap).await;
                pump::answer_reap(send, &ReapReply { cleanup }).await;
            }
        }
    }

    /// The sessions that are held, ended ones that nobody fetched included.
    pub fn held(&self) -> Vec<SessionId> {
        self.table().keys().copied().collect()
    }

    /// Takes no new session from now on.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// Returns when no session is held. Cancel safe.
    pub async fn idle(&self) {
        // The sender lives in `self`, so this cannot fail.
        let mut count = self.shared.count.subscribe();
        let _closed = count.wait_for(|count| *count == 0).await;
    }

    /// Ends every session for `cause`; [`Self::idle`] says when they are gone. Cancel safe.
    pub async fn end_all(&self, cause: EndCause) {
        let handles: Vec<_> = self.table().values().filter_map(Held::handle).collect();
        for handle in handles {
            handle.end(cause).await;
        }
    }

    async fn open(&self, asked: Asked, send: SendHalf, recv: RecvHalf) {
        let opening = match self.admit(asked) {
            Ok(opening) => opening,
            Err(refusal) => return pump::refuse(send, refusal).await,
        };
        let (session, target) = (opening.open.session, opening.open.target.clone());
        let judged = match self.judge(&target).await {
            Ok(judged) => judged,
            Err(refusal) => {
                self.forget(session);
                return pump::refuse(send, refusal).await;
            }
        };
        info!(session.id = %session, target = %target, "opening a session");
        let (link, pump) = pump::start(send, recv, &self.shared.tracker);
        match holder::open(&self.shared.cluster, opening, link, self.shared.tracker.clone()).await {
            Ok(started) => {
                if judged.is_some_and(|uid| uid != started.pod_uid) {
                    // Another pod of this name came in between, which nobody has looked at.
                    started.handle.end(EndCause::PodGone).await;
                }
                self.table().insert(session, Held::Live(started.handle.clone()));
                self.shared.tracker.spawn(self.clone().hold(session, target, started));
            }
            Err(refusal) => {
                self.forget(session);
                info!(session.id = %session, reason = refusal.code.slug(), "a session could not be opened");
                pump.refuse(refusal).await;
            }
        }
    }

    /// Runs a session's holder until it is forgotten. A pod that goes away is noticed here too: its streams do not always
    /// end with it.
    async fn hold(self, session: SessionId, target: PodTarget, started: Started) {
        let pod_gone = async {
            self.shared.inventory.pod_gone(target.namespace, target.pod, started.pod_uid).await;
            started.handle.end(EndCause::PodGone).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = started.task => {}
            () = pod_gone => {}
        }
        self.forget(session);
    }

    /// Looks at the pod where the guard wants to know more than its namespace: the UID of the pod that it allows.
    async fn judge(&self, target: &PodTarget) -> Result<Option<String>, Refusal> {
        if !self.shared.limits.guard.judges_pods() {
            return Ok(None);
        }
        self.shared.inventory.permitted_uid(&target.namespace, &target.pod).await.map(Some)
    }

    /// Takes a place in the table, or says why not.
    fn admit(&self, asked: Asked) -> Result<Opening, Refusal> {
        let Asked { with: OpenWith { open, identity, debug }, pod_uid } = asked;
        if self.shared.draining.load(Ordering::Relaxed) {
            return Err(Refusal::new(RefusalCode::Draining, ""));
        }
        if !self.shared.limits.guard.permits(&open.target.namespace) {
            return Err(Refusal::new(RefusalCode::NotAllowedByAgent, open.target.namespace.to_string()));
        }
        if let Program::Command(words) = &open.program
            && (words.is_empty() || words.len() > MAX_COMMAND_WORDS)
        {
            return Err(Refusal::new(RefusalCode::BadRequest, "a command has 1 to 64 words"));
        }
        let acting = self.shared.limits.rights.acting(identity)?;
        if let Some(image) = &debug {
            self.shared.limits.debug_images.permit(image)?;
        }
        let mut table = self.table();
        if table.len() >= self.shared.limits.max_sessions {
            return Err(Refusal::new(RefusalCode::TooManySessions, ""));
        }
        if table.contains_key(&open.session) {
            return Err(Refusal::new(RefusalCode::BadRequest, "this session is open already"));
        }
        table.insert(open.session, Held::Opening);
        self.shared.count.send_replace(table.len());
        Ok(Opening { open, acting, debug, pod_uid })
    }

    async fn attach(&self, attach: Attach, send: SendHalf, recv: RecvHalf) {
        let handle = self.table().get(&attach.session).and_then(Held::handle);
        let Some(handle) = handle else {
            return pump::refuse(send, Refusal::new(RefusalCode::NoSuchSession, "")).await;
        };
        let (link, pump) = pump::start(send, recv, &self.shared.tracker);
        if let Err(link) = handle.attach(attach.have_offset, attach.credit, link).await {
            drop(link);
            pump.refuse(Refusal::new(RefusalCode::NoSuchSession, "")).await;
        }
    }

    /// Kills what is left of a session, whether this life of the agent holds it or an earlier one did.
    async fn reap(&self, reap: Reap) -> Cleanup {
        let handle = self.table().get(&reap.session).and_then(Held::handle);
        if let Some(handle) = handle {
            handle.end(EndCause::ClosedByOther).await;
        }
        let guard = &self.shared.limits.guard;
        let allowed = guard.permits(&reap.target.namespace) && self.judge(&reap.target).await.is_ok();
        let (true, Some(container)) = (allowed, reap.target.container) else {
            warn!(session.id = %reap.session, "refused to look for a session's processes outside of what the guard allows");
            return Cleanup::Unconfirmed;
        };
        let remains = Remains {
            session: reap.session,
            // The number may be another process' by now; the marker cannot be.
            process: None,
            namespace: reap.target.namespace,
            pod: reap.target.pod,
            container,
        };
        let cleanup = reap::kill(self.shared.cluster.own(), &remains).await;
        info!(session.id = %reap.session, ?cleanup, "looked for what an ended session left behind");
        cleanup
    }

    fn forget(&self, session: SessionId) {
        let mut table = self.table();
        table.remove(&session);
        self.shared.count.send_replace(table.len());
    }

    fn table(&self) -> MutexGuard<'_, HashMap<SessionId, Held>> {
        // Nothing panics while it holds the lock; if it did, the table would still be whole.
        self.shared.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn handle(&self) -> Option<HolderHandle> {
        match self {
            Self::Opening => None,
            Self::Live(handle) => Some(handle.clone()),
        }
    }
}

/// A refusal as the first message of a stream.
fn refused(refusal: Refusal) -> ToRelay {
    ToRelay::Refused(refusal)
}
