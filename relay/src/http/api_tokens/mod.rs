//! API tokens: logins of programs.

pub mod create;
pub mod list;
pub mod revoke;

#[cfg(test)]
mod tests;
