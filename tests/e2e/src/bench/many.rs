//! How much slower the echoes of two hundred sessions get while one of them floods. A flood takes the processors of a small
//! machine whole, wherever it passes through; what the same flood does past Podlatch is measured for comparison.

use std::time::Duration;

use anyhow::Context;
use podlatch_podexec::exec::{self, ExecRequest, ReadEvent, Streams};
use podlatch_protocol::target::PodTarget;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::report::{Figure, Goal};
use super::statistics::{median, milliseconds, percentile, quiet};
use crate::cluster::target;
use crate::crowd::Crowd;
use crate::stack::Stack;
use crate::viewer::Viewer;

const SESSIONS: usize = 200;
const ROUNDS: usize = 4;

/// How much slower the 99th percentile may be beside a flood.
const GOAL_FACTOR: f64 = 3.0;

/// One round, in milliseconds.
struct Round {
    alone: f64,
    beside: f64,
    past: f64,
}

/// Why the goal may be missed, as far as measuring told.
const CAUSE: &str = "a flood takes processors wherever it passes through: see what the same one does past Podlatch";

/// Measures and reports.
pub async fn run(stack: &Stack) -> anyhow::Result<Vec<Figure>> {
    let tools = target("default", "tools", "");
    let mut others = Crowd::open(stack, SESSIONS - 1).await?;
    let mut noisy = stack.open(&tools).await?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let alone = p99(others.type_all().await?);
        let (beside, rate) = beside_a_flood(&mut noisy, &mut others).await?;
        let past = beside_a_flood_past_podlatch(stack, &tools, rate, &mut others).await?;
        rounds.push(Round { alone, beside, past });
    }
    let rounds = quiet(rounds, |round| round.alone + round.beside + round.past);
    let of = |what: fn(&Round) -> f64| median(rounds.iter().map(what));
    let factor = of(|round| round.beside / round.alone);
    let past = of(|round| round.past);
    Ok(vec![Figure {
        name: "echo p99 of 200, one floods",
        direct: Some(of(|round| round.alone)),
        line: of(|round| round.beside),
        unit: "ms",
        goal: Some(Goal { text: format!("<= {GOAL_FACTOR} times"), reached: factor <= GOAL_FACTOR, cause: CAUSE }),
        note: format!(
            "{factor:.1} times; in place of direct exec: without a flood; beside the same flood past Podlatch: {past:.3} ms"
        ),
    }])
}

/// How fast the others' echoes are while one session floods, and how fast it floods, in bytes per second.
async fn beside_a_flood(noisy: &mut Viewer, others: &mut Crowd) -> anyhow::Result<(f64, f64)> {
    noisy.type_text("yes\r").await;
    let now = noisy.seen().rendered;
    noisy.wait("the flood", |seen| seen.rendered > now + 1_000_000).await?;
    // Until the buffers on its way are full, and its pace is found, it goes faster than it may go on.
    others.type_all().await?;
    let (began, from) = (Instant::now(), noisy.seen().rendered);
    let times = others.type_all().await?;
    let rate = number(noisy.seen().rendered - from) / began.elapsed().as_secs_f64();
    noisy.type_text("\u{3}").await;
    // The flood's backlog must not count as quiet.
    noisy.run("true").await?;
    Ok((p99(times), rate))
}

/// The same beside an exec that floods as fast, but does not pass through Podlatch.
async fn beside_a_flood_past_podlatch(
    stack: &Stack,
    pod: &PodTarget,
    rate: f64,
    others: &mut Crowd,
) -> anyhow::Result<f64> {
    let client = stack.cluster.client().await?;
    let request = ExecRequest {
        namespace: pod.namespace.clone(),
        pod: pod.pod.clone(),
        container: "main".parse()?,
        command: vec!["yes".to_owned()],
        streams: Streams::Terminal,
    };
    let (mut reader, mut writer) = exec::start(&client, &request).await?;
    let flood: JoinHandle<()> = tokio::spawn(async move {
        let (began, mut read) = (Instant::now(), 0);
        while let ReadEvent::Output(bytes) = reader.next().await {
            read += bytes.len() as u64;
            sleep_until(began + Duration::from_secs_f64(number(read) / rate)).await;
        }
    });
    others.type_all().await?;
    let times = others.type_all().await?;
    writer.input(b"\x03").await?;
    flood.await.context("the flood past Podlatch")?;
    Ok(p99(times))
}

fn p99(mut times: Vec<Duration>) -> f64 {
    milliseconds(percentile(&mut times, 99))
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn number(bytes: u64) -> f64 {
    bytes as f64
}
