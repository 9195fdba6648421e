//! What a recording plays.

use crate::stack::Stack;

/// The output that a session's recording plays, from its beginning to its end.
pub async fn output(stack: &Stack, session: &str) -> anyhow::Result<Vec<u8>> {
    Ok(tokio::fs::read(stack.recordings().join(session).join("output")).await?)
}
