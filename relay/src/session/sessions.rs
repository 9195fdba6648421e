//! The table of live sessions, and what happens to all of them: restarts of the relay, news of agents.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::{AgentId, SessionId};
use podlatch_protocol::request::{AfterExit, MarkNonce, Reap};
use podlatch_protocol::session::{Cleanup, Ended, ExitOutcome, Opened};
use podlatch_protocol::target::PodTarget;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::commands::{self, Commands};
use super::life::Life;
use super::observers::Observers;
use super::pace::{FairRate, Typists};
use super::rights::Rights;
use super::task::{Begin, Owner, StartFrom};
use super::typed::Typed;
use super::{AgentNews, Command, SessionHandle, Status, link};
use crate::clock::Clock;
use crate::config::CommandSource;
use crate::domain::session::{Session, SessionEnd, SessionState};
use crate::domain::session_limits::SessionLimits;
use crate::entropy::Entropy;
use crate::recording::{OutputEnd, Recorder, Recording};
use crate::store::{Departure, Store, StoreError};
use crate::tunnel::{AgentEvent, AgentHandle, Agents};

/// Commands of all viewers that may wait for one owner.
const QUEUED_COMMANDS: usize = 64;

/// How long after a session's end it is looked for what it may have left behind.
const LOOK_BACK: Duration = Duration::from_hours(7 * 24);

/// What holds for all sessions.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long a session outlives its last viewer, or its agent's absence.
    pub grace: Duration,
    /// How long a session lives where nobody says otherwise.
    pub limits: SessionLimits,
    /// What becomes of processes that outlive the person's own exit.
    pub after_exit: AfterExit,
    /// How commands are found.
    pub commands: CommandSource,
}

/// The live sessions. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    pub(super) shared: Arc<Shared>,
}

/// What every owner needs.
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) recorder: Recorder,
    pub(super) agents: Agents,
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
    pub(super) settings: Settings,
    pub(super) tracker: TaskTracker,
    pub(super) typed: Typed,
    pub(super) rights: Rights,
    /// What the grid of the leases is counted from.
    pub(super) epoch: Instant,
    live: Mutex<HashMap<SessionId, Live>>,
    typists: Mutex<Typists>,
    pub(super) fair_rate: FairRate,
}

struct Live {
    agent: Option<AgentId>,
    handle: SessionHandle,
}

impl Shared {
    /// Somebody typed in this session.
    pub(super) fn note_typing(&self, session: SessionId, now: Instant) {
        self.typists.lock().unwrap_or_else(PoisonError::into_inner).note(session, now);
    }

    /// Whether another session than this one is being typed in.
    pub(super) fn beside_others(&self, session: SessionId, now: Instant) -> bool {
        self.typists.lock().unwrap_or_else(PoisonError::into_inner).beside(session, now)
    }

    pub(super) fn remove(&self, session: SessionId) {
        self.table().remove(&session);
    }

    fn table(&self) -> MutexGuard<'_, HashMap<SessionId, Live>> {
        // Nothing panics while it holds the lock; if it did, the table would still be whole.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("live", &self.count()).finish()
    }
}

impl Sessions {
    /// An empty table.
    pub fn new(
        store: Store,
        recorder: Recorder,
        agents: Agents,
        (clock, entropy): (Clock, Entropy),
        settings: Settings,
        tracker: TaskTracker,
    ) -> Self {
        let (typed, epoch) = (Typed::default(), Instant::now());
        let (live, typists, fair_rate) = (Mutex::default(), Mutex::default(), FairRate::of_this_machine());
        let rights = Rights::default();
        let shared = Shared {
            store,
            recorder,
            agents,
            clock,
            entropy,
            settings,
            tracker,
            typed,
            rights,
            epoch,
            live,
            typists,
            fair_rate,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes up the sessions that an earlier life of the relay left: their agents still hold them. To be called before
    /// agents may connect. Not cancel safe: call it once.
    pub async fn restore(&self) -> Result<(), StoreError> {
        // Nobody is attached to a relay that has just started.
        let departure = Departure { cause: "relay_restarted", bytes: None, at: self.shared.clock.now() };
        for viewer in self.shared.store.attached_viewers().await? {
            self.shared.store.viewer_left(viewer, &departure).await?;
        }
        for session in self.shared.store.unfinished_sessions().await? {
            match &session.state {
                // It was held by the relay itself, so its exec is gone. What may be left of it is looked for when the cluster
                // is served again.
                SessionState::Live(_) if session.request.agent.is_none() => self.end_lost(&session).await?,
                SessionState::Live(_) => self.restore_one(&session).await?,
                // The agent may have started it all the same; it is reaped when the agent connects.
                SessionState::Opening => self.end_stored(&session, EndCause::AgentLost, Cleanup::Unconfirmed).await?,
                SessionState::Ended { .. } => {}
            }
        }
        match self.shared.recorder.seal_leftovers(|session| self.get(session).is_some()).await {
            Ok(0) => {}
            Ok(count) => info!(count, "storing what an earlier life left of recordings"),
            Err(error) => error!(%error, "what an earlier life left of recordings cannot be stored"),
        }
        Ok(())
    }

    async fn restore_one(&self, session: &Session) -> Result<(), StoreError> {
        let recording = match self.shared.recorder.resume(session.request.organisation, session.id()).await {
            Ok(recording) => recording,
            Err(error) => {
                error!(session.id = %session.id(), %error, "a session cannot go on without its recording");
                return self.end_stored(session, EndCause::RecordingFailed, Cleanup::Unconfirmed).await;
            }
        };
        let end = recording.position();
        info!(session.id = %session.id(), offset = end.source, "waiting for the agent of a session");
        let marks = self.shared.store.mark_nonce(session.request.organisation, session.id()).await?;
        self.spawn(session, recording, StartFrom::Restart { end }, marks);
        Ok(())
    }

    /// Ends a session that nobody holds any more, in its recording too.
    async fn end_lost(&self, session: &Session) -> Result<(), StoreError> {
        info!(session.id = %session.id(), "a session in a public cluster ended with the relay's earlier life");
        let (cause, cleanup) = (EndCause::RelayRestarted, Cleanup::Unconfirmed);
        let recording = self.shared.recorder.resume(session.request.organisation, session.id()).await;
        let length = recording.as_ref().map_or(0, |recording| recording.position().recorded);
        let ended = Ended { cause, outcome: ExitOutcome::Unknown, cleanup, output_length: length };
        match recording {
            Ok(recording) => {
                if let Err(error) = recording.finish(&ended, OutputEnd::Unknown, self.shared.clock.now()).await {
                    warn!(session.id = %session.id(), %error, "a session's end was not recorded");
                }
                recording.seal();
            }
            Err(error) => warn!(session.id = %session.id(), %error, "a session's end was not recorded"),
        }
        let end = SessionEnd { at: self.shared.clock.now(), ended };
        self.shared.store.session_ended(session.request.organisation, session.id(), &end).await.map(drop)
    }

    async fn end_stored(&self, session: &Session, cause: EndCause, cleanup: Cleanup) -> Result<(), StoreError> {
        let ended = Ended { cause, outcome: ExitOutcome::Unknown, cleanup, output_length: 0 };
        let end = SessionEnd { at: self.shared.clock.now(), ended };
        self.shared.store.session_ended(session.request.organisation, session.id(), &end).await.map(drop)
    }

    /// Stores when people last typed, again and again. Cancel safe.
    pub async fn store_activity(&self) {
        self.shared.typed.run(&self.shared.store).await;
    }

    /// Stores when people last typed, once more. Cancel safe.
    pub async fn store_last_activity(&self) -> Result<(), StoreError> {
        self.shared.typed.store(&self.shared.store).await
    }

    /// Starts a session's owner.
    pub(super) fn spawn(&self, session: &Session, recording: Recording, start: StartFrom, marks: Option<MarkNonce>) {
        let (commands, receiver) = mpsc::channel(QUEUED_COMMANDS);
        let status = watch::Sender::new(match start {
            StartFrom::Open { .. } => Status::Live,
            StartFrom::Restart { .. } => Status::AgentSilent,
        });
        let agent = match &start {
            StartFrom::Open { agent, .. } => Some(agent.agent()),
            StartFrom::Restart { .. } => session.request.agent,
        };
        let life = Life::of(session);
        let life_view = watch::Sender::new(life.view());
        let size_view = watch::Sender::new(None);
        let handle = SessionHandle {
            id: session.id(),
            recording: recording.clone(),
            status: status.subscribe(),
            life: life_view.subscribe(),
            size: size_view.subscribe(),
            observers: Observers::none(),
            commands,
        };
        let mut target = session.request.target.clone();
        let mut process = None;
        if let SessionState::Live(opened) = &session.state {
            target.container = Some(opened.container.clone());
            process = opened.process;
        }
        let begin = Begin {
            session: session.id(),
            organisation: session.request.organisation,
            target,
            process,
            commands: receiver,
            status,
            life,
            life_view,
            size_view,
            start,
            marks,
            follower: self.follow_commands(session, &recording),
            recording,
        };
        self.shared.table().insert(session.id(), Live { agent, handle });
        self.shared.tracker.spawn(Owner::new(Arc::clone(&self.shared), begin).run());
    }

    fn follow_commands(&self, session: &Session, recording: &Recording) -> Option<Commands> {
        let shared = &self.shared;
        match shared.settings.commands {
            CommandSource::Nowhere => None,
            CommandSource::Screen | CommandSource::MarksAndScreen => {
                let context = commands::Context {
                    store: shared.store.clone(),
                    clock: shared.clock.clone(),
                    organisation: session.request.organisation,
                    session: session.id(),
                    recording: recording.clone(),
                };
                Some(Commands::start(context, &shared.tracker))
            }
        }
    }

    /// A live session's handle.
    pub(crate) fn get(&self, session: SessionId) -> Option<SessionHandle> {
        self.shared.table().get(&session).map(|live| live.handle.clone())
    }

    /// How many sessions are live.
    pub fn count(&self) -> usize {
        self.shared.table().len()
    }

    /// Passes on what happens to agents, until the registry is gone. Cancel safe.
    pub async fn follow_agents(self, mut events: mpsc::Receiver<AgentEvent>) {
        while let Some(event) = events.recv().await {
            match event {
                AgentEvent::Connected { handle, .. } => self.agent_connected(&handle).await,
                AgentEvent::Silent { agent, .. } => self.tell(agent, &AgentNews::Silent).await,
                AgentEvent::Answering { agent, .. } => {
                    self.tell(agent, &AgentNews::Answering).await;
                    // Sessions may have ended while it was silent.
                    if let Some(handle) = self.shared.agents.get(agent) {
                        self.shared.tracker.spawn(self.clone().clean_up(handle));
                    }
                }
                AgentEvent::Revoked { agent, cause } => self.tell(agent, &AgentNews::Revoked(cause)).await,
                // Its streams end by themselves, and each owner sees its own.
                AgentEvent::Disconnected { .. } => {}
            }
        }
    }

    async fn agent_connected(&self, handle: &AgentHandle) {
        let held: HashSet<SessionId> = handle.sessions().iter().copied().collect();
        for live in self.of_agent(handle.agent()) {
            let news = AgentNews::Connected { handle: handle.clone(), holds: held.contains(&live.id) };
            live.send(Command::Agent(news)).await;
        }
        for session in held {
            if self.get(session).is_none() {
                self.disown(handle, session).await;
            }
        }
        self.shared.tracker.spawn(self.clone().clean_up(handle.clone()));
        // It can say what its pods are, by which rights may go.
        self.recheck_rights();
    }

    /// Looks again for what ended sessions may have left behind, now that somebody can look: an agent that was killed, or
    /// could not be reached, when they ended.
    async fn clean_up(self, handle: AgentHandle) {
        let since = self.shared.clock.now().minus(LOOK_BACK);
        let (organisation, cluster) = (handle.organisation(), handle.cluster());
        let unconfirmed = match self.shared.store.unconfirmed_sessions(organisation, cluster, since).await {
            Ok(unconfirmed) => unconfirmed,
            Err(error) => return warn!(%error, "it is not known what ended sessions may have left behind"),
        };
        for session in unconfirmed {
            if let SessionState::Ended { opened: Some(opened), .. } = &session.state {
                self.reap_ended(&handle, &session, opened).await;
            }
        }
    }

    async fn reap_ended(&self, handle: &AgentHandle, session: &Session, opened: &Opened) {
        let target = PodTarget { container: Some(opened.container.clone()), ..session.request.target.clone() };
        let reap = Reap { session: session.id(), target, process: opened.process };
        let cleanup = link::reap(handle, reap).await;
        info!(session.id = %session.id(), ?cleanup, "had an agent end what a session that is over may have left");
        if cleanup == Cleanup::Unconfirmed {
            return;
        }
        let now = self.shared.clock.now();
        if let Err(error) = self.shared.store.cleanup_confirmed(session.request.organisation, session.id(), now).await {
            error!(session.id = %session.id(), %error, "it could not be stored that a session's processes are gone");
        }
    }

    /// The agent holds a session that is over here: ended while the two could not reach each other.
    async fn disown(&self, handle: &AgentHandle, session: SessionId) {
        let stored = self.shared.store.get_session(handle.organisation(), session).await;
        let Ok(Some(stored)) = stored else {
            return;
        };
        // Neither another agent's session, nor one that is being opened at this moment.
        let SessionState::Ended { opened, .. } = &stored.state else {
            return;
        };
        if stored.request.agent != Some(handle.agent()) {
            return;
        }
        let mut target = stored.request.target.clone();
        target.container = opened.as_ref().map(|opened| opened.container.clone()).or(target.container);
        let reap = Reap { session, target, process: opened.as_ref().and_then(|opened| opened.process) };
        let handle = handle.clone();
        self.shared.tracker.spawn(async move {
            let cleanup = link::reap(&handle, reap).await;
            info!(session.id = %session, ?cleanup, "had an agent end a session that is over");
        });
    }

    async fn tell(&self, agent: AgentId, news: &AgentNews) {
        for live in self.of_agent(agent) {
            live.send(Command::Agent(news.clone())).await;
        }
    }

    fn of_agent(&self, agent: AgentId) -> Vec<SessionHandle> {
        let table = self.shared.table();
        table.values().filter(|live| live.agent == Some(agent)).map(|live| live.handle.clone()).collect()
    }
}
