//! The sessions that this agent holds: opens them, hands them over to a relay that returns, and ends them.
//!
//! A session belongs to its holder's task (`podlatch_podexec::holder`), not to any stream: streams come and go.

mod priority;
mod pump;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use podlatch_podexec::holder::{self, HolderHandle, Started};
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

/// What the relay asks of a session in the first frame of a stream.
#[derive(Debug)]
pub enum SessionRequest {
    /// Start one.
    Open(Box<OpenWith>),
    /// Take one over.
    Attach(Attach),
    /// Kill what an earlier life left behind.
    Reap(Reap),
}

impl SessionRequest {
    /// One that is started by the agent's own credential, in a container that is there.
    pub fn open(open: Open) -> Self {
        Self::Open(Box::new(OpenWith { open, identity: Identity::Agent, debug: None }))
    }
}

/// The sessions that this agent holds. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    inventory: Inventory,
    guard: Guard,
    max_sessions: usize,
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
    pub fn new(client: Client, inventory: Inventory, guard: Guard, max_sessions: usize, tracker: TaskTracker) -> Self {
        let shared = Shared {
            client,
            inventory,
            guard,
            max_sessions,
            tracker,
            draining: AtomicBool::new(false),
            held: Mutex::default(),
            count: watch::Sender::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Serves one stream of the relay until it ends. Cancel safe: a dropped stream detaches, the session lives on.
    pub async fn serve(&self, request: SessionRequest, send: quinn::SendStream, recv: quinn::RecvStream) {
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

    async fn open(&self, with: OpenWith, send: quinn::SendStream, recv: quinn::RecvStream) {
        if with.identity != Identity::Agent {
            let refusal = Refusal::new(RefusalCode::IdentityMode, "the agent impersonates nobody");
            return pump::refuse(send, refusal).await;
        }
        if let Some(image) = with.debug {
            return pump::refuse(send, Refusal::new(RefusalCode::DebugNotAllowed, image.to_string())).await;
        }
        let open = with.open;
        let (session, target) = (open.session, open.target.clone());
        if let Err(refusal) = self.admit(&open) {
            return pump::refuse(send, refusal).await;
        }
        info!(session.id = %session, target = %open.target, "opening a session");
        let (link, pump) = pump::start(send, recv, &self.shared.tracker);
        match holder::open(self.shared.client.clone(), open, link, self.shared.tracker.clone()).await {
            Ok(started) => {
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

    /// Takes a place in the table, or says why not.
    fn admit(&self, open: &Open) -> Result<(), Refusal> {
        if self.shared.draining.load(Ordering::Relaxed) {
            return Err(Refusal::new(RefusalCode::Draining, ""));
        }
        if !self.shared.guard.permits(&open.target.namespace) {
            return Err(Refusal::new(RefusalCode::NotAllowedByAgent, open.target.namespace.to_string()));
        }
        if let Program::Command(words) = &open.program
            && (words.is_empty() || words.len() > MAX_COMMAND_WORDS)
        {
            return Err(Refusal::new(RefusalCode::BadRequest, "a command has 1 to 64 words"));
        }
        let mut table = self.table();
        if table.len() >= self.shared.max_sessions {
            return Err(Refusal::new(RefusalCode::TooManySessions, ""));
        }
        if table.contains_key(&open.session) {
            return Err(Refusal::new(RefusalCode::BadRequest, "this session is open already"));
        }
        table.insert(open.session, Held::Opening);
        self.shared.count.send_replace(table.len());
        Ok(())
    }

    async fn attach(&self, attach: Attach, send: quinn::SendStream, recv: quinn::RecvStream) {
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
        let (true, Some(container)) = (self.shared.guard.permits(&reap.target.namespace), reap.target.container) else {
            warn!(session.id = %reap.session, "refused to look for a session's processes outside the allowed namespaces");
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
        let cleanup = reap::kill(&self.shared.client, &remains).await;
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
