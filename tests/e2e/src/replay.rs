//! What a recording plays.

use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::Value;

use crate::poll;
use crate::stack::Stack;

/// How long an ended session's recording may take to be stored whole.
const STORED: Duration = Duration::from_mins(1);

/// The output that an ended session's recording plays, from its beginning to its end, as a person downloads it.
pub async fn output(stack: &Stack, session: &str) -> anyhow::Result<Vec<u8>> {
    let state = stored(stack, session).await?;
    ensure!(state == "complete", "the recording is {state}");
    played(stack, session).await
}

/// The same of a session whose end could not be recorded.
pub async fn output_of_truncated(stack: &Stack, session: &str) -> anyhow::Result<Vec<u8>> {
    let state = stored(stack, session).await?;
    ensure!(state == "truncated", "the recording is {state}");
    played(stack, session).await
}

async fn played(stack: &Stack, session: &str) -> anyhow::Result<Vec<u8>> {
    let address = format!("{}/api/v1/sessions/{session}/recording/cast", stack.api.base());
    let request = reqwest::Client::new().get(address).header("cookie", stack.api.cookie());
    let cast = request.send().await?.error_for_status()?.text().await?;
    let mut output = Vec::new();
    for line in cast.lines().skip(1).filter(|line| !line.starts_with('#')) {
        let event: Value = serde_json::from_str(line).with_context(|| format!("no event: {line}"))?;
        if event[1] == "o" {
            output.extend_from_slice(event[2].as_str().context("output is text")?.as_bytes());
        }
    }
    Ok(output)
}

/// Waits until a recording is stored as a whole; returns whether it has its end.
async fn stored(stack: &Stack, session: &str) -> anyhow::Result<String> {
    let path = format!("/sessions/{session}/recording");
    poll::until("the recording is stored whole", STORED, || async {
        let facts = stack.api.call(Method::GET, &path, None).await?;
        let state = facts["state"].as_str().context("no state")?.to_owned();
        Ok(if state == "recording" { Err(facts) } else { Ok(state) })
    })
    .await
}
