//! How long a keystroke takes to come back from a program in the pod.

use std::time::Duration;

use anyhow::Context;
use podlatch_protocol::target::PodTarget;
use tokio::time::{Instant, sleep, timeout};

use super::report::{Figure, Goal};
use super::statistics::{median, milliseconds, percentile, quiet};
use super::wire::{Direct, Line, Wire};
use crate::stack::Stack;

pub(super) const ROUNDS: usize = 24;
const KEYS: usize = 100;

/// Between two keystrokes: everything is at rest again when the next one comes.
const PAUSE: Duration = Duration::from_millis(1);

/// An echo that takes longer is lost.
const LOST: Duration = Duration::from_secs(10);

/// How much the line may add to the median.
const GOAL_MILLISECONDS: f64 = 0.4;

/// The program answers by itself; the terminal does not.
pub(super) const PROGRAM: &str = "stty raw -echo; printf ready; exec cat";

/// One round, both ways, in milliseconds.
struct Round {
    direct: Echo,
    line: Echo,
}

pub(super) struct Echo {
    pub(super) p50: f64,
    p99: f64,
}

/// Why the goal may be missed, as far as measuring told.
const CAUSE: &str = "wakes across threads on shared cores; TOKIO_WORKER_THREADS=1 takes off some 0.08 ms";

/// Measures and reports.
pub async fn run(stack: &Stack, target: &PodTarget) -> anyhow::Result<Vec<Figure>> {
    let mut direct = Direct::start(&stack.cluster, target, PROGRAM).await?;
    let mut line = Line::start(stack, target, PROGRAM).await?;
    direct.ready().await?;
    line.ready().await?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(Round { direct: round(&mut direct).await?, line: round(&mut line).await? });
    }
    let rounds = quiet(rounds, |round| round.direct.p50 + round.line.p50);
    let of = |what: fn(&Round) -> f64| median(rounds.iter().map(what));
    let added = of(|round| round.line.p50 - round.direct.p50);
    Ok(vec![
        Figure {
            name: "keystroke echo, p50",
            direct: Some(of(|round| round.direct.p50)),
            line: of(|round| round.line.p50),
            unit: "ms",
            goal: Some(Goal {
                text: format!("+{GOAL_MILLISECONDS} ms"),
                reached: added <= GOAL_MILLISECONDS,
                cause: CAUSE,
            }),
            note: format!("{added:+.3} ms"),
        },
        Figure {
            name: "keystroke echo, p99",
            direct: Some(of(|round| round.direct.p99)),
            line: of(|round| round.line.p99),
            unit: "ms",
            goal: None,
            note: format!("{:+.3} ms", of(|round| round.line.p99 - round.direct.p99)),
        },
    ])
}

pub(super) async fn round(wire: &mut impl Wire) -> anyhow::Result<Echo> {
    let mut samples = Vec::with_capacity(KEYS);
    for _ in 0..KEYS {
        sleep(PAUSE).await;
        let start = Instant::now();
        wire.send(b"x").await?;
        timeout(LOST, wire.receive()).await.context("an echo does not come")??;
        samples.push(start.elapsed());
        wire.acknowledge().await?;
    }
    Ok(Echo { p50: milliseconds(percentile(&mut samples, 50)), p99: milliseconds(percentile(&mut samples, 99)) })
}
