//! How the relay knows who speaks: [`token`]s that it handed out, and stores only as hashes.

pub mod token;
