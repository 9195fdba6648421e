//! A session's owner task: what wakes it, and who answers.
//!
//! Its state is of one piece, since every wake may need any of it; what it does with it is told by who asked for it: the
//! [`viewers`], the [`agent`], the clerk ([`deeds`]) and time ([`stage`]), up to the [`ending`].

mod agent;
mod begin;
mod credit;
mod deeds;
mod ending;
mod path;
mod stage;
mod viewers;
mod watermarks;

use std::sync::Arc;

use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::{AgentInstanceId, OrganisationId, SessionId};
use podlatch_protocol::request::MarkNonce;
use podlatch_protocol::session::{Ended, ToAgent};
use podlatch_protocol::target::PodTarget;
use podlatch_protocol::terminal::TerminalSize;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tracing::error;

use self::begin::Started;
pub(super) use self::begin::{Begin, StartFrom};
use self::credit::{Credit, Line};
use self::path::{AttachAnswer, Path};
use self::stage::Stage;
use self::watermarks::Watermarks;
use super::activity::Activity;
use super::clerk::{Clerk, Deed};
use super::commands::Commands;
use super::held::Held;
use super::inputs::Inputs;
use super::life::{Life, LifeView, next_lease};
use super::link::{Fault, News};
use super::pace::Pace;
use super::sessions::Shared;
use super::size::SizePacer;
use super::{Command, Status};
use crate::commands::Strokes;
use crate::recording::{OutputEnd, Recording};
use crate::tunnel::AgentHandle;

/// What the owner woke up for.
enum Wake {
    Command(Option<Command>),
    News(News),
    Attached(AttachAnswer),
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

/// One session's owner.
pub(super) struct Owner {
    shared: Arc<Shared>,
    session: SessionId,
    organisation: OrganisationId,
    target: PodTarget,
    process: Option<u32>,
    recording: Recording,
    watermarks: Watermarks,
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
    credit: Credit,
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
    size_view: watch::Sender<Option<TerminalSize>>,
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
    /// The owner of a session that was just opened, or that an earlier life of the relay left.
    pub(super) fn new(shared: Arc<Shared>, begin: Begin) -> Self {
        let now = Instant::now();
        let Started { path, agent, flow, received, viewed, right_at } =
            begin.start.take(&shared, &begin.recording, begin.marks, now);
        let lease_at = agent.is_some().then(|| next_lease(shared.epoch, now));
        let clerk = Clerk::new(Arc::clone(&shared), begin.organisation, begin.session);
        let pace = Pace::new(shared.fair_rate, now);
        Self {
            shared,
            session: begin.session,
            organisation: begin.organisation,
            target: begin.target,
            process: begin.process,
            watermarks: Watermarks::of(&begin.recording),
            recording: begin.recording,
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
            credit: Credit::new(flow, pace),
            inputs: Inputs::default(),
            held: Held::default(),
            strokes: Strokes::default(),
            marks: begin.marks,
            follower: begin.follower,
            viewed,
            size: SizePacer::default(),
            size_view: begin.size_view,
            lease_at,
            right_at,
            unwatched_since: Some(now),
            received,
            output_end: OutputEnd::Unknown,
        }
    }

    /// Runs until the session is over and everything about it is stored and told. Not cancel safe.
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
        let unwatched = !self.credit.flow.is_watched();
        tokio::select! {
            command = self.commands.recv() => Wake::Command(command),
            wake = self.path.wake() => wake,
            Ok(()) = self.watermarks.durable.changed() => Wake::Durable,
            Ok(()) = self.watermarks.failure.changed() => Wake::RecordingFailed,
            // A viewer says by itself what it has rendered.
            Ok(()) = self.watermarks.written.changed(), if unwatched => Wake::Written,
            deed = self.clerk.stored() => Wake::Stored(deed),
            () = self.held.ready() => Wake::Entered,
            // What was taken out of the output is rendered by nobody.
            Ok(()) = self.watermarks.stripped.changed() => Wake::Written,
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
            Wake::Flushed(Err(_)) => self.path.drop_pending(),
            Wake::Durable => {
                let offset = *self.watermarks.durable.borrow_and_update();
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

    fn grant(&mut self) {
        self.watermarks.note_seen();
        let wanted = self.credit.wanted(self.recording.position());
        let (true, Stage::Live, Some(wanted)) = (self.path.is_linked(), &self.stage, wanted) else {
            return;
        };
        let now = Instant::now();
        let line = if self.shared.beside_others(self.session, now) { Line::Shared } else { Line::Alone };
        if let Some(limit) = self.credit.grant(wanted, line, now) {
            self.tell(&ToAgent::Credit(limit));
        }
    }

    /// Puts a message on the way to the agent, if there is one; nothing that is told this way is lost on a reconnect.
    fn tell(&mut self, message: &ToAgent) {
        if let Err(error) = self.path.tell(message) {
            error!(session.id = %self.session, %error, "a message to an agent could not be encoded");
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
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
