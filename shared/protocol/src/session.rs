//! The frames of a session's stream, decoded: [`ToAgent`] and [`ToRelay`].

use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::close::{EndCause, Refusal};
use crate::codec;
use crate::frame::{self, Frame, FrameKind};
use crate::id::WriterId;
use crate::limits::MAX_CHUNK_BYTES;
use crate::request::Lease;
use crate::target::ContainerName;
use crate::terminal::TerminalSize;

/// A run of output bytes at its place in the session's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Offset of the first byte, counted from the start of the session.
    pub offset: u64,
    /// At most [`MAX_CHUNK_BYTES`] bytes.
    pub bytes: Bytes,
}

/// A run of input bytes at its place in one writer's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Whose input.
    pub writer: WriterId,
    /// Offset of the first byte, counted from that writer's first.
    pub offset: u64,
    /// At most [`MAX_CHUNK_BYTES`] bytes.
    pub bytes: Bytes,
}

/// How far a writer's input has been handed to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputApplied {
    /// Whose input.
    pub writer: WriterId,
    /// Every byte below this offset was handed over, exactly once.
    pub offset: u64,
}

/// Relay to agent, on a session's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToAgent {
    /// What somebody typed.
    Input(Input),
    /// The terminal's new size; only the latest counts.
    Resize(TerminalSize),
    /// Output below this offset is durable and may be forgotten.
    Recorded(u64),
    /// Output up to this offset may be sent; the latest counts.
    Credit(u64),
    /// The session may live this much longer; the latest counts.
    Lease(Lease),
    /// End the session for good, its processes included; answered by [`ToRelay::Ended`].
    Close(EndCause),
}

/// Agent to relay, on a session's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToRelay {
    /// First answer to an open: the process runs.
    Opened(Opened),
    /// First answer to an attach.
    Attached(Attached),
    /// First answer to either: it cannot be done. The stream ends.
    Refused(Refusal),
    /// What the process wrote.
    Output(Output),
    /// Input was handed to the process.
    InputApplied(InputApplied),
    /// The session has ended; every output byte was sent before this. Last frame of the stream.
    Ended(Ended),
}

/// The process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The container that Kubernetes chose or was told.
    pub container: ContainerName,
    /// The pod's UID: a pod of the same name is not the same pod.
    pub pod_uid: String,
    /// The process' id in the container, which is also its process session; `None` where no prelude could run.
    pub process: Option<u32>,
}

/// The session goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Output goes on from here: the `have_offset` of the attach.
    pub output_offset: u64,
    /// How far each known writer's input was applied.
    pub writers: Vec<InputApplied>,
}

/// How the process itself ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitOutcome {
    /// It returned this status; 128 + n where signal n killed it.
    Exited(i32),
    /// Kubernetes reported a failure of its own.
    Failed(String),
    /// No status arrived: the outcome is unknown, never 0.
    Unknown,
}

/// What is left of the session's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cleanup {
    /// Nothing was to be killed: the person exited, and what they detached stays.
    NotWanted,
    /// Looked for, and no live process was found.
    Confirmed,
    /// It could not be established that all are gone.
    Unconfirmed,
}

/// A session's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Why.
    pub cause: EndCause,
    /// How the process ended.
    pub outcome: ExitOutcome,
    /// What is left of it.
    pub cleanup: Cleanup,
    /// Length of the whole output in bytes.
    pub output_length: u64,
}

/// A session frame made no sense.
#[derive(Debug, thiserror::Error)]
pub enum SessionFrameError {
    /// A control body was malformed.
    #[error(transparent)]
    Codec(#[from] codec::CodecError),
    /// A raw body was too short or too long.
    #[error("a session frame of kind {0:#06x} has a body of impossible length")]
    Length(u16),
    /// An offset would overflow.
    #[error("an offset is beyond any possible session")]
    Offset,
}

/// Largest offset that is accepted: far beyond any session, far below overflow.
const MAX_OFFSET: u64 = 1 << 60;

impl ToAgent {
    /// Appends this message as a frame.
    pub fn put(&self, out: &mut BytesMut) -> Result<(), codec::CodecError> {
        match self {
            Self::Input(input) => {
                let mut prefix = [0; 16];
                prefix[..8].copy_from_slice(&input.writer.0.to_be_bytes());
                prefix[8..].copy_from_slice(&input.offset.to_be_bytes());
                frame::put_split(out, FrameKind::INPUT, &prefix, &input.bytes);
            }
            Self::Resize(size) => frame::put(out, FrameKind::RESIZE, &codec::encode(size)?),
            Self::Recorded(offset) => frame::put(out, FrameKind::RECORDED, &offset.to_be_bytes()),
            Self::Credit(limit) => frame::put(out, FrameKind::CREDIT, &limit.to_be_bytes()),
            Self::Lease(lease) => frame::put(out, FrameKind::LEASE, &codec::encode(lease)?),
            Self::Close(cause) => frame::put(out, FrameKind::CLOSE, &codec::encode(cause)?),
        }
        Ok(())
    }

    /// Decodes a frame; `None` for a kind that this version does not know, which is to be skipped.
    pub fn decode(frame: Frame) -> Result<Option<Self>, SessionFrameError> {
        let Frame { kind, mut body } = frame;
        Ok(Some(match kind {
            FrameKind::INPUT => {
                let writer = WriterId(take_u64(kind, &mut body)?);
                let offset = take_offset(kind, &mut body)?;
                Self::Input(Input { writer, offset, bytes: chunk(kind, body)? })
            }
            FrameKind::RESIZE => Self::Resize(codec::decode(&body)?),
            FrameKind::RECORDED => Self::Recorded(take_offset(kind, &mut body)?),
            FrameKind::CREDIT => Self::Credit(take_offset(kind, &mut body)?),
            FrameKind::LEASE => Self::Lease(codec::decode(&body)?),
            FrameKind::CLOSE => Self::Close(codec::decode(&body)?),
            _ => return Ok(None),
        }))
    }
}

impl ToRelay {
    /// Appends this message as a frame.
    pub fn put(&self, out: &mut BytesMut) -> Result<(), codec::CodecError> {
        match self {
            Self::Output(output) => {
                frame::put_split(out, FrameKind::OUTPUT, &output.offset.to_be_bytes(), &output.bytes);
            }
            Self::InputApplied(applied) => {
                frame::put_split(
                    out,
                    FrameKind::INPUT_APPLIED,
                    &applied.writer.0.to_be_bytes(),
                    &applied.offset.to_be_bytes(),
                );
            }
            Self::Opened(opened) => frame::put(out, FrameKind::OPENED, &codec::encode(opened)?),
            Self::Attached(attached) => frame::put(out, FrameKind::ATTACHED, &codec::encode(attached)?),
            Self::Refused(refusal) => frame::put(out, FrameKind::REFUSED, &codec::encode(refusal)?),
            Self::Ended(ended) => frame::put(out, FrameKind::ENDED, &codec::encode(ended)?),
        }
        Ok(())
    }

    /// Decodes a frame; `None` for a kind that this version does not know, which is to be skipped.
    pub fn decode(frame: Frame) -> Result<Option<Self>, SessionFrameError> {
        let Frame { kind, mut body } = frame;
        Ok(Some(match kind {
            FrameKind::OUTPUT => {
                let offset = take_offset(kind, &mut body)?;
                Self::Output(Output { offset, bytes: chunk(kind, body)? })
            }
            FrameKind::INPUT_APPLIED => {
                let writer = WriterId(take_u64(kind, &mut body)?);
                Self::InputApplied(InputApplied { writer, offset: take_offset(kind, &mut body)? })
            }
            FrameKind::OPENED => Self::Opened(codec::decode(&body)?),
            FrameKind::ATTACHED => Self::Attached(codec::decode(&body)?),
            FrameKind::REFUSED => Self::Refused(codec::decode(&body)?),
            FrameKind::ENDED => Self::Ended(codec::decode(&body)?),
            _ => return Ok(None),
        }))
    }
}

fn take_u64(kind: FrameKind, body: &mut Bytes) -> Result<u64, SessionFrameError> {
    body.try_get_u64().map_err(|_| SessionFrameError::Length(kind.0))
}

fn take_offset(kind: FrameKind, body: &mut Bytes) -> Result<u64, SessionFrameError> {
    let offset = take_u64(kind, body)?;
    if offset > MAX_OFFSET { Err(SessionFrameError::Offset) } else { Ok(offset) }
}

fn chunk(kind: FrameKind, body: Bytes) -> Result<Bytes, SessionFrameError> {
    if body.is_empty() || body.len() > MAX_CHUNK_BYTES { Err(SessionFrameError::Length(kind.0)) } else { Ok(body) }
}
