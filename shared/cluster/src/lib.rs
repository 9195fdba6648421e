//! Serves one cluster to a relay: terminals ([`session`]) and what there is in it ([`inventory`]), within a [`guard`] and by somebody's [`rights`], over
//! streams that each begin with a request ([`services`]); and says what a credential can do there ([`probe`]).
//!
//! The agent runs it inside a private cluster, behind its tunnel; the relay runs it for a public cluster, behind pipes in
//! memory. It knows neither of the two.

pub mod guard;
pub mod inventory;
pub mod probe;
pub mod rights;
pub mod services;
pub mod session;

pub use podlatch_podexec::direct::DirectServer;
pub use services::Services;
