//! The tunnel's transport as both of its ends use it: frames over streams ([`framing`]) and the QUIC settings
//! ([`transport`]). What the frames mean is `podlatch-protocol`'s business.

pub mod framing;
pub mod transport;
