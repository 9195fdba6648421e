//! Frames: `kind: u16, length: u32` (both big-endian), then `length` bytes.
//!
//! The registry below holds every kind, so that no number is used twice. Numbers are never reused and never renumbered.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::limits::MAX_FRAME_BODY_BYTES;

/// Length of a frame's header in bytes.
pub const HEADER_BYTES: usize = 6;

/// What a frame holds. Unknown kinds are carried as they are and skipped by whoever dispatches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameKind(pub u16);

impl FrameKind {
    /// First frame of a stream that the relay opens: [`crate::request::Request`].
    pub const REQUEST: Self = Self(0x0001);
    /// [`crate::control::ToRelay`], on the control stream.
    pub const CONTROL_TO_RELAY: Self = Self(0x0010);
    /// [`crate::control::ToAgent`], on the control stream.
    pub const CONTROL_TO_AGENT: Self = Self(0x0011);
    /// [`crate::enrolment::EnrolRequest`].
    pub const ENROL_REQUEST: Self = Self(0x0020);
    /// [`crate::enrolment::EnrolReply`].
    pub const ENROL_REPLY: Self = Self(0x0021);
    /// [`crate::inventory::InventoryEvent`], agent to relay.
    pub const INVENTORY: Self = Self(0x0030);
    /// [`crate::request::ReapReply`], agent to relay.
    pub const REAP_REPLY: Self = Self(0x0031);
    /// [`crate::pod::DescribeReply`], agent to relay.
    pub const DESCRIBE_REPLY: Self = Self(0x0032);
    /// Terminal input: `writer: u64, offset: u64`, raw bytes.
    pub const INPUT: Self = Self(0x0101);
    /// [`crate::terminal::TerminalSize`].
    pub const RESIZE: Self = Self(0x0102);
    /// Output below this offset is durable: `offset: u64`.
    pub const RECORDED: Self = Self(0x0103);
    /// Output up to this offset may be sent; the latest counts: `limit: u64`.
    pub const CREDIT: Self = Self(0x0104);
    /// A new lease: [`crate::request::Lease`].
    pub const LEASE: Self = Self(0x0105);
    /// End the session for good: [`crate::close::EndCause`].
    pub const CLOSE: Self = Self(0x0107);
    /// Terminal output: `offset: u64`, raw bytes.
    pub const OUTPUT: Self = Self(0x0201);
    /// A writer's input was handed to the process: `writer: u64, offset: u64`.
    pub const INPUT_APPLIED: Self = Self(0x0202);
    /// [`crate::session::Opened`].
    pub const OPENED: Self = Self(0x0203);
    /// [`crate::session::Attached`].
    pub const ATTACHED: Self = Self(0x0204);
    /// [`crate::close::Refusal`].
    pub const REFUSED: Self = Self(0x0205);
    /// [`crate::session::Ended`].
    pub const ENDED: Self = Self(0x0206);
}

/// A frame's header announced more than a frame may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes was announced; at most {MAX_FRAME_BODY_BYTES} are allowed")]
pub struct OversizedFrame {
    /// The announced length in bytes.
    pub length: u32,
}

/// One frame: its kind and its undecoded body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the body holds.
    pub kind: FrameKind,
    /// The body, at most [`MAX_FRAME_BODY_BYTES`] long.
    pub body: Bytes,
}

/// A decoded header: what to read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the body holds.
    pub kind: FrameKind,
    /// The body's length in bytes, already checked.
    pub length: usize,
}

impl Header {
    /// Decodes a header and checks the announced length, before anything is allocated for it.
    pub fn decode(bytes: [u8; HEADER_BYTES]) -> Result<Self, OversizedFrame> {
        let [k0, k1, l0, l1, l2, l3] = bytes;
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        if length as usize > MAX_FRAME_BODY_BYTES {
            return Err(OversizedFrame { length });
        }
        Ok(Self { kind: FrameKind(u16::from_be_bytes([k0, k1])), length: length as usize })
    }
}

/// Appends a whole frame to `out`. Bodies come from this crate's encoders, which keep them within the limit.
pub fn put(out: &mut BytesMut, kind: FrameKind, body: &[u8]) {
    put_split(out, kind, &[], body);
}

/// Appends a frame whose body is `prefix` followed by `payload`, without joining them first.
pub fn put_split(out: &mut BytesMut, kind: FrameKind, prefix: &[u8], payload: &[u8]) {
    let length = prefix.len() + payload.len();
    debug_assert!(length <= MAX_FRAME_BODY_BYTES, "a frame body of {length} bytes");
    out.reserve(HEADER_BYTES + length);
    out.put_u16(kind.0);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    out.put_slice(prefix);
    out.put_slice(payload);
}

/// Takes one whole frame off the front of `buffer`, or says that more bytes are needed with `None`.
pub fn take(buffer: &mut BytesMut) -> Result<Option<Frame>, OversizedFrame> {
    let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let header = Header::decode(*header)?;
    if buffer.len() < HEADER_BYTES + header.length {
        return Ok(None);
    }
    buffer.advance(HEADER_BYTES);
    Ok(Some(Frame { kind: header.kind, body: buffer.split_to(header.length).freeze() }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_length_is_checked_before_anything_is_read() {
        let mut bytes = [0, 1, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Header::decode(bytes), Err(OversizedFrame { length: u32::MAX }));
        bytes[2..].copy_from_slice(&(u32::try_from(MAX_FRAME_BODY_BYTES).expect("fits")).to_be_bytes());
        assert!(Header::decode(bytes).is_ok());
        bytes[5] += 1;
        assert!(Header::decode(bytes).is_err());
    }

    proptest! {
        #[test]
        fn frames_survive_any_split(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..8), cut in 1_usize..50) {
            let mut wire = BytesMut::new();
            for (index, body) in bodies.iter().enumerate() {
                put(&mut wire, FrameKind(u16::try_from(index).expect("few")), body);
            }
            let mut buffer = BytesMut::new();
            let mut seen = Vec::new();
            for piece in wire.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some(frame) = take(&mut buffer).expect("within the limit") {
                    seen.push(frame.body.to_vec());
                }
            }
            prop_assert_eq!(seen, bodies);
            prop_assert!(buffer.is_empty());
        }
    }
}
