//! Output that is not durable yet, by its offset. Pure.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use podlatch_protocol::limits::MAX_CHUNK_BYTES;
use podlatch_protocol::session::Output;

/// Pieces below this are copied: a keystroke's echo must not keep a whole read buffer alive.
const COPY_BELOW_BYTES: usize = 1024;

/// The ring: everything from the oldest byte that is not durable to the newest that was read.
#[derive(Debug, Default)]
pub(super) struct OutputRing {
    /// From `base` to `next`.
    sent: VecDeque<Bytes>,
    /// From `next` to `end`.
    unsent: VecDeque<Bytes>,
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
        self.unsent.push_back(if bytes.len() < COPY_BELOW_BYTES { Bytes::copy_from_slice(&bytes) } else { bytes });
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
        if !(self.base..=self.end).contains(&offset) {
            return false;
        }
        while self.next > offset
            && let Some(mut chunk) = self.sent.pop_back()
        {
            let start = self.next - chunk.len() as u64;
            let keep = usize::try_from(offset.saturating_sub(start)).unwrap_or(0);
            let again = chunk.split_off(keep);
            self.next -= again.len() as u64;
            self.unsent.push_front(again);
            if !chunk.is_empty() {
                self.sent.push_back(chunk);
            }
        }
        while self.next < offset && self.send_chunk(offset - self.next).is_some() {}
        true
    }

    /// Forgets what lies below `offset`; never what was not sent.
    pub(super) fn forget_below(&mut self, offset: u64) {
        let offset = offset.min(self.next);
        while self.base < offset
            && let Some(first) = self.sent.front_mut()
        {
            let gone = usize::try_from(offset - self.base).unwrap_or(usize::MAX).min(first.len());
            first.advance(gone);
            self.base += gone as u64;
            if first.is_empty() {
                self.sent.pop_front();
            }
        }
        // Idle sessions hold no memory.
        if self.sent.is_empty() {
            self.sent = VecDeque::new();
        }
        if self.unsent.is_empty() {
            self.unsent = VecDeque::new();
        }
    }

    /// The next piece to send, up to `limit`. Small pieces that wait are sent as one: a terminal gives 4 KiB at a time, and
    /// each piece costs every station of the way the same.
    pub(super) fn take(&mut self, limit: u64) -> Option<Output> {
        let offset = self.next;
        let allowed = limit.checked_sub(offset)?.min(MAX_CHUNK_BYTES as u64);
        let first = self.send_chunk(allowed)?;
        let more = (allowed - first.len() as u64).min(self.unsent());
        if more == 0 {
            return Some(Output { offset, bytes: first });
        }
        let mut bytes = BytesMut::with_capacity(first.len() + usize::try_from(more).unwrap_or(0));
        bytes.extend_from_slice(&first);
        while let Some(next) = self.send_chunk(allowed - bytes.len() as u64) {
            bytes.extend_from_slice(&next);
        }
        Some(Output { offset, bytes: bytes.freeze() })
    }

    /// Moves the first chunk, or its first `limit` bytes, to those that were sent; nothing where that is nothing.
    fn send_chunk(&mut self, limit: u64) -> Option<Bytes> {
        let first = self.unsent.front_mut()?;
        let length = usize::try_from(limit).unwrap_or(usize::MAX).min(first.len());
        if length == 0 {
            return None;
        }
        let chunk = first.split_to(length);
        if first.is_empty() {
            self.unsent.pop_front();
        }
        self.next += length as u64;
        self.sent.push_back(chunk.clone());
        Some(chunk)
    }
}
