//! The relay from outside: its store on both engines, its binary with real processes and sockets.

mod audit_stream;
mod command_line;
mod commands;
mod hostile;
mod http;
mod oidc;
mod postgres;
mod process;
mod security;
mod store;
