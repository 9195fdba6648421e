//! Starts processes in containers over the Kubernetes API and holds them for as long as their session lives.
//!
//! * [`client`]: connections to the API server that suit a terminal.
//! * [`cluster`]: by whose rights it is asked.
//! * `review`: whether they suffice, asked before anything is started.
//! * [`exec`]: the driver. One WebSocket to the API server, read and written by independent halves.
//! * [`prelude`]: what runs in the container before the shell, so that its processes can be found again.
//! * `marks`: what makes a shell say in its output which commands it runs.
//! * [`reap`]: finds and kills what a session left in its container.
//! * [`holder`]: owns one exec; numbers its bytes, keeps what is not durable yet, applies input exactly once.
//! * `debug`: containers that are added to a pod whose own have no shell.
//! * [`pod`]: what has to be known of a pod before anything is started in it.
//!
//! Used by the agent for private clusters. It knows nothing of QUIC, of the relay's storage, or of people.

pub mod client;
pub mod cluster;
mod debug;
pub mod direct;
pub mod exec;
pub mod holder;
mod marks;
pub mod pod;
pub mod prelude;
pub mod reap;
mod review;
