//! How fast much output arrives.

use std::time::Duration;

use anyhow::Context;
use podlatch_protocol::target::PodTarget;
use tokio::time::{Instant, timeout};

use super::report::{Figure, Goal};
use super::statistics::{median, quiet};
use super::wire::{Direct, Line, Wire};
use crate::stack::Stack;

const ROUNDS: usize = 6;
const BYTES: usize = 100_000_000;

/// A transfer that takes longer hangs.
const HANGS: Duration = Duration::from_mins(2);

/// The share of the direct rate that the line must reach, or this rate, whichever is lower.
const GOAL_SHARE: f64 = 0.8;
const GOAL_MEGABYTES_PER_SECOND: f64 = 100.0;

/// One round, both ways, in MB/s.
struct Round {
    direct: f64,
    line: f64,
}

/// Why the goal may be missed, as far as measuring told.
const CAUSE: &str = "the five programs of the line share the cores with the pod's own";

/// Measures and reports.
pub async fn run(stack: &Stack, target: &PodTarget) -> anyhow::Result<Vec<Figure>> {
    let program = format!("stty raw -echo; printf ready; while read -r go; do head -c {BYTES} /dev/zero; done");
    let mut direct = Direct::start(&stack.cluster, target, &program).await?;
    let mut line = Line::start(stack, target, &program).await?;
    direct.ready().await?;
    line.ready().await?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(Round { direct: round(&mut direct).await?, line: round(&mut line).await? });
    }
    let rounds = quiet(rounds, |round| -(round.direct + round.line));
    let of = |what: fn(&Round) -> f64| median(rounds.iter().map(what));
    let (direct, line) = (of(|round| round.direct), of(|round| round.line));
    let goal = (GOAL_SHARE * direct).min(GOAL_MEGABYTES_PER_SECOND);
    Ok(vec![Figure {
        name: "bulk output through a terminal",
        direct: Some(direct),
        line,
        unit: "MB/s",
        goal: Some(Goal { text: format!(">= {goal:.0} MB/s"), reached: line >= goal, cause: CAUSE }),
        note: format!("{:.2} of direct", line / direct),
    }])
}

async fn round(wire: &mut impl Wire) -> anyhow::Result<f64> {
    let start = Instant::now();
    wire.send(b"go\n").await?;
    timeout(HANGS, take(wire, BYTES)).await.context("the output does not come")??;
    // Precise enough for megabytes.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let bytes = BYTES as f64;
    Ok(bytes / 1e6 / start.elapsed().as_secs_f64())
}

async fn take(wire: &mut impl Wire, mut bytes: usize) -> anyhow::Result<()> {
    while bytes > 0 {
        bytes = bytes.checked_sub(wire.receive().await?.len()).context("more output than was asked for")?;
        wire.acknowledge().await?;
    }
    Ok(())
}
