//! A flood costs no memory: neither while nobody reads it, nor while one viewer does and another does not.

use anyhow::ensure;
use futures_util::{SinkExt, StreamExt};
use podlatch_e2e::cluster::target;
use podlatch_e2e::process::Memory;
use podlatch_e2e::stack::Stack;
use podlatch_e2e::viewer::{Rendering, Socket, attach, connect};

/// How much is written.
const FLOOD_BYTES: u64 = 100 * 1024 * 1024;

/// What relay and agent may need more than before, in KiB: far less than the flood, and more than their buffers together.
const GROWTH_KIB: u64 = 40 * 1024;

/// Every wait has a time limit; a slow machine reaches this much within one.
const STEP_BYTES: u64 = 2 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_keeps_the_memory_of_relay_and_agent_flat() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut reader = stack.open(&target("default", "tools", "")).await?;
    reader.run("true").await?;
    let _deaf = deaf_viewer(&stack, &reader.session).await?;
    let before = Both::of(&stack)?;

    // Nobody reads: the program is stopped before anything fills up.
    reader.set_rendering(Rendering::Stopped).await;
    let line = "0123456789abcdef".repeat(4);
    let begin = reader.seen().end();
    reader.type_text(&format!("yes {line} | head -c {FLOOD_BYTES}; echo end-$((6*7))\r")).await;
    reader.wait("the flood", |seen| seen.end() > begin + 128 * 1024).await?;
    before.check(&stack, "while nobody reads")?;

    reader.set_rendering(Rendering::AtOnce).await;
    let mut wanted = begin;
    while wanted < begin + FLOOD_BYTES {
        wanted = reader
            .wait("the flood to go on", |seen| seen.end() >= wanted + STEP_BYTES || ends(&seen.output))
            .await?
            .end();
        if ends(&reader.seen().output) {
            break;
        }
    }
    let seen = reader.wait("its end", |seen| ends(&seen.output)).await?;
    ensure!(seen.end() - begin > FLOOD_BYTES, "all of the flood arrives");
    before.check(&stack, "while one viewer reads and another does not")
}

fn ends(output: &[u8]) -> bool {
    output[output.len().saturating_sub(200)..].windows(6).any(|window| window == b"end-42")
}

/// A viewer of the session that stops reading as soon as it is attached.
async fn deaf_viewer(stack: &Stack, session: &str) -> anyhow::Result<Socket> {
    let ticket = stack.api.ticket(session).await?;
    let mut socket = connect(&stack.api, session, stack.api.base()).await?;
    socket.send(attach(&ticket, 7, None)).await?;
    let first = socket.next().await;
    ensure!(first.is_some_and(|first| first.is_ok_and(|first| first.is_text())), "not attached");
    Ok(socket)
}

/// The memory of relay and agent.
struct Both {
    relay: Memory,
    agent: Memory,
}

impl Both {
    fn of(stack: &Stack) -> anyhow::Result<Self> {
        Ok(Self { relay: stack.relay.memory()?, agent: stack.agent.memory()? })
    }

    /// Neither had at any time much more than at this one.
    fn check(&self, stack: &Stack, when: &str) -> anyhow::Result<()> {
        let now = Self::of(stack)?;
        for (name, before, now) in [("relay", self.relay, now.relay), ("agent", self.agent, now.agent)] {
            let growth = now.peak_kib.saturating_sub(before.resident_kib);
            println!("{name}, {when}: {} KiB before, {} KiB at most", before.resident_kib, now.peak_kib);
            ensure!(growth <= GROWTH_KIB, "the {name} needs {growth} KiB more {when}");
        }
        Ok(())
    }
}
