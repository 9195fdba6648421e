//! A recording's files. Blocking: used on the writer's threads and on blocking ones alone.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use bytes::Bytes;

use super::timeline::{ENTRY_BYTES, Entry};

/// A recording's open files.
#[derive(Debug)]
pub(super) struct Files {
    output: File,
    timeline: File,
}

impl Files {
    /// Begins a recording; its folder must not exist. Durable when it returns: no session without a recorder.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(folder)?;
        let open = |name: &str| {
            OpenOptions::new().create_new(true).append(true).read(true).mode(0o600).open(folder.join(name))
        };
        Ok(Self { output: open("output")?, timeline: open("timeline")? })
    }

    /// Continues a recording. Returns how much output it has. A torn last entry of the timeline is cut off.
    pub(super) fn resume(folder: &Path) -> io::Result<(Self, u64)> {
        let open = |name: &str| OpenOptions::new().append(true).read(true).open(folder.join(name));
        let files = Self { output: open("output")?, timeline: open("timeline")? };
        let length = files.output.metadata()?.len();
        let entries = files.timeline.metadata()?.len();
        let torn = entries % ENTRY_BYTES as u64;
        if torn != 0 {
            files.timeline.set_len(entries - torn)?;
        }
        Ok((files, length))
    }

    /// These very files.
    #[cfg(test)]
    pub(super) fn from_files(output: File, timeline: File) -> Self {
        Self { output, timeline }
    }

    /// Appends output that came in pieces.
    pub(super) fn append(&mut self, pieces: &[Bytes], entry: Entry) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            match self.output.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.timeline.write_all(&entry.encode())
    }

    pub(super) fn mark(&mut self, entry: Entry) -> io::Result<()> {
        self.timeline.write_all(&entry.encode())
    }

    /// Handles of their own, so that a sync does not keep the writer waiting.
    pub(super) fn duplicate(&self) -> io::Result<(File, File)> {
        Ok((self.output.try_clone()?, self.timeline.try_clone()?))
    }
}

/// Reads output at `offset` into `buffer`; returns how much there was.
pub(super) fn read_output(folder: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    File::open(folder.join("output"))?.read_at(buffer, offset)
}

/// Reads the whole timeline.
pub(super) fn read_timeline(folder: &Path) -> io::Result<Vec<Entry>> {
    let bytes = std::fs::read(folder.join("timeline"))?;
    Ok(bytes.as_chunks::<ENTRY_BYTES>().0.iter().filter_map(Entry::decode).collect())
}
