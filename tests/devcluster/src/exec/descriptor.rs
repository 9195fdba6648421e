//! A pseudo-terminal or pipe as an asynchronous stream of bytes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::termios::Winsize;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One descriptor; reading and writing at once is fine.
#[derive(Debug)]
pub(crate) struct Descriptor(AsyncFd<OwnedFd>);

impl Descriptor {
    /// Makes a descriptor non-blocking and takes it over.
    #[expect(deprecated, reason = "the newer name is unsafe; this descriptor is owned and never changes")]
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&fd)?;
        rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
        AsyncFd::with_interest(fd, Interest::READABLE | Interest::WRITABLE).map(Self)
    }

    /// Fills the buffer with what is there, at least one byte, unless the stream is at its end. Cancel safe.
    ///
    /// The other side of a terminal hanging up counts as the end.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            let mut filled = 0;
            // A terminal gives at most 4 KiB at a time; frames of that size would cost more than the copy.
            while filled < buffer.len() {
                match ready.try_io(|fd| Ok(rustix::io::read(fd.as_fd(), &mut buffer[filled..])?)) {
                    Ok(Ok(0)) => return Ok(filled),
                    Ok(Ok(count)) => filled += count,
                    Ok(Err(error)) if filled > 0 || is_hang_up(&error) => return Ok(filled),
                    Ok(Err(error)) => return Err(error),
                    Err(_would_block) => break,
                }
            }
            if filled > 0 {
                return Ok(filled);
            }
        }
    }

    /// Writes everything, waiting for a reader that is slow. Not cancel safe: part may have been written.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.0.writable().await?;
            match ready.try_io(|fd| Ok(rustix::io::write(fd.as_fd(), bytes)?)) {
                Ok(count) => bytes = &bytes[count?..],
                Err(_would_block) => (),
            }
        }
        Ok(())
    }

    /// Sets the size of a terminal; its programs get SIGWINCH.
    pub(crate) fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(self.0.get_ref(), size)?)
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}
