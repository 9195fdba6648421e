//! What the end-to-end suite and the benchmarks stand on: the real programs as processes ([`stack`]), a terminal client that
//! behaves like the console's ([`viewer`]), and a look into the pods that does not go through Podlatch ([`cluster`]).
//!
//! The suite runs against the devcluster, or against the cluster that `KUBECONFIG` names if it has the pods of
//! `tests/fixtures.yaml`.

pub mod api;
pub mod audit;
pub mod bench;
pub mod cluster;
pub mod crowd;
pub mod people;
pub mod poll;
pub mod process;
pub mod replay;
pub mod stack;
pub mod viewer;
pub mod witness;
