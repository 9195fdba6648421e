//! `kill -9` of the relay at a hundred random moments, while people work: nothing is lost, nothing is doubled.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use podlatch_e2e::audit;
use podlatch_e2e::cluster::target;
use podlatch_e2e::stack::Stack;
use podlatch_e2e::viewer::Viewer;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

const KILLS: u32 = 100;

/// Changes the moments; the same seed gives the same moments, as far as processes have any.
const SEED: u64 = 20_260_101;

/// How long a relay lives at most before it is killed: through its start, the agents' return and some work.
const LONGEST_LIFE: Duration = Duration::from_millis(1_500);

/// Between two lines that are typed.
const LONGEST_PAUSE: Duration = Duration::from_millis(120);

/// In a shell without marks, so that its commands are read off the screen: it types its next line when the last one is over, as
/// a person does.
struct Plain {
    viewer: Viewer,
    lines: Vec<String>,
}

impl Plain {
    async fn type_line(&mut self) {
        let number = self.lines.len();
        let over = |number: usize| format!("\nplain {number}-\r\n");
        if number > 0 && !self.viewer.seen().text().contains(&over(number - 1)) {
            return;
        }
        // What it prints is not what its echo shows.
        let line = format!("echo plain {number}\"-\"");
        self.viewer.type_text(&format!("{line}\r")).await;
        self.lines.push(line);
    }

    async fn finish(&mut self, stack: &Stack) -> anyhow::Result<()> {
        self.viewer.type_text("exit\r").await;
        self.lines.push("exit".to_owned());
        self.viewer.all_applied().await?;
        self.viewer.ended().await?;
        let events = audit::gapless(&stack.api, &self.viewer.session).await?;
        let commands = events.iter().filter(|event| event["action"] == "command_executed");
        let found: Vec<&str> = commands.filter_map(|event| event["command"].as_str()).collect();
        let differs = found.iter().zip(&self.lines).position(|(found, typed)| found != typed);
        let at = differs.unwrap_or_else(|| found.len().min(self.lines.len()));
        ensure!(
            found == self.lines,
            "{} commands in place of {}; the first that differs, {at}: {:?} in place of {:?}",
            found.len(),
            self.lines.len(),
            found.get(at),
            self.lines.get(at),
        );
        Ok(())
    }
}

/// A session whose lines are known.
struct Worker {
    viewer: Viewer,
    lines: Vec<String>,
}

impl Worker {
    /// Types the next line: some are quick, some print much, some fail, some are long.
    async fn type_line(&mut self, random: &mut StdRng) {
        let number = self.lines.len();
        let line = match random.random_range(0..6) {
            0 => format!("seq {number} {}", number + 400),
            1 => format!("(exit {})", number % 100),
            2 => format!("sleep 0.{:03}; echo slept {number}", random.random_range(0..300)),
            3 => format!("echo \u{fc}n\u{ef}c\u{f6}de {number} | tr a-z A-Z"),
            _ => format!("echo step {number}"),
        };
        self.viewer.type_text(&format!("{line}\r")).await;
        self.lines.push(line);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_of_the_relay_lose_and_double_nothing() -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(SEED);
    let mut stack = Stack::start().await?;
    let mut workers = Vec::new();
    for _ in 0..2 {
        let viewer = stack.open(&target("default", "tools", "")).await?;
        workers.push(Worker { viewer, lines: Vec::new() });
    }
    let mut plain = Plain { viewer: stack.open(&target("default", "bb", "")).await?, lines: Vec::new() };
    for _ in 0..KILLS {
        let life = random.random_range(Duration::ZERO..LONGEST_LIFE);
        let begin = Instant::now();
        while begin.elapsed() < life {
            for worker in &mut workers {
                worker.type_line(&mut random).await;
            }
            plain.type_line().await;
            sleep(random.random_range(Duration::ZERO..LONGEST_PAUSE)).await;
        }
        stack.kill_relay().await?;
        stack.restart_relay().await?;
    }
    stack.wait_until_online().await?;
    plain.finish(&stack).await.context("in a shell without marks")?;
    for worker in &mut workers {
        worker.viewer.type_text("echo all; exit\r").await;
        worker.lines.push("echo all; exit".to_owned());
        worker.viewer.all_applied().await?;
        worker.viewer.ended().await?;
        check(&stack, worker).await?;
    }
    let all = audit::events(&stack.api, &[]).await?;
    for (event, position) in all.iter().zip(1_u64..) {
        ensure!(event["position"] == position, "position {position} is missing or out of place: {event}");
    }
    Ok(())
}

async fn check(stack: &Stack, worker: &Worker) -> anyhow::Result<()> {
    let session = &worker.viewer.session;
    let events = audit::gapless(&stack.api, session).await?;
    let of = |action: &str| events.iter().filter(|event| event["action"] == action).collect::<Vec<_>>();
    let commands: Vec<&str> = of("command_executed").iter().filter_map(|event| event["command"].as_str()).collect();
    let (found, typed) = (commands.iter(), worker.lines.iter());
    if let Some((at, (found, typed))) = found.zip(typed).enumerate().find(|(_, (found, typed))| *found != typed) {
        anyhow::bail!("command {at} is {found:?} in place of {typed:?}");
    }
    ensure!(commands.len() == worker.lines.len(), "{} commands in place of {}", commands.len(), worker.lines.len());
    ensure!(of("session_end").len() == 1, "not one end: {events:?}");
    for event in of("command_executed").iter().filter(|event| event["details"]["running"].is_null()) {
        let text = event["command"].as_str().context("no command")?;
        let wanted = text.strip_prefix("(exit ").and_then(|rest| rest.strip_suffix(')')).unwrap_or("0");
        let exit_code = event["details"]["exit_code"].as_i64();
        ensure!(exit_code == wanted.parse().ok() || text.ends_with("exit"), "{text} ended with {exit_code:?}");
    }
    let seen = worker.viewer.seen();
    ensure!(seen.offset == 0, "the viewer saw a snapshot: its output does not begin at the beginning");
    let replayed = podlatch_e2e::replay::output(stack, session).await?;
    // A recording is text, as a browser shows it: an echo and a program's output may cut each other's characters in two.
    let text = String::from_utf8_lossy(&seen.output);
    let shown = text.as_bytes();
    let differs = replayed.iter().zip(shown).position(|(replayed, seen)| replayed != seen);
    let at = differs.unwrap_or_else(|| replayed.len().min(shown.len()));
    let around = |bytes: &[u8]| {
        let part = &bytes[at.saturating_sub(60)..bytes.len().min(at + 60)];
        part.escape_ascii().to_string()
    };
    ensure!(
        replayed == shown,
        "the recording is not what the viewer saw, from {at} on: {} of {} bytes, {:?} in place of {:?}",
        replayed.len(),
        shown.len(),
        around(&replayed),
        around(shown),
    );
    Ok(())
}
