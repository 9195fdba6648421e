//! The two halves of an exec connection. Each belongs to one task; neither ever waits for the other.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use podlatch_protocol::terminal::TerminalSize;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::Subprotocol;
use super::channel::{self, FromServer};
use super::status::{self, ProcessEnd};

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// How often the connection is kept awake: load balancers in front of the API server cut idle ones after 30 s and more.
pub const AWAKE_INTERVAL: Duration = Duration::from_secs(15);

/// Silence of the API server after which the connection is taken for dead. Counted only while it is being read.
const DEAD_AFTER: Duration = Duration::from_mins(1);

/// The connection to the API server failed.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the API server failed: {0}")]
pub struct LinkError(#[from] tokio_tungstenite::tungstenite::Error);

/// What the process, or Kubernetes about it, said.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadEvent {
    /// Standard output; with a terminal, everything.
    Output(Bytes),
    /// Standard error; never with a terminal.
    Errors(Bytes),
    /// The end: nothing follows.
    End(ProcessEnd),
}

/// The reading half.
pub struct ExecReader {
    stream: SplitStream<Socket>,
}

/// The writing half. Dropping both halves closes the connection; the process goes on (fact 10 of a real Kubernetes).
pub struct ExecWriter {
    sink: SplitSink<Socket, Message>,
    subprotocol: Subprotocol,
}

pub(super) fn split(socket: Socket, subprotocol: Subprotocol) -> (ExecReader, ExecWriter) {
    let (sink, stream) = socket.split();
    (ExecReader { stream }, ExecWriter { sink, subprotocol })
}

impl ExecReader {
    /// The next event. A connection that breaks or falls silent ends as [`ProcessEnd::Unknown`]. Cancel safe, though the
    /// silence is then counted anew.
    pub async fn next(&mut self) -> ReadEvent {
        loop {
            let Ok(Some(Ok(message))) = tokio::time::timeout(DEAD_AFTER, self.stream.next()).await else {
                return ReadEvent::End(ProcessEnd::Unknown);
            };
            let Message::Binary(message) = message else {
                continue;
            };
            match FromServer::decode(message) {
                FromServer::Stdout(bytes) => return ReadEvent::Output(bytes),
                FromServer::Stderr(bytes) => return ReadEvent::Errors(bytes),
                FromServer::Status(body) => return ReadEvent::End(status::parse(&body)),
                FromServer::Nothing => {}
            }
        }
    }
}

impl ExecWriter {
    /// Writes input and returns when it was handed to the connection. Not cancel safe: part of it may have gone.
    pub async fn input(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        Ok(self.sink.send(Message::Binary(channel::stdin(bytes))).await?)
    }

    /// Tells the terminal's size. Not cancel safe.
    pub async fn resize(&mut self, size: TerminalSize) -> Result<(), LinkError> {
        Ok(self.sink.send(Message::Binary(channel::resize(size))).await?)
    }

    /// Keeps everything up to the container runtime awake: a ping, whose answer shows that the other end is there, and
    /// input of no bytes, which means nothing to the process. Idle limits of the kubelet and of the runtime
    /// (`streamingConnectionIdleTimeout`, containerd's `stream_idle_timeout`) count data only: a session that was pinged and
    /// nothing else was cut by containerd 1.6. For an exec with input. Not cancel safe.
    pub async fn keep_awake(&mut self) -> Result<(), LinkError> {
        self.sink.feed(Message::Ping(Bytes::new())).await?;
        self.input(&[]).await
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Subprotocol {
        self.subprotocol
    }
}
