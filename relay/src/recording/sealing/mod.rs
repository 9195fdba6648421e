//! Sealing: what a hot log holds becomes asciicast segments in the store, as it happens and for good.
//!
//! Sealing reads what is already durable and never stands in the line: it has tasks of its own, of which few work at a time.
//! It remembers where it stands in the hot log's `manifest`; what a kill left undone is done again, in place of what was
//! half done. When a session is over and all of it is stored, its hot log is removed.

mod local;
mod render;
#[cfg(test)]
mod tests;
mod worker;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use podlatch_protocol::id::{OrganisationId, SessionId};
use tokio::sync::{mpsc, oneshot};

use super::manifest::{Hash, Manifest, Outcome};
use super::store::Durability;
use super::{SessionKey, Shared};

pub(super) use render::Cursor;
pub(super) use worker::Worker;

/// A segment is closed at about this size, in bytes: small enough to render, store and search in one piece.
pub(super) const SEGMENT_BYTES: usize = 1024 * 1024;

/// Recordings that may wait to be sealed; each waits once at most.
const QUEUED: usize = 16 * 1024;

/// When a segment is closed, besides at [`SEGMENT_BYTES`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// So long after its first event.
    pub(super) after: Duration,
    /// At so many bytes of output.
    pub(super) at_bytes: u64,
    /// While the session goes on, each segment is followed by a rest that lasts so many times as long as it took.
    pub(super) rests: u32,
}

impl Pace {
    pub(super) fn of(durability: Durability) -> Self {
        match durability {
            // What may be missing in the store for a while is on the same disk anyhow.
            // So sealing a flood may lag behind, and takes a twentieth of one processor from it.
            Durability::Synced => Self { after: Duration::from_secs(10), at_bytes: SEGMENT_BYTES as u64, rests: 19 },
            // The agent keeps what is not stored, 4 MiB at most, and stops reading its pod when that is full.
            Durability::Stored => Self { after: Duration::from_secs(1), at_bytes: 512 * 1024, rests: 0 },
        }
    }
}

/// Whether a recording still grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Live,
    /// Nothing more will be written to it.
    Over,
}

/// A recording that was stored whole.
#[derive(Debug)]
pub struct Sealed {
    /// Whose.
    pub organisation: OrganisationId,
    /// Of which session.
    pub session: SessionId,
    /// Whether anything is missing.
    pub outcome: Outcome,
    /// How many segments it has.
    pub segments: u64,
    /// How large they are together, in bytes.
    pub bytes: u64,
    /// How long it is, in milliseconds.
    pub duration_ms: u64,
    /// Hash of the last entry of its manifest: what proves all the others.
    pub head: Hash,
    /// To be answered when this is noted; the hot log is kept until then.
    pub noted: oneshot::Sender<()>,
}

/// Asks for recordings to be sealed. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct SealQueue(mpsc::Sender<Arc<Shared>>);

impl SealQueue {
    pub(super) fn new() -> (Self, mpsc::Receiver<Arc<Shared>>) {
        let (queue, receiver) = mpsc::channel(QUEUED);
        (Self(queue), receiver)
    }

    /// There is something to seal. Never waits: where the queue is full, the next sync asks again.
    pub(super) fn ask(&self, recording: &Arc<Shared>) {
        if !recording.sealing.swap(true, Ordering::AcqRel) && self.0.try_send(Arc::clone(recording)).is_err() {
            recording.sealing.store(false, Ordering::Release);
        }
    }
}

/// What a hot log says of its segments. Blocking.
pub(super) fn read_local(folder: &Path, key: SessionKey) -> io::Result<Manifest> {
    local::read(folder, key).map(|(manifest, _)| manifest)
}
