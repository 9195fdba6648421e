//! A session of which nobody can say whether its right still stands: nothing passes either way, and nothing is lost or doubled
//! once it can be said again.

use std::time::Duration;

use anyhow::ensure;
use podlatch_e2e::cluster::target;
use podlatch_e2e::stack::Stack;
use podlatch_e2e::viewer::Viewer;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// Input that is not applied for so long is not applied.
const QUIET: Duration = Duration::from_secs(5);

/// A lease of 15 s, and time for a busy machine.
const FROZEN_WITHIN: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_right_cannot_be_judged_freezes_and_goes_on_when_it_can() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut viewer = stack.open(&target("default", "tools", "")).await?;
    viewer.run("true").await?;
    let right = replace_right(&stack, &viewer.session, "{").await?;
    let since = Instant::now();
    let mut count = 0;
    while is_applied(&mut viewer, &mut count).await? {
        ensure!(since.elapsed() < FROZEN_WITHIN, "input is taken {:?} after its right was last known", since.elapsed());
    }
    println!("nothing was taken any more {:?} after the right was last known", since.elapsed().saturating_sub(QUIET));
    ensure!(viewer.seen().ended.is_none(), "it is not over: {:?}", viewer.seen().ended);

    replace_right(&stack, &viewer.session, &right).await?;
    viewer.all_applied().await?;
    let seen = viewer.wait_for(&format!("got-{count}\r\n")).await?;
    let text = seen.text();
    for number in 1..=count {
        let times = text.matches(&format!("got-{number}\r\n")).count();
        ensure!(times == 1, "line {number} of {count} was taken {times} times");
    }
    Ok(())
}

/// Types a line that says its number; returns whether the process got it.
async fn is_applied(viewer: &mut Viewer, count: &mut u32) -> anyhow::Result<bool> {
    *count += 1;
    viewer.type_text(&format!("echo got-$(({count}))\r")).await;
    timeout(QUIET, viewer.all_applied()).await.map_or(Ok(false), |applied| applied.map(|()| true))
}

/// Writes another right into a session's row, past the relay; returns what stood there.
async fn replace_right(stack: &Stack, session: &str, right: &str) -> anyhow::Result<String> {
    let session = session.parse::<Uuid>()?;
    let database = SqliteConnectOptions::new().filename(stack.relay_data().join("podlatch.db"));
    let mut database = database.busy_timeout(Duration::from_secs(30)).connect().await?;
    let (before,) = sqlx::query_as::<_, (String,)>("SELECT access FROM sessions WHERE id = $1")
        .bind(session)
        .fetch_one(&mut database)
        .await?;
    sqlx::query("UPDATE sessions SET access = $1 WHERE id = $2")
        .bind(right)
        .bind(session)
        .execute(&mut database)
        .await?;
    database.close().await?;
    Ok(before)
}
