//! Many people who type at the same time, each in a session of their own.

use std::time::Duration;

use anyhow::Context;
use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::target;
use crate::stack::Stack;
use crate::viewer::Viewer;

/// Sessions that are opened at once.
const OPENED_AT_ONCE: usize = 20;

/// Keystrokes of each person in one go.
const KEYSTROKES: usize = 10;

/// Between two keystrokes of one person: they type, they are no benchmark.
const PAUSE: Duration = Duration::from_millis(300);

/// One keystroke that takes longer never arrives.
const LOST: Duration = Duration::from_secs(20);

/// People at terminals whose programs echo.
#[derive(Debug)]
pub struct Crowd {
    viewers: Vec<Viewer>,
}

impl Crowd {
    /// Opens so many sessions; the first keystrokes pay for what is made at first use, and are typed already.
    pub async fn open(stack: &Stack, people: usize) -> anyhow::Result<Self> {
        let (tools, bb) = (target("default", "tools", ""), target("default", "bb", ""));
        let mut viewers = Vec::new();
        while viewers.len() < people {
            let count = OPENED_AT_ONCE.min(people - viewers.len());
            let pods = [&tools, &bb].into_iter().cycle().take(count);
            viewers.extend(try_join_all(pods.map(|pod| stack.open_command(pod, Some(&["cat"])))).await?);
        }
        let mut crowd = Self { viewers };
        crowd.type_all().await?;
        Ok(crowd)
    }

    /// Everybody types and waits for each echo, which must be that very keystroke. Returns how long each echo took.
    pub async fn type_all(&mut self) -> anyhow::Result<Vec<Duration>> {
        let count = u32::try_from(self.viewers.len())?;
        let all = self.viewers.iter_mut().zip(0..).map(|(viewer, index)| async move {
            // Spread over the pause, as people are.
            sleep(PAUSE * index / count).await;
            let mut times = Vec::with_capacity(KEYSTROKES);
            for key in ('a'..).take(KEYSTROKES) {
                let mut wanted = viewer.seen().output.to_vec();
                wanted.extend(key.to_string().bytes());
                let typed = Instant::now();
                viewer.type_text(&key.to_string()).await;
                let echo = viewer.wait("an echo", |seen| seen.output.len() >= wanted.len());
                let seen = timeout(LOST, echo).await.context("a lost keystroke")??;
                times.push(typed.elapsed());
                anyhow::ensure!(*seen.output == wanted, "{key} came back as {:?}", seen.text());
                sleep(PAUSE).await;
            }
            anyhow::Ok(times)
        });
        Ok(try_join_all(all).await?.concat())
    }
}
