//! Reading a recording while it is written: the newest output from memory, older output from the disk.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use super::Recording;
use super::snapshot::{self, Snapshot};

/// A recording could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the recording cannot be read: {0}")]
pub struct ReadError(#[from] io::Error);

impl Recording {
    /// Written output from `offset` on, at least one byte and at most `limit`; the caller knows that there is some. Cancel
    /// safe.
    pub async fn read(&self, offset: u64, limit: usize) -> Result<Bytes, ReadError> {
        let recent = self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner).slice(offset, limit);
        if let Some(bytes) = recent {
            return Ok(bytes);
        }
        let shared = Arc::clone(&self.shared);
        let read = tokio::task::spawn_blocking(move || -> io::Result<Bytes> {
            let mut buffer = vec![0; limit];
            // By its open file: a viewer may still read the last output when the hot log is removed.
            let output = shared.files().output()?;
            let length = output.read_at(&mut buffer, offset)?;
            buffer.truncate(length);
            if length == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Bytes::from(buffer)) }
        });
        Ok(read.await.map_err(io::Error::other)??)
    }

    /// What the screen looks like now, for a viewer that has seen nothing. Cancel safe.
    pub async fn snapshot(&self) -> Result<Snapshot, ReadError> {
        let shared = Arc::clone(&self.shared);
        let end = *self.shared.written.borrow();
        let made = tokio::task::spawn_blocking(move || snapshot::take(&shared.folder, end));
        Ok(made.await.map_err(io::Error::other)??)
    }
}
