//! What finding and auditing commands adds to a keystroke: the same line twice, one relay of which does not look for them.

use podlatch_protocol::target::PodTarget;

use super::echo::{PROGRAM, ROUNDS, round};
use super::report::{Figure, Goal};
use super::statistics::{median, quiet};
use super::wire::{Line, Wire};
use crate::stack::{Options, Stack};

/// How much it may add to the median.
const GOAL_MILLISECONDS: f64 = 0.3;

/// Measures and reports. `stack` looks for commands.
pub async fn run(stack: &Stack, target: &PodTarget) -> anyhow::Result<Vec<Figure>> {
    let without = Stack::start_with(Options { relay: vec!["--no-commands".into()], ..Options::default() }).await?;
    let mut off = Line::start(&without, target, PROGRAM).await?;
    let mut on = Line::start(stack, target, PROGRAM).await?;
    off.ready().await?;
    on.ready().await?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((round(&mut off).await?.p50, round(&mut on).await?.p50));
    }
    let rounds = quiet(rounds, |(off, on)| off + on);
    let added = median(rounds.iter().map(|(off, on)| on - off));
    Ok(vec![Figure {
        name: "echo p50 with commands",
        direct: Some(median(rounds.iter().map(|(off, _)| *off))),
        line: median(rounds.iter().map(|(_, on)| *on)),
        unit: "ms",
        goal: Some(Goal {
            text: format!("+{GOAL_MILLISECONDS} ms"),
            reached: added <= GOAL_MILLISECONDS,
            cause: "the task that reads the recording shares the cores",
        }),
        note: format!("{added:+.3} ms; in place of direct exec: a relay with --no-commands"),
    }])
}
