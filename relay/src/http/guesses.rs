//! What becomes of those who guess too often.

use std::time::Duration;

use super::problem::{Problem, ProblemKind};

/// Tells somebody to wait, and for how long.
pub fn too_many(wait: Duration, to: &str) -> Problem {
    let seconds = wait.as_secs() + 1;
    let detail = format!("Too many tries to {to} from your address. Try again in {seconds} seconds.");
    Problem::new(ProblemKind::TooManyRequests, detail).retry_after(seconds)
}
