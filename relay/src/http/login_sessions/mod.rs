//! Signing in and out.

pub mod create;
pub mod delete_current;
