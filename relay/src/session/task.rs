//! A session's owner task.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use podlatch_protocol::close::{EndCause, Refusal, RefusalCode};
use podlatch_protocol::id::{AgentInstanceId, OrganisationId, SessionId};
use podlatch_protocol::request::{Attach, MarkNonce, Reap};
use podlatch_protocol::session::{Attached, Cleanup, Ended, ExitOutcome, ToAgent};
use podlatch_protocol::target::PodTarget;
use podlatch_protocol::terminal::TerminalSize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{error, info, warn};

use super::activity::Activity;
use super::clerk::{Clerk, Deed};
use super::commands::Commands;
use super::flow::{Flow, UNLIMITED};
use super::held::Held;
use super::inputs::Inputs;
use super::life::{Life, LifeView, next_lease};
use super::link::{self, Fault, HalfOpen, Link, News};
use super::pace::Pace;
use super::sessions::Shared;
use super::size::SizePacer;
use super::{AgentNews, Command, Joined, Status};
use crate::commands::{Stroke, Strokes};
use crate::domain::session::SessionEnd;
use crate::recording::{OutputEnd, Position, Recording};
use crate::tunnel::AgentHandle;

/// How long the agent may take to end a session: five seconds for the killing, and the way there and back.
const END_TIMEOUT: Duration = Duration::from_secs(9);

/// How long an agent whose right was withdrawn has for it; then it is disconnected anyhow.
const REVOKED_TIMEOUT: Duration = Duration::from_millis(1_200);

/// How long the last output may take to become durable before its agent may forget it.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two attempts to take a session over from an agent that is connected but does not hand it over.
const ATTACH_AGAIN: Duration = Duration::from_secs(1);

/// Between two attempts to give a lease to a session of which it is not known whether its right stands.
const RIGHT_AGAIN: Duration = Duration::from_millis(250);

/// Wall time may jump; it is looked at this often at least.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Attempts to write a session's end to the database, a second apart. After that the next start of the relay finds it.
const STORE_ATTEMPTS: u32 = 60;

/// What an owner begins with.
pub(super) struct Begin {
    pub(super) session: SessionId,
    pub(super) organisation: OrganisationId,
    /// With the container named, if it is known.
    pub(super) target: PodTarget,
    pub(super) process: Option<u32>,
    pub(super) recording: Recording,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) status: watch::Sender<Status>,
    pub(super) life: Life,
    pub(super) life_view: watch::Sender<LifeView>,
    pub(super) start: StartFrom,
    /// What the marks of its shell carry, if it marks.
    pub(super) marks: Option<MarkNonce>,
    /// Finds its commands.
    pub(super) follower: Option<Commands>,
}

/// Where an owner begins.
pub(super) enum StartFrom {
    /// The process has just been started.
    Open {
        half: Box<HalfOpen>,
        agent: AgentHandle,
        flow: Flow,
        /// When it was decided that the person may.
        right_at: Instant,
    },
    /// The relay was restarted; the agent is still to connect.
    Restart { end: Position },
}

/// Where the session stands with its agent.
enum Path {
    /// On a stream.
    Linked(Link),
    /// Broken off because its agent fell silent: what waits on the way to it must not arrive late. The last output that was on
    /// the way back is awaited.
    BrokenOff(Link),
    /// Being taken over.
    Attaching(oneshot::Receiver<Result<(Attached, HalfOpen), Refusal>>),
    /// Its agent is not there, or has just failed to hand it over.
    Waiting { since: Instant, again: Option<Instant> },
}

/// Whether the session goes on.
enum Stage {
    Live,
    /// The agent was asked to end it.
    Closing {
        cause: EndCause,
        deadline: Instant,
    },
}

/// What the owner woke up for.
enum Wake {
    Command(Option<Command>),
    News(News),
    Attached(Result<(Attached, HalfOpen), Refusal>),
    Flushed(std::io::Result<()>),
    LinkLost,
    Durable,
    RecordingFailed,
    Written,
    Stored(Deed),
    Entered,
    Time,
}

/// What a step leads to.
enum Next {
    GoOn,
    Finish(Ended),
}

pub(super) struct Owner {
    shared: Arc<Shared>,
    session: SessionId,
    organisation: OrganisationId,
    target: PodTarget,
    process: Option<u32>,
    recording: Recording,
    written: watch::Receiver<u64>,
    stripped: watch::Receiver<u64>,
    failure: watch::Receiver<Option<Arc<str>>>,
    durable: watch::Receiver<u64>,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<Status>,
    path: Path,
    stage: Stage,
    life: Life,
    life_view: watch::Sender<LifeView>,
    activity: Activity,
    clerk: Clerk,
    agent: Option<AgentHandle>,
    instance: Option<AgentInstanceId>,
    flow: Flow,
    pace: Pace,
    /// When there may be more credit, where the pace holds it back.
    grant_at: Option<Instant>,
    inputs: Inputs,
    /// Input that waits for the recording.
    held: Held,
    strokes: Strokes,
    /// What the marks of its shell carry, if it marks.
    marks: Option<MarkNonce>,
    /// Finds its commands.
    follower: Option<Commands>,
    viewed: bool,
    size: SizePacer,
    /// When the agent's lease is to be renewed; never while it is silent: leases that arrive late would last too long.
    lease_at: Option<Instant>,
    /// When this relay decided, at its opening, that the person may.
    right_at: Option<Instant>,
    /// Since when nobody looks.
    unwatched_since: Option<Instant>,
    /// Output below this source offset was submitted to the recording.
    received: u64,
    /// What the agent said of the output's end.
    output_end: OutputEnd,
}

impl Owner {
    pub(super) fn new(shared: Arc<Shared>, begin: Begin) -> Self {
        let now = Instant::now();
        let (written, stripped) = (begin.recording.written(), begin.recording.stripped());
        let (durable, failure) = (begin.recording.durable(), begin.recording.failure());
        let (path, agent, flow, received, viewed, right_at) = match begin.start {
            StartFrom::Open { half, agent, flow, right_at } => {
                let output = (begin.recording.clone(), 0);
                let link = half.start(output, begin.marks, shared.clock.clone(), &shared.tracker);
                (Path::Linked(link), Some(agent), flow, 0, false, Some(right_at))
            }
            StartFrom::Restart { end } => {
                let path = Path::Waiting { since: now, again: None };
                (path, None, Flow::at(end.recorded), end.source, end.recorded > 0, None)
            }
        };
        let lease_at = agent.is_some().then(|| next_lease(shared.epoch, now));
        let clerk = Clerk::new(Arc::clone(&shared), begin.organisation, begin.session);
        Self {
            shared,
            session: begin.session,
            organisation: begin.organisation,
            target: begin.target,
            process: begin.process,
            recording: begin.recording,
            written,
            stripped,
            failure,
            durable,
            commands: begin.commands,
            status: begin.status,
            path,
            stage: Stage::Live,
            life: begin.life,
            life_view: begin.life_view,
            activity: Activity::default(),
            clerk,
            instance: agent.as_ref().map(AgentHandle::instance),
            agent,
            flow,
            pace: Pace::new(now),
            grant_at: None,
            inputs: Inputs::default(),
            held: Held::default(),
            strokes: Strokes::default(),
            marks: begin.marks,
            follower: begin.follower,
            viewed,
            size: SizePacer::default(),
            lease_at,
            right_at,
            unwatched_since: Some(now),
            received,
            output_end: OutputEnd::Unknown,
        }
    }

    pub(super) async fn run(mut self) {
        let ended = loop {
            self.give_to_clerk();
            self.grant();
            let wake = self.wake().await;
            if let Next::Finish(ended) = self.step(wake).await {
                break ended;
            }
        };
        // Rare and large: it must not make every session's task larger.
        Box::pin(self.finish(ended)).await;
    }

    /// Cancel safe: every branch is.
    async fn wake(&mut self) -> Wake {
        let deadline = self.deadline();
        let unwatched = !self.flow.is_watched();
        tokio::select! {
            command = self.commands.recv() => Wake::Command(command),
            wake = on_path(&mut self.path) => wake,
            Ok(()) = self.durable.changed() => Wake::Durable,
            Ok(()) = self.failure.changed() => Wake::RecordingFailed,
            // A viewer says by itself what it has rendered.
            Ok(()) = self.written.changed(), if unwatched => Wake::Written,
            deed = self.clerk.stored() => Wake::Stored(deed),
            () = self.held.ready() => Wake::Entered,
            // What was taken out of the output is rendered by nobody.
            Ok(()) = self.stripped.changed() => Wake::Written,
            () = until(deadline) => Wake::Time,
        }
    }

    async fn step(&mut self, wake: Wake) -> Next {
        match wake {
            Wake::Command(Some(command)) => return self.handle_command(command).await,
            // The table of sessions holds a handle; without it the relay is ending, and the session goes on without us.
            Wake::Command(None) => std::future::pending().await,
            Wake::News(News::Applied(applied)) => self.inputs.handle_applied(applied),
            Wake::News(News::Ended(ended)) => {
                self.output_end = OutputEnd::At(ended.output_length);
                return Next::Finish(ended);
            }
            Wake::News(News::Closed { received, fault }) => return self.handle_closed(received, fault),
            Wake::Attached(Ok((attached, half))) => self.handle_attached(&attached, half),
            Wake::Attached(Err(refusal)) => return self.handle_not_attached(&refusal).await,
            // More credit is worth a thought, which comes before every wait.
            Wake::Flushed(Ok(())) | Wake::Written => {}
            // The reading half sees the same end and tells how far it came.
            Wake::Flushed(Err(_)) => self.drop_pending(),
            Wake::Durable => {
                let offset = *self.durable.borrow_and_update();
                self.tell(&ToAgent::Recorded(offset));
            }
            Wake::LinkLost => {
                let received = self.recording.position().source;
                return self.handle_closed(received, Some(Fault::Protocol));
            }
            Wake::RecordingFailed => return self.close(EndCause::RecordingFailed),
            Wake::Stored(deed) => self.act(deed).await,
            Wake::Entered => self.forward_held(),
            Wake::Time => return self.handle_time(),
        }
        Next::GoOn
    }

    async fn handle_command(&mut self, command: Command) -> Next {
        match command {
            // What is being ended is not entered any more.
            Command::Join { .. } if matches!(self.stage, Stage::Closing { .. }) => {}
            Command::Join { viewer, writer, size, joined } => {
                let end = *self.written.borrow();
                self.flow.join(viewer, end);
                self.unwatched_since = None;
                let first = !std::mem::replace(&mut self.viewed, true);
                self.size.want(size);
                if joined.send(Joined { input: self.inputs.join(writer), first }).is_err() {
                    self.leave(viewer);
                }
            }
            Command::Starts { viewer, offset } => self.flow.join(viewer, offset),
            Command::Input { writer, offset, bytes } => {
                // Without a link the viewer keeps its input, and is told to send it when there is one again.
                if let (Path::Linked(_), Stage::Live) = (&self.path, &self.stage)
                    && let Some(input) = self.inputs.accept(writer, offset, bytes)
                {
                    self.shared.note_typing(self.session, Instant::now());
                    if self.activity.is_human(writer, &input.bytes) {
                        self.note_typed();
                    }
                    let recorded = self.note_strokes(&input.bytes);
                    self.held.push(input, recorded);
                    self.forward_held();
                }
            }
            Command::Resize(size) => self.size.want(size),
            Command::Rendered { viewer, offset } => {
                let end = *self.written.borrow();
                self.flow.handle_rendered(viewer, offset, end);
                if let Some(offset) = self.flow.rendered_by_all() {
                    self.recording.release_below(offset);
                }
            }
            Command::Window { viewer, bytes } => self.flow.handle_window(viewer, bytes),
            Command::Leave(viewer) => self.leave(viewer),
            Command::End(cause) => return self.close(cause),
            Command::Agent(news) => return self.handle_agent(news).await,
        }
        Next::GoOn
    }

    /// Has it followed what was typed; tells when it is recorded that a line was entered, if one was.
    fn note_strokes(&mut self, bytes: &Bytes) -> Option<oneshot::Receiver<()>> {
        let follower = self.follower.as_ref()?;
        let now = self.shared.clock.now();
        follower.typed(*self.written.borrow(), now, bytes.clone());
        let strokes = self.strokes.of(bytes, now);
        if strokes.is_empty() {
            return None;
        }
        let recorded = self.recording.typed(strokes.iter().map(|stroke| stroke.as_byte()).collect(), now);
        recorded.filter(|_| strokes.contains(&Stroke::Enter))
    }

    fn forward_held(&mut self) {
        while let Some(input) = self.held.take() {
            self.tell(&ToAgent::Input(input));
        }
    }

    fn leave(&mut self, viewer: super::ViewerId) {
        self.flow.leave(viewer);
        if !self.flow.is_watched() && self.unwatched_since.is_none() {
            self.unwatched_since = Some(Instant::now());
        }
    }

    fn note_typed(&mut self) {
        let now = self.shared.clock.now();
        self.life.handle_activity(now);
        self.shared.typed.note(self.organisation, self.session, now);
    }

    /// What is to be done next is stored first.
    fn give_to_clerk(&mut self) {
        if !self.clerk.is_free() {
            return;
        }
        if let Some(size) = self.size.due(Instant::now()) {
            self.clerk.begin(Deed::Resize(size));
        } else if let (Stage::Live, Some(flag)) = (&self.stage, self.life.flag_to_store(self.shared.clock.now())) {
            self.clerk.begin(Deed::Idle(flag));
        }
    }

    /// Does what was stored.
    async fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Resize(size) => self.resize(size).await,
            Deed::Idle(flag) => {
                self.life.handle_flag_stored(flag);
                self.life_view.send_replace(self.life.view());
            }
        }
    }

    async fn resize(&mut self, size: TerminalSize) {
        if let Err(error) = self.recording.resize(size, self.shared.clock.now()).await {
            warn!(session.id = %self.session, %error, "a terminal's size was not recorded");
        }
        self.tell(&ToAgent::Resize(size));
    }

    async fn handle_agent(&mut self, news: AgentNews) -> Next {
        match news {
            AgentNews::Connected { holds: true, handle } => {
                self.instance = Some(handle.instance());
                self.agent = Some(handle);
                if let Path::Waiting { .. } = self.path {
                    self.attach();
                }
            }
            AgentNews::Connected { holds: false, handle } => {
                // The same life of the agent has forgotten it; a new one never had it. Either way it cannot go on.
                let cause = match self.instance {
                    Some(before) if before == handle.instance() => EndCause::ConnectionLost,
                    Some(_) | None => EndCause::AgentRestarted,
                };
                let cleanup = Box::pin(self.reap(&handle)).await;
                return Next::Finish(self.end_without_agent(self.cause_or(cause), cleanup));
            }
            AgentNews::Revoked(cause) => return self.handle_revoked(cause),
            AgentNews::Silent => {
                self.lease_at = None;
                self.break_off();
                self.tell_viewers(Status::AgentSilent);
            }
            AgentNews::Answering => {
                if let Path::Linked(_) = self.path {
                    self.renew_lease();
                    self.tell_viewers(Status::Live);
                }
            }
        }
        Next::GoOn
    }

    /// The agent's right was withdrawn. While it is still there it gets a moment to end the processes; it is not waited for.
    fn handle_revoked(&mut self, cause: EndCause) -> Next {
        if !matches!(self.path, Path::Linked(_)) {
            return Next::Finish(self.end_without_agent(self.cause_or(cause), Cleanup::Unconfirmed));
        }
        let next = self.close(cause);
        if let Stage::Closing { deadline, .. } = &mut self.stage {
            *deadline = (*deadline).min(Instant::now() + REVOKED_TIMEOUT);
        }
        next
    }

    fn attach(&mut self) {
        let Some(agent) = self.agent.clone() else {
            return;
        };
        let (done, answer) = oneshot::channel();
        let credit = self.flow.grant_anew(self.recording.position());
        let attach = Attach { session: self.session, have_offset: self.received, credit };
        self.shared.tracker.spawn(async move {
            // An error means that the owner is gone.
            let _over = done.send(link::attach(&agent, attach).await);
        });
        self.path = Path::Attaching(answer);
    }

    fn handle_attached(&mut self, attached: &Attached, half: HalfOpen) {
        info!(session.id = %self.session, offset = self.received, "took a session over from its agent");
        let clock = self.shared.clock.clone();
        let output = (self.recording.clone(), self.received);
        self.path = Path::Linked(half.start(output, self.marks, clock, &self.shared.tracker));
        self.held.clear();
        self.inputs.handle_attached(&attached.writers);
        let durable = *self.durable.borrow();
        self.tell(&ToAgent::Recorded(durable));
        self.size.tell_again();
        // Before the lease, which may say that the time is up: the first cause stands.
        if let Stage::Closing { cause, .. } = self.stage {
            self.tell(&ToAgent::Credit(UNLIMITED));
            self.tell(&ToAgent::Close(cause));
        }
        self.renew_lease();
        self.tell_viewers(Status::Live);
    }

    async fn handle_not_attached(&mut self, refusal: &Refusal) -> Next {
        match refusal.code {
            RefusalCode::NoSuchSession => {
                let cleanup = match self.agent.clone() {
                    Some(agent) => Box::pin(self.reap(&agent)).await,
                    None => Cleanup::Unconfirmed,
                };
                Next::Finish(self.end_without_agent(self.cause_or(EndCause::ConnectionLost), cleanup))
            }
            RefusalCode::BadRequest => {
                error!(session.id = %self.session, %refusal, "an agent cannot continue a session's output");
                let cleanup = match self.agent.clone() {
                    Some(agent) => Box::pin(self.reap(&agent)).await,
                    None => Cleanup::Unconfirmed,
                };
                Next::Finish(self.end_without_agent(EndCause::OutputLost, cleanup))
            }
            _ => {
                self.wait_for_agent(Some(Instant::now() + ATTACH_AGAIN));
                Next::GoOn
            }
        }
    }

    fn handle_closed(&mut self, received: u64, fault: Option<Fault>) -> Next {
        self.received = received;
        if let Some(cause) = self.agent.as_ref().and_then(AgentHandle::withdrawn) {
            return Next::Finish(self.end_without_agent(self.cause_or(cause), Cleanup::Unconfirmed));
        }
        self.wait_for_agent(Some(Instant::now()));
        match fault {
            None => Next::GoOn,
            Some(Fault::Protocol) => self.close(EndCause::ProtocolError),
            Some(Fault::Gap) => self.close(EndCause::OutputLost),
        }
    }

    fn wait_for_agent(&mut self, again: Option<Instant>) {
        let since = match self.path {
            Path::Waiting { since, .. } => since,
            Path::Linked(_) | Path::BrokenOff(_) | Path::Attaching(_) => Instant::now(),
        };
        self.path = Path::Waiting { since, again };
        self.lease_at = None;
        self.tell_viewers(Status::AgentSilent);
    }

    /// Asks the agent to end the session, or notes that it has to.
    fn close(&mut self, cause: EndCause) -> Next {
        if let Stage::Live = self.stage {
            info!(session.id = %self.session, cause = cause.slug(), "ending a session");
            self.stage = Stage::Closing { cause, deadline: Instant::now() + END_TIMEOUT };
            self.tell(&ToAgent::Credit(UNLIMITED));
            self.tell(&ToAgent::Close(cause));
        }
        Next::GoOn
    }

    fn handle_time(&mut self) -> Next {
        let now = Instant::now();
        if self.lease_at.is_some_and(|at| now >= at) {
            self.renew_lease();
        }
        match self.stage {
            Stage::Closing { cause, deadline } if now >= deadline => {
                return Next::Finish(self.end_without_agent(cause, Cleanup::Unconfirmed));
            }
            Stage::Live if self.unwatched_since.is_some_and(|since| now >= since + self.shared.settings.grace) => {
                return self.close(EndCause::Abandoned);
            }
            Stage::Live => {
                if let Some(cause) = self.life.end_due(self.shared.clock.now()) {
                    return self.close(cause);
                }
            }
            Stage::Closing { .. } => {}
        }
        if let Path::Waiting { since, again } = &mut self.path {
            if now >= *since + self.shared.settings.grace {
                return Next::Finish(self.end_without_agent(self.cause_or(EndCause::AgentLost), Cleanup::Unconfirmed));
            }
            if again.is_some_and(|again| now >= again) {
                *again = None;
                let current = self.agent.as_ref().and_then(|agent| self.shared.agents.get(agent.agent()));
                // Another life of the agent is announced with what it holds, which is nothing of this.
                if let Some(agent) = current.filter(|agent| Some(agent.instance()) == self.instance) {
                    self.agent = Some(agent);
                    self.attach();
                }
            }
        }
        Next::GoOn
    }

    fn deadline(&self) -> Option<Instant> {
        let stage = match self.stage {
            Stage::Closing { deadline, .. } => Some(deadline),
            Stage::Live => {
                let life = self.clerk.is_free().then(|| self.life.flag_deadline()).flatten();
                let life = life.map_or(self.life.end_deadline(), |flag| flag.min(self.life.end_deadline()));
                let life = Instant::now() + self.shared.clock.now().until(life).min(LONGEST_WAIT);
                let abandoned = self.unwatched_since.map(|since| since + self.shared.settings.grace);
                Some(abandoned.map_or(life, |abandoned| abandoned.min(life)))
            }
        };
        let waiting = match self.path {
            Path::Waiting { since, again } => Some(again.unwrap_or(since + self.shared.settings.grace)),
            Path::Linked(_) | Path::BrokenOff(_) | Path::Attaching(_) => None,
        };
        let size = self.size.deadline().filter(|_| self.clerk.is_free());
        [stage, waiting, size, self.lease_at, self.grant_at].into_iter().flatten().min()
    }

    fn grant(&mut self) {
        self.grant_at = None;
        self.written.mark_unchanged();
        self.stripped.mark_unchanged();
        let end = self.recording.position();
        let (Path::Linked(_), Stage::Live, Some(growth)) = (&self.path, &self.stage, self.flow.growth(end)) else {
            return;
        };
        let now = Instant::now();
        let allowance = self.pace.allowance(now);
        let growth = if self.shared.beside_others(self.session, now) { growth.min(allowance) } else { growth };
        if growth < self.flow.step() {
            self.grant_at = Some(self.pace.allows_at(self.flow.step()));
            return;
        }
        self.pace.spend(growth);
        let limit = self.flow.grow(growth);
        self.tell(&ToAgent::Credit(limit));
    }

    /// Lets the agent go on with the session, if there is one, for as long as its right was seen to stand.
    fn renew_lease(&mut self) {
        let now = Instant::now();
        let Some(valid_for) = self.shared.rights.lease(self.session, self.right_at, now) else {
            self.lease_at = Some(now + RIGHT_AGAIN);
            return;
        };
        let lease = self.life.lease(valid_for, self.shared.clock.now());
        self.tell(&ToAgent::Lease(lease));
        self.lease_at = Some(next_lease(self.shared.epoch, Instant::now()));
    }

    /// Puts a message on the way to the agent, if there is one; nothing that is told this way is lost on a reconnect.
    fn tell(&mut self, message: &ToAgent) {
        if let Path::Linked(link) = &mut self.path
            && let Err(error) = message.put(link.writer.buffer())
        {
            error!(session.id = %self.session, %error, "a message to an agent could not be encoded");
        }
    }

    /// Takes back whatever was told to the agent and has not arrived. It answers by ending the stream, and gives the session
    /// over on another one.
    fn break_off(&mut self) {
        let waiting = Path::Waiting { since: Instant::now(), again: None };
        self.path = match std::mem::replace(&mut self.path, waiting) {
            Path::Linked(mut link) => {
                link.break_off();
                Path::BrokenOff(link)
            }
            other => other,
        };
    }

    fn drop_pending(&mut self) {
        if let Path::Linked(link) = &mut self.path {
            link.writer.buffer().clear();
        }
    }

    fn tell_viewers(&self, status: Status) {
        self.status.send_if_modified(|current| {
            let news = *current != status && !matches!(current, Status::Ended(_));
            if news {
                *current = status;
            }
            news
        });
    }

    fn cause_or(&self, cause: EndCause) -> EndCause {
        match self.stage {
            Stage::Closing { cause, .. } => cause,
            Stage::Live => cause,
        }
    }

    fn end_without_agent(&self, cause: EndCause, cleanup: Cleanup) -> Ended {
        Ended { cause, outcome: ExitOutcome::Unknown, cleanup, output_length: *self.written.borrow() }
    }

    async fn reap(&self, agent: &AgentHandle) -> Cleanup {
        if self.target.container.is_none() {
            return Cleanup::Unconfirmed;
        }
        let reap = Reap { session: self.session, target: self.target.clone(), process: self.process };
        link::reap(agent, reap).await
    }

    /// Everything is recorded, stored and told, in this order; then the agent may forget.
    async fn finish(mut self, ended: Ended) {
        let end = self.settle(&ended).await;
        // What the agent said counts what was taken out; what people are told does not.
        let ended = Ended { output_length: end.recorded, ..ended };
        self.store_end(&ended).await;
        self.recording.seal();
        info!(session.id = %self.session, cause = ended.cause.slug(), cleanup = ?ended.cleanup, "a session ended");
        self.tell_viewers(Status::Ended(ended.clone()));
        self.shared.remove(self.session);
        if let OutputEnd::Unknown = self.output_end {
            return self.give_up(&ended).await;
        }
        // Best effort: an agent that is not told forgets by itself after its grace time.
        drop(timeout(SETTLE_TIMEOUT, self.durable.wait_for(|durable| *durable >= end.source)).await);
        self.tell(&ToAgent::Close(ended.cause));
        if let Path::Linked(link) = &mut self.path
            && let Ok(Ok(())) = timeout(SETTLE_TIMEOUT, link.writer.flush()).await
        {
            let _closed = link.writer.get_mut().finish();
        }
    }

    /// The agent has not said that the session is over. Nothing that waits on the way to it arrives any more; if it can be
    /// reached it is asked once more to end what it holds, otherwise it is when it can be.
    async fn give_up(mut self, ended: &Ended) {
        self.break_off();
        let Some(agent) = self.agent.clone().filter(|_| ended.cleanup == Cleanup::Unconfirmed) else {
            return;
        };
        if self.reap(&agent).await == Cleanup::Unconfirmed {
            return;
        }
        let (store, now) = (&self.shared.store, self.shared.clock.now());
        if let Err(error) = store.cleanup_confirmed(self.organisation, self.session, now).await {
            error!(session.id = %self.session, %error, "it could not be stored that a session's processes are gone");
        }
    }

    /// Waits for the last output, the commands in it and the end to be recorded; returns where the recording ends.
    async fn settle(&mut self, ended: &Ended) -> Position {
        if let Some(follower) = self.follower.take() {
            self.last_output().await;
            follower.finish(self.session).await;
        }
        let finished = self.recording.finish(ended, self.output_end, self.shared.clock.now());
        if let Ok(Ok(end)) = timeout(SETTLE_TIMEOUT, finished).await {
            return end;
        }
        warn!(session.id = %self.session, "a session's last output was not recorded in time");
        self.recording.position()
    }

    /// Waits until everything that the agent sent is written.
    async fn last_output(&mut self) {
        let OutputEnd::At(end) = self.output_end else {
            return;
        };
        let recording = self.recording.clone();
        let written = async {
            while recording.position().source < end {
                tokio::select! {
                    Ok(()) = self.written.changed() => {}
                    Ok(()) = self.stripped.changed() => {}
                    _ = self.failure.wait_for(Option::is_some) => return,
                }
            }
        };
        // What is late is only not looked through for commands.
        drop(timeout(SETTLE_TIMEOUT, written).await);
    }

    async fn store_end(&self, ended: &Ended) {
        let end = SessionEnd { at: self.shared.clock.now(), ended: ended.clone() };
        for _ in 0..STORE_ATTEMPTS {
            match self.shared.store.session_ended(self.organisation, self.session, &end).await {
                Ok(_first) => return,
                Err(error) => {
                    error!(session.id = %self.session, %error, "a session's end could not be stored; trying again");
                }
            }
            sleep(Duration::from_secs(1)).await;
        }
    }
}

/// What happens on the way to the agent. Cancel safe.
async fn on_path(path: &mut Path) -> Wake {
    match path {
        Path::Linked(link) => {
            let pending = !link.writer.buffer().is_empty();
            tokio::select! {
                news = link.news.recv() => news.map_or(Wake::LinkLost, Wake::News),
                flushed = link.writer.flush(), if pending => Wake::Flushed(flushed),
            }
        }
        Path::BrokenOff(link) => link.news.recv().await.map_or(Wake::LinkLost, Wake::News),
        Path::Attaching(answer) => {
            let gone = || Err(Refusal::new(RefusalCode::AgentOffline, ""));
            Wake::Attached(answer.await.unwrap_or_else(|_| gone()))
        }
        Path::Waiting { .. } => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
