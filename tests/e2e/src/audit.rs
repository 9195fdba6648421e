//! The audit log, as the API shows it.

use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::Value;

use crate::api::Api;
use crate::poll;

/// All events that the filters let through, oldest first.
pub async fn events(api: &Api, filters: &[(&str, &str)]) -> anyhow::Result<Vec<Value>> {
    let filters = filters.iter().fold(String::new(), |all, (name, value)| all + "&" + name + "=" + value);
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api.call(Method::GET, &format!("/audit-events?limit=100{filters}{cursor}"), None).await?;
        all.extend(page["items"].as_array().context("no list")?.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    all.reverse();
    Ok(all)
}

/// The commands of a session that is over, oldest first.
pub async fn commands_of(api: &Api, session: &str) -> anyhow::Result<Vec<Value>> {
    // What the session's viewer hears of the end comes after its last event.
    events(api, &[("session", session), ("action", "command_executed")]).await
}

/// Waits until a session has so many commands.
pub async fn wait_for_commands(api: &Api, session: &str, count: usize, limit: Duration) -> anyhow::Result<Vec<Value>> {
    poll::until(&format!("there are {count} commands"), limit, || async {
        let found = commands_of(api, session).await?;
        Ok(if found.len() >= count { Ok(found) } else { Err(format!("{found:?}")) })
    })
    .await
}

/// A session's events are numbered from 1 without a gap; returns them.
pub async fn gapless(api: &Api, session: &str) -> anyhow::Result<Vec<Value>> {
    let all = events(api, &[("session", session)]).await?;
    for (event, sequence) in all.iter().zip(1_u64..) {
        ensure!(event["sequence"] == sequence, "number {sequence} is missing or out of place: {event}");
    }
    Ok(all)
}
