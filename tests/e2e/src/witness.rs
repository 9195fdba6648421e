//! A session that gives away every lost, doubled or misplaced byte: its shell prints numbers without pause while numbered
//! lines are typed into a file in the pod.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, ensure};
use podlatch_protocol::target::PodTarget;
use sha2::{Digest, Sha256};

use crate::cluster::Cluster;
use crate::stack::Stack;
use crate::viewer::{Viewer, without_escapes};

/// A session under observation.
#[derive(Debug)]
pub struct Witness {
    /// The person at its terminal.
    pub viewer: Viewer,
    target: PodTarget,
    shell: String,
    file: String,
    typed: String,
    lines: u32,
}

impl Witness {
    /// Opens a session and starts counting and typing in it. `name` names its file in the pod.
    pub async fn begin(stack: &Stack, target: &PodTarget, name: &str) -> anyhow::Result<Self> {
        let mut viewer = stack.open(target).await?;
        let shell = viewer.run("echo $$").await?;
        let file = format!("/tmp/podlatch-{name}-{}", viewer.session);
        viewer.run("stty -echo").await?;
        viewer
            .type_text(&format!(
                "(i=0; while :; do i=$((i+1)); echo n$i; sleep 0.02; done) & cat > {file}; kill $!; wait $! 2>/dev/null; stty echo; echo all-\"\"over\r"
            ))
            .await;
        viewer.wait_for("n1\r\n").await?;
        Ok(Self { viewer, target: target.clone(), shell, file, typed: String::new(), lines: 0 })
    }

    /// Types so many numbered lines.
    pub async fn type_lines(&mut self, lines: u32) -> anyhow::Result<()> {
        let mut text = String::new();
        for _ in 0..lines {
            self.lines += 1;
            writeln!(text, "line {} of what {} typed", self.lines, self.viewer.session)?;
        }
        self.viewer.type_text(&text.replace('\n', "\r")).await;
        self.typed.push_str(&text);
        Ok(())
    }

    /// The last number that was seen.
    pub fn number(&self) -> u32 {
        last_number(&self.viewer.seen().output)
    }

    /// Waits until it has counted so much further.
    pub async fn counts_on(&mut self, further: u32) -> anyhow::Result<()> {
        let wanted = self.number() + further;
        self.viewer.wait("the counter", |seen| last_number(&seen.output) >= wanted).await.map(drop)
    }

    /// Waits until everything that was typed was handed to the process.
    pub async fn all_applied(&mut self) -> anyhow::Result<()> {
        self.viewer.all_applied().await
    }

    /// Ends counter and typing, and checks all of it: the shell, the numbers, the file, the recording in the
    /// folder of hot logs.
    pub async fn check(mut self, cluster: &Cluster, hot_logs: &Path) -> anyhow::Result<()> {
        self.counts_on(5).await?;
        self.viewer.type_text("\u{4}").await;
        self.viewer.wait_for("all-over").await?;
        let shell = self.viewer.run("echo $$").await?;
        ensure!(shell == self.shell, "another shell: {shell}, it was {}", self.shell);
        let written = cluster.run(&self.target, &["sha256sum", &self.file]).await?;
        let typed = hex(&Sha256::digest(self.typed.as_bytes()));
        if !written.starts_with(&typed) {
            let content = cluster.run(&self.target, &["cat", &self.file]).await?;
            anyhow::bail!("what was typed did not arrive as it was typed: {}", first_difference(&self.typed, &content));
        }
        cluster.run(&self.target, &["rm", &self.file]).await?;
        let seen = self.viewer.seen();
        without_gap(&seen.output).context("on the screen")?;
        let recorded = recorded(hot_logs, &self.viewer.session)?;
        without_gap(&recorded).context("in the recording")?;
        let from = usize::try_from(seen.offset)?;
        // After a reload the screen begins with a snapshot, which is not output.
        if from == 0 {
            ensure!(recorded.starts_with(&seen.output), "the screen is not what was recorded");
        }
        ensure!(numbers(&recorded).next() == Some(1), "the recording does not begin at the beginning");
        Ok(())
    }
}

/// What was recorded of a live session so far.
pub fn recorded(hot_logs: &Path, session: &str) -> anyhow::Result<Vec<u8>> {
    for organisation in std::fs::read_dir(hot_logs)? {
        let output = organisation?.path().join(session).join("output");
        if output.exists() {
            return Ok(std::fs::read(output)?);
        }
    }
    anyhow::bail!("{session} is not being recorded")
}

/// Every number that the counter printed.
fn numbers(output: &[u8]) -> impl Iterator<Item = u32> {
    // A prompt may stand before the number; nothing stands behind it.
    output.split_inclusive(|byte| *byte == b'\n').filter_map(|line| {
        let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
        let digits = line.len() - line.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (before, number) = line.split_at(digits);
        before.ends_with('n').then(|| number.parse().ok()).flatten()
    })
}

fn last_number(output: &[u8]) -> u32 {
    // Enough for the last lines, whatever stands between them.
    let tail = output.len().saturating_sub(4096);
    numbers(&output[tail..]).last().unwrap_or(0)
}

fn without_gap(output: &[u8]) -> anyhow::Result<()> {
    let all: Vec<u32> = numbers(output).collect();
    ensure!(!all.is_empty(), "no number was printed");
    for pair in all.windows(2) {
        ensure!(pair[1] == pair[0] + 1, "{} is followed by {}", pair[0], pair[1]);
    }
    Ok(())
}

fn first_difference(expected: &str, found: &str) -> String {
    let different = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    match different {
        Some((expected, found)) => format!("{found:?} in place of {expected:?}"),
        None => format!("{} lines in place of {}", found.lines().count(), expected.lines().count()),
    }
}

/// Lower-case hexadecimal digits, as `sha256sum` prints them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// Whether a text stands on a screen that was drawn by a snapshot.
pub fn shows(output: &[u8], text: &str) -> bool {
    without_escapes(&String::from_utf8_lossy(output)).contains(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_behind_a_prompt_and_gaps_are_told() {
        let output = b"$ n1\r\nn2\r\nsomething\r\nn3\r\nn4";
        assert_eq!(numbers(output).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(last_number(output), 3);
        assert!(without_gap(output).is_ok());
        assert!(without_gap(b"n1\r\nn3\r\n").is_err());
        assert!(without_gap(b"n1\r\nn1\r\n").is_err());
    }
}
