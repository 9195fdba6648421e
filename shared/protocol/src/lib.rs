//! What relay and agent say to each other, on one page.
//!
//! An agent dials the relay over QUIC. The ALPN ([`version`]) says which of two conversations follows:
//!
//! * **enrolment** ([`enrolment`]): one stream, one question (a join token and a certificate request), one answer.
//! * **tunnel**: mutual TLS. The agent opens the *control stream* first and speaks [`control`] on it for as long as the
//!   connection lives. Every other stream is opened by the relay, bidirectional, and begins with one
//!   [`request::Request`]: open a session, attach to one, reap an orphan, watch the inventory, describe a pod.
//!
//! Every stream is a sequence of frames ([`frame`]): kind, length, body. Terminal bytes travel raw in `Input` and `Output`
//! frames behind a byte offset; everything else is encoded by the one [`codec`]. Unknown frame kinds are skipped and enums
//! only ever grow at their end, so a relay and an agent that are one version apart understand each other.
//!
//! This crate is pure: no I/O, no clock, no randomness, no TLS. `docs/PROTOCOL.md` is its prose form.

pub mod close;
pub mod codec;
pub mod control;
pub mod debug;
pub mod enrolment;
pub mod frame;
pub mod id;
pub mod identity;
pub mod inventory;
pub mod limits;
pub mod pod;
pub mod request;
pub mod session;
pub mod target;
pub mod terminal;
mod text;
pub mod version;
