//! A flood costs no memory: neither while nobody reads it, nor while one viewer does and another does not. And it stands in no
//! one's way: what an interrupt overtook is not drawn.

use anyhow::{Context, ensure};
use futures_util::{SinkExt, StreamExt};
use podlatch_e2e::cluster::target;
use podlatch_e2e::process::Memory;
use podlatch_e2e::replay;
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

/// A viewer that draws so much in a second is a slow browser.
const SLOW: Rendering = Rendering::BytesPerSecond(300_000);

/// Most that a viewer has to draw between its interrupt and the prompt.
const MOST_DRAWN_BYTES: usize = 512 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupt_overtook_is_recorded_but_not_drawn() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut reader = stack.open(&target("default", "tools", "")).await?;
    reader.run("true").await?;
    reader.set_rendering(SLOW).await;
    let program = r#"trap "echo end-$((6*7)); exit" INT; echo begin-$((6*7)); yes"#;
    reader.type_text(&format!("sh -c '{program}'\r")).await;
    // Meanwhile the sockets between here and the program fill.
    let at_interrupt = reader.wait("some of the flood", |seen| seen.end() > 1_200_000).await?;
    reader.type_text("\x03").await;
    let after = reader.wait_for("end-42").await?;
    let drawn = after.output.len() - at_interrupt.output.len();
    println!("{drawn} bytes were drawn, {} left out", after.left_out);
    ensure!(after.left_out > 0 && drawn < MOST_DRAWN_BYTES, "{drawn} bytes were drawn, {} left out", after.left_out);
    ensure!(after.text().contains("are not drawn; the recording has them"), "nobody is told");
    ensure!(reader.run("echo alive").await?.contains("alive"), "the shell lives on");

    stack.api.end(&reader.session).await?;
    reader.ended().await?;
    let recorded = replay::output(&stack, &reader.session).await?;
    let from = position_of(&recorded, b"begin-42\r\n")? + b"begin-42\r\n".len();
    let flood = &recorded[from..position_of(&recorded, b"^C")?];
    ensure!(flood.len() as u64 > after.left_out, "all of it is recorded");
    ensure!(flood.chunks(3).all(|line| b"y\r\n".starts_with(line)), "and nothing else");
    Ok(())
}

fn position_of(output: &[u8], text: &[u8]) -> anyhow::Result<usize> {
    let found = output.windows(text.len()).position(|window| window == text);
    found.with_context(|| format!("no {} in the recording", String::from_utf8_lossy(text)))
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
