//! Proves the devcluster against the recordings of a real cluster, against kube and kubectl, and against what it
//! promises.

mod client;
mod ephemeral;
mod exec;
mod faults;
mod kubectl;
mod objects;
mod program;
mod rights;
mod support;
mod transcripts;
