//! The newest output in memory, for viewers that keep up: they never wait for the disk to read. Pure.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Most output that is kept, in bytes: what one viewer may have in flight.
const CAPACITY_BYTES: u64 = 256 * 1024;

/// Pieces below this are copied: a keystroke's echo must not keep a whole read buffer alive.
const COPY_BELOW_BYTES: usize = 1024;

#[derive(Debug)]
pub(super) struct Tail {
    chunks: VecDeque<Bytes>,
    base: u64,
    end: u64,
}

impl Tail {
    /// An empty tail at `offset`.
    pub(super) fn at(offset: u64) -> Self {
        Self { chunks: VecDeque::new(), base: offset, end: offset }
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.end += bytes.len() as u64;
        self.chunks.push_back(if bytes.len() < COPY_BELOW_BYTES { Bytes::copy_from_slice(&bytes) } else { bytes });
        self.release_below(self.end.saturating_sub(CAPACITY_BYTES));
    }

    /// Forgets whole chunks below `offset`.
    pub(super) fn release_below(&mut self, offset: u64) {
        while let Some(first) = self.chunks.front() {
            let next = self.base + first.len() as u64;
            if next > offset {
                return;
            }
            self.base = next;
            self.chunks.pop_front();
        }
        // Idle sessions hold no memory.
        self.chunks = VecDeque::new();
    }

    /// Output from `offset` on, `limit` bytes or all that is there; `None` where it is no longer, or not yet, here. What lies
    /// in several pieces is joined: whoever is behind gets it in few messages.
    pub(super) fn slice(&self, offset: u64, limit: usize) -> Option<Bytes> {
        let mut skip = usize::try_from(offset.checked_sub(self.base)?).ok()?;
        let mut chunks = self.chunks.iter();
        let first = loop {
            let chunk = chunks.next()?;
            if skip < chunk.len() {
                break chunk.slice(skip..chunk.len().min(skip.saturating_add(limit)));
            }
            skip -= chunk.len();
        };
        let missing = limit - first.len();
        let Some(second) = chunks.next().filter(|_| missing > 0) else {
            return Some(first);
        };
        let there = usize::try_from(self.end - offset).unwrap_or(usize::MAX);
        let mut joined = BytesMut::with_capacity(limit.min(there));
        joined.extend_from_slice(&first);
        for chunk in std::iter::once(second).chain(chunks) {
            joined.extend_from_slice(&chunk[..chunk.len().min(limit - joined.len())]);
        }
        Some(joined.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_and_knows_what_it_lost() {
        let mut tail = Tail::at(10);
        tail.push(Bytes::from_static(b"hello"));
        tail.push(Bytes::from_static(b"world"));
        assert_eq!(tail.slice(10, 99).as_deref(), Some(&b"helloworld"[..]));
        assert_eq!(tail.slice(12, 5).as_deref(), Some(&b"llowo"[..]));
        assert_eq!(tail.slice(10, 5).as_deref(), Some(&b"hello"[..]));
        assert_eq!(tail.slice(12, 2).as_deref(), Some(&b"ll"[..]));
        assert_eq!(tail.slice(16, 99).as_deref(), Some(&b"orld"[..]));
        assert_eq!(tail.slice(20, 99), None);
        assert_eq!(tail.slice(9, 99), None);
        tail.release_below(17);
        assert_eq!(tail.slice(12, 2), None);
        assert_eq!(tail.slice(15, 99).as_deref(), Some(&b"world"[..]));
    }

    #[test]
    fn its_memory_is_bounded_and_empty_when_all_was_seen() {
        let mut tail = Tail::at(0);
        for _ in 0..100 {
            tail.push(Bytes::from(vec![0; 16 * 1024]));
        }
        assert!(tail.end - tail.base <= CAPACITY_BYTES);
        tail.release_below(tail.end);
        assert_eq!(tail.chunks.capacity(), 0);
    }
}
