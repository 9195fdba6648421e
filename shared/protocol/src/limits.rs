//! Limits that both ends of the tunnel rely on, each with its unit and its reason.

use std::time::Duration;

/// Largest body of any frame, in bytes. Checked before a body is read or allocated.
pub const MAX_FRAME_BODY_BYTES: usize = 64 * 1024;

/// Largest run of terminal bytes in one `Input` or `Output` frame: small enough that a keystroke never queues behind more
/// than this within its own stream.
pub const MAX_CHUNK_BYTES: usize = 32 * 1024;

/// How far a writer may run ahead of the last `InputApplied`. Both sides know it, so input needs no credit messages; the
/// holder ignores what lies beyond it.
pub const INPUT_WINDOW_BYTES: u64 = 256 * 1024;

/// Largest number of writers whose positions a holder remembers. The one that was silent longest is forgotten first.
pub const MAX_WRITERS: usize = 64;

/// Largest text of a person or of Kubernetes inside a message, in bytes.
pub const MAX_DETAIL_BYTES: usize = 2 * 1024;

/// Largest number of command words in an `Open`.
pub const MAX_COMMAND_WORDS: usize = 64;

/// How often the relay pings on the control stream.
pub const CONTROL_PING_INTERVAL: Duration = Duration::from_secs(3);

/// Silence after which the relay calls an agent unreachable and tells its viewers. Three pings, so that one lost packet
/// alarms nobody, and well inside the 15 s in which a person must be told.
pub const AGENT_SILENCE: Duration = Duration::from_secs(10);

/// How long a session outlives its last viewer, and an agent's session its relay, unless configured otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_mins(5);

/// How long a debug container may take to run: its image is mostly pulled first.
pub const DEBUG_START: Duration = Duration::from_mins(1);
