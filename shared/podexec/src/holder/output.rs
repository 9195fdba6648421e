//! Output that is not durable yet, by its offset. Pure.

use std::collections::VecDeque;

use bytes::Bytes;
use podlatch_protocol::limits::MAX_CHUNK_BYTES;
use podlatch_protocol::session::Output;

/// Pieces below this are copied: a keystroke's echo must not keep a whole read buffer alive.
const COPY_BELOW_BYTES: usize = 1024;

/// The ring: everything from the oldest byte that is not durable to the newest that was read.
#[derive(Debug, Default)]
pub(super) struct OutputRing {
    chunks: VecDeque<Bytes>,
    /// Offset of the first byte that is kept.
    base: u64,
    /// Offset behind the last byte that was read.
    end: u64,
    /// Offset of the next byte to send.
    next: u64,
}

impl OutputRing {
    pub(super) fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.end += bytes.len() as u64;
        self.chunks.push_back(if bytes.len() < COPY_BELOW_BYTES { Bytes::copy_from_slice(&bytes) } else { bytes });
    }

    pub(super) fn base(&self) -> u64 {
        self.base
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Bytes that are kept.
    pub(super) fn len(&self) -> u64 {
        self.end - self.base
    }

    /// Bytes that were read but not sent.
    pub(super) fn unsent(&self) -> u64 {
        self.end - self.next
    }

    /// Sends from `offset` on, if that is still here.
    pub(super) fn rewind(&mut self, offset: u64) -> bool {
        let possible = (self.base..=self.end).contains(&offset);
        if possible {
            self.next = offset;
        }
        possible
    }

    /// Forgets what lies below `offset`; never what was not sent.
    pub(super) fn forget_below(&mut self, offset: u64) {
        let offset = offset.min(self.next);
        while let Some(first) = self.chunks.front_mut() {
            let length = first.len() as u64;
            if self.base + length <= offset {
                self.base += length;
                self.chunks.pop_front();
            } else {
                if self.base < offset {
                    let gone = offset - self.base;
                    *first = first.split_off(usize::try_from(gone).unwrap_or(0));
                    self.base = offset;
                }
                break;
            }
        }
        if self.chunks.is_empty() {
            // Idle sessions hold no memory.
            self.chunks = VecDeque::new();
        }
    }

    /// The next piece to send, up to `limit`.
    pub(super) fn take(&mut self, limit: u64) -> Option<Output> {
        let allowed = limit.min(self.end).checked_sub(self.next).filter(|allowed| *allowed > 0)?;
        let allowed = usize::try_from(allowed).unwrap_or(MAX_CHUNK_BYTES).min(MAX_CHUNK_BYTES);
        let mut skip = usize::try_from(self.next - self.base).unwrap_or(usize::MAX);
        let chunk = self.chunks.iter().find(|chunk| {
            let here = skip < chunk.len();
            if !here {
                skip -= chunk.len();
            }
            here
        })?;
        let bytes = chunk.slice(skip..chunk.len().min(skip + allowed));
        let offset = self.next;
        self.next += bytes.len() as u64;
        Some(Output { offset, bytes })
    }
}
