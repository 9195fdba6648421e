//! What a recording plays.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::stack::Stack;

/// How long an ended session's recording may take to be stored whole.
const STORED: Duration = Duration::from_mins(1);

/// The output that an ended session's recording plays, from its beginning to its end, as a person downloads it.
pub async fn output(stack: &Stack, session: &str) -> anyhow::Result<Vec<u8>> {
    stored(stack, session).await?;
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

/// Waits until a recording is stored whole.
async fn stored(stack: &Stack, session: &str) -> anyhow::Result<()> {
    let until = Instant::now() + STORED;
    loop {
        let facts = stack.api.call(Method::GET, &format!("/sessions/{session}/recording"), None).await?;
        if facts["state"] != "recording" {
            ensure!(facts["state"] == "complete", "the recording is {}: {}", facts["state"], facts["message"]);
            return Ok(());
        }
        if Instant::now() > until {
            bail!("the recording of {session} is not stored whole within {STORED:?}");
        }
        sleep(Duration::from_millis(50)).await;
    }
}
