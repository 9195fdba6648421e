//! What the relay talks about: entities and decisions, pure. Nothing here does I/O or asks what time it is.

pub mod access;
pub mod agent;
pub mod audit;
pub mod cluster;
pub mod kubernetes;
pub mod labels;
pub mod login;
pub mod name;
pub mod organisation;
pub mod people;
pub mod recording;
pub mod session;
pub mod session_limits;
pub mod sign_in;
