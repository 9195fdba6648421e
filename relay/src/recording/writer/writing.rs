//! Writes to recordings, and waits for a disk that says no.
//!
//! What cannot be written is kept in order and tried again, so the session's output pauses: its room is used up, the agent is
//! not read, and the pod has to wait. When that does not help, the recording fails, which ends the session.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, PoisonError, mpsc as std_mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use podlatch_protocol::id::SessionId;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tracing::{info, warn};

use super::{Job, NOW, SYNC_AT_BYTES, SyncRequest, ask_for_sync, note_failure, request_sync};
use crate::clock::UnixMillis;
use crate::recording::timeline::{Event, Exit, Mark};
use crate::recording::{IN_FLIGHT_BYTES, Piece, Position, Shared};

/// How long a recording may not be writable before its session is ended. Until then its output pauses: the pod is not read.
const STALL_PATIENCE: Duration = Duration::from_secs(10);

/// Between two tries to write a recording that could not be written.
const STALL_PAUSE: Duration = Duration::from_millis(250);

/// Pieces of output that follow each other.
pub(super) struct Run {
    pieces: Vec<Bytes>,
    source_end: u64,
    at: UnixMillis,
}

impl Run {
    pub(super) fn of(piece: Piece) -> Self {
        Self { pieces: vec![piece.bytes], source_end: piece.source_end, at: piece.at }
    }

    pub(super) fn push(&mut self, piece: Piece) {
        self.pieces.push(piece.bytes);
        self.source_end = piece.source_end;
        self.at = piece.at;
    }
}

/// What is to be written to one recording.
pub(super) enum Work {
    Output(Run),
    Note { event: Event, at: UnixMillis },
    Mark { mark: Mark, source_end: u64, at: UnixMillis },
    Typed { how: Vec<u8>, at: UnixMillis, done: oneshot::Sender<()> },
    Finish { exit: Exit, at: UnixMillis, done: oneshot::Sender<Position> },
}

/// What could not be written to a recording yet, in order.
struct Stalled {
    since: Instant,
    work: VecDeque<Work>,
}

/// What the writing thread holds.
pub(super) struct Writer {
    pub(super) sync: std_mpsc::SyncSender<SyncRequest>,
    /// Weak, so that the thread ends with the last recording.
    jobs: mpsc::WeakSender<Job>,
    runtime: Handle,
    /// Recordings whose disk said no a moment ago.
    stalled: HashMap<SessionId, Stalled>,
}

impl Writer {
    pub(super) fn new(sync: std_mpsc::SyncSender<SyncRequest>, jobs: mpsc::WeakSender<Job>, runtime: Handle) -> Self {
        Self { sync, jobs, runtime, stalled: HashMap::new() }
    }

    /// Writes it, or keeps it behind what could not be written yet.
    pub(super) fn take(&mut self, recording: &Arc<Shared>, work: Work) {
        if let Some(stalled) = self.stalled.get_mut(&recording.key.session) {
            stalled.work.push_back(work);
        } else if let Err((error, work)) = write(recording, work, &self.sync) {
            warn!(session.id = %recording.key.session, %error, "a recording cannot be written; its output pauses");
            self.stall(recording, Stalled { since: Instant::now(), work: VecDeque::from([work]) }, &error);
        }
    }

    /// Tries what could not be written.
    pub(super) fn take_again(&mut self, recording: &Arc<Shared>) {
        let Some(mut stalled) = self.stalled.remove(&recording.key.session) else { return };
        while let Some(work) = stalled.work.pop_front() {
            if let Err((error, work)) = write(recording, work, &self.sync) {
                stalled.work.push_front(work);
                return self.stall(recording, stalled, &error);
            }
        }
        info!(session.id = %recording.key.session, "a recording is written again");
    }

    /// Waits for better times, but not for long.
    fn stall(&mut self, recording: &Arc<Shared>, stalled: Stalled, error: &io::Error) {
        // What is half written was shown to nobody.
        let undone = recording.files().undo();
        if undone.is_ok() && stalled.since.elapsed() < STALL_PATIENCE {
            self.stalled.insert(recording.key.session, stalled);
            let (jobs, recording) = (self.jobs.clone(), Arc::clone(recording));
            self.runtime.spawn(async move {
                sleep(STALL_PAUSE).await;
                if let Some(jobs) = jobs.upgrade() {
                    // An error means that the relay ends.
                    let _ending = jobs.send(Job::Again { recording }).await;
                }
            });
            return;
        }
        note_failure::<()>(recording, Err(io::Error::new(error.kind(), error.to_string())));
        for work in stalled.work {
            // Nothing is written any more; whoever waits for the end is answered.
            let _answered = write(recording, work, &self.sync);
        }
    }
}

/// Writes to a recording that has not failed. What cannot be written is given back.
fn write(
    recording: &Arc<Shared>,
    work: Work,
    sync: &std_mpsc::SyncSender<SyncRequest>,
) -> Result<(), (io::Error, Work)> {
    let failed = recording.room.is_closed();
    match work {
        Work::Finish { exit, at, done } => {
            if !failed && let Err(error) = write_note(recording, Event::Exit(exit), at, sync) {
                return Err((error, Work::Finish { exit, at, done }));
            }
            // An error means that nobody waits any more.
            let _over = done.send(recording.position());
            Ok(())
        }
        _ if failed => Ok(()),
        Work::Output(run) => write_output(recording, run, sync).map_err(|(error, run)| (error, Work::Output(run))),
        Work::Note { event, at } => {
            write_note(recording, event.clone(), at, sync).map_err(|error| (error, Work::Note { event, at }))
        }
        Work::Typed { how, at, done } => match write_note(recording, Event::Typed(how.clone()), at, sync) {
            Ok(()) => {
                // An error means that nobody waits any more.
                let _over = done.send(());
                Ok(())
            }
            Err(error) => Err((error, Work::Typed { how, at, done })),
        },
        Work::Mark { mark, source_end, at } => write_mark(recording, mark.clone(), (source_end, at), sync)
            .map_err(|error| (error, Work::Mark { mark, source_end, at })),
    }
}

/// Writes output that arrived in several pieces, as one.
fn write_output(
    recording: &Arc<Shared>,
    run: Run,
    sync: &std_mpsc::SyncSender<SyncRequest>,
) -> Result<(), (io::Error, Run)> {
    let room = run.pieces.iter().map(|piece| piece.len().min(IN_FLIGHT_BYTES)).sum();
    let position = match recording.files().append(&run.pieces, run.source_end, run.at) {
        Ok(position) => position,
        Err(error) => return Err((error, run)),
    };
    {
        let mut tail = recording.tail.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in run.pieces {
            tail.push(piece);
        }
    }
    recording.move_to(position);
    recording.room.add_permits(room);
    let unsynced = position.source - recording.synced.borrow().position.source;
    ask_for_sync(recording, sync);
    if unsynced >= SYNC_AT_BYTES && recording.sync.ask(NOW) {
        request_sync(recording, SyncRequest::Now(Arc::clone(recording)), sync);
    }
    Ok(())
}

fn write_note(
    recording: &Arc<Shared>,
    event: Event,
    at: UnixMillis,
    sync: &std_mpsc::SyncSender<SyncRequest>,
) -> io::Result<()> {
    recording.files().note(event, at)?;
    ask_for_sync(recording, sync);
    Ok(())
}

fn write_mark(
    recording: &Arc<Shared>,
    mark: Mark,
    (source_end, at): (u64, UnixMillis),
    sync: &std_mpsc::SyncSender<SyncRequest>,
) -> io::Result<()> {
    let position = recording.files().mark(mark, source_end, at)?;
    recording.move_to(position);
    ask_for_sync(recording, sync);
    Ok(())
}
