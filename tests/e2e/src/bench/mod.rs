//! The benchmarks of `make bench`: the whole line against direct exec, in one run on one machine.
//!
//! Both ways are measured by the same code through [`wire::Wire`], in alternating rounds; what counts is the median of the
//! quiet ones, so that a machine with other work to do spoils little.

pub mod bulk;
pub mod commands;
pub mod echo;
pub mod many;
pub mod memory;
pub mod report;
pub mod starts;
mod statistics;
mod wire;
