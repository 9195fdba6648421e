//! What an idle session with a viewer costs the relay and the agent: the slope between few and many of them.

use std::time::Duration;

use anyhow::ensure;
use podlatch_protocol::target::PodTarget;
use tokio::time::{Instant, sleep};

use super::report::{Figure, Goal};
use super::starts::Crowd;
use crate::stack::Stack;

const FEW: usize = 100;
const MANY: usize = 1_000;

const GOAL_KIB: f64 = 150.0;

/// Memory that has not moved by more than this, within this time, has settled.
const STEADY_KIB: u64 = 256;
const STEADY: Duration = Duration::from_secs(2);
const SETTLES: Duration = Duration::from_secs(30);

/// Resident memory in KiB.
#[derive(Clone, Copy)]
struct Resident {
    relay: u64,
    agent: u64,
}

/// Why the goal may be missed, as far as measuring told.
const CAUSE: &str = "unknown; it was reached with half to spare when this was written";

/// Measures and reports.
pub async fn run(stack: &Stack, target: &PodTarget) -> anyhow::Result<Vec<Figure>> {
    let mut few = Crowd::gather(stack, target, FEW).await?;
    let before = settled(stack).await?;
    let mut more = Crowd::gather(stack, target, MANY - FEW).await?;
    let after = settled(stack).await?;
    few.check()?;
    more.check()?;
    Ok(vec![
        figure("relay's memory per idle session", before.relay, after.relay),
        figure("agent's memory per idle session", before.agent, after.agent),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "kibibytes of a process")]
fn figure(name: &'static str, before: u64, after: u64) -> Figure {
    let slope = (after as f64 - before as f64) / (MANY - FEW) as f64;
    Figure {
        name,
        direct: None,
        line: slope,
        unit: "KiB",
        goal: Some(Goal { text: format!("<= {GOAL_KIB} KiB"), reached: slope <= GOAL_KIB, cause: CAUSE }),
        note: format!("{} MiB at {FEW}, {} MiB at {MANY}", before / 1024, after / 1024),
    }
}

/// Memory once it has come to rest.
async fn settled(stack: &Stack) -> anyhow::Result<Resident> {
    let start = Instant::now();
    let mut last = resident(stack)?;
    loop {
        // Memory tells nobody when it settles.
        sleep(STEADY).await;
        let now = resident(stack)?;
        let steady = |one: u64, other: u64| one.abs_diff(other) <= STEADY_KIB;
        if steady(now.relay, last.relay) && steady(now.agent, last.agent) {
            return Ok(now);
        }
        ensure!(start.elapsed() < SETTLES, "memory does not settle");
        last = now;
    }
}

fn resident(stack: &Stack) -> anyhow::Result<Resident> {
    Ok(Resident { relay: stack.relay.memory()?.resident_kib, agent: stack.agent.memory()?.resident_kib })
}
