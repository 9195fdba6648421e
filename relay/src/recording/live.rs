//! One session's recording while it is made: what is appended, and how far it has come.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use podlatch_protocol::session::{Ended, ExitOutcome};
use podlatch_protocol::terminal::TerminalSize;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::files::{Files, LogEnd};
use super::sealing::{Cursor, Phase, SealQueue};
use super::store::Durability;
use super::tail::Tail;
use super::timeline::{Event, Exit, Mark, OutputEnd};
use super::writer::{Job, SyncState};
use super::{Piece, Position, RecordingError, SessionKey};
use crate::clock::UnixMillis;

/// Output of one session that may wait for the disk, in bytes.
pub(super) const IN_FLIGHT_BYTES: usize = 256 * 1024;

/// One session's recording. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recording {
    pub(super) shared: Arc<Shared>,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) sealing: SealQueue,
}

impl Recording {
    /// Records output that follows what was recorded before, and returns when it is on its way: [`Self::written`] tells
    /// when it is written. Waits while the disk is behind. Not cancel safe: the bytes may or may not have gone.
    pub async fn append(&self, piece: Piece) -> Result<(), RecordingError> {
        let room = u32::try_from(piece.bytes.len().min(IN_FLIGHT_BYTES)).unwrap_or(u32::MAX);
        let permit = self.shared.room.acquire_many(room).await.map_err(|_| RecordingError::ShuttingDown)?;
        // Given back by the writer.
        permit.forget();
        self.send(Job::Output { recording: Arc::clone(&self.shared), piece }).await
    }

    /// Records a new size of the terminal, in order with the output. Not cancel safe.
    pub async fn resize(&self, size: TerminalSize, at: UnixMillis) -> Result<(), RecordingError> {
        self.note(Event::Resize(size), at).await
    }

    /// Records something to find again, such as a command whose secrets were taken out, in order with the output. A label
    /// beyond 4 KiB is cut. Not cancel safe.
    pub async fn marker(&self, label: String, at: UnixMillis) -> Result<(), RecordingError> {
        self.note(Event::Marker(label), at).await
    }

    /// Records what the shell said, and that the output went on to `source_end` with it: in order with the output, and at
    /// once, so that no mark is recorded twice. Not cancel safe.
    pub(crate) async fn mark(&self, mark: Mark, source_end: u64, at: UnixMillis) -> Result<(), RecordingError> {
        self.send(Job::Mark { recording: Arc::clone(&self.shared), mark, source_end, at }).await
    }

    /// Records how a person typed, never what, in order with the output. The receiver tells when it is written; `None` where
    /// so much waits to be written that it is left out. Never waits.
    pub(crate) fn typed(&self, how: Vec<u8>, at: UnixMillis) -> Option<oneshot::Receiver<()>> {
        let (done, written) = oneshot::channel();
        let job = Job::Typed { recording: Arc::clone(&self.shared), how, at, done };
        self.jobs.try_send(job).is_ok().then_some(written)
    }

    async fn note(&self, event: Event, at: UnixMillis) -> Result<(), RecordingError> {
        self.send(Job::Note { recording: Arc::clone(&self.shared), event, at }).await
    }

    /// Records the session's end behind all that was appended before, and returns where the recording ends. Nothing is
    /// recorded after it. Not cancel safe.
    pub async fn finish(&self, ended: &Ended, output: OutputEnd, at: UnixMillis) -> Result<Position, RecordingError> {
        let status = match ended.outcome {
            ExitOutcome::Exited(status) => Some(status),
            ExitOutcome::Failed(_) | ExitOutcome::Unknown => None,
        };
        let (done, answer) = oneshot::channel();
        let exit = Exit { status, output };
        self.send(Job::Finish { recording: Arc::clone(&self.shared), exit, at, done }).await?;
        answer.await.map_err(|_| RecordingError::ShuttingDown)
    }

    /// The session is over, and its end is stored: nothing can continue the recording. What is left of it is sealed, then
    /// its hot log goes. Never waits.
    pub fn seal(&self) {
        self.shared.phase.send_replace(Phase::Over);
        self.sealing.ask(&self.shared);
    }

    /// Waits while all that was sent before is too much, but not for a disk that hangs.
    pub(super) async fn send(&self, job: Job) -> Result<(), RecordingError> {
        let mut failure = self.failure();
        tokio::select! {
            biased;
            sent = self.jobs.send(job) => sent.map_err(|_| RecordingError::ShuttingDown),
            _ = failure.wait_for(Option::is_some) => Err(RecordingError::ShuttingDown),
        }
    }

    /// Up to where it is written.
    pub fn position(&self) -> Position {
        self.shared.position()
    }

    /// Up to which recorded offset it is written.
    pub fn written(&self) -> watch::Receiver<u64> {
        self.shared.written.subscribe()
    }

    /// How many bytes were taken out of the output so far; see [`Position::stripped`].
    pub fn stripped(&self) -> watch::Receiver<u64> {
        self.shared.stripped.subscribe()
    }

    /// Set when something could not be written, or stored for too long: the session must end. Says why.
    pub fn failure(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.shared.failure.subscribe()
    }

    /// Up to which source offset it is durable.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.shared.durable.subscribe()
    }

    /// Forgets recent output below the recorded `offset` in memory; it stays readable from the disk.
    pub fn release_below(&self, offset: u64) {
        self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner).release_below(offset);
    }
}

/// What the recording's handles, its writer and its sealing share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) key: SessionKey,
    pub(super) folder: PathBuf,
    pub(super) position: Mutex<Position>,
    pub(super) written: watch::Sender<u64>,
    pub(super) stripped: watch::Sender<u64>,
    pub(super) failure: watch::Sender<Option<Arc<str>>>,
    pub(super) synced: watch::Sender<LogEnd>,
    pub(super) durable: watch::Sender<u64>,
    pub(super) tail: Mutex<Tail>,
    pub(super) files: Mutex<Files>,
    /// Room for output that is not written yet.
    pub(super) room: Semaphore,
    pub(super) sync: SyncState,
    pub(super) durability: Durability,
    pub(super) phase: watch::Sender<Phase>,
    /// Whether a task seals it.
    pub(super) sealing: AtomicBool,
    /// Where sealing stands; `None` before the first segment of this life of the relay.
    pub(super) cursor: Mutex<Option<Cursor>>,
}

impl Shared {
    pub(super) fn new(key: SessionKey, folder: PathBuf, files: Files, durability: Durability, phase: Phase) -> Self {
        let position = files.end().position;
        Self {
            key,
            folder,
            position: Mutex::new(position),
            written: watch::Sender::new(position.recorded),
            stripped: watch::Sender::new(position.stripped()),
            failure: watch::Sender::new(None),
            // What an earlier life wrote may not have been synced; the next sync says.
            synced: watch::Sender::new(LogEnd::default()),
            durable: watch::Sender::new(0),
            tail: Mutex::new(Tail::at(position.recorded)),
            files: Mutex::new(files),
            room: Semaphore::new(IN_FLIGHT_BYTES),
            sync: SyncState::default(),
            durability,
            phase: watch::Sender::new(phase),
            sealing: AtomicBool::new(false),
            cursor: Mutex::new(None),
        }
    }

    /// The session cannot go on, for this reason. Returns whether it is the first.
    pub(super) fn fail(&self, why: &str) -> bool {
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            if first {
                *failure = Some(why.into());
            }
            first
        })
    }

    pub(super) fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn position(&self) -> Position {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is written up to here.
    pub(super) fn move_to(&self, position: Position) {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = position;
        self.stripped
            .send_if_modified(|stripped| std::mem::replace(stripped, position.stripped()) != position.stripped());
        self.written.send_if_modified(|written| std::mem::replace(written, position.recorded) != position.recorded);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::io::{ErrorKind, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::sync::mpsc as std_mpsc;
    use std::time::Duration;

    use bytes::Bytes;
    use podlatch_protocol::close::EndCause;
    use podlatch_protocol::id::{OrganisationId, SessionId};
    use podlatch_protocol::session::Cleanup;

    use super::*;
    use crate::recording::sealing::Pace;
    use crate::recording::{NewRecording, Recorder, RecorderParts, RecordingsStore, StoreLocation, files};

    const NOW: UnixMillis = UnixMillis::new(1_700_000_000_000);

    /// For the disk; long enough for one that is well.
    const DEADLINE: Duration = Duration::from_secs(3);

    struct Begun {
        recorder: Recorder,
        session: SessionId,
        folder: tempfile::TempDir,
    }

    fn start(folder: &Path) -> Recorder {
        let store = RecordingsStore::open(&StoreLocation::Folder(folder.join("store")), []).expect("opens");
        let (sealed, _nobody) = mpsc::channel(1);
        let patience = Duration::from_mins(1);
        let pace = Pace::of(store.durability());
        let parts = RecorderParts { hot: folder.to_owned(), store, patience, sealed };
        Recorder::start_paced(parts, pace, DEADLINE).expect("starts")
    }

    fn begin() -> Begun {
        let folder = tempfile::tempdir().expect("a folder");
        let recorder = start(folder.path());
        Begun { recorder, session: SessionId::new(1, &[1; 10]), folder }
    }

    const SIZE: TerminalSize = TerminalSize::DEFAULT;

    /// As if nothing had been taken out.
    async fn append(recording: &Recording, bytes: &'static [u8]) {
        append_stripped(recording, bytes, 0).await;
    }

    /// Appends output of which `stripped` bytes were taken out; waits until it is written.
    async fn append_stripped(recording: &Recording, bytes: &'static [u8], stripped: u64) {
        let source_end = recording.position().source + bytes.len() as u64 + stripped;
        let piece = Piece { bytes: Bytes::from_static(bytes), source_end, at: NOW };
        recording.append(piece).await.expect("appends");
        let (mut written, mut taken_out) = (recording.written(), recording.stripped());
        while recording.position().source != source_end {
            tokio::select! {
                changed = written.changed() => changed.expect("is recorded"),
                changed = taken_out.changed() => changed.expect("is recorded"),
            }
        }
    }

    async fn create(recorder: &Recorder, session: SessionId) -> Result<Recording, RecordingError> {
        let organisation = OrganisationId::new(1, &[1; 10]);
        recorder.create(NewRecording { organisation, session, size: SIZE, at: NOW }).await
    }

    async fn resume(recorder: &Recorder, session: SessionId) -> Result<Recording, RecordingError> {
        recorder.resume(OrganisationId::new(1, &[1; 10]), session).await
    }

    async fn written(recording: &Recording, offset: u64) {
        recording.written().wait_for(|written| *written >= offset).await.expect("is written");
    }

    #[tokio::test]
    async fn output_is_written_then_durable_and_readable_from_memory_and_from_the_disk() {
        let Begun { recorder, session, folder: _folder } = begin();
        let recording = create(&recorder, session).await.expect("begins");
        append(&recording, b"hello ").await;
        append(&recording, b"world").await;
        written(&recording, 11).await;
        assert_eq!(&recording.read(6, 99).await.expect("reads")[..], b"world");
        recording.durable().wait_for(|durable| *durable == 11).await.expect("is synced");
        recording.release_below(11);
        assert_eq!(&recording.read(3, 99).await.expect("reads")[..], b"lo world");
        let raw = std::fs::read(recording.shared.folder.join("output")).expect("a file");
        assert_eq!(raw, b"hello world");
    }

    #[tokio::test]
    async fn a_recording_goes_on_where_a_killed_relay_left_it() {
        let Begun { recorder, session, folder } = begin();
        let recording = create(&recorder, session).await.expect("begins");
        append(&recording, b"before").await;
        recording.resize(TerminalSize::clamped(40, 10), NOW).await.expect("notes it");
        append(&recording, b"!").await;
        written(&recording, 7).await;
        // What a kill in the middle of a write leaves.
        let timeline = recording.shared.folder.join("timeline");
        OpenOptions::new().append(true).open(&timeline).expect("opens").write_all(b"torn").expect("writes");

        let again = start(folder.path());
        let recording = resume(&again, session).await.expect("resumes");
        assert_eq!(*recording.written().borrow(), 7);
        recording.durable().wait_for(|durable| *durable == 7).await.expect("is synced without new output");
        append(&recording, b" after").await;
        written(&recording, 13).await;
        let snapshot = recording.snapshot().await.expect("draws");
        assert_eq!(snapshot.offset, 13);
        assert!(String::from_utf8_lossy(&snapshot.bytes).contains("before! after"));
        let mut entries = files::read_timeline(&recording.shared.folder, 0).expect("opens");
        while entries.next().expect("reads").is_some() {}
        assert_eq!(entries.end(), timeline.metadata().expect("exists").len(), "the torn entry is gone");
    }

    #[tokio::test]
    async fn one_session_has_one_recording() {
        let Begun { recorder, session, folder: _folder } = begin();
        create(&recorder, session).await.expect("begins");
        assert!(matches!(create(&recorder, session).await, Err(RecordingError::Io { .. })));
        let unknown = resume(&recorder, SessionId::new(2, &[2; 10])).await;
        assert!(matches!(unknown, Err(RecordingError::Io { .. })));
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_never_readable_and_ends_the_appending() {
        let Begun { recorder, session, folder: _folder } = begin();
        let recording = create(&recorder, session).await.expect("begins");
        append(&recording, b"kept").await;
        written(&recording, 4).await;
        let full = || OpenOptions::new().append(true).open("/dev/full").expect("a device that is always full");
        *recording.shared.files.lock().expect("no holder panics") = Files::from_files(full(), full());
        let piece = |bytes| Piece { bytes: Bytes::from_static(bytes), source_end: 8, at: NOW };
        recording.append(piece(b"lost")).await.expect("is on its way");
        recording.failure().wait_for(Option::is_some).await.expect("is noticed");
        assert_eq!(*recording.written().borrow(), 4);
        assert!(recording.append(piece(b"more")).await.is_err());
    }

    /// Lets nobody else at a recording's files until the answer is dropped.
    fn hold(recording: &Recording) -> std_mpsc::SyncSender<()> {
        let (holds, held) = std_mpsc::sync_channel(1);
        let (release, released) = std_mpsc::sync_channel(1);
        let shared = Arc::clone(&recording.shared);
        std::thread::spawn(move || {
            let _files = shared.files();
            holds.send(()).expect("somebody waits");
            let _released = released.recv();
        });
        held.recv().expect("holds them");
        release
    }

    async fn failed(recording: &Recording) -> Arc<str> {
        let failure = recording.failure().wait_for(Option::is_some).await.expect("is noticed").clone();
        failure.expect("a reason")
    }

    #[tokio::test]
    async fn a_write_that_hangs_ends_every_session_and_the_disk_is_used_again_when_it_answers() {
        let Begun { recorder, session, folder: _folder } = begin();
        let recording = create(&recorder, session).await.expect("begins");
        let other = create(&recorder, SessionId::new(2, &[2; 10])).await.expect("begins");
        append(&recording, b"kept").await;
        recording.durable().wait_for(|durable| *durable == 4).await.expect("is synced");
        // A socket that nobody reads takes some of it, and then does not come back.
        let (stuck, disk) = UnixStream::pair().expect("a pair");
        let timeline = File::from(OwnedFd::from(stuck.try_clone().expect("a handle")));
        *recording.shared.files() = Files::from_files(File::from(OwnedFd::from(stuck)), timeline);
        let bytes = Bytes::from(vec![b'x'; 16 * 1024 * 1024]);
        recording.append(Piece { bytes, source_end: 99_999_999, at: NOW }).await.expect("is on its way");
        let piece = Piece { bytes: Bytes::from_static(b"waits"), source_end: 5, at: NOW };
        other.append(piece.clone()).await.expect("is on its way");

        assert_eq!(&*failed(&recording).await, "the disk has not answered for 3s");
        failed(&other).await;
        assert_eq!((*recording.written().borrow(), *other.written().borrow()), (4, 0));
        assert!(other.append(piece).await.is_err());
        let third = SessionId::new(3, &[3; 10]);
        let refused = create(&recorder, third).await.expect_err("no session without a recorder");
        assert!(matches!(refused, RecordingError::Io { source, .. } if source.kind() == ErrorKind::TimedOut));

        drop(disk);
        let begun = async {
            loop {
                match create(&recorder, third).await {
                    Ok(recording) => return recording,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        append(&begun.await, b"goes on").await;
        assert_eq!(*other.written().borrow(), 0, "what failed is over");
    }

    #[tokio::test]
    async fn a_sync_that_hangs_ends_the_session_too() {
        let Begun { recorder, session, folder: _folder } = begin();
        let recording = create(&recorder, session).await.expect("begins");
        append(&recording, b"kept").await;
        recording.durable().wait_for(|durable| *durable == 4).await.expect("is synced");
        let _until_the_end = hold(&recording);
        recording.send(Job::Sync { recording: Arc::clone(&recording.shared) }).await.expect("asks");
        assert_eq!(&*failed(&recording).await, "the disk has not answered for 3s");
    }

    #[tokio::test]
    async fn whoever_waits_behind_a_full_queue_learns_that_the_disk_hangs() {
        let Begun { recorder, session, folder: _folder } = begin();
        let recording = create(&recorder, session).await.expect("begins");
        let _until_the_end = hold(&recording);
        while recording.resize(SIZE, NOW).await.is_ok() {}
        failed(&recording).await;
    }

    #[tokio::test]
    async fn the_agent_is_answered_in_source_bytes_and_the_viewer_in_recorded_ones() {
        let Begun { recorder, session, folder } = begin();
        let recording = create(&recorder, session).await.expect("begins");
        append_stripped(&recording, b"$ ", 30).await;
        append_stripped(&recording, b"", 12).await;
        assert_eq!(recording.position(), Position { recorded: 2, source: 44 });
        assert_eq!((*recording.written().borrow(), *recording.stripped().borrow()), (2, 42));
        recording.durable().wait_for(|durable| *durable == 44).await.expect("is synced");
        drop((recording, recorder));

        let again = start(folder.path());
        let recording = resume(&again, session).await.expect("resumes");
        assert_eq!(recording.position(), Position { recorded: 2, source: 44 });
    }

    #[tokio::test]
    async fn markers_and_the_end_are_in_order_with_the_output() {
        let Begun { recorder, session, folder: _folder } = begin();
        let recording = create(&recorder, session).await.expect("begins");
        append(&recording, b"$ ls").await;
        recording.marker("ls".to_owned(), NOW).await.expect("notes it");
        let piece = Piece { bytes: Bytes::from_static(b"a b"), source_end: 7, at: NOW };
        recording.append(piece).await.expect("appends");
        let (outcome, output) = (ExitOutcome::Exited(3), OutputEnd::At(7));
        let ended = Ended { cause: EndCause::Exited, outcome, cleanup: Cleanup::NotWanted, output_length: 7 };
        let end = recording.finish(&ended, output, NOW).await.expect("ends");
        assert_eq!(end, Position { recorded: 7, source: 7 });

        let mut entries = files::read_timeline(&recording.shared.folder, 0).expect("opens");
        let mut events = Vec::new();
        while let Some(entry) = entries.next().expect("reads") {
            events.push((entry.event, entry.position.recorded));
        }
        let exit = Event::Exit(Exit { status: Some(3), output });
        let marker = Event::Marker("ls".to_owned());
        let expected = [(Event::Resize(SIZE), 0), (Event::Output, 4), (marker, 4), (Event::Output, 7), (exit, 7)];
        assert_eq!(events, expected);
    }
}
