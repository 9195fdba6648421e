//! Frames over any byte stream.

use std::io;

use bytes::BytesMut;
use podlatch_protocol::frame::{self, Frame, HEADER_BYTES, Header, OversizedFrame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Read in one go at most; a frame may need several reads.
const READ_BYTES: usize = 16 * 1024;

/// Held by a stream that waits: there are thousands of them, and what comes first is a keystroke or its echo.
const WAITING_BYTES: usize = 256;

/// A frame could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The peer announced a frame that is too large.
    #[error(transparent)]
    Oversized(#[from] OversizedFrame),
    /// The stream ended within a frame.
    #[error("the stream ended in the middle of a frame")]
    Truncated,
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads frames.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
    flow: Flow,
}

/// How much came with the last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// Little.
    Trickle,
    /// As much as there was room for, so that there is probably more.
    Stream,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads frames from `stream`. Holds next to no buffer while there is little to read.
    pub fn new(stream: R) -> Self {
        Self { stream, buffer: BytesMut::new(), flow: Flow::Trickle }
    }

    /// The next frame, or `None` at the stream's proper end. Cancel safe: what was read stays in the reader.
    pub async fn next(&mut self) -> Result<Option<Frame>, ReadError> {
        loop {
            if let Some(frame) = frame::take(&mut self.buffer)? {
                return Ok(Some(frame));
            }
            match self.flow {
                Flow::Stream => self.buffer.reserve(READ_BYTES),
                Flow::Trickle if self.buffer.is_empty() => self.buffer = BytesMut::with_capacity(WAITING_BYTES),
                Flow::Trickle => self.buffer.reserve(WAITING_BYTES),
            }
            let room = self.buffer.capacity() - self.buffer.len();
            let read = self.stream.read_buf(&mut self.buffer).await?;
            if read == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(ReadError::Truncated) };
            }
            self.flow = if read < room { Flow::Trickle } else { Flow::Stream };
        }
    }

    /// The stream, for its own operations.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.stream
    }
}

/// Reads one frame and not a byte more, so that the rest of the stream can be handed on. `None` at a proper end before it.
///
/// Not cancel safe: what was read of the frame is lost.
pub async fn read_one<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Option<Frame>, ReadError> {
    let mut header = [0; HEADER_BYTES];
    if stream.read(&mut header[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut header[1..]).await.map_err(ended_early)?;
    let Header { kind, length } = Header::decode(header)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(ended_early)?;
    Ok(Some(Frame { kind, body: body.into() }))
}

fn ended_early(error: io::Error) -> ReadError {
    if error.kind() == io::ErrorKind::UnexpectedEof { ReadError::Truncated } else { ReadError::Io(error) }
}

/// Writes frames through a buffer, so that several go out in one write.
#[derive(Debug)]
pub struct FrameWriter<W> {
    stream: W,
    buffer: BytesMut,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes frames to `stream`.
    pub fn new(stream: W) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Where the protocol's `put` functions append. Nothing is sent before [`Self::flush`].
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Sends what is buffered. Cancel safe: what was not yet written stays buffered.
    pub async fn flush(&mut self) -> io::Result<()> {
        while !self.buffer.is_empty() {
            self.stream.write_buf(&mut self.buffer).await?;
        }
        // Idle streams hold no buffer: there are thousands of them.
        if self.buffer.capacity() > READ_BYTES {
            self.buffer = BytesMut::new();
        }
        Ok(())
    }

    /// The stream, for its own operations.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.stream
    }
}

#[cfg(test)]
mod tests {
    use podlatch_protocol::frame::FrameKind;

    use super::*;

    #[tokio::test]
    async fn frames_arrive_whole_through_a_one_byte_pipe() {
        let (near, far) = tokio::io::duplex(1);
        let mut writer = FrameWriter::new(near);
        frame::put(writer.buffer(), FrameKind::RECORDED, &[1; 8]);
        frame::put(writer.buffer(), FrameKind(0xfeed), b"");
        let send = tokio::spawn(async move { writer.flush().await });
        let mut reader = FrameReader::new(far);
        assert_eq!(reader.next().await.expect("whole").expect("there").body.len(), 8);
        assert_eq!(reader.next().await.expect("whole").expect("there").kind, FrameKind(0xfeed));
        send.await.expect("joins").expect("sends");
        assert!(reader.next().await.expect("clean end").is_none());
    }

    #[tokio::test]
    async fn a_stream_that_waits_holds_next_to_no_buffer() {
        let (mut near, far) = tokio::io::duplex(256 * 1024);
        let mut reader = FrameReader::new(far);
        let mut flood = BytesMut::new();
        for _ in 0..8 {
            frame::put(&mut flood, FrameKind::OUTPUT, &[b'x'; 10_000]);
        }
        near.write_all(&flood).await.expect("writes");
        for _ in 0..8 {
            assert_eq!(reader.next().await.expect("whole").expect("there").body.len(), 10_000);
        }
        let waits = tokio::time::timeout(std::time::Duration::from_millis(1), reader.next()).await;
        assert!(waits.is_err() && reader.buffer.capacity() <= 2 * WAITING_BYTES, "{}", reader.buffer.capacity());
    }

    #[tokio::test]
    async fn one_frame_is_read_without_touching_what_follows() {
        let (mut near, mut far) = tokio::io::duplex(64);
        near.write_all(&[0, 1, 0, 0, 0, 2, 7, 8, 9]).await.expect("writes");
        drop(near);
        let frame = read_one(&mut far).await.expect("whole").expect("there");
        assert_eq!((frame.kind, &frame.body[..]), (FrameKind::REQUEST, &[7, 8][..]));
        assert!(matches!(read_one(&mut far).await, Err(ReadError::Truncated)));
        assert!(read_one(&mut far).await.expect("clean end").is_none());
    }

    #[tokio::test]
    async fn an_end_within_a_frame_is_an_error() {
        let (mut near, far) = tokio::io::duplex(64);
        near.write_all(&[0, 1, 0, 0, 0, 9, 1]).await.expect("writes");
        drop(near);
        assert!(matches!(FrameReader::new(far).next().await, Err(ReadError::Truncated)));
    }
}
