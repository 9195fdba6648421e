//! What is fuzzed: bytes of a hostile peer. Shared by the fuzz binaries and by the tests that replay the corpus.
//!
//! No bytes may make decoding panic, and what decodes must survive encoding and decoding once more.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use podlatch_protocol::frame::{self, Frame, FrameKind};
use podlatch_protocol::limits::MAX_FRAME_BODY_BYTES;
use podlatch_protocol::{codec, control, enrolment, inventory, pod, request, session};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A stream of bytes taken apart into frames; put together again, they are the same bytes.
pub(crate) fn frame(bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    let mut again = BytesMut::new();
    while let Ok(Some(Frame { kind, body })) = frame::take(&mut buffer) {
        assert!(body.len() <= MAX_FRAME_BODY_BYTES);
        frame::put(&mut again, kind, &body);
    }
    again.extend_from_slice(&buffer);
    assert_eq!(again, bytes);
}

/// A frame of a session's stream, in both directions: two bytes of kind, then the body.
pub(crate) fn session_messages(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first_chunk::<2>() else { return };
    if body.len() > MAX_FRAME_BODY_BYTES {
        return;
    }
    let frame = Frame { kind: FrameKind(u16::from_be_bytes(*kind)), body: Bytes::copy_from_slice(body) };
    if let Ok(Some(message)) = session::ToAgent::decode(frame.clone()) {
        let mut out = BytesMut::new();
        message.put(&mut out).expect("what was decoded can be encoded");
        assert_eq!(session::ToAgent::decode(only_frame(out)).expect("decodes again"), Some(message));
    }
    if let Ok(Some(message)) = session::ToRelay::decode(frame) {
        let mut out = BytesMut::new();
        message.put(&mut out).expect("what was decoded can be encoded");
        assert_eq!(session::ToRelay::decode(only_frame(out)).expect("decodes again"), Some(message));
    }
}

/// The body of every message that the codec carries.
pub(crate) fn control_messages(bytes: &[u8]) {
    survives::<control::ToRelay>(bytes);
    survives::<control::ToAgent>(bytes);
    survives::<enrolment::EnrolRequest>(bytes);
    survives::<enrolment::EnrolReply>(bytes);
    survives::<request::Request>(bytes);
    survives::<request::ReapReply>(bytes);
    survives::<inventory::InventoryEvent>(bytes);
    survives::<pod::DescribeReply>(bytes);
}

fn survives<M: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(message) = codec::decode::<M>(bytes) else { return };
    let again = codec::encode(&message).expect("what was decoded can be encoded");
    assert!(again.len() <= bytes.len(), "encoding is the shortest form");
    assert_eq!(codec::decode::<M>(&again).expect("decodes again"), message);
}

fn only_frame(mut wire: BytesMut) -> Frame {
    let frame = frame::take(&mut wire).expect("within the limit").expect("whole");
    assert!(wire.is_empty());
    frame
}
