//! One live connection to the relay: its control stream and the streams that the relay opens.

use std::time::{Duration, Instant};

use podlatch_link::disconnect::Disconnect;
use podlatch_link::framing::{FrameReader, FrameWriter, ReadError};
use podlatch_link::socket;
use podlatch_link::transport::CONTROL_PRIORITY;
use podlatch_protocol::codec;
use podlatch_protocol::control::{Hello, ToAgent, ToRelay};
use podlatch_protocol::frame::{self, FrameKind};
use quinn::{RecvStream, SendStream};
use tokio::time::timeout;

use super::dial::Dialled;
use super::explain::{Explanation, explain};
use crate::config::RelayAddress;

/// How long the relay may take from the connection to its welcome.
const WELCOME: Duration = Duration::from_secs(10);

/// A control message that cannot be sent within this time never will be.
const SEND: Duration = Duration::from_secs(5);

/// A connection on which the relay welcomed this agent.
#[derive(Debug)]
pub(super) struct Link {
    relay: RelayAddress,
    dialled: Dialled,
    writer: FrameWriter<SendStream>,
    reader: FrameReader<RecvStream>,
    last_ping: u64,
}

impl Link {
    /// Opens the control stream and introduces this agent. Not cancel safe: the connection is then of no use.
    pub(super) async fn introduce(relay: RelayAddress, dialled: Dialled, hello: Hello) -> Result<Self, Explanation> {
        match timeout(WELCOME, Self::open(relay.clone(), dialled, hello)).await {
            Ok(result) => result,
            Err(_) => Err(Explanation::transient(format!("{relay} does not answer this agent's greeting"))),
        }
    }

    async fn open(relay: RelayAddress, dialled: Dialled, hello: Hello) -> Result<Self, Explanation> {
        let opened = dialled.connection.open_bi().await;
        let (send, recv) = opened.map_err(|error| explain(&relay, &error))?;
        // Cannot fail: the stream was opened just now.
        let _ = send.set_priority(CONTROL_PRIORITY);
        let (writer, reader) = (FrameWriter::new(send), FrameReader::new(recv));
        let mut link = Self { relay, dialled, writer, reader, last_ping: 0 };
        link.send(&ToRelay::Hello(hello)).await?;
        match link.receive().await? {
            ToAgent::Welcome => Ok(link),
            ToAgent::Rejected(sentence) => {
                Err(Explanation::revoked(format!("the relay rejected this agent: {}", sentence.escape_default())))
            }
            _ => Err(Explanation::lasting("the relay answered the greeting with something else; check both versions")),
        }
    }

    /// The next control message that this version understands. Cancel safe.
    pub(super) async fn receive(&mut self) -> Result<ToAgent, Explanation> {
        loop {
            let frame = match self.reader.next().await {
                Ok(Some(frame)) => frame,
                Ok(None) | Err(ReadError::Truncated) => return Err(self.ended("the relay ended the control stream")),
                Err(ReadError::Oversized(error)) => {
                    Disconnect::Protocol.close(&self.dialled.connection);
                    return Err(Explanation::transient(error.to_string()));
                }
                Err(ReadError::Io(_)) => return Err(self.ended("the control stream failed")),
            };
            if frame.kind != FrameKind::CONTROL_TO_AGENT {
                continue;
            }
            match codec::decode(&frame.body) {
                Ok(ToAgent::Ping(number)) => {
                    self.last_ping = number;
                    return Ok(ToAgent::Ping(number));
                }
                Ok(message) => return Ok(message),
                Err(error) => tracing::debug!(%error, "skipped a control message"),
            }
        }
    }

    /// Sends a control message. Not cancel safe: part of it may have been sent.
    pub(super) async fn send(&mut self, message: &ToRelay) -> Result<(), Explanation> {
        let body = codec::encode(message).map_err(|error| Explanation::transient(error.to_string()))?;
        frame::put(self.writer.buffer(), FrameKind::CONTROL_TO_RELAY, &body);
        match timeout(SEND, self.writer.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.ended("the control stream failed")),
            Err(_) => Err(Explanation::transient(format!("{} does not read what this agent says", self.relay))),
        }
    }

    /// Says something, so that a relay that is gone gives itself away. Not cancel safe.
    pub(super) async fn nudge(&mut self) -> Result<(), Explanation> {
        self.send(&ToRelay::Pong(self.last_ping)).await
    }

    /// Sends from a new port, or through another network, from now on.
    pub(super) fn rebind(&self) {
        let moved = socket::bind_towards(self.dialled.connection.remote_address())
            .and_then(|socket| self.dialled.endpoint.rebind(socket));
        match moved {
            Ok(()) => tracing::info!("the relay is silent; sending from a new port"),
            Err(error) => tracing::debug!(%error, "no new port to send from"),
        }
    }

    /// The connection, for the streams that the relay opens.
    pub(super) const fn connection(&self) -> &quinn::Connection {
        &self.dialled.connection
    }

    /// Closes the connection and gives the relay a moment to learn of it. Not cancel safe.
    pub(super) async fn close(self, reason: Disconnect) {
        reason.close(&self.dialled.connection);
        let _ = timeout(Duration::from_millis(500), self.dialled.endpoint.wait_idle()).await;
    }

    /// The connection's own end says more than the stream's.
    fn ended(&self, otherwise: &str) -> Explanation {
        match self.dialled.connection.close_reason() {
            Some(error) => explain(&self.relay, &error),
            None => Explanation::transient(otherwise),
        }
    }
}

/// A moment for a timer.
pub(super) fn timer(at: Option<Instant>) -> tokio::time::Instant {
    at.map_or_else(|| tokio::time::Instant::now() + Duration::from_hours(24), Into::into)
}
