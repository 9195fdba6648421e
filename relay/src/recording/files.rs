//! A hot log's files. Blocking: used on the recorder's threads and on blocking ones alone.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, IoSlice, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use bytes::Bytes;

use super::Position;
use super::timeline::{Entries, Entry, Event, Mark};
use crate::clock::UnixMillis;

const OUTPUT: &str = "output";
const TIMELINE: &str = "timeline";

/// A hot log's open files.
#[derive(Debug)]
pub(super) struct Files {
    output: File,
    timeline: File,
    end: LogEnd,
}

/// Where a hot log ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LogEnd {
    pub(super) position: Position,
    /// Length of the timeline in bytes.
    pub(super) timeline: u64,
}

impl Files {
    /// Begins a hot log; its folder must not exist. No session without a recorder.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        if let Some(parent) = folder.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        DirBuilder::new().mode(0o700).create(folder)?;
        let open = |name: &str| {
            OpenOptions::new().create_new(true).append(true).read(true).mode(0o600).open(folder.join(name))
        };
        Ok(Self { output: open(OUTPUT)?, timeline: open(TIMELINE)?, end: LogEnd::default() })
    }

    /// Continues a hot log: its two files are cut to where they agree. What is cut was never shown nor called durable, and
    /// the agent sends it again. An exit at the end is cut too: whoever continues knows that the session goes on.
    pub(super) fn resume(folder: &Path) -> io::Result<Self> {
        let open = |name: &str| OpenOptions::new().append(true).read(true).open(folder.join(name));
        let (output, timeline) = (open(OUTPUT)?, open(TIMELINE)?);
        let length = output.metadata()?.len();
        let end = whole_end(folder, length, Continue::Yes)?;
        timeline.set_len(end.timeline)?;
        output.set_len(end.position.recorded)?;
        Ok(Self { output, timeline, end })
    }

    /// Opens a hot log that nobody continues, as it is.
    pub(super) fn reopen(folder: &Path) -> io::Result<Self> {
        let open = |name: &str| OpenOptions::new().append(true).read(true).open(folder.join(name));
        let (output, timeline) = (open(OUTPUT)?, open(TIMELINE)?);
        let length = output.metadata()?.len();
        Ok(Self { output, timeline, end: whole_end(folder, length, Continue::No)? })
    }

    /// These very files.
    #[cfg(test)]
    pub(super) fn from_files(output: File, timeline: File) -> Self {
        Self { output, timeline, end: LogEnd::default() }
    }

    pub(super) fn end(&self) -> LogEnd {
        self.end
    }

    /// Appends output that came in pieces, perhaps none, behind which the source stands at `source_end`.
    pub(super) fn append(&mut self, pieces: &[Bytes], source_end: u64, at: UnixMillis) -> io::Result<Position> {
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match self.output.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        let position = Position { recorded: self.end.position.recorded + bytes, source: source_end };
        self.put(&Entry { event: Event::Output, at, position })?;
        Ok(position)
    }

    /// Notes something that happens behind what was written so far.
    pub(super) fn note(&mut self, event: Event, at: UnixMillis) -> io::Result<()> {
        self.put(&Entry { event, at, position: self.end.position })
    }

    /// Notes something that was taken out of the output, behind which the source stands at `source_end`.
    pub(super) fn mark(&mut self, mark: Mark, source_end: u64, at: UnixMillis) -> io::Result<Position> {
        let position = Position { recorded: self.end.position.recorded, source: source_end };
        self.put(&Entry { event: Event::Mark(mark), at, position })?;
        Ok(position)
    }

    fn put(&mut self, entry: &Entry) -> io::Result<()> {
        let frame = entry.encode();
        self.timeline.write_all(&frame)?;
        self.end = LogEnd { position: entry.position, timeline: self.end.timeline + frame.len() as u64 };
        Ok(())
    }

    /// Takes back what was written in half: both files end where they last agreed.
    pub(super) fn undo(&mut self) -> io::Result<()> {
        self.output.set_len(self.end.position.recorded)?;
        self.timeline.set_len(self.end.timeline)
    }

    /// A handle of its own for the output, good for as long as it is held.
    pub(super) fn output(&self) -> io::Result<File> {
        self.output.try_clone()
    }

    /// Handles of their own, so that a sync does not keep the writer waiting.
    pub(super) fn duplicate(&self) -> io::Result<(File, File)> {
        Ok((self.output.try_clone()?, self.timeline.try_clone()?))
    }
}

/// Whether a hot log is going to be continued.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Continue {
    Yes,
    No,
}

/// Where the two files agree, without an exit at the end if they are to be continued.
fn whole_end(folder: &Path, output_length: u64, to_be: Continue) -> io::Result<LogEnd> {
    let mut entries = read_timeline(folder, 0)?;
    let mut end = LogEnd::default();
    while let Some(entry) = entries.next()? {
        if entry.position.recorded > output_length || (to_be == Continue::Yes && matches!(entry.event, Event::Exit(_)))
        {
            break;
        }
        end = LogEnd { position: entry.position, timeline: entries.end() };
    }
    Ok(end)
}

/// Opens the output to read it.
pub(super) fn open_output(folder: &Path) -> io::Result<File> {
    File::open(folder.join(OUTPUT))
}

/// Reads the timeline from its byte `at` on, the beginning of an entry.
pub(super) fn read_timeline(folder: &Path, at: u64) -> io::Result<Entries<BufReader<File>>> {
    let mut file = File::open(folder.join(TIMELINE))?;
    io::Seek::seek(&mut file, io::SeekFrom::Start(at))?;
    Ok(Entries::new(BufReader::new(file), at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::timeline::{Exit, OutputEnd};

    const NOW: UnixMillis = UnixMillis::new(1_700_000_000_000);

    #[test]
    fn a_log_cut_anywhere_goes_on_where_its_files_agree() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("log");
        let mut files = Files::create(&folder).expect("begins");
        files.append(&[Bytes::from_static(b"abc")], 10, NOW).expect("writes");
        let first = files.end();
        files.append(&[Bytes::from_static(b"de"), Bytes::from_static(b"f")], 16, NOW).expect("writes");
        let second = files.end();
        files.append(&[], 20, NOW).expect("notes that the source went on");
        let third = files.end();
        let (output, timeline) = (folder.join(OUTPUT), folder.join(TIMELINE));
        let whole = (std::fs::read(&output).expect("reads"), std::fs::read(&timeline).expect("reads"));
        for bytes in 0..=whole.0.len() {
            for entries in 0..=whole.1.len() {
                std::fs::write(&output, &whole.0[..bytes]).expect("cuts");
                std::fs::write(&timeline, &whole.1[..entries]).expect("cuts");
                let ends = [LogEnd::default(), first, second, third];
                let expected = ends
                    .into_iter()
                    .rfind(|end| end.timeline <= entries as u64 && end.position.recorded <= bytes as u64)
                    .expect("the beginning always fits");
                assert_eq!(Files::resume(&folder).expect("resumes").end(), expected, "{bytes} and {entries}");
                assert_eq!(output.metadata().expect("exists").len(), expected.position.recorded);
            }
        }
    }

    #[test]
    fn an_exit_is_cut_off_by_whoever_knows_better() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("log");
        let mut files = Files::create(&folder).expect("begins");
        files.append(&[Bytes::from_static(b"abc")], 3, NOW).expect("writes");
        let end = files.end();
        files.note(Event::Exit(Exit { status: Some(0), output: OutputEnd::At(3) }), NOW).expect("writes");
        assert_eq!(Files::resume(&folder).expect("resumes").end(), end);
    }
}
