//! A live session's commands: found off the hot path, audited once, marked in the recording.
//!
//! The task reads the recording behind its viewers, so a flood makes it late and nothing else. What shells say is kept in
//! the recording before the output behind it is shown, and that a line was entered before the shell gets it; a relay that
//! starts again reads on from the last command that was audited, and every command has a key, so that none is audited twice.

mod follow;
mod line;
mod note;
mod pull;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use podlatch_protocol::id::{OrganisationId, SessionId};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use self::follow::{Found, Label, Phase};
use self::pull::{Audited, Pull};
use crate::clock::{Clock, UnixMillis};
use crate::commands::{Command, Extent, Source};
use crate::domain::audit::{Action, NewEvent};
use crate::recording::{ReadError, Recording};
use crate::store::{Store, StoreError};

pub(super) use note::record;

/// What is gathered before it is looked at: a command is audited this much later, and a keystroke costs nothing by itself.
const PACE: Duration = Duration::from_millis(100);

/// A session in which nothing happens for this long gives the memory of its screen back. Longer than people pause between
/// keys, short enough that many sessions that begin at once do not all hold it.
const REST_AFTER: Duration = Duration::from_secs(1);

/// Typed bytes of one session that may wait to be looked at. Beyond it the oldest are forgotten: commands that are only on the
/// screen may then not be found.
const TYPED_BYTES: usize = 256 * 1024;

/// Between two tries to write an event.
const AGAIN: Duration = Duration::from_secs(1);

/// How long a session's end waits for its last commands.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);

/// What the task works with.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) organisation: OrganisationId,
    pub(super) session: SessionId,
    pub(super) recording: Recording,
}

/// A session's commands task, as its owner holds it.
#[derive(Debug)]
pub(super) struct Commands {
    typed: Typed,
    ended: CancellationToken,
    task: JoinHandle<()>,
}

impl Commands {
    /// Starts it; a session that an earlier life of the relay began is taken up where that one stopped.
    pub(super) fn start(context: Context, tracker: &TaskTracker) -> Self {
        let (typed, ended) = (Typed::default(), CancellationToken::new());
        let begin = context.clock.now();
        let task = Task { context, begin, typed: typed.clone(), ended: ended.clone() };
        Self { typed, ended, task: tracker.spawn(task.run()) }
    }

    /// Somebody typed, with the output at this recorded offset.
    pub(super) fn typed(&self, offset: u64, at: UnixMillis, bytes: Bytes) {
        self.typed.push(Piece { offset, at, bytes });
    }

    /// Waits until the last command is audited; everything must be recorded by now.
    pub(super) async fn finish(self, session: SessionId) {
        self.ended.cancel();
        if timeout(FINISH_TIMEOUT, self.task).await.is_err() {
            warn!(session.id = %session, "a session's last commands were not audited before its end");
        }
    }
}

/// What was typed and not yet looked at. In memory alone: it may be a secret.
#[derive(Clone, Default)]
struct Typed(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    pieces: VecDeque<Piece>,
    bytes: usize,
}

struct Piece {
    offset: u64,
    at: UnixMillis,
    bytes: Bytes,
}

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Typed(…)")
    }
}

impl Typed {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, piece: Piece) {
        let mut queue = self.queue();
        queue.bytes += piece.bytes.len();
        queue.pieces.push_back(piece);
        while queue.bytes > TYPED_BYTES
            && let Some(oldest) = queue.pieces.pop_front()
        {
            queue.bytes -= oldest.bytes.len();
        }
    }

    /// What was typed when the output was at `offset` or before, oldest first.
    fn until(&self, offset: u64) -> Vec<Piece> {
        let mut queue = self.queue();
        let count = queue.pieces.iter().take_while(|piece| piece.offset <= offset).count();
        let pieces: Vec<Piece> = queue.pieces.drain(..count).collect();
        queue.bytes -= pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>();
        pieces
    }
}

struct Task {
    context: Context,
    /// What was typed before is known from the recording, what is typed from here on from the keys.
    begin: UnixMillis,
    typed: Typed,
    ended: CancellationToken,
}

impl Task {
    async fn run(self) {
        if let Err(error) = self.follow().await {
            error!(session.id = %self.context.session, %error, "a session's commands cannot be followed any more");
        }
    }

    async fn follow(&self) -> Result<(), FollowError> {
        let Context { recording, clock, .. } = &self.context;
        let (mut written, mut stripped) = (recording.written(), recording.stripped());
        // Rare and large, as is telling: a task that waits must not be.
        let mut pull = Box::pin(self.begin()).await?;
        loop {
            written.mark_unchanged();
            stripped.mark_unchanged();
            // Before the reading: what is recorded by then is all.
            let last = self.ended.is_cancelled();
            let behind;
            (pull, behind) = blocking({
                let (typed, mut pull) = (self.typed.clone(), pull);
                move || pull.read(&typed).map(|behind| (pull, behind))
            })
            .await?;
            pull.handle_time(clock.now());
            if last && !behind {
                pull.finish(clock.now());
            }
            while let Some(found) = pull.take() {
                Box::pin(self.tell(&found)).await?;
            }
            if behind {
                continue;
            }
            if last {
                return Ok(());
            }
            let due = pull.deadline().map(|due| wait_until(due, clock.now()));
            let news = async {
                tokio::select! {
                    Ok(()) = written.changed() => {}
                    Ok(()) = stripped.changed() => {}
                    () = self.ended.cancelled() => {}
                    () = until(due) => {}
                }
            };
            tokio::pin!(news);
            if timeout(REST_AFTER, &mut news).await.is_err() {
                pull = blocking(move || Ok(pull.resting())).await?;
                news.await;
            }
            // More follows a keystroke than its echo.
            tokio::select! {
                () = sleep(PACE) => {}
                () = self.ended.cancelled() => {}
            }
        }
    }

    async fn begin(&self) -> Result<Pull, FollowError> {
        let Context { store, organisation, session, recording, .. } = &self.context;
        let told = store.last_command_key(*organisation, *session).await?;
        let shown = store.last_screen_key(*organisation, *session).await?;
        let (log, before) = (recording.log(), self.begin);
        blocking(move || Pull::begin(log, Audited { told, shown, before })).await
    }

    /// Audits what was found, however long that takes, and marks it in the recording.
    async fn tell(&self, found: &Found) -> Result<(), FollowError> {
        let event = self.event(found);
        let appended = loop {
            match self.context.store.append_audit(&event).await {
                Ok(appended) => break appended,
                Err(StoreError::Missing(what)) => return Err(StoreError::Missing(what).into()),
                Err(error) => {
                    error!(session.id = %self.context.session, %error, "a command could not be audited; trying again");
                }
            }
            sleep(AGAIN).await;
        };
        if let Found::Executed { command, label: Label::Missing, .. } = found
            && appended.fresh
        {
            // Best effort: the audit event is what counts, and a recording that fails ends its session by itself.
            let _failed = self.context.recording.marker(command.text.clone(), command.at).await;
        }
        Ok(())
    }

    fn event(&self, found: &Found) -> NewEvent {
        let Context { organisation, session, .. } = self.context;
        match found {
            Found::Executed { key, command, phase, .. } => {
                let event = NewEvent::in_session(Action::CommandExecuted, organisation, session, command.at);
                let event = described(event, command).detail("exit_code", command.exit_code);
                let event = if *phase == Phase::Running { event.detail("running", true) } else { event };
                match (key, command.entered) {
                    (Some(key), _) => event.once(format!("command:{key:020}")),
                    (None, Some(entered)) => event.once(format!("screen:{entered:020}")),
                    (None, None) => event,
                }
            }
            Found::Finished { key, command, at } => {
                let event = NewEvent::in_session(Action::CommandFinished, organisation, session, *at);
                described(event, command)
                    .detail("exit_code", command.exit_code)
                    .detail("duration_ms", at.get() - command.at.get())
                    .once(format!("finished:{key:020}"))
            }
        }
    }
}

fn described(event: NewEvent, command: &Command) -> NewEvent {
    let event = event
        .command(&command.text)
        .detail("source", command.source.as_str())
        .detail("cwd", command.cwd.clone())
        .detail("redactions", command.redactions);
    let event = match command.extent {
        Extent::Whole => event,
        Extent::Cut => event.detail("cut", true),
    };
    match command.source {
        Source::Marks => event.detail("confidence", 1),
        // As a person would say it, not as a float comes out.
        Source::Screen => event.detail("confidence", (f64::from(command.confidence) * 100.0).round() / 100.0),
    }
}

/// Why a session's commands are not followed any more.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Off the threads that carry the line.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, FollowError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other).flatten();
    Ok(done.map_err(ReadError::from)?)
}

fn wait_until(due: UnixMillis, now: UnixMillis) -> Duration {
    Duration::from_millis(u64::try_from(due.get() - now.get()).unwrap_or(0))
}

async fn until(due: Option<Duration>) {
    match due {
        Some(due) => sleep(due).await,
        None => std::future::pending().await,
    }
}
