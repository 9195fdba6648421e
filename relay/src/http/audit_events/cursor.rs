//! Where a list of events goes on: good for the same list alone.

use sha2::{Digest, Sha256};

use crate::http::problem::{Problem, ProblemKind};
use crate::store::AuditFilter;

/// What a cursor begins with, so that one of another list is not taken for one of this.
const PREFIX: &str = "a";

/// Bytes of the filter's hash.
const HASH_BYTES: usize = 8;

/// Gives out a cursor: the log goes on below `before`.
pub(super) fn write(filter: &AuditFilter, before: u64) -> String {
    format!("{PREFIX}{before:016x}{}", fingerprint(filter))
}

/// Reads a cursor that [`write`] gave out for the same filter.
pub(super) fn read(filter: &AuditFilter, text: &str) -> Result<u64, Problem> {
    let foreign = || {
        let detail = "The cursor belongs to another list or another filter. Start over without a cursor.";
        Problem::new(ProblemKind::Unprocessable, detail)
    };
    let (before, fingerprinted) =
        text.strip_prefix(PREFIX).and_then(|rest| rest.split_at_checked(16)).ok_or_else(foreign)?;
    if fingerprinted != fingerprint(filter) || !before.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(foreign());
    }
    u64::from_str_radix(before, 16).map_err(|_| foreign())
}

/// The filter holds the organisation and what the caller may see of it, too.
fn fingerprint(filter: &AuditFilter) -> String {
    let hash = Sha256::digest(format!("{filter:?}"));
    hex::encode(&hash[..HASH_BYTES])
}
