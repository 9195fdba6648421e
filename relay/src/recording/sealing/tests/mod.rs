//! Sealing with real files, and with a real S3 server over a socket.

mod damage;
mod folder;
mod kill;
mod s3;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::{OrganisationId, SessionId};
use podlatch_protocol::session::{Cleanup, Ended, ExitOutcome};
use podlatch_protocol::terminal::TerminalSize;
use tokio::sync::mpsc;

use super::super::archive::{Archive, ArchiveError, Archives};
use super::super::asciicast::{self, Event, Line};
use super::super::disk::DISK_DEADLINE;
use super::super::{
    NewRecording, OutputEnd, Piece, Recorder, RecorderParts, Recording, RecordingsStore, StoreLocation,
};
use super::{Pace, Sealed};
use crate::clock::UnixMillis;

const START: i64 = 1_700_000_000_000;

/// Segments by the piece.
const AT_ONCE: Pace = Pace { after: Duration::from_millis(1), at_bytes: 1, rests: 0 };

/// No segment before the end.
const NEVER: Pace = Pace { after: Duration::from_hours(24), at_bytes: u64::MAX, rests: 0 };

fn organisation() -> OrganisationId {
    OrganisationId::new(1, &[1; 10])
}

fn session() -> SessionId {
    SessionId::new(2, &[2; 10])
}

fn at(millis: i64) -> UnixMillis {
    UnixMillis::new(START + millis)
}

/// A relay's life, as far as recordings go.
struct Life {
    recorder: Recorder,
    archives: Archives,
    sealed: mpsc::Receiver<Sealed>,
}

impl Life {
    fn begin(folder: &Path, pace: Pace) -> Self {
        let store = RecordingsStore::open(&StoreLocation::Folder(folder.join("store")), []).expect("opens");
        Self::with(folder, store, pace, Duration::from_mins(1))
    }

    fn with(folder: &Path, store: RecordingsStore, pace: Pace, patience: Duration) -> Self {
        let (sender, sealed) = mpsc::channel(4);
        let hot = folder.join("hot");
        std::fs::create_dir_all(&hot).expect("a folder");
        let archives = Archives::new(store.clone(), hot.clone());
        let parts = RecorderParts { hot, store, patience, sealed: sender };
        Self { recorder: Recorder::start_paced(parts, pace, DISK_DEADLINE).expect("starts"), archives, sealed }
    }

    async fn create(&self) -> Recording {
        let new = NewRecording {
            organisation: organisation(),
            session: session(),
            size: TerminalSize::clamped(100, 30),
            at: at(0),
        };
        self.recorder.create(new).await.expect("begins")
    }

    async fn open(&self) -> Result<Archive, ArchiveError> {
        self.archives.open(organisation(), session(), None).await
    }

    /// Waits until the recording is stored whole and its hot log is gone.
    async fn stored(&mut self, folder: &Path) -> Sealed {
        let (noted, _) = tokio::sync::oneshot::channel();
        let mut sealed = self.sealed.recv().await.expect("is sealed");
        let answer = std::mem::replace(&mut sealed.noted, noted);
        answer.send(()).expect("is waited for");
        let hot = folder.join("hot").join(organisation().to_string()).join(session().to_string());
        while hot.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sealed
    }

    /// Waits for so many segments.
    async fn segments(&self, count: usize) -> Archive {
        loop {
            match self.open().await {
                Ok(archive) if archive.segments().len() >= count => return archive,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
}

async fn append(recording: &Recording, bytes: &[u8], millis: i64) {
    let source_end = recording.position().source + bytes.len() as u64;
    let piece = Piece { bytes: Bytes::copy_from_slice(bytes), source_end, at: at(millis) };
    recording.append(piece).await.expect("appends");
    recording.written().wait_for(|_| recording.position().source == source_end).await.expect("is written");
}

async fn finish(recording: &Recording, status: i32, millis: i64) {
    let output_length = recording.position().source;
    let outcome = ExitOutcome::Exited(status);
    let ended = Ended { cause: EndCause::Exited, outcome, cleanup: Cleanup::NotWanted, output_length };
    recording.finish(&ended, OutputEnd::At(output_length), at(millis)).await.expect("ends");
    recording.seal();
}

/// Everything that an asciicast says, with the time of each event.
async fn play(archive: Archive) -> Vec<(u64, Event)> {
    let cast = archive.concat().try_collect::<Vec<_>>().await.expect("reads").concat();
    let text = String::from_utf8(cast).expect("an asciicast is text");
    let mut at_ms = 0;
    let mut events = Vec::new();
    for (number, line) in text.lines().enumerate() {
        match asciicast::parse(line).expect("an asciicast") {
            Line::Header(_) => assert_eq!(number, 0, "one header, at the beginning"),
            Line::Event(interval, event) => {
                at_ms += interval;
                events.push((at_ms, event));
            }
            Line::Nothing => {}
        }
    }
    events
}

fn output(events: &[(u64, Event)]) -> String {
    let text = |(_, event): &(u64, Event)| match event {
        Event::Output(text) => Some(text.clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}
