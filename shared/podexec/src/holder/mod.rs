//! The holder: owns one exec for a session, through any failure of the path to the person.
//!
//! [`Holder`] is the pure part: offsets, ring, duplicates, credit, grace and end, with the time passed in. [`task`] is its
//! owner task, which does the I/O and decides nothing; [`start`] starts what it owns.

mod halves;
mod handle;
mod input;
mod lease;
mod model;
mod output;
mod start;
mod task;

use std::time::{Duration, Instant};

use bytes::Bytes;
use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::WriterId;
use podlatch_protocol::request;
use podlatch_protocol::session::{Attached, Cleanup, Ended, ExitOutcome, Input, InputApplied, Output};
use podlatch_protocol::terminal::TerminalSize;

pub use handle::{HolderHandle, Link};
pub use input::InputIgnored;
pub use start::Opening;
pub use task::{OpenError, Started, open};

use input::InputLedger;
use lease::Lease;
use output::OutputRing;

/// Most output that is kept while it is not durable, in bytes. Full means that the process is no longer read.
pub const RING_BYTES: u64 = 4 * 1024 * 1024;

/// Most output that is read ahead of what may be sent while a relay is attached, in bytes: this much still appears after a
/// Ctrl-C, so it is small.
const READ_AHEAD_BYTES: u64 = 32 * 1024;

/// Where the session stands with its relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    /// Output may be sent up to `credit`.
    Attached { credit: u64 },
    /// Nobody is there since then.
    Detached { since: Instant },
}

/// Where the session stands with its process.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Life {
    /// The process runs, as far as anybody knows.
    Running,
    /// It is being ended for this cause.
    Ending(EndCause),
    /// It ended; nothing will be read any more.
    Ended { ended: Ended, at: Instant, report: Report },
}

/// Whether the attached relay was told of the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Report {
    Due,
    Sent,
}

/// What the owner has to do next because time passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// End the session for this cause.
    End(EndCause),
    /// Nobody fetched the end in time: forget the session.
    Forget,
}

/// A relay asked to attach at an offset that cannot be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The relay asks for bytes that it once called durable.
    #[error("output below {base} is no longer held")]
    Forgotten {
        /// First offset that is still held.
        base: u64,
    },
    /// The relay claims bytes that were never written.
    #[error("output ends at {end}")]
    Ahead {
        /// Offset behind the last byte.
        end: u64,
    },
}

/// The pure state of a holder. Every decision is here; nothing here waits, sends or asks for the time.
#[derive(Debug)]
pub struct Holder {
    grace: Duration,
    output: OutputRing,
    input: InputLedger,
    resize: Option<TerminalSize>,
    path: Path,
    lease: Lease,
    life: Life,
}

impl Holder {
    /// A holder whose process has just started, attached, with output allowed up to `credit`, and a lease that came at `now`.
    pub fn new(grace: Duration, credit: u64, lease: request::Lease, now: Instant) -> Self {
        Self {
            grace,
            output: OutputRing::default(),
            input: InputLedger::default(),
            resize: None,
            path: Path::Attached { credit },
            lease: Lease::begin(lease, now),
            life: Life::Running,
        }
    }

    /// Whether the process may be read now.
    pub fn may_read(&self) -> bool {
        let room = self.output.len() < RING_BYTES;
        match self.path {
            Path::Attached { .. } => room && self.output.unsent() < READ_AHEAD_BYTES,
            Path::Detached { .. } => room,
        }
    }

    /// The process wrote. Ignored after the end.
    pub fn handle_output(&mut self, bytes: Bytes) {
        if !matches!(self.life, Life::Ended { .. }) {
            self.output.push(bytes);
        }
    }

    /// The next piece of output to send, within the credit; none while the session is frozen.
    pub fn next_output(&mut self, now: Instant) -> Option<Output> {
        match self.path {
            Path::Attached { credit } if self.lease.is_valid(now) => self.output.take(credit),
            Path::Attached { .. } | Path::Detached { .. } => None,
        }
    }

    /// Whether [`Self::next_output`] would return something.
    pub fn has_output(&self, now: Instant) -> bool {
        let allowed =
            matches!(self.path, Path::Attached { credit } if self.output.next() < credit.min(self.output.end()));
        allowed && self.lease.is_valid(now)
    }

    /// The relay lets the session go on. Unfreezes it.
    pub fn handle_lease(&mut self, lease: request::Lease, now: Instant) {
        self.lease.renew(lease, now);
    }

    /// Output up to `limit` may be sent. The latest limit counts; one below what was sent stops the sending.
    pub fn handle_credit(&mut self, limit: u64) {
        if let Path::Attached { credit } = &mut self.path {
            *credit = limit;
        }
    }

    /// Output below `offset` is durable and may be forgotten.
    pub fn handle_recorded(&mut self, offset: u64) {
        self.output.forget_below(offset);
    }

    /// Somebody typed. What was taken before, and what cannot be in order, is ignored.
    pub fn handle_input(&mut self, input: Input) -> Result<(), InputIgnored> {
        match self.life {
            Life::Running => self.input.accept(input),
            Life::Ending(_) | Life::Ended { .. } => Err(InputIgnored::Overrun),
        }
    }

    /// The next input to write to the process, to be confirmed with [`Self::input_written`]; none while the session is
    /// frozen.
    pub fn next_input(&mut self, now: Instant) -> Option<(WriterId, Bytes)> {
        if self.lease.is_valid(now) { self.input.take() } else { None }
    }

    /// Whether [`Self::next_input`] would return something.
    pub fn has_input(&self, now: Instant) -> bool {
        self.lease.is_valid(now) && self.input.has_queued()
    }

    /// `length` bytes of `writer` were written to the process.
    pub fn input_written(&mut self, writer: WriterId, length: u64) -> InputApplied {
        self.input.applied(writer, length)
    }

    /// The terminal has a new size; only the latest counts.
    pub fn handle_resize(&mut self, size: TerminalSize) {
        self.resize = Some(size);
    }

    /// The size that the process has not been told yet.
    pub fn next_resize(&mut self) -> Option<TerminalSize> {
        self.resize.take()
    }

    /// A relay takes over. Output goes on from `have`. Supersedes an earlier one.
    pub fn attach(&mut self, have: u64, credit: u64) -> Result<Attached, AttachError> {
        if have > self.output.end() {
            return Err(AttachError::Ahead { end: self.output.end() });
        }
        if !self.output.rewind(have) {
            return Err(AttachError::Forgotten { base: self.output.base() });
        }
        self.path = Path::Attached { credit };
        if let Life::Ended { report, .. } = &mut self.life {
            *report = Report::Due;
        }
        Ok(Attached { output_offset: have, writers: self.input.accepted() })
    }

    /// How far each writer's input was applied, for a relay that has just attached.
    pub fn applied_inputs(&self) -> Vec<InputApplied> {
        self.input.applied_so_far()
    }

    /// The relay is gone.
    pub fn detach(&mut self, now: Instant) {
        if let Path::Attached { .. } = self.path {
            self.path = Path::Detached { since: now };
        }
    }

    /// The session is to be ended. The first cause stands. Returns whether there is something to do.
    pub fn begin_end(&mut self, cause: EndCause) -> bool {
        let running = self.life == Life::Running;
        if running {
            self.life = Life::Ending(cause);
        }
        running
    }

    /// The cause for which the session is being ended, if it is.
    pub fn ending(&self) -> Option<EndCause> {
        match self.life {
            Life::Ending(cause) => Some(cause),
            Life::Running | Life::Ended { .. } => None,
        }
    }

    /// Nothing will be read any more. `cause` is for a process that ended by itself; one that was being ended keeps its own.
    pub fn handle_end(&mut self, cause: EndCause, outcome: ExitOutcome, cleanup: Cleanup, now: Instant) {
        let cause = match self.life {
            Life::Running => cause,
            Life::Ending(earlier) => earlier,
            Life::Ended { .. } => return,
        };
        let ended = Ended { cause, outcome, cleanup, output_length: self.output.end() };
        self.life = Life::Ended { ended, at: now, report: Report::Due };
    }

    /// Whether the process has ended.
    pub fn has_ended(&self) -> bool {
        matches!(self.life, Life::Ended { .. })
    }

    /// The end, once every byte before it was sent to an attached relay; once for each that attaches.
    pub fn next_end(&mut self) -> Option<Ended> {
        if !self.has_end_to_report() {
            return None;
        }
        let Life::Ended { ended, report, .. } = &mut self.life else {
            return None;
        };
        *report = Report::Sent;
        Some(ended.clone())
    }

    /// Whether [`Self::next_end`] would return something.
    pub fn has_end_to_report(&self) -> bool {
        let due = matches!(self.life, Life::Ended { report: Report::Due, .. });
        due && matches!(self.path, Path::Attached { .. }) && self.output.unsent() == 0
    }

    /// What is due at `now`.
    pub fn handle_timeout(&self, now: Instant) -> Due {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Due::Nothing;
        }
        match self.life {
            Life::Running if self.lease.expires_at().is_some_and(|expiry| now >= expiry) => Due::End(EndCause::Expired),
            Life::Running => Due::End(EndCause::RelayLost),
            Life::Ending(_) => Due::Nothing,
            Life::Ended { .. } => Due::Forget,
        }
    }

    /// When [`Self::handle_timeout`] has to be asked next.
    pub fn deadline(&self) -> Option<Instant> {
        match (&self.life, self.path) {
            (Life::Running, Path::Detached { since }) => {
                let grace = since + self.grace;
                Some(self.lease.expires_at().map_or(grace, |expiry| expiry.min(grace)))
            }
            (Life::Running, Path::Attached { .. }) => self.lease.expires_at(),
            // The end, and the output before it, are kept as long again for a relay that returns late.
            (Life::Ended { at, .. }, Path::Detached { since }) => Some((*at).max(since) + self.grace),
            (Life::Ended { at, .. }, Path::Attached { .. }) => Some(*at + self.grace),
            (Life::Ending(_), _) => None,
        }
    }
}
