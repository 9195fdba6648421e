//! The commands of a terminal session, for search and audit: found by shell marks where the shell gives them, on the
//! screen otherwise. Pure: bytes and times in, commands out.
//!
//! It is a help, never a security boundary: a person who wants to hide a command can, and the recording is the evidence.
//! What is typed without echo is never a command, because commands are read off the screen and never from the keys.

pub mod redact;

mod keys;
mod lines;
mod matching;
mod prompt;
mod scan;
mod screen;
mod strokes;
mod tracker;
mod typed;

pub use strokes::{Stroke, Strokes};
pub use tracker::Tracker;

use crate::clock::UnixMillis;

/// Longest text of one command that is kept, in characters, as the shells that mark cut it; what is longer is cut after its
/// secrets were replaced.
pub const MAX_COMMAND_CHARACTERS: usize = 16 * 1024;

/// The same in bytes.
pub const MAX_COMMAND_BYTES: usize = 4 * MAX_COMMAND_CHARACTERS;

/// Whether a command is here as it was submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// It was longer than [`MAX_COMMAND_CHARACTERS`]: its beginning.
    Cut,
}

/// A command that a person submitted at a shell's prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Counts the commands of one tracker from 1; [`Event::Finished`] repeats that of [`Event::Submitted`].
    pub number: u64,
    /// What was submitted, at most [`MAX_COMMAND_BYTES`]; lines are separated by `\n`. Without secrets, if the tracker
    /// was made with [`Secrets::Redact`]. May hold any other character: escape it at every sink.
    pub text: String,
    /// How it was found.
    pub source: Source,
    /// Whether `text` is all of it.
    pub extent: Extent,
    /// Names the Enter that submitted it, the same whenever the same typing is followed, and grows with time; `None` where
    /// marks told of it.
    pub entered: Option<u64>,
    /// How sure it is, from 0 to 1; marks are 1.
    pub confidence: f32,
    /// How it ended, where the shell told.
    pub exit_code: Option<i32>,
    /// The shell's working directory when it was submitted, where the shell told.
    pub cwd: Option<String>,
    /// Secrets that were replaced in `text`.
    pub redactions: u32,
    /// When it was submitted, as far as the relay saw.
    pub at: UnixMillis,
}

/// How a command was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The shell said so.
    Marks,
    /// Read off the screen.
    Screen,
}

impl Source {
    /// As it is written in audit events: `marks` or `screen`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Marks => "marks",
            Self::Screen => "screen",
        }
    }
}

/// What a tracker found.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A command was submitted; its end is not known yet. Yielded once for every command.
    Submitted(Command),
    /// The shell told how a command ended: the same command again, with its exit code if there is one. Follows
    /// `Submitted` for commands from marks only, and at most once.
    Finished(Command),
}

/// What a shell with marks says about itself. The nonce was checked, and the mark taken out of the output, before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// The prompt is about to be drawn (133;A).
    PromptStart,
    /// The prompt ends here, the person types from here on (133;B).
    PromptEnd,
    /// The line that is about to run, exactly as the shell read it (633;E).
    CommandLine(String),
    /// The line runs: what follows is output of programs (133;C).
    Executed,
    /// The line ended, with its exit code if the shell told (133;D).
    Finished(Option<i32>),
    /// The shell's working directory (633;P;Cwd=… or OSC 7, decoded).
    Cwd(String),
}

/// What happens to secrets inside commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// Replaced by `[redacted]` and counted: for everything that is stored or shown.
    Redact,
    /// Left as they are: for measuring the tracker against known commands.
    Keep,
}
