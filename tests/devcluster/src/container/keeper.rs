//! The thread that lives inside a container and starts its processes.
//!
//! Namespaces belong to threads, so one thread of this process enters new ones, builds the root, starts the first
//! process and stays: whatever it starts later is born inside the container, without any helper program. The kernel
//! kills the first process when this thread ends, and everything in the container with it, so nothing outlives even
//! a killed devcluster.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::host::{Host, Isolation};
use super::image::Image;
use super::{ExecFailure, ExecSpec, Spawned, SpawnedIo, Terminal, Wanted, lookup, rootfs};

/// What the first process prints before it becomes the container's own command.
pub(crate) const READY: &[u8] = b"podlatch-devcluster: ready\n";
/// Mounts `/proc` from inside the new PID namespace, says so, and becomes the command.
const FIRST_PROCESS: &str = r#"mount -t proc -o nosuid,nodev,noexec proc "$1/proc" || exit 1
printf 'podlatch-devcluster: ready\n'; root=$1; shift; exec chroot "$root" "$@""#;
/// The same without namespaces.
const FIRST_PROCESS_PLAIN: &str = r#"printf 'podlatch-devcluster: ready\n'; shift; exec "$@""#;
/// Where Debian has it.
const SETSID: &str = "/usr/bin/setsid";
/// Execs that wait for a keeper's turn.
const QUEUE_LEN: usize = 64;
/// Keepers only make system calls.
const STACK_SIZE_BYTES: usize = 512 * 1024;

/// What a keeper needs to start.
pub(crate) struct Plan {
    pub(crate) host: Host,
    pub(crate) image: Image,
    pub(crate) host_name: String,
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) stdin: Wanted,
    /// A process in whose PID namespace the container runs, instead of an own one.
    pub(crate) processes_of: Option<u32>,
    /// An existing folder to mount the root at.
    pub(crate) root: PathBuf,
}

/// Talks to the thread. The container ends when the last one is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Keeper {
    requests: mpsc::Sender<Request>,
}

struct Request {
    spec: ExecSpec,
    reply: oneshot::Sender<Result<Spawned, ExecFailure>>,
}

impl Keeper {
    /// Starts the container; gives back its first process, whose output begins with [`READY`]. Cancel safe: a keeper
    /// that nobody waits for ends.
    pub(crate) async fn start(plan: Plan) -> Result<(Self, Child)> {
        let (requests, inbox) = mpsc::channel(QUEUE_LEN);
        let (started_tx, started) = oneshot::channel();
        let runtime = Handle::current();
        std::thread::Builder::new()
            .name("container".to_owned())
            .stack_size(STACK_SIZE_BYTES)
            .spawn(move || run(&runtime, &plan, started_tx, inbox))
            .context("start a container's thread")?;
        let first = started.await.context("a container's thread ended early")??;
        Ok((Self { requests }, first))
    }

    /// Starts one more process. Cancel safe, but the process may start all the same.
    pub(crate) async fn exec(&self, spec: ExecSpec) -> Result<Spawned, ExecFailure> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request { spec, reply }).await.map_err(|_| ExecFailure::ContainerGone)?;
        answer.await.map_err(|_| ExecFailure::ContainerGone)?
    }
}

fn run(runtime: &Handle, plan: &Plan, started: oneshot::Sender<Result<Child>>, mut inbox: mpsc::Receiver<Request>) {
    // Processes register with the runtime that waits for them.
    let _runtime = runtime.enter();
    let is_wanted = match enter_container(plan) {
        Ok(first) => started.send(Ok(first)).is_ok(),
        Err(error) => {
            let _ = started.send(Err(error));
            false
        }
    };
    if !is_wanted {
        return;
    }
    while let Some(Request { spec, reply }) = inbox.blocking_recv() {
        let _ = reply.send(spawn(plan, &spec));
    }
}

fn enter_container(plan: &Plan) -> Result<Child> {
    match plan.host.isolation {
        Isolation::Namespaces => {
            enter_namespaces(plan.processes_of).context("enter new namespaces (needs root)")?;
            rustix::system::sethostname(plan.host_name.as_bytes()).context("set the host name")?;
            rootfs::build(&plan.host, plan.image, &plan.host_name, &plan.root)?;
            let first = first_process(plan, FIRST_PROCESS)?;
            rustix::process::chroot(&plan.root).context("enter the new root")?;
            rustix::process::chdir("/").context("enter the new root")?;
            Ok(first)
        }
        Isolation::None => first_process(plan, FIRST_PROCESS_PLAIN),
    }
}

/// Whether a first process that said [`READY`] is still on its way to its command.
pub(super) fn is_still_preparing(pid: u32) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let script: &[u8] = b"podlatch-devcluster: ready";
    line.starts_with(b"chroot\0") || line.windows(script.len()).any(|window| window == script)
}

#[expect(deprecated, reason = "the newer name is unsafe because of FILES, which is not asked for here")]
fn enter_namespaces(processes_of: Option<u32>) -> Result<()> {
    let flags = UnshareFlags::NEWNS | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC;
    match processes_of {
        None => rustix::thread::unshare(flags | UnshareFlags::NEWPID)?,
        Some(pid) => {
            // Opened before the mount namespace changes: it is this machine's /proc that knows the process.
            let namespace = std::fs::File::open(format!("/proc/{pid}/ns/pid"))?;
            rustix::thread::unshare(flags)?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::ProcessID))?;
        }
    }
    Ok(())
}

fn first_process(plan: &Plan, script: &str) -> Result<Child> {
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "sh", "-c", script, "sh"])
        .arg(&plan.root)
        .args(&plan.command)
        .env_clear()
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .stdin(if plan.stdin == Wanted::Yes { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("start a container's first process; run: apt-get install util-linux mount")
}

fn spawn(plan: &Plan, spec: &ExecSpec) -> Result<Spawned, ExecFailure> {
    let environment = || plan.environment.iter().chain(&spec.environment).map(|(name, value)| (name, value));
    let search_path = environment().rfind(|(name, _)| *name == "PATH").map_or("", |(_, value)| value);
    if let Some(reason) = lookup::find_refusal(&spec.command, search_path) {
        return Err(ExecFailure::Refused { reason });
    }
    let directory = match plan.host.isolation {
        Isolation::Namespaces => Path::new("/"),
        Isolation::None => &plan.root,
    };
    match spec.terminal {
        Terminal::Pty => spawn_on_terminal(plan, spec, environment(), directory),
        Terminal::None => spawn_on_pipes(plan, spec, environment(), directory),
    }
    .map_err(|error| ExecFailure::Refused {
        reason: format!("exec failed: unable to start container process: {error}"),
    })
}

fn spawn_on_terminal<'a>(
    plan: &Plan,
    spec: &ExecSpec,
    environment: impl Iterator<Item = (&'a String, &'a String)>,
    directory: &Path,
) -> std::io::Result<Spawned> {
    let (pty, pts) = pty_process::open().map_err(std::io::Error::other)?;
    let child = pty_process::Command::new(&spec.command[0])
        .args(&spec.command[1..])
        .env_clear()
        .env("TERM", "xterm")
        .envs(environment)
        .current_dir(directory)
        .kill_on_drop(dies_with_us(plan))
        .spawn(pts)
        .map_err(std::io::Error::other)?;
    Ok(Spawned { child, io: SpawnedIo::Pty(pty.into()) })
}

fn spawn_on_pipes<'a>(
    plan: &Plan,
    spec: &ExecSpec,
    environment: impl Iterator<Item = (&'a String, &'a String)>,
    directory: &Path,
) -> std::io::Result<Spawned> {
    let mut command = own_session(plan, &spec.command);
    let pipe = |wanted| if wanted == Wanted::Yes { Stdio::piped() } else { Stdio::null() };
    command
        .env_clear()
        .envs(environment)
        .current_dir(directory)
        .stdin(pipe(spec.stdin))
        .stdout(pipe(spec.stdout))
        .stderr(pipe(spec.stderr))
        .kill_on_drop(dies_with_us(plan));
    let mut child = command.spawn()?;
    let io = SpawnedIo::Pipes {
        stdin: child.stdin.take().map(ChildStdin::into_owned_fd).transpose()?,
        stdout: child.stdout.take().map(ChildStdout::into_owned_fd).transpose()?,
        stderr: child.stderr.take().map(ChildStderr::into_owned_fd).transpose()?,
    };
    Ok(Spawned { child, io })
}

/// Without namespaces nothing else ends a process when the cluster ends.
fn dies_with_us(plan: &Plan) -> bool {
    plan.host.isolation == Isolation::None
}

/// Container runtimes give every exec a session of its own. Without a terminal, a `setsid` makes it and becomes the
/// command without a fork: the container's own one, or busybox's, reached by its descriptor from inside any root.
/// (busybox's runs its own applets first, so it must not start anything where there are other programs.)
fn own_session(plan: &Plan, argv: &[String]) -> Command {
    match &plan.host.busybox {
        _ if plan.image == Image::Tools && Path::new(SETSID).exists() => {
            let mut command = Command::new(SETSID);
            command.arg0("setsid").args(argv);
            command
        }
        Some(busybox) if plan.host.isolation == Isolation::Namespaces => {
            let mut command = Command::new(busybox.path_by_descriptor());
            command.arg0("setsid").args(argv);
            command
        }
        _ => {
            let mut command = Command::new(&argv[0]);
            command.args(&argv[1..]).process_group(0);
            command
        }
    }
}
