//! The browser's side of the relay: HTTP under `/api/v1`, probes, and the console.
//!
//! [`router`] is the one table of what there is; one endpoint a file; every failure is a [`problem::Problem`].

mod access;
pub mod access_requests;
pub mod access_rules;
pub mod api_tokens;
pub mod assets;
pub mod audit_events;
pub mod client;
pub mod clusters;
pub mod context;
pub mod cookie;
pub mod credential;
pub mod debug_images;
pub mod extract;
pub mod groups;
pub mod guesses;
pub mod health;
pub mod inventory;
pub mod invitations;
pub mod login_sessions;
pub mod me;
pub mod middleware;
pub mod organisations;
pub mod own_password;
pub mod passkeys;
pub mod people;
pub mod problem;
pub mod rate_limit;
pub mod recordings;
pub mod router;
pub mod server;
pub mod sessions;
pub mod sign_in;
pub mod sign_in_providers;

#[cfg(test)]
mod matrix;
#[cfg(test)]
pub(crate) mod testing;
