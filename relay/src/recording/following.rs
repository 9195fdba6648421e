//! Reading a hot log in order while it is written. Blocking.

use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use podlatch_protocol::terminal::TerminalSize;

use super::timeline::{Entries, Event, Mark};
use super::{Recording, files};
use crate::clock::UnixMillis;

/// Reads a hot log's timeline entry by entry, and the output that it speaks of.
#[derive(Debug)]
pub(crate) struct LogReader {
    folder: PathBuf,
    /// Behind the last whole entry that was read.
    at: u64,
    /// From there on; gone when it has met the end, which may move.
    entries: Option<Entries<BufReader<File>>>,
    output: Option<File>,
}

/// An entry of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Output was written up to this recorded offset.
    Output { recorded_end: u64, at: UnixMillis },
    /// The terminal has another size from here on.
    Resize { size: TerminalSize, at: UnixMillis },
    /// The shell said something, and it stood below this source offset.
    Mark { mark: Mark, source_end: u64, at: UnixMillis },
    /// A person typed: how, not what.
    Typed { how: Vec<u8>, at: UnixMillis },
    /// Something else.
    Other,
}

impl Recording {
    /// A reader of the hot log, at its beginning.
    pub(crate) fn log(&self) -> LogReader {
        LogReader { folder: self.shared.folder.clone(), at: 0, entries: None, output: None }
    }
}

impl LogReader {
    /// Where the next entry begins.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// Goes on where an entry begins.
    pub(crate) fn seek(&mut self, position: u64) {
        self.at = position;
        self.entries = None;
    }

    /// The next entry, if it is there yet.
    pub(crate) fn next(&mut self) -> io::Result<Option<Step>> {
        if self.entries.is_none() {
            self.entries = Some(files::read_timeline(&self.folder, self.at)?);
        }
        let Some(entries) = &mut self.entries else {
            return Ok(None);
        };
        let entry = entries.next()?;
        self.at = entries.end();
        let Some(entry) = entry else {
            // What was read of an entry that is being written is read again.
            self.entries = None;
            return Ok(None);
        };
        let (at, position) = (entry.at, entry.position);
        Ok(Some(match entry.event {
            Event::Output => Step::Output { recorded_end: position.recorded, at },
            Event::Resize(size) => Step::Resize { size, at },
            Event::Mark(mark) => Step::Mark { mark, source_end: position.source, at },
            Event::Typed(how) => Step::Typed { how, at },
            Event::Marker(_) | Event::Exit(_) => Step::Other,
        }))
    }

    /// Output from `offset` on, at least one byte and at most `limit`; the timeline said that it is there.
    pub(crate) fn output(&mut self, offset: u64, limit: u64) -> io::Result<Vec<u8>> {
        if self.output.is_none() {
            self.output = Some(files::open_output(&self.folder)?);
        }
        let mut buffer = vec![0; usize::try_from(limit).unwrap_or(usize::MAX)];
        let length = match &self.output {
            Some(output) => output.read_at(&mut buffer, offset)?,
            None => 0,
        };
        buffer.truncate(length);
        if length == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(buffer) }
    }
}
