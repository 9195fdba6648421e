//! The relay from outside: its store on both engines, its binary with real processes and sockets.

mod command_line;
mod commands;
mod http;
mod postgres;
mod process;
mod store;
