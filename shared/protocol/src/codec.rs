//! The one place that turns control messages into bytes and back: bincode 2, standard configuration, with a limit.
//!
//! Terminal bytes never pass through here. See `docs/adr/0001-codec.md` for the choice and its exit.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::MAX_FRAME_BODY_BYTES;

/// A message could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The message is longer than one frame may be.
    #[error("a message would be larger than {MAX_FRAME_BODY_BYTES} bytes")]
    TooLarge,
    /// The bytes are not a message of the expected type.
    #[error("a message is malformed")]
    Malformed,
}

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<MAX_FRAME_BODY_BYTES>,
> = bincode::config::standard().with_limit::<MAX_FRAME_BODY_BYTES>();

/// Encodes a control message.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::serde::encode_to_vec(message, CONFIG).map_err(|_| CodecError::Malformed)?;
    if bytes.len() > MAX_FRAME_BODY_BYTES { Err(CodecError::TooLarge) } else { Ok(bytes) }
}

/// Decodes a control message. Bytes behind the message are ignored: a newer peer may have appended fields.
pub fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, CodecError> {
    if bytes.len() > MAX_FRAME_BODY_BYTES {
        return Err(CodecError::TooLarge);
    }
    bincode::serde::decode_from_slice(bytes, CONFIG).map(|(message, _)| message).map_err(|_| CodecError::Malformed)
}
