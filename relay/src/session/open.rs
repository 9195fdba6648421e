//! Opening a session: stored, recorder ready, then started; whatever fails ends it with its reason stored.

use podlatch_protocol::close::{EndCause, Refusal, RefusalCode};
use podlatch_protocol::debug::{DebugImage, container_name};
use podlatch_protocol::id::SessionId;
use podlatch_protocol::identity::Identity;
use podlatch_protocol::request::{MarkNonce, Open, OpenWith, Program, Reap};
use podlatch_protocol::session::{Cleanup, Ended, ExitOutcome};
use podlatch_protocol::target::PodTarget;
use podlatch_protocol::terminal::TerminalSize;
use tokio::time::Instant;
use tracing::{error, info};

use super::flow::Flow;
use super::sessions::Sessions;
use super::task::StartFrom;
use super::{life, link};
use crate::clock::UnixMillis;
use crate::config::CommandSource;
use crate::domain::access::Actor;
use crate::domain::audit::{Action, NewEvent, Origin, Outcome, Place};
use crate::domain::cluster::{Cluster, ClusterType};
use crate::domain::kubernetes::identity_of;
use crate::domain::name::ReasonText;
use crate::domain::organisation::ClientInfo;
use crate::domain::session::{NewSession, Session, SessionAccess, SessionEnd, SessionState};
use crate::domain::session_limits::{LimitSettings, SessionLimits};
use crate::recording::{NewRecording, Position, RecordingError};
use crate::store::StoreError;
use crate::tunnel::AgentHandle;

/// What a person asks for; that they may was decided before.
#[derive(Debug)]
pub struct OpenSession {
    /// Who.
    pub actor: Actor,
    /// Where the person sits.
    pub client: ClientInfo,
    /// Which cluster.
    pub cluster: Cluster,
    /// In what.
    pub target: PodTarget,
    /// The UID of the pod for which that was decided, where that made a difference: no other of its name is entered.
    pub pod_uid: Option<String>,
    /// What is to run.
    pub program: Program,
    /// The terminal's size.
    pub size: TerminalSize,
    /// Why.
    pub reason: Option<ReasonText>,
    /// By what right.
    pub access: SessionAccess,
    /// What the access rules say about its length.
    pub limits: LimitSettings,
    /// Adds a container of this image to the pod, and opens the terminal there.
    pub debug: Option<DebugImage>,
}

/// Why a session was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The agent, or Kubernetes through it, refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be recorded, so it is not opened.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the audit log says of a session that never got a record.
fn not_begun(request: &OpenSession, refusal: &Refusal, now: UnixMillis) -> NewEvent {
    let by = Origin::user(request.actor.user, request.client.clone());
    NewEvent::new(Action::SessionRefused, request.actor.organisation, by, now)
        .at(Place::Pod(request.cluster.id, request.target.clone()))
        .outcome(Outcome::Refused)
        .detail("code", refusal.code.slug())
        .detail("reason", refusal.to_string())
}

impl Sessions {
    /// Opens a session. Not cancel safe: a cancelled one may leave a process behind until its agent is asked about it.
    pub async fn open(&self, request: OpenSession) -> Result<Session, OpenError> {
        let shared = &self.shared;
        let (now, right_at) = (shared.clock.now(), Instant::now());
        let Some(agent) = shared.agents.pick(request.cluster.id) else {
            let refusal = match request.cluster.cluster_type {
                ClusterType::Private => Refusal::new(RefusalCode::AgentOffline, ""),
                ClusterType::Public => {
                    let detail = "the relay cannot use the credential of this cluster; replace it";
                    Refusal::new(RefusalCode::KubernetesUnreachable, detail)
                }
            };
            shared.store.append_audit(&not_begun(&request, &refusal, now)).await?;
            return Err(refusal.into());
        };
        let identity = match self.admit(&request).await? {
            Ok(identity) => identity,
            Err(refusal) => {
                shared.store.append_audit(&not_begun(&request, &refusal, now)).await?;
                return Err(refusal.into());
            }
        };
        let debug = request.debug;
        let mut settings = shared.store.limit_settings(request.actor.organisation, request.cluster.id).await?;
        settings.push(request.limits);
        let limits = SessionLimits::strictest(shared.settings.limits, &settings);
        let new = NewSession {
            id: SessionId::new(now.since_epoch(), &shared.entropy.bytes()),
            organisation: request.actor.organisation,
            cluster: request.cluster.id,
            // What the relay runs itself is no agent's.
            agent: match request.cluster.cluster_type {
                ClusterType::Private => Some(agent.agent()),
                ClusterType::Public => None,
            },
            user: request.actor.user,
            login_session: request.actor.login_session,
            target: request.target,
            program: request.program,
            size: request.size,
            client: request.client,
            started_at: now,
            expires_at: now.plus(limits.session_max),
            idle: limits.idle,
            reason: request.reason,
            access: request.access,
        };
        shared.store.insert_session(&new).await?;
        let begun =
            NewRecording { organisation: new.organisation, session: new.id, size: request.size, at: new.started_at };
        let recording = match shared.recorder.create(begun).await {
            Ok(recording) => recording,
            Err(error) => {
                self.store_failure(&new, EndCause::RecordingFailed, &error.to_string()).await;
                return Err(error.into());
            }
        };
        let marks = self.mark_nonce(&new).await?;
        let mut flow = Flow::at(0);
        let open = Open {
            session: new.id,
            target: new.target.clone(),
            program: new.program.clone(),
            size: request.size,
            credit: flow.grant_anew(Position::default()),
            grace: shared.settings.grace,
            after_exit: shared.settings.after_exit,
            lease: life::lease(new.expires_at, shared.clock.now()),
            marks,
        };
        let with = OpenWith { open, identity, debug: debug.clone() };
        let (opened, half) = match link::open(&agent, with, request.pod_uid).await {
            Ok(opened) => opened,
            Err(refusal) => {
                info!(session.id = %new.id, reason = refusal.code.slug(), "a session was refused");
                if matches!(
                    refusal.code,
                    RefusalCode::AgentTimeout | RefusalCode::AgentOffline | RefusalCode::AgentProtocol
                ) {
                    self.reap_later(agent, &new, debug.as_ref());
                }
                self.store_failure(&new, EndCause::NotOpened, &refusal.to_string()).await;
                recording.seal();
                return Err(refusal.into());
            }
        };
        shared.store.session_opened(new.organisation, new.id, &opened, shared.clock.now()).await?;
        if let Some(image) = &debug {
            let event = NewEvent::in_session(Action::DebugContainerAdded, new.organisation, new.id, shared.clock.now())
                .detail("image", image.as_str())
                .detail("container", opened.container.as_str());
            shared.store.append_audit(&event).await?;
        }
        let id = new.id;
        let stored = shared.store.get_session(new.organisation, id).await?.ok_or(StoreError::Missing("the session"))?;
        // Its state was just stored; a second process could only have ended it.
        let stored = Session { state: SessionState::Live(opened), ..stored };
        self.spawn(&stored, recording, StartFrom::Open { half: Box::new(half), agent, flow, right_at }, marks);
        Ok(stored)
    }

    /// As whom the session is to be opened; or why it is not, though the person may open it.
    async fn admit(&self, request: &OpenSession) -> Result<Result<Identity, Refusal>, StoreError> {
        let store = &self.shared.store;
        let organisation = request.actor.organisation;
        if let Some(image) = &request.debug
            && !store.debug_images(organisation).await?.contains(image)
        {
            let why = format!("the organisation does not allow {image}");
            return Ok(Err(Refusal::new(RefusalCode::DebugNotAllowed, why)));
        }
        let identity = store.kubernetes_identity(organisation, request.cluster.id).await?;
        let person = store.kubernetes_person(organisation, request.actor.user).await?;
        Ok(identity_of(&identity, &person))
    }

    /// What the marks of a new session's shell are to carry. Kept before the shell can know it, so that a relay that is
    /// restarted takes them out as well.
    async fn mark_nonce(&self, new: &NewSession) -> Result<Option<MarkNonce>, StoreError> {
        match self.shared.settings.commands {
            CommandSource::Nowhere | CommandSource::Screen => Ok(None),
            CommandSource::MarksAndScreen => {
                let nonce = MarkNonce(self.shared.entropy.bytes());
                self.shared.store.keep_mark_nonce(new.organisation, new.id, nonce).await?;
                Ok(Some(nonce))
            }
        }
    }

    /// An answer that did not come is not a refusal: the process may run all the same. If the agent cannot be reached now,
    /// it is told when it connects again.
    fn reap_later(&self, agent: AgentHandle, new: &NewSession, debug: Option<&DebugImage>) {
        let mut target = new.target.clone();
        if debug.is_some() {
            target.container = container_name(new.id).ok();
        }
        let reap = Reap { session: new.id, target, process: None };
        let session = new.id;
        self.shared.tracker.spawn(async move {
            let cleanup = link::reap(&agent, reap).await;
            info!(session.id = %session, ?cleanup, "had an agent end a session whose opening was given up");
        });
    }

    async fn store_failure(&self, new: &NewSession, cause: EndCause, reason: &str) {
        let outcome = ExitOutcome::Failed(podlatch_protocol::close::cut(reason.to_owned()));
        let ended = Ended { cause, outcome, cleanup: Cleanup::NotWanted, output_length: 0 };
        let end = SessionEnd { at: self.shared.clock.now(), ended };
        if let Err(error) = self.shared.store.session_ended(new.organisation, new.id, &end).await {
            error!(session.id = %new.id, %error, "the end of a session that was not opened could not be stored");
        }
    }
}
