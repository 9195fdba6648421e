//! One stream between a relay and whoever serves a cluster: a QUIC stream of a tunnel, or a pipe in memory where the relay
//! serves the cluster itself. Both behave the same to those at their ends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use quinn::VarInt;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::watch;

/// What a pipe holds, in bytes: as much as one frame, so that a slow end stops the other soon.
const PIPE_BYTES: usize = 64 * 1024;

/// The sending half. Dropped, it ends the stream properly.
#[derive(Debug)]
pub struct SendHalf(Sending);

#[derive(Debug)]
enum Sending {
    Quic(quinn::SendStream),
    Pipe(PipeIn),
}

/// The receiving half. Dropped, it stops the sender.
#[derive(Debug)]
pub struct RecvHalf(Receiving);

#[derive(Debug)]
enum Receiving {
    Quic(quinn::RecvStream),
    Pipe(PipeOut),
}

/// Both halves of one end.
pub type StreamEnd = (SendHalf, RecvHalf);

/// A stream in memory: its two ends.
pub fn pair() -> (StreamEnd, StreamEnd) {
    let (there, here) = (pipe(), pipe());
    ((there.0, here.1), (here.0, there.1))
}

fn pipe() -> (SendHalf, RecvHalf) {
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    let shared = Arc::new(Pipe { reset: AtomicBool::new(false), over: watch::Sender::new(false) });
    let send = PipeIn { stream: Some(near), pipe: Arc::clone(&shared) };
    (SendHalf(Sending::Pipe(send)), RecvHalf(Receiving::Pipe(PipeOut { stream: far, pipe: shared })))
}

/// What both halves of a pipe know.
#[derive(Debug)]
struct Pipe {
    reset: AtomicBool,
    /// Whether one of the halves is gone.
    over: watch::Sender<bool>,
}

#[derive(Debug)]
struct PipeIn {
    /// `None` once it is finished or reset.
    stream: Option<DuplexStream>,
    pipe: Arc<Pipe>,
}

#[derive(Debug)]
struct PipeOut {
    stream: DuplexStream,
    pipe: Arc<Pipe>,
}

/// The stream is over already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream is over")]
pub struct StreamOver;

impl SendHalf {
    /// Ends the stream properly: what was written still arrives.
    pub fn finish(&mut self) -> Result<(), StreamOver> {
        match &mut self.0 {
            Sending::Quic(stream) => stream.finish().map_err(|_| StreamOver),
            Sending::Pipe(pipe) => pipe.stream.take().map(drop).ok_or(StreamOver),
        }
    }

    /// Breaks the stream off.
    pub fn reset(&mut self, code: VarInt) -> Result<(), StreamOver> {
        match &mut self.0 {
            Sending::Quic(stream) => stream.reset(code).map_err(|_| StreamOver),
            Sending::Pipe(pipe) => {
                let stream = pipe.stream.take().ok_or(StreamOver)?;
                pipe.pipe.reset.store(true, Ordering::Release);
                drop(stream);
                Ok(())
            }
        }
    }

    /// Which streams of the connection go first. In memory nothing has to wait for another.
    pub fn set_priority(&self, priority: i32) -> Result<(), StreamOver> {
        match &self.0 {
            Sending::Quic(stream) => stream.set_priority(priority).map_err(|_| StreamOver),
            Sending::Pipe(_) => Ok(()),
        }
    }

    /// Returns when the other end wants no more, or has everything, or is gone. Cancel safe.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + Sync + 'static {
        let stopped = match &self.0 {
            Sending::Quic(stream) => Ok(stream.stopped()),
            Sending::Pipe(pipe) => Err(pipe.pipe.over.subscribe()),
        };
        async move {
            // An error is an end as well.
            match stopped {
                Ok(stopped) => drop(stopped.await),
                Err(mut over) => drop(over.wait_for(|over| *over).await),
            }
        }
    }
}

impl RecvHalf {
    /// Tells the other end that no more is wanted.
    pub fn stop(&mut self, code: VarInt) -> Result<(), StreamOver> {
        match &mut self.0 {
            Receiving::Quic(stream) => stream.stop(code).map_err(|_| StreamOver),
            Receiving::Pipe(pipe) => {
                pipe.pipe.over.send_replace(true);
                Ok(())
            }
        }
    }
}

impl From<quinn::SendStream> for SendHalf {
    fn from(stream: quinn::SendStream) -> Self {
        Self(Sending::Quic(stream))
    }
}

impl From<quinn::RecvStream> for RecvHalf {
    fn from(stream: quinn::RecvStream) -> Self {
        Self(Receiving::Quic(stream))
    }
}

impl Drop for PipeIn {
    fn drop(&mut self) {
        self.pipe.over.send_replace(true);
    }
}

impl Drop for PipeOut {
    fn drop(&mut self) {
        self.pipe.over.send_replace(true);
    }
}

impl AsyncWrite for SendHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Sending::Quic(stream) => AsyncWrite::poll_write(Pin::new(stream), cx, bytes),
            Sending::Pipe(PipeIn { stream: Some(stream), .. }) => Pin::new(stream).poll_write(cx, bytes),
            Sending::Pipe(PipeIn { stream: None, .. }) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Sending::Quic(stream) => AsyncWrite::poll_flush(Pin::new(stream), cx),
            // What was written is where the other end reads it.
            Sending::Pipe(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Sending::Quic(stream) => AsyncWrite::poll_shutdown(Pin::new(stream), cx),
            Sending::Pipe(pipe) => {
                drop(pipe.stream.take());
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncRead for RecvHalf {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Receiving::Quic(stream) => AsyncRead::poll_read(Pin::new(stream), cx, buffer),
            Receiving::Pipe(pipe) => {
                let before = buffer.filled().len();
                let polled = Pin::new(&mut pipe.stream).poll_read(cx, buffer);
                let ended = matches!(polled, Poll::Ready(Ok(()))) && buffer.filled().len() == before;
                if ended && pipe.pipe.reset.load(Ordering::Acquire) {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                polled
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_was_written_arrives_before_the_end() {
        let ((mut send, mut back), (mut answer, mut recv)) = pair();
        send.write_all(b"question").await.expect("takes it");
        send.finish().expect("ends");
        assert_eq!(send.finish(), Err(StreamOver));
        let mut asked = String::new();
        recv.read_to_string(&mut asked).await.expect("ends properly");
        answer.write_all(b"answer").await.expect("the other way is open");
        drop(answer);
        let mut answered = String::new();
        back.read_to_string(&mut answered).await.expect("ends properly");
        assert_eq!((asked.as_str(), answered.as_str()), ("question", "answer"));
    }

    #[tokio::test]
    async fn a_reset_is_no_proper_end() {
        let ((mut send, _back), (_answer, mut recv)) = pair();
        send.reset(VarInt::from_u32(1)).expect("breaks off");
        let error = recv.read_u8().await.expect_err("was broken off");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn the_sender_learns_that_nobody_reads() {
        let ((mut send, _back), (answer, recv)) = pair();
        let stopped = send.stopped();
        drop((answer, recv));
        stopped.await;
        assert!(send.write_all(b"more").await.is_err());
    }

    #[tokio::test]
    async fn a_sender_waits_for_a_slow_reader() {
        let ((mut send, _back), (_answer, mut recv)) = pair();
        let sent = tokio::spawn(async move { send.write_all(&vec![7; 4 * PIPE_BYTES]).await });
        let mut read = Vec::new();
        recv.read_to_end(&mut read).await.expect("ends properly");
        sent.await.expect("ends").expect("sent everything");
        assert_eq!(read.len(), 4 * PIPE_BYTES);
    }
}
