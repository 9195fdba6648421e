//! The relay: signs people in, carries their terminals to the agents, records every session.

pub mod auth;
pub mod clock;
pub mod domain;
pub mod entropy;
pub mod store;
