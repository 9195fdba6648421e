//! The tunnel's transport as both of its ends use it: frames over streams ([`framing`]), the streams ([`stream`]), the QUIC settings
//! ([`transport`]) and the sockets below ([`socket`]), how an agent knows its relay ([`pin`]) and why connections end
//! ([`disconnect`]), and the number of open files that all this needs ([`descriptors`]).
//! What the frames mean is `podlatch-protocol`'s business.

pub mod descriptors;
pub mod disconnect;
pub mod framing;
pub mod pin;
pub mod socket;
pub mod stream;
pub mod transport;
