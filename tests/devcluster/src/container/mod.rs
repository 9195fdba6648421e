//! Containers: real processes with their own files, PIDs and host name.

mod host;
mod image;
mod keeper;
mod leftovers;
mod logs;
mod lookup;
mod rootfs;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

pub(crate) use host::Host;
pub use host::{Isolation, Prerequisites};
pub(crate) use image::Image;
use keeper::{Keeper, Plan, READY};
use leftovers::MountNamespace;
pub(crate) use logs::{Log, Progress};

/// A first process that did not begin by then never will.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How long output may still come after the first process ended.
const LOG_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// How often the first process is looked at between its word and its command, a few milliseconds.
const PREPARING_INTERVAL: Duration = Duration::from_millis(1);
/// How much of the output is read at a time.
const LOG_CHUNK_BYTES: usize = 8 * 1024;

/// What a manifest says about one container, as far as it matters here.
#[derive(Debug, Clone)]
pub(crate) struct ContainerSpec {
    pub(crate) image: Image,
    pub(crate) host_name: String,
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Whether the first process' input is held open.
    pub(crate) stdin: Wanted,
    /// A process in whose PID namespace the container runs, instead of an own one.
    pub(crate) processes_of: Option<u32>,
}

/// Whether an exec gets a pseudo-terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terminal {
    Pty,
    None,
}

/// Whether an exec's client wants a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Yes,
    No,
}

/// What an exec starts.
#[derive(Debug, Clone)]
pub(crate) struct ExecSpec {
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) terminal: Terminal,
    pub(crate) stdin: Wanted,
    pub(crate) stdout: Wanted,
    pub(crate) stderr: Wanted,
}

/// A process that an exec started.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) child: Child,
    pub(crate) io: SpawnedIo,
}

/// Its descriptors, all non-blocking or about to be.
#[derive(Debug)]
pub(crate) enum SpawnedIo {
    Pty(OwnedFd),
    Pipes { stdin: Option<OwnedFd>, stdout: Option<OwnedFd>, stderr: Option<OwnedFd> },
}

/// An exec that did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecFailure {
    /// The runtime's own words.
    #[error("{reason}")]
    Refused { reason: String },
    #[error("the container is gone")]
    ContainerGone,
}

/// How a container's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) exit_code: i32,
    pub(crate) at: Timestamp,
}

/// A running container. Dropping the last handle kills everything in it.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    keeper: Keeper,
    signals: mpsc::Sender<Signal>,
    ended: watch::Receiver<Option<Ended>>,
    pub(crate) log: Arc<Log>,
    pub(crate) started_at: Timestamp,
    /// The first process, as this machine numbers it.
    pub(crate) pid: u32,
}

impl Container {
    /// Starts a container and waits until its command runs. `folder` is for its root; it is made here.
    /// Not cancel safe: the container may stay without an owner until its processes end.
    pub(crate) async fn start(host: &Host, spec: ContainerSpec, folder: &Path, tasks: &TaskTracker) -> Result<Self> {
        let root = folder.join("root");
        std::fs::create_dir_all(&root).context("make a container's folder")?;
        let shares_processes = spec.processes_of.is_some();
        let plan = plan(host, spec, root);
        let log = Arc::new(Log::new());
        let (keeper, mut first) = Keeper::start(plan).await?;
        tokio::time::timeout(START_TIMEOUT, wait_until_ready(&mut first))
            .await
            .context("a container's first process does not begin")??;
        let pid = first.id().context("a container's first process ended at once")?;
        // With a PID namespace of its own, the kernel ends everything in a container with its first process.
        let leftovers = if shares_processes { Some(MountNamespace::of(pid)?) } else { None };
        let (signals, signal_rx) = mpsc::channel(4);
        let (ended_tx, ended) = watch::channel(None);
        tasks.spawn(own_first_process(first, signal_rx, ended_tx, Arc::clone(&log), leftovers));
        Ok(Self { keeper, signals, ended, log, started_at: Timestamp::now(), pid })
    }

    /// Starts one more process in the container. Cancel safe, but the process may start all the same.
    pub(crate) async fn exec(&self, spec: ExecSpec) -> Result<Spawned, ExecFailure> {
        if !self.is_running() {
            return Err(ExecFailure::ContainerGone);
        }
        self.keeper.exec(spec).await
    }

    /// Whether the first process still runs.
    pub(crate) fn is_running(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Signals the first process; KILL ends everything in the container.
    pub(crate) fn signal(&self, signal: Signal) {
        // A full queue already holds a signal that ends it.
        let _ = self.signals.try_send(signal);
    }

    /// Resolves when the first process ended. Cancel safe.
    pub(crate) async fn wait(&self) -> Ended {
        let mut ended = self.ended.clone();
        let last = ended.wait_for(Option::is_some).await.ok().and_then(|ended| *ended);
        last.unwrap_or(Ended { exit_code: 137, at: Timestamp::now() })
    }
}

/// The exit code as a shell would report it: 128 and the signal for a killed process.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255)
}

fn plan(host: &Host, spec: ContainerSpec, root: PathBuf) -> Plan {
    let mut command = if spec.command.is_empty() { spec.image.entry_point() } else { spec.command };
    if (host.isolation, spec.image) == (Isolation::None, Image::Shellless) {
        // The image's own program is not there without a root of its own.
        command = vec![host.sleep.display().to_string(), "infinity".to_owned()];
    }
    Plan {
        host: host.clone(),
        image: spec.image,
        host_name: spec.host_name,
        command,
        environment: spec.environment,
        stdin: spec.stdin,
        processes_of: spec.processes_of,
        root,
    }
}

async fn wait_until_ready(first: &mut Child) -> Result<()> {
    let stdout = first.stdout.as_mut().context("the first process has no output")?;
    let mut marker = vec![0; READY.len()];
    if stdout.read_exact(&mut marker).await.is_err() || marker != READY {
        let mut text = String::new();
        if let Some(stderr) = first.stderr.as_mut() {
            let _ = stderr.take(LOG_CHUNK_BYTES as u64).read_to_string(&mut text).await;
        }
        bail!("a container's first process ended before it began: {}", text.trim());
    }
    while first.id().is_some_and(keeper::is_still_preparing) {
        tokio::time::sleep(PREPARING_INTERVAL).await;
    }
    Ok(())
}

async fn own_first_process(
    mut first: Child,
    mut signals: mpsc::Receiver<Signal>,
    ended: watch::Sender<Option<Ended>>,
    log: Arc<Log>,
    leftovers: Option<MountNamespace>,
) {
    // Waiting for a process would close its input.
    let _input = first.stdin.take();
    let stdout = first.stdout.take();
    let stderr = first.stderr.take();
    let output = async { tokio::join!(copy_to_log(stdout, &log), copy_to_log(stderr, &log)) };
    let exit = async {
        let pid = first.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        loop {
            tokio::select! {
                status = first.wait() => break status,
                Some(signal) = signals.recv() => {
                    if let Some(pid) = pid
                        && let Err(error) = kill_process(pid, signal) {
                        tracing::debug!(%error, "a container's first process is already gone");
                    }
                }
            }
        }
    };
    tokio::pin!(output, exit);
    let status = tokio::select! {
        status = &mut exit => {
            let _ = tokio::time::timeout(LOG_DRAIN_TIMEOUT, output).await;
            status
        }
        _ = &mut output => exit.await,
    };
    if let Some(namespace) = leftovers {
        namespace.kill_all();
    }
    let exit_code = status.map_or(255, exit_code);
    let at = Timestamp::now();
    log.end(at);
    ended.send_replace(Some(Ended { exit_code, at }));
}

async fn copy_to_log(stream: Option<impl AsyncRead + Unpin>, log: &Log) {
    let Some(mut stream) = stream else { return };
    let mut chunk = vec![0; LOG_CHUNK_BYTES];
    while let Ok(count) = stream.read(&mut chunk).await
        && count > 0
    {
        log.append(&chunk[..count], Timestamp::now());
    }
}
