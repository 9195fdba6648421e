//! The control stream as the relay reads and writes it.

use std::time::Duration;

use podlatch_link::framing::{FrameReader, FrameWriter, ReadError};
use podlatch_protocol::codec::{self, CodecError};
use podlatch_protocol::control::{ToAgent, ToRelay};
use podlatch_protocol::frame::{self, FrameKind};
use quinn::{RecvStream, SendStream};
use tokio::time::timeout;

/// An agent that does not read a control message for this long is not served.
const SEND: Duration = Duration::from_secs(5);

/// Frames that make no sense to this version and are skipped, before a peer counts as broken.
const MAX_SKIPPED: u32 = 256;

/// The control stream is of no more use.
#[derive(Debug, thiserror::Error)]
pub(super) enum ControlError {
    /// It ended or failed; the connection says more.
    #[error("the control stream ended")]
    Ended,
    /// The peer breaks the protocol.
    #[error("the agent breaks the protocol on its control stream")]
    Protocol,
    /// The peer does not read.
    #[error("the agent does not read its control stream")]
    TooSlow,
    /// A message of ours does not fit.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// The control stream.
#[derive(Debug)]
pub(super) struct Control {
    writer: FrameWriter<SendStream>,
    reader: FrameReader<RecvStream>,
    skipped: u32,
}

impl Control {
    pub(super) fn new(send: SendStream, recv: RecvStream) -> Self {
        Self { writer: FrameWriter::new(send), reader: FrameReader::new(recv), skipped: 0 }
    }

    /// The next message that this version understands. Cancel safe.
    pub(super) async fn receive(&mut self) -> Result<ToRelay, ControlError> {
        loop {
            let frame = match self.reader.next().await {
                Ok(Some(frame)) => frame,
                Ok(None) | Err(ReadError::Truncated | ReadError::Io(_)) => return Err(ControlError::Ended),
                Err(ReadError::Oversized(_)) => return Err(ControlError::Protocol),
            };
            if frame.kind == FrameKind::CONTROL_TO_RELAY
                && let Ok(message) = codec::decode(&frame.body)
            {
                return Ok(message);
            }
            self.skipped += 1;
            if self.skipped > MAX_SKIPPED {
                return Err(ControlError::Protocol);
            }
        }
    }

    /// Sends a message. Not cancel safe: part of it may have been sent.
    pub(super) async fn send(&mut self, message: &ToAgent) -> Result<(), ControlError> {
        frame::put(self.writer.buffer(), FrameKind::CONTROL_TO_AGENT, &codec::encode(message)?);
        match timeout(SEND, self.writer.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(ControlError::Ended),
            Err(_) => Err(ControlError::TooSlow),
        }
    }

    /// Sends the last message and waits until the agent has it, for a while. Not cancel safe.
    pub(super) async fn send_last(mut self, message: &ToAgent) {
        if self.send(message).await.is_ok() && self.writer.get_mut().finish().is_ok() {
            let _ = timeout(SEND, self.writer.get_mut().stopped()).await;
        }
    }
}
