//! The audit log on its way out: what an event looks like outside, as JSON and as CSV.

pub mod body;
pub mod csv;
pub mod escape;
