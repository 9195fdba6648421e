//! Bytes arrive as they were sent, in both directions, and Ctrl-C gets through whatever else is under way.

use std::time::Duration;

use bytes::Bytes;
use podlatch_e2e::cluster::target;
use podlatch_e2e::stack::Stack;
use podlatch_e2e::viewer::{Rendering, Viewer};
use podlatch_e2e::witness::{hex, recorded};
use podlatch_protocol::target::PodTarget;
use rand::RngCore;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

const PASTE_BYTES: usize = 1024 * 1024;
const OUTPUT_BYTES: usize = 10 * 1024 * 1024;

/// Within this the prompt is back after a Ctrl-C, also on a busy machine and in an unoptimised build. What is to be reached
/// is one second; the figures are printed.
const PROMPT_BACK: Duration = Duration::from_secs(15);

/// How fast the slow viewer renders.
const SLOW: Rendering = Rendering::BytesPerSecond(1_000_000);

/// A prompt that nothing else prints.
const PROMPT: &str = "at-your-service> ";

#[tokio::test(flavor = "multi_thread")]
async fn bytes_arrive_intact_in_both_directions() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let tools = target("default", "tools", "");
    paste(&stack, &tools).await?;
    print_much(&stack, &tools).await?;
    split_characters(&stack, &tools).await
}

async fn paste(stack: &Stack, pod: &PodTarget) -> anyhow::Result<()> {
    let mut viewer = stack.open(pod).await?;
    let mut text = vec![0; PASTE_BYTES];
    rand::rng().fill_bytes(&mut text);
    viewer.type_text(&format!("stty raw -echo; echo go-\"\"on; head -c {PASTE_BYTES} | sha256sum; stty sane\r")).await;
    viewer.wait_for("go-on\n").await?;
    let started = Instant::now();
    let digest = hex(&Sha256::digest(&text));
    viewer.type_bytes(Bytes::from(text)).await;
    viewer.wait("the paste's checksum", |seen| seen.text().contains("  -")).await?;
    println!("a paste of {PASTE_BYTES} bytes took {:?}", started.elapsed());
    assert!(viewer.seen().text().contains(&digest), "the paste did not arrive intact");
    stack.api.end(&viewer.session).await
}

async fn print_much(stack: &Stack, pod: &PodTarget) -> anyhow::Result<()> {
    let mut viewer = stack.open(pod).await?;
    let file = format!("/tmp/{}", viewer.session);
    let make = format!("head -c {OUTPUT_BYTES} /dev/urandom > {file}; sha256sum < {file}");
    let digest = stack.cluster.run(pod, &["sh", "-c", &make]).await?;
    let mark = b"go-on\n";
    let started = Instant::now();
    viewer.type_text(&format!("stty raw -echo; echo go-\"\"on; cat {file}; stty sane; rm {file}\r")).await;
    let seen = viewer.wait_for("go-on\n").await?;
    let from = seen.output.windows(mark.len()).position(|window| window == mark).expect("just seen") + mark.len();
    drop(seen);
    let seen = viewer.wait("the whole output", |seen| seen.output.len() >= from + OUTPUT_BYTES).await?;
    println!("{OUTPUT_BYTES} bytes of output took {:?}", started.elapsed());
    let printed = &seen.output[from..from + OUTPUT_BYTES];
    assert!(digest.starts_with(&hex(&Sha256::digest(printed))), "the output did not arrive intact");
    let recorded = recorded(&stack.hot_logs(), &viewer.session)?;
    assert!(recorded.starts_with(&seen.output), "what was seen is not what was recorded");
    stack.api.end(&viewer.session).await
}

async fn split_characters(stack: &Stack, pod: &PodTarget) -> anyhow::Result<()> {
    let mut viewer = stack.open(pod).await?;
    let printed =
        viewer.run("for b in 342 202 254 360 237 230 200; do printf \"\\\\$b\"; sleep 0.1; done; echo").await?;
    assert_eq!(printed, "€😀");
    viewer.type_text("stty -echo; echo go-\"\"on; read -r line; stty echo; echo \"<$line>\"\r").await;
    viewer.wait_for("go-on\r\n").await?;
    for byte in "naïve – 你好 😀\r".bytes() {
        viewer.type_bytes(Bytes::copy_from_slice(&[byte])).await;
    }
    viewer.wait_for("<naïve – 你好 😀>").await?;
    stack.api.end(&viewer.session).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_gets_through_every_flood_and_every_slow_viewer() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let tools = target("default", "tools", "");
    for (what, rendering) in [("a fast viewer", Rendering::AtOnce), ("a viewer of 1 MB/s", SLOW)] {
        let mut worst = Duration::ZERO;
        for round in 0..3 {
            let mut viewer = flooded(&stack, &tools, &format!("flood-{round}")).await?;
            viewer.set_rendering(rendering).await;
            let now = viewer.seen().rendered;
            viewer.wait("the flood", |seen| seen.rendered > now + 1_000_000).await?;
            worst = worst.max(interrupt(&mut viewer).await?);
            stack.api.end(&viewer.session).await?;
        }
        println!("flood, Ctrl-C, {what}: the prompt was rendered after {worst:?} at worst of 3");
        assert!(worst <= PROMPT_BACK, "{what}: {worst:?}");
    }

    let mut viewer = flooded(&stack, &tools, "unseen").await?;
    viewer.set_rendering(Rendering::Stopped).await;
    // Until every buffer on the way is full nothing is proven: the window and what the agent reads ahead.
    let stopped = viewer.seen().rendered;
    viewer.wait("a full window", |seen| seen.end() >= stopped + 128 * 1024).await?;
    stack.cluster.wait_for_processes(&tools, "yes unseen", 1).await?;
    viewer.type_text("\u{3}").await;
    let took = stack.cluster.wait_until_gone(&tools, "yes unseen", PROMPT_BACK).await?;
    println!("Ctrl-C while nothing is rendered: the process was gone after {took:?}");
    viewer.set_rendering(Rendering::AtOnce).await;
    viewer.wait("the prompt", |seen| seen.output.ends_with(PROMPT.as_bytes())).await?;
    Ok(())
}

/// A session in which `yes` floods.
async fn flooded(stack: &Stack, pod: &PodTarget, mark: &str) -> anyhow::Result<Viewer> {
    let mut viewer = stack.open(pod).await?;
    viewer.run(&format!("PS1='{PROMPT}'")).await?;
    viewer.type_text(&format!("yes {mark}\r")).await;
    viewer.wait("the flood", |seen| seen.output.len() > 500_000).await?;
    Ok(viewer)
}

/// Types Ctrl-C; returns how long it takes until the prompt is rendered.
async fn interrupt(viewer: &mut Viewer) -> anyhow::Result<Duration> {
    let typed = Instant::now();
    viewer.type_text("\u{3}").await;
    viewer.wait("the prompt", |seen| seen.output.ends_with(PROMPT.as_bytes()) && seen.rendered == seen.end()).await?;
    Ok(typed.elapsed())
}
