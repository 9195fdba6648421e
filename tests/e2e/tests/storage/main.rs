//! Where recordings are kept fails: nothing goes on unrecorded, and nobody loses what was recorded.

mod bucket;
mod disk;
