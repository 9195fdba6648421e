//! What a shell said, as it is kept in a recording's timeline: without secrets. Pure.

use crate::commands::redact::redact;
use crate::recording::Mark;
use crate::session::marks::{CommandText, ShellMark};

/// What a shell said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Note {
    /// This command line is about to run.
    Command(CommandNote),
    /// What is typed appears from here on.
    Input,
    /// What is typed appears from here on, and continues the line before.
    NextLine,
    /// A prompt follows.
    Prompt { status: i32, cwd: String },
}

/// What the shell knows of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CommandNote {
    /// Exactly this, but for the secrets in it.
    Exact { text: String, redactions: u32 },
    /// It is not in the history, whose last is this.
    Unsure { last: String },
}

const EXACT: u8 = b'c';
const UNSURE: u8 = b'u';
const INPUT: u8 = b'i';
const NEXT_LINE: u8 = b'n';
const PROMPT: u8 = b'p';

/// What is to be recorded of a mark. Takes the secrets out of it.
pub(in crate::session) fn record(mark: ShellMark) -> Mark {
    let note = match mark {
        ShellMark::Command(CommandText::Exact(text)) => {
            let redacted = redact(&text);
            Note::Command(CommandNote::Exact { text: redacted.text, redactions: redacted.count })
        }
        ShellMark::Command(CommandText::Unsure(last)) => {
            Note::Command(CommandNote::Unsure { last: redact(&last).text })
        }
        ShellMark::Input => Note::Input,
        ShellMark::NextLine => Note::NextLine,
        ShellMark::Prompt { status, cwd } => Note::Prompt { status, cwd },
    };
    let label = match &note {
        Note::Command(CommandNote::Exact { text, .. }) => text.clone(),
        Note::Command(CommandNote::Unsure { .. }) | Note::Input | Note::NextLine | Note::Prompt { .. } => String::new(),
    };
    Mark { label, note: note.encode() }
}

impl Note {
    /// `kind: u8, number: u32 (big-endian), text`.
    fn encode(&self) -> Vec<u8> {
        let (kind, number, text) = match self {
            Self::Command(CommandNote::Exact { text, redactions }) => (EXACT, *redactions, text.as_str()),
            Self::Command(CommandNote::Unsure { last }) => (UNSURE, 0, last.as_str()),
            Self::Input => (INPUT, 0, ""),
            Self::NextLine => (NEXT_LINE, 0, ""),
            Self::Prompt { status, cwd } => (PROMPT, status.cast_unsigned(), cwd.as_str()),
        };
        let mut bytes = Vec::with_capacity(5 + text.len());
        bytes.push(kind);
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    /// `None` for a note of another version.
    pub(super) fn decode(note: &[u8]) -> Option<Self> {
        let (head, text) = note.split_first_chunk::<5>()?;
        let [kind, number @ ..] = *head;
        let (number, text) = (u32::from_be_bytes(number), String::from_utf8_lossy(text).into_owned());
        Some(match kind {
            EXACT => Self::Command(CommandNote::Exact { text, redactions: number }),
            UNSURE => Self::Command(CommandNote::Unsure { last: text }),
            INPUT => Self::Input,
            NEXT_LINE => Self::NextLine,
            PROMPT => Self::Prompt { status: number.cast_signed(), cwd: text },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_survive() {
        for note in [
            Note::Command(CommandNote::Exact { text: "ls \u{e9}\n".into(), redactions: 3 }),
            Note::Command(CommandNote::Unsure { last: "pwd".into() }),
            Note::Input,
            Note::NextLine,
            Note::Prompt { status: -1, cwd: "/a b".into() },
        ] {
            assert_eq!(Note::decode(&note.encode()), Some(note));
        }
        assert_eq!(Note::decode(b"?0000"), None);
        assert_eq!(Note::decode(b"c"), None);
    }

    #[test]
    fn only_what_is_sure_is_labelled() {
        let label = |mark| record(mark).label;
        assert_eq!(label(ShellMark::Command(CommandText::Exact("ls".into()))), "ls");
        assert_eq!(label(ShellMark::Command(CommandText::Unsure("ls".into()))), "");
        assert_eq!(label(ShellMark::Input), "");
    }
}
