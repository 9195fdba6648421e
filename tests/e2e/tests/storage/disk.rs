//! The disk of live recordings: full for a while, full for good, and suddenly read-only.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use podlatch_e2e::api::problem;
use podlatch_e2e::cluster::target;
use podlatch_e2e::replay;
use podlatch_e2e::stack::{Options, Stack};
use serde_json::json;
use tokio::process::Command;

/// Gives the relay a small file system of its own for live recordings; it goes with the relay. `$4` is the relay's `--data`.
const SMALL_DISK: &str =
    r#"mkdir -p -m 700 "$4/hot" && mount -t tmpfs -o size=4m,mode=0700 podlatch-e2e "$4/hot" && exec "$@""#;

/// Within this the relay has noticed, also on a busy machine.
const NOTICED: Duration = Duration::from_secs(90);

/// Prints more than fits on what is left of the disk.
const MUCH: &str = "seq 1 150000; echo all-\"\"there\r";

async fn stack_on_a_small_disk() -> anyhow::Result<Stack> {
    let mut under = vec!["unshare", "--mount"];
    if std::fs::metadata("/proc/self")?.uid() != 0 {
        under.push("--map-root-user");
    }
    under.extend(["sh", "-c", SMALL_DISK, "sh"]);
    let under = under.into_iter().map(str::to_owned).collect();
    Stack::start_with(Options { relay_under: under, ..Options::default() }).await
}

/// The folder of live recordings, as the relay sees it.
fn disk(stack: &Stack) -> anyhow::Result<PathBuf> {
    let relay = stack.relay.id().context("the relay has ended")?;
    Ok(PathBuf::from(format!("/proc/{relay}/root{}", stack.hot_logs().display())))
}

/// Leaves no room on it.
fn fill(stack: &Stack, name: &str) -> anyhow::Result<PathBuf> {
    let path = disk(stack)?.join(name);
    let mut file = File::create(&path)?;
    loop {
        if let Err(error) = file.write_all(&[0; 4096]) {
            ensure!(error.kind() == std::io::ErrorKind::StorageFull, "{error}");
            return Ok(path);
        }
    }
}

/// Tries to open a session where there is no room for a recording, until that is so: one that ended may have left some.
async fn refused_without_room(stack: &Stack, fillers: &mut Vec<PathBuf>) -> anyhow::Result<anyhow::Error> {
    for attempt in 0..10 {
        fillers.push(fill(stack, &format!("more-{attempt}"))?);
        if let Err(refused) = stack.api.open(&stack.cluster_id, &target("default", "bb", ""), None).await {
            return Ok(refused);
        }
    }
    bail!("sessions begin although there is no room for their recordings")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_pauses_output_and_then_ends_the_session_and_nothing_else() -> anyhow::Result<()> {
    let stack = stack_on_a_small_disk().await?;
    let bb = target("default", "bb", "");
    let mut idle = stack.open(&bb).await?;
    assert_eq!(idle.run("echo here").await?, "here");

    // For a while.
    let mut flood = stack.open(&bb).await?;
    flood.run("stty -echo").await?;
    let filler = fill(&stack, "filler")?;
    flood.type_text(MUCH).await;
    stack.relay.logged("its output pauses", NOTICED).await?;
    assert!(!flood.seen().text().contains("all-there"), "there was no room for it");
    std::fs::remove_file(filler)?;
    flood.wait_for("all-there").await?;
    stack.relay.logged("a recording is written again", NOTICED).await?;
    flood.type_text("exit\r").await;
    flood.ended().await?;
    let seen = flood.seen();
    ensure!(replay::output(&stack, &flood.session).await? == *seen.output, "the recording is not what was shown");
    let numbers = (1..=150_000).map(|number| number.to_string() + "\r\n").collect::<Vec<_>>().concat();
    ensure!(seen.text().contains(&numbers), "something is missing, or there twice");

    // For good.
    let mut flood = stack.open(&bb).await?;
    flood.run("stty -echo").await?;
    let filler = fill(&stack, "filler")?;
    flood.type_text(MUCH).await;
    let ended = flood.ended().await?;
    assert_eq!((&ended["cause"], &ended["cleanup"]), (&json!("recording_failed"), &json!("confirmed")));
    assert!(ended["message"].as_str().is_some_and(|text| text.contains("no session goes on unrecorded")), "{ended}");
    let seen = flood.seen();
    assert!(!seen.text().contains("all-there"), "there was no room for it");
    let mut fillers = vec![filler];
    let refused = refused_without_room(&stack, &mut fillers).await?;
    assert_eq!((problem(&refused).status, problem(&refused).slug.as_str()), (503, "storage_unavailable"), "{refused}");
    assert_eq!(stack.api.session(&idle.session).await?["status"], "active", "who prints nothing needs no room");

    // Space returns.
    for filler in fillers {
        std::fs::remove_file(filler)?;
    }
    assert_eq!(idle.run("echo still here").await?, "still here");
    assert_eq!(stack.open(&bb).await?.run("echo new").await?, "new");
    let played = replay::output_of_truncated(&stack, &flood.session).await?;
    ensure!(played.starts_with(&seen.output), "something was shown that is not recorded");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_may_be_written_any_more_no_session_begins_and_running_ones_go_on_recorded() -> anyhow::Result<()>
{
    let stack = stack_on_a_small_disk().await?;
    let bb = target("default", "bb", "");
    let mut running = stack.open(&bb).await?;
    assert_eq!(running.run("echo before").await?, "before");
    let hot = stack.hot_logs().display().to_string();
    let read_only = format!("mount --bind '{hot}' '{hot}' && mount -o remount,bind,ro '{hot}'");
    inside(&stack, &read_only).await?;
    let refused = stack.api.open(&stack.cluster_id, &bb, None).await.expect_err("nothing could be recorded");
    assert_eq!((problem(&refused).status, problem(&refused).slug.as_str()), (503, "storage_unavailable"), "{refused}");
    assert_eq!(running.run("echo meanwhile").await?, "meanwhile");
    inside(&stack, &format!("umount '{hot}'")).await?;
    assert_eq!(stack.open(&bb).await?.run("echo after").await?, "after");
    running.type_text("exit\r").await;
    running.ended().await?;
    let played = replay::output(&stack, &running.session).await?;
    ensure!(played == *running.seen().output, "the recording is not what was shown");
    Ok(())
}

/// Runs a command where the relay's mounts are.
async fn inside(stack: &Stack, command: &str) -> anyhow::Result<()> {
    let relay = stack.relay.id().context("the relay has ended")?.to_string();
    let mut enter = Command::new("nsenter");
    enter.args(["--target", &relay, "--mount"]);
    if std::fs::metadata("/proc/self")?.uid() != 0 {
        enter.args(["--user", "--preserve-credentials"]);
    }
    let done = enter.args(["sh", "-c", command]).output().await?;
    ensure!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}
