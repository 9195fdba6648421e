//! What is left out of output that nobody waits for any more: lines of text and colours, which change nothing else of the
//! terminal.

use bytes::Bytes;
use podlatch_protocol::limits::MAX_CHUNK_BYTES;

use crate::recording::{ReadError, Recording};

/// What stays of the end, in bytes, and in lines: more than any screen holds of a flood.
const KEPT_BYTES: u64 = 16 * 1024;
const KEPT_LINES: usize = 500;

/// Leaving out less is not worth a line that says so.
const LEAST_BYTES: u64 = 8 * 1024;

/// Read at a time, in bytes.
const LOOK_BYTES: usize = 256 * 1024;

/// Colours that are carried over; output with more changes than that goes out whole.
const MOST_STYLE_BYTES: usize = 4 * 1024;

/// A sequence that is longer than this is no change of colours.
const LONGEST_SEQUENCE_BYTES: usize = 64;

const ESCAPE: u8 = 0x1b;

/// Output that is left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Output goes on from here.
    pub(super) end: u64,
    /// What is drawn in its place.
    pub(super) shown: Vec<u8>,
}

/// Leaves out the output from `sent` to `written`, but for its last lines; `None` where it holds more than text and colours, or
/// no line that could go. Cancel safe.
pub(super) async fn middle(recording: &Recording, sent: u64, written: u64) -> Result<Option<LeftOut>, ReadError> {
    // A sequence or a character that was begun before is finished in the first line.
    let Some(begun) = line(recording, sent, written).await? else { return Ok(None) };
    let from = sent + begun.len() as u64;
    let kept = written.saturating_sub(KEPT_BYTES).max(from);
    let Some(end) = begin_of_end(recording, kept, written).await? else { return Ok(None) };
    if end - from < LEAST_BYTES {
        return Ok(None);
    }
    let mut lines = Lines::default();
    let mut at = from;
    while at < end {
        let limit = usize::try_from(end - at).unwrap_or(LOOK_BYTES).min(LOOK_BYTES);
        let bytes = recording.read(at, limit).await?;
        if let Err(NotPlain) = lines.read(&bytes) {
            return Ok(None);
        }
        at += bytes.len() as u64;
    }
    let notice = format!("… {} KiB are not drawn; the recording has them …\r\n", (end - from).div_ceil(1024));
    Ok(lines.style().ok().map(|style| LeftOut { end, shown: [&*begun, notice.as_bytes(), &style].concat() }))
}

/// The rest of the line at `from`, its line feed included, if it is not long. Cancel safe.
async fn line(recording: &Recording, from: u64, end: u64) -> Result<Option<Bytes>, ReadError> {
    let limit = usize::try_from(end.saturating_sub(from)).unwrap_or(MAX_CHUNK_BYTES).min(MAX_CHUNK_BYTES);
    if limit == 0 {
        return Ok(None);
    }
    let bytes = recording.read(from, limit).await?;
    Ok(memchr::memchr(b'\n', &bytes).map(|at| bytes.slice(..=at)))
}

/// Where the end begins that stays: behind a line feed, at `kept` or later. Cancel safe.
async fn begin_of_end(recording: &Recording, kept: u64, written: u64) -> Result<Option<u64>, ReadError> {
    let mut feeds = Vec::new();
    let mut at = kept;
    while at < written {
        let limit = usize::try_from(written - at).unwrap_or(LOOK_BYTES).min(LOOK_BYTES);
        let bytes = recording.read(at, limit).await?;
        feeds.extend(memchr::memchr_iter(b'\n', &bytes).map(|feed| at + feed as u64 + 1));
        at += bytes.len() as u64;
    }
    // The last line may be a prompt; it has no feed yet.
    Ok(feeds.get(feeds.len().saturating_sub(KEPT_LINES)).copied())
}

/// There is something in it that could change what the terminal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than text and colours")]
struct NotPlain;

/// Whole lines, read piece by piece.
#[derive(Debug, Default)]
struct Lines {
    /// The sequence that has begun.
    sequence: Vec<u8>,
    /// Changes of colours since the last reset of them.
    style: Vec<u8>,
}

impl Lines {
    /// The next piece.
    fn read(&mut self, bytes: &[u8]) -> Result<(), NotPlain> {
        for &byte in bytes {
            if !self.sequence.is_empty() {
                self.go_on(byte)?;
            } else if byte == ESCAPE {
                self.sequence.push(byte);
            } else if !is_text(byte) {
                return Err(NotPlain);
            }
        }
        Ok(())
    }

    /// What sets the colours as they stand after the lines.
    fn style(self) -> Result<Vec<u8>, NotPlain> {
        if self.sequence.is_empty() { Ok(self.style) } else { Err(NotPlain) }
    }

    fn go_on(&mut self, byte: u8) -> Result<(), NotPlain> {
        self.sequence.push(byte);
        match (self.sequence.len(), byte) {
            (3.., b'm') => {
                if matches!(self.sequence[2..], [b'm'] | [b'0', b'm']) {
                    self.style.clear();
                }
                self.style.append(&mut self.sequence);
                if self.style.len() <= MOST_STYLE_BYTES { Ok(()) } else { Err(NotPlain) }
            }
            // Erases within a line that is not drawn.
            (3.., b'K') => {
                self.sequence.clear();
                Ok(())
            }
            (2, b'[') | (3..=LONGEST_SEQUENCE_BYTES, b'0'..=b';') => Ok(()),
            _ => Err(NotPlain),
        }
    }
}

/// Text, and the control characters that only move within it: bell, backspace, tab, line feed, carriage return.
const fn is_text(byte: u8) -> bool {
    matches!(byte, 0x07..=0x0a | 0x0d | 0x20..=0x7e | 0x80..)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use podlatch_protocol::id::{OrganisationId, SessionId};
    use podlatch_protocol::terminal::TerminalSize;
    use tempfile::TempDir;
    use tokio::sync::mpsc;

    use super::*;
    use crate::clock::UnixMillis;
    use crate::recording::{NewRecording, Piece, Recorder, RecorderParts, RecordingsStore, StoreLocation};

    struct Recorded {
        recording: Recording,
        written: u64,
        _recorder: Recorder,
        _folder: TempDir,
    }

    async fn recorded(output: String) -> Recorded {
        let folder = tempfile::tempdir().expect("a folder");
        let store = RecordingsStore::open(&StoreLocation::Folder(folder.path().join("store")), []).expect("opens");
        let (sealed, _nobody) = mpsc::channel(1);
        let parts = RecorderParts { hot: folder.path().to_owned(), store, patience: Duration::from_mins(1), sealed };
        let recorder = Recorder::start(parts).expect("starts");
        let (organisation, session) = (OrganisationId::new(1, &[1; 10]), SessionId::new(1, &[1; 10]));
        let new = NewRecording { organisation, session, size: TerminalSize::DEFAULT, at: UnixMillis::new(1) };
        let recording = recorder.create(new).await.expect("begins");
        let written = output.len() as u64;
        let piece = Piece { bytes: Bytes::from(output), source_end: written, at: UnixMillis::new(1) };
        recording.append(piece).await.expect("appends");
        recording.written().wait_for(|end| *end == written).await.expect("is written");
        Recorded { recording, written, _recorder: recorder, _folder: folder }
    }

    async fn left_out(output: String, sent: u64) -> Option<(String, String)> {
        let Recorded { recording, written, .. } = &recorded(output).await;
        let left = middle(recording, sent, *written).await.expect("reads")?;
        let rest = usize::try_from(written - left.end).expect("small");
        let rest = if rest == 0 { Bytes::new() } else { recording.read(left.end, rest).await.expect("reads") };
        Some((String::from_utf8(left.shown).expect("text"), String::from_utf8(rest.to_vec()).expect("text")))
    }

    #[tokio::test]
    async fn the_begun_line_and_the_last_lines_stay() {
        let flood = "y\r\n".repeat(100_000);
        let (shown, rest) =
            left_out(format!("begun \x1b[32mline\r\n{flood}^C\r\npod> "), 5).await.expect("is left out");
        assert_eq!(shown, " \x1b[32mline\r\n… 292 KiB are not drawn; the recording has them …\r\n");
        assert_eq!(rest, format!("{}^C\r\npod> ", "y\r\n".repeat(KEPT_LINES - 2)));
    }

    #[tokio::test]
    async fn long_lines_leave_fewer() {
        let (_, rest) = left_out(format!("{}\r\n", "x".repeat(998)).repeat(100), 0).await.expect("is left out");
        assert_eq!(rest.len(), 16_000);
    }

    #[tokio::test]
    async fn what_is_short_or_has_no_lines_or_is_more_than_text_stays() {
        assert_eq!(left_out("y\r\n".repeat(2_000), 0).await, None);
        assert_eq!(left_out("y".repeat(100_000), 0).await, None);
        assert_eq!(left_out("\x1b[2J\r\n".repeat(20_000), 2).await, None);
    }

    fn style(pieces: &[&str]) -> Result<String, NotPlain> {
        let mut lines = Lines::default();
        for piece in pieces {
            lines.read(piece.as_bytes())?;
        }
        lines.style().map(|style| String::from_utf8(style).expect("ASCII"))
    }

    #[test]
    fn text_and_colours_may_be_left_out_and_the_colours_stay() {
        assert_eq!(style(&["y\r\ny\r\n"]).as_deref(), Ok(""));
        assert_eq!(style(&["ü\t\x1b[1;31mred\r\n\x07\x08"]).as_deref(), Ok("\x1b[1;31m"));
        assert_eq!(style(&["a\x1b", "[3", "1mb\r\n"]).as_deref(), Ok("\x1b[31m"));
        assert_eq!(style(&["\x1b[35mfile\x1b[m\x1b[K:match\r\n", "50%\r\x1b[2K"]).as_deref(), Ok("\x1b[m"));
        assert_eq!(style(&["\x1b[31ma\x1b[0mb\x1b[1mc\r\n"]).as_deref(), Ok("\x1b[0m\x1b[1m"));
        assert_eq!(style(&[&"\x1b[31ma\x1b[m".repeat(10_000)]).as_deref(), Ok("\x1b[m"));
    }

    #[test]
    fn whatever_else_is_in_it_keeps_it_whole() {
        for other in
            ["\x1b[?1049h", "\x1b[2J", "\x1b]0;title\x07", "\x1bc", "\x0e", "\x05", "\x7f", "\x1b[>4m", "\x1b[1;"]
        {
            assert_eq!(style(&["text\r\n", other]), Err(NotPlain), "{other:?}");
        }
        assert_eq!(style(&[&"\x1b[31m".repeat(10_000)]), Err(NotPlain));
        assert_eq!(style(&[&format!("\x1b[{}m", "1;".repeat(100))]), Err(NotPlain));
    }
}
