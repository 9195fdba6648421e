//! The shell survives: sockets and paths cut, addresses changed, tabs reloaded, the relay killed again and again.

use std::time::Duration;

use podlatch_e2e::cluster::target;
use podlatch_e2e::stack::{Options, Stack};
use podlatch_e2e::viewer::Viewer;
use podlatch_e2e::witness::{Witness, shows};
use podlatch_impair::Cut;
use tokio::time::sleep;

/// How long the long cut lasts.
const LONG_CUT: Duration = Duration::from_secs(30);

/// How long a path is cut in one direction: long enough to be noticed.
const ONE_WAY_CUT: Duration = Duration::from_secs(12);

/// How often the relay is killed.
const KILLS: u32 = 20;

/// Types now and then for as long as a failure lasts.
async fn type_through(witness: &mut Witness, time: Duration) -> anyhow::Result<()> {
    let pieces = 10;
    for _ in 0..pieces {
        witness.type_lines(3).await?;
        sleep(time / pieces).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_survives_cuts_of_its_socket_and_of_its_path_without_losing_a_byte() -> anyhow::Result<()> {
    let (stack, proxy) = Stack::start_behind_proxy(Options::default()).await?;
    let tools = target("default", "tools", "");
    let mut path = Witness::begin(&stack, &tools, "path").await?;
    let mut both = Witness::begin(&stack, &tools, "both").await?;

    // The WebSocket alone, again and again.
    for _ in 0..5 {
        both.type_lines(5).await?;
        both.viewer.cut().await;
        both.counts_on(5).await?;
    }

    // The path for long; one viewer's socket breaks meanwhile.
    proxy.cut(Cut::Both);
    let (first, second) = tokio::join!(type_through(&mut path, LONG_CUT), async {
        for _ in 0..3 {
            both.viewer.cut().await;
            type_through(&mut both, LONG_CUT / 3).await?;
        }
        anyhow::Ok(())
    });
    first.and(second)?;
    assert_eq!(path.viewer.seen().agent.as_deref(), Some("silent"), "a person is told of a cut of {LONG_CUT:?}");
    proxy.heal();
    for witness in [&mut path, &mut both] {
        witness.counts_on(5).await?;
        witness.all_applied().await?;
        witness.viewer.wait("the agent to answer", |seen| seen.agent.as_deref() == Some("answering")).await?;
    }

    // Either direction alone.
    for direction in [Cut::ToUpstream, Cut::ToClient] {
        proxy.cut(direction);
        type_through(&mut path, ONE_WAY_CUT).await?;
        proxy.heal();
        path.counts_on(5).await?;
        path.all_applied().await?;
    }
    path.check(&stack.cluster, &stack.hot_logs()).await?;
    both.check(&stack.cluster, &stack.hot_logs()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_survives_new_addresses_of_its_agent_and_reloads_of_its_tab() -> anyhow::Result<()> {
    let (stack, proxy) = Stack::start_behind_proxy(Options::default()).await?;
    let (tools, bb) = (target("default", "tools", ""), target("default", "bb", ""));
    let mut moving = Witness::begin(&stack, &tools, "moving").await?;
    for _ in 0..5 {
        proxy.change_address();
        moving.type_lines(20).await?;
        moving.counts_on(10).await?;
        moving.all_applied().await?;
    }
    moving.check(&stack.cluster, &stack.hot_logs()).await?;

    let mut reloading = Witness::begin(&stack, &bb, "reloading").await?;
    for _ in 0..3 {
        reloading.type_lines(20).await?;
        reloading.all_applied().await?;
        reload(&mut reloading.viewer).await?;
        reloading.counts_on(10).await?;
    }
    reloading.check(&stack.cluster, &stack.hot_logs()).await?;

    let mut viewer = stack.open(&tools).await?;
    let shell = viewer.run("echo $$").await?;
    viewer.run("echo written before the reload").await?;
    reload(&mut viewer).await?;
    viewer.wait("the earlier text", |seen| shows(&seen.output, "written before the reload")).await?;
    assert_eq!(viewer.run("echo $$").await?, shell);

    let file = format!("/tmp/{}", viewer.session);
    viewer.type_text(&format!("vim -u NONE {file}\r")).await;
    viewer.wait_for("\u{1b}[?1049h").await?;
    viewer.type_text("ifirst line\rsecond line").await;
    viewer.wait_for("second line").await?;
    reload(&mut viewer).await?;
    let seen = viewer.wait("vim's screen", |seen| shows(&seen.output, "second line")).await?;
    let alternate_screen = ["\u{1b}[?1047h", "\u{1b}[?1049h"].iter().any(|switch| seen.text().contains(switch));
    assert!(shows(&seen.output, "first line") && alternate_screen, "{}", seen.text());
    viewer.type_text(" goes on\u{1b}:wq\r").await;
    viewer.wait_for("\u{1b}[?1049l").await?;
    assert_eq!(viewer.run(&format!("cat {file}; rm {file}")).await?, "first line\nsecond line goes on");
    Ok(())
}

/// Reloads the tab and waits until the new one is attached.
async fn reload(viewer: &mut Viewer) -> anyhow::Result<()> {
    let before = viewer.seen().attachments;
    viewer.reload().await;
    viewer.wait("the new tab", |seen| seen.attachments > before).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_survives_twenty_kills_of_the_relay_without_losing_a_byte() -> anyhow::Result<()> {
    let mut stack = Stack::start().await?;
    let mut witness = Witness::begin(&stack, &target("default", "tools", ""), "kills").await?;
    for kill in 1..=KILLS {
        witness.type_lines(200).await?;
        stack.kill_relay().await?;
        witness.type_lines(50).await?;
        stack.restart_relay().await?;
        witness.counts_on(5).await.map_err(|error| error.context(format!("after kill {kill}")))?;
    }
    witness.all_applied().await?;
    witness.check(&stack.cluster, &stack.hot_logs()).await
}
