//! The browser's side of the relay: HTTP under `/api/v1`, probes, and the console.
//!
//! [`router`] is the one table of what there is; one endpoint a file; every failure is a [`problem::Problem`].

pub mod assets;
pub mod audit_events;
pub mod client;
pub mod clusters;
pub mod context;
pub mod cookie;
pub mod debug_images;
mod extract;
pub mod health;
pub mod inventory;
pub mod login_sessions;
pub mod me;
pub mod middleware;
pub mod problem;
pub mod rate_limit;
pub mod recordings;
pub mod router;
pub mod server;
pub mod sessions;

#[cfg(test)]
mod testing;
