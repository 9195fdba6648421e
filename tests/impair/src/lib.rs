//! A seeded impairment proxy for UDP and TCP, in user space: test machines often have no `netem`.
//!
//! A proxy stands between clients and one upstream address and does to each direction what its [`Profile`] says: delay,
//! jitter, loss, reordering, duplication, a rate. It can be cut one way or both ways and healed, its profile can change
//! while packets fly, a [`UdpProxy`] can take another source port towards the upstream (what a NAT does after a pause), a
//! [`TcpProxy`] can reset its connections.
//!
//! Chance is decided by a [`decide::Decider`] from a seed alone, one per flow and direction: the nth packet of a flow meets
//! the same fate in every run. Times are the machine's: delays are kept to about a millisecond. Memory is bounded by
//! [`Impairment::queue_bytes`] for each flow and direction and by [`MAX_FLOWS`].

pub mod command;
mod control;
mod counters;
pub mod decide;
pub mod line;
mod profile;
mod tcp;
mod udp;

pub use control::Cut;
pub use counters::{Counters, DirectionCounters, Tally};
pub use profile::{BytesPerSecond, Impairment, ParseProbabilityError, Probability, Profile};
pub use tcp::TcpProxy;
pub use udp::UdpProxy;

/// Most flows (UDP client addresses, TCP connections) that one proxy carries at once; what comes beyond is dropped or
/// waits.
pub const MAX_FLOWS: usize = 1_024;
