//! How many sessions can be started in a second, from the request to the attached terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use podlatch_protocol::target::PodTarget;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::report::{Figure, Goal};
use super::wire::{Line, Wire};
use crate::api::Api;
use crate::stack::Stack;

const SESSIONS: usize = 300;

/// People who start sessions at the same time.
const PEOPLE: usize = 16;

const GOAL_PER_SECOND: f64 = 100.0;

/// Why the goal may be missed, as far as measuring told.
const CAUSE: &str = "the stand-in cluster starts real processes on the same cores; nothing else was found";

/// Measures and reports.
pub async fn run(stack: &Stack, target: &PodTarget) -> anyhow::Result<Vec<Figure>> {
    let start = Instant::now();
    let crowd = Crowd::gather(stack, target, SESSIONS).await?;
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let rate = SESSIONS as f64 / start.elapsed().as_secs_f64();
    drop(crowd);
    Ok(vec![Figure {
        name: "session starts",
        direct: None,
        line: rate,
        unit: "/s",
        goal: Some(Goal { text: format!(">= {GOAL_PER_SECOND} /s"), reached: rate >= GOAL_PER_SECOND, cause: CAUSE }),
        note: format!("{PEOPLE} at a time"),
    }])
}

/// Viewers of idle sessions, each attached and reading. They leave when it is dropped.
#[derive(Default)]
pub(super) struct Crowd {
    viewers: JoinSet<anyhow::Result<()>>,
}

impl Crowd {
    /// Opens that many sessions, several at a time, and attaches a viewer to each.
    pub(super) async fn gather(stack: &Stack, target: &PodTarget, sessions: usize) -> anyhow::Result<Self> {
        let left = Arc::new(AtomicUsize::new(sessions));
        let mut people = JoinSet::new();
        for _ in 0..PEOPLE {
            let (api, cluster, target) = (stack.api.clone(), stack.cluster_id.clone(), target.clone());
            people.spawn(person(api, cluster, target, Arc::clone(&left)));
        }
        let mut crowd = Self::default();
        while let Some(lines) = people.join_next().await {
            for mut line in lines?? {
                crowd.viewers.spawn(async move {
                    loop {
                        line.receive().await?;
                        line.acknowledge().await?;
                    }
                });
            }
        }
        Ok(crowd)
    }

    /// Fails if a viewer has lost its session.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.viewers.try_join_next() {
            Some(lost) => lost?,
            None => Ok(()),
        }
    }
}

async fn person(api: Api, cluster: String, target: PodTarget, left: Arc<AtomicUsize>) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    while take().is_ok() {
        let opened = api.open(&cluster, &target, None).await?;
        lines.push(Line::attach(&api, &opened).await?);
    }
    Ok(lines)
}
