//! One of the product's programs as a process: its output kept for the test's report, killed when it is dropped.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// How long a program may take to say what it says when it is ready.
const READY: Duration = Duration::from_mins(1);

/// Lines of a log that are kept for reports.
const KEPT_LINES: usize = 20_000;

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: mpsc::Receiver<String>,
    log: Arc<Mutex<Vec<String>>>,
}

/// Resident memory of a process, in KiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Now.
    pub resident_kib: u64,
    /// At most since it was started.
    pub peak_kib: u64,
}

/// Where the workspace's programs were built: beside the running test.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.ancestors().skip(1).find(|folder| folder.join(name).is_file());
    folder.map(|folder| folder.join(name)).with_context(|| {
        format!("{name} is not built; run `cargo build --workspace` first (with --release for benchmarks)")
    })
}

impl Process {
    /// Starts a program of the workspace.
    pub fn start(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_at(name, &program(name)?, arguments, environment)
    }

    /// Starts a program of the workspace through others, such as `unshare`, which are to become it in the end.
    pub fn start_under(
        under: &[&str],
        name: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let Some((first, rest)) = under.split_first() else { return Self::start(name, arguments, environment) };
        let path = program(name)?;
        let path = path.to_str().context("the programs' folder is not UTF-8")?;
        Self::start_at(name, Path::new(first), &[rest, &[path], arguments].concat(), environment)
    }

    fn start_at(name: &str, path: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut child = Command::new(path)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", path.display()))?;
        let (sender, lines) = mpsc::channel(64);
        let log = Arc::new(Mutex::new(Vec::new()));
        if let Some(stdout) = child.stdout.take() {
            let mut reader = BufReader::new(stdout).lines();
            tokio::spawn(async move {
                while let Ok(Some(line)) = reader.next_line().await {
                    if sender.send(line).await.is_err() {
                        // Nobody listens any more, but the pipe must not fill up.
                        while let Ok(Some(_)) = reader.next_line().await {}
                    }
                }
            });
        }
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(&log);
            let mut reader = BufReader::new(stderr).lines();
            tokio::spawn(async move {
                while let Ok(Some(line)) = reader.next_line().await {
                    let mut log = log.lock().expect("no holder panics");
                    if log.len() == KEPT_LINES {
                        log.remove(0);
                    }
                    log.push(line);
                }
            });
        }
        Ok(Self { name: name.to_owned(), child, lines, log })
    }

    /// Waits for a line on standard output that begins with `prefix`; returns the rest. Cancel safe.
    pub async fn line(&mut self, prefix: &str) -> anyhow::Result<String> {
        let found = timeout(READY, async {
            loop {
                match self.lines.recv().await {
                    Some(line) => {
                        if let Some(rest) = line.strip_prefix(prefix) {
                            return Some(rest.trim().to_owned());
                        }
                    }
                    None => return None,
                }
            }
        });
        match found.await {
            Ok(Some(line)) => Ok(line),
            Ok(None) => bail!("{} ended before it said {prefix:?}:\n{}", self.name, self.log()),
            Err(_) => bail!("{} does not say {prefix:?}:\n{}", self.name, self.log()),
        }
    }

    /// Waits until it ends by itself; returns its exit status.
    pub async fn ended(&mut self, limit: Duration) -> anyhow::Result<std::process::ExitStatus> {
        timeout(limit, self.child.wait())
            .await
            .with_context(|| format!("{} does not end:\n{}", self.name, self.log()))?
            .map_err(Into::into)
    }

    /// Waits for a text in its log.
    pub async fn logged(&self, text: &str, limit: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        while !self.log().contains(text) {
            anyhow::ensure!(start.elapsed() < limit, "{} does not say {text:?}:\n{}", self.name, self.log());
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.log.lock().expect("no holder panics").join("\n")
    }

    /// Its process id.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// How much memory it has now, and had at most.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        let id = self.id().with_context(|| format!("{} has ended", self.name))?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let kib = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
            Ok(line.trim().trim_end_matches(" kB").parse()?)
        };
        Ok(Memory { resident_kib: kib("VmRSS:")?, peak_kib: kib("VmHWM:")? })
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.with_context(|| format!("{} cannot be killed", self.name))
    }

    /// SIGTERM; returns its exit status.
    pub async fn terminate(&mut self, limit: Duration) -> anyhow::Result<std::process::ExitStatus> {
        if let Some(id) = self.child.id() {
            let status = Command::new("kill").arg(id.to_string()).status().await?;
            anyhow::ensure!(status.success(), "{} cannot be signalled", self.name);
        }
        self.ended(limit).await
    }
}
