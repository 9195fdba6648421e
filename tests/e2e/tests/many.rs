//! One noisy session harms nobody: two hundred sessions, one of them flooding. How much slower the others get is measured by
//! `podlatch-bench many`, because a machine of its own is needed for that; what holds on any machine is here.

use std::time::Duration;

use podlatch_e2e::cluster::target;
use podlatch_e2e::crowd::Crowd;
use podlatch_e2e::stack::Stack;
use tokio::time::Instant;

/// All sessions, the flooding one included.
const SESSIONS: usize = 200;

/// An echo that takes longer means that its session starves.
const STARVED: Duration = Duration::from_secs(5);

/// How fast a session may flood while others type, in bytes a second: what the relay grants, and a quarter.
const PACE: u64 = 10 * 1024 * 1024;

/// What it may get at once besides, in bytes: what it saved up, and what was under way.
const AT_ONCE: u64 = 2 * 1024 * 1024;

/// The flood must go on, if slowly: this many bytes at least, while the others type.
const FLOODS: u64 = 256 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_starves_none_of_two_hundred_sessions_and_is_paced() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut others = Crowd::open(&stack, SESSIONS - 1).await?;
    let mut noisy = stack.open(&target("default", "tools", "")).await?;

    noisy.type_text("yes\r").await;
    let from = noisy.seen().rendered;
    noisy.wait("the flood", |seen| seen.rendered > from + 1_000_000).await?;
    // Now the relay knows that others type.
    others.type_all().await?;

    let (began, from) = (Instant::now(), noisy.seen().rendered);
    let echoes = others.type_all().await?;
    let flooded = noisy.seen().rendered - from;
    let slowest = echoes.iter().max().copied().unwrap_or_default();
    println!("slowest echo {slowest:.1?}, flood {} KiB in {:.1?}", flooded / 1024, began.elapsed());
    assert_eq!(echoes.len() % (SESSIONS - 1), 0, "everybody typed");
    assert!(slowest < STARVED, "an echo took {slowest:?} beside a flood");
    assert!(flooded > FLOODS, "the flood itself starves: {flooded} bytes");
    let paced = u64::try_from(began.elapsed().as_millis())? * PACE / 1_000 + AT_ONCE;
    assert!(flooded <= paced, "{flooded} bytes of a flood beside others, at most {paced} were to come");

    noisy.type_text("\u{3}").await;
    anyhow::ensure!(noisy.run("echo still here").await?.contains("still here"));
    Ok(())
}
