//! How the relay knows who speaks: [`token`]s that it handed out, and stores only as hashes. And how it keeps what it must be
//! able to show to others itself: [`seal`]ed.

pub mod seal;
pub mod token;
