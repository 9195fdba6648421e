//! Input by writer and offset: each byte is applied once, whatever is sent again. Pure.

use std::collections::VecDeque;

use bytes::Bytes;
use podlatch_protocol::id::WriterId;
use podlatch_protocol::limits::{INPUT_WINDOW_BYTES, MAX_WRITERS};
use podlatch_protocol::session::{Input, InputApplied};

/// Everything that waits to be written to the process, in bytes: a few windows, because each of several tabs has its own.
const MAX_QUEUED_BYTES: u64 = 4 * INPUT_WINDOW_BYTES;

/// Why input was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputIgnored {
    /// All of it was taken before.
    Duplicate,
    /// Bytes before it are missing.
    Gap,
    /// The writer ran ahead of its window.
    Overrun,
}

#[derive(Debug, Clone, Copy)]
struct Position {
    writer: WriterId,
    /// Every byte below was taken into the queue.
    accepted: u64,
    /// Every byte below was written to the process.
    applied: u64,
}

#[derive(Debug, Default)]
pub(super) struct InputLedger {
    /// Silent longest first.
    positions: Vec<Position>,
    queue: VecDeque<(WriterId, Bytes)>,
    queued: u64,
}

impl InputLedger {
    /// Takes what is new of `input` into the queue.
    pub(super) fn accept(&mut self, input: Input) -> Result<(), InputIgnored> {
        let Input { writer, offset, mut bytes } = input;
        let position = self.position(writer);
        if offset > position.accepted {
            return Err(InputIgnored::Gap);
        }
        let known = position.accepted - offset;
        if known >= bytes.len() as u64 {
            return Err(InputIgnored::Duplicate);
        }
        let bytes = bytes.split_off(usize::try_from(known).unwrap_or(usize::MAX));
        let length = bytes.len() as u64;
        if position.accepted + length > position.applied + INPUT_WINDOW_BYTES || self.queued + length > MAX_QUEUED_BYTES
        {
            return Err(InputIgnored::Overrun);
        }
        self.position(writer).accepted += length;
        self.queued += length;
        self.queue.push_back((writer, bytes));
        Ok(())
    }

    /// The next bytes to write to the process.
    pub(super) fn take(&mut self) -> Option<(WriterId, Bytes)> {
        let (writer, bytes) = self.queue.pop_front()?;
        self.queued -= bytes.len() as u64;
        Some((writer, bytes))
    }

    /// `length` bytes of `writer` were written to the process.
    pub(super) fn applied(&mut self, writer: WriterId, length: u64) -> InputApplied {
        let position = self.position(writer);
        position.applied = (position.applied + length).min(position.accepted);
        InputApplied { writer, offset: position.applied }
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// From where each writer should send on.
    pub(super) fn accepted(&self) -> Vec<InputApplied> {
        self.positions.iter().map(|at| InputApplied { writer: at.writer, offset: at.accepted }).collect()
    }

    /// How far each writer's input was written to the process.
    pub(super) fn applied_so_far(&self) -> Vec<InputApplied> {
        self.positions.iter().map(|at| InputApplied { writer: at.writer, offset: at.applied }).collect()
    }

    /// The writer's position, moved to the end of the line.
    fn position(&mut self, writer: WriterId) -> &mut Position {
        let known = self.positions.iter().position(|at| at.writer == writer).map(|index| self.positions.remove(index));
        let position = known.unwrap_or_else(|| {
            if self.positions.len() >= MAX_WRITERS {
                // The one that was silent longest, if nothing of it is under way.
                let idle = self.positions.iter().position(|at| at.accepted == at.applied).unwrap_or(0);
                self.positions.remove(idle);
            }
            Position { writer, accepted: 0, applied: 0 }
        });
        let last = self.positions.len();
        self.positions.push(position);
        &mut self.positions[last]
    }
}
