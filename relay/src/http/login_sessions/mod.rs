//! Signing in and out, and who is signed in.

pub mod body;
pub mod create;
pub mod delete_current;
pub mod list;
pub mod revoke;
pub mod switch;

#[cfg(test)]
mod tests;
