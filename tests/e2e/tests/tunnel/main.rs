//! The tunnel between agent and relay, over real QUIC on loopback, with a real store.

mod audit;
mod awake;
mod clones;
mod enrolment;
mod guard;
mod harness;
mod identity;
mod inventory;
mod path;
mod renewal;
mod replicas;
mod restart;
mod rogue;
mod rogue_relay;
