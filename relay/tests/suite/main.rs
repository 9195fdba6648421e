//! The relay from outside: its store on both engines, its binary with real processes and sockets.

mod postgres;
mod store;
