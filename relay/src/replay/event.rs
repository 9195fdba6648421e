//! What happened in a recording, one event at a time. Pure.

use podlatch_protocol::terminal::TerminalSize;

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since the recording began; never less than the event before.
    pub at_ms: u64,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// The process wrote this.
    Output(String),
    /// The terminal got this size.
    Resize(TerminalSize),
    /// A command was run; secrets are taken out of its text already.
    Marker(String),
    /// The process exited with this status.
    Exit(i32),
    /// Something that draws nothing.
    Other,
}
