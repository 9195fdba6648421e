//! What this machine offers to containers, and what it lacks.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Programs that no container works without, and their Debian packages.
const REQUIRED: [(&str, &str); 4] =
    [("setpriv", "util-linux"), ("mount", "mount"), ("chroot", "coreutils"), ("sleep", "coreutils")];
/// Programs that containers offer when the machine has them.
const OPTIONAL: [(&str, &str); 11] = [
    ("busybox", "busybox-static"),
    ("bash", "bash"),
    ("vim", "vim"),
    ("less", "less"),
    ("htop", "htop"),
    ("top", "procps"),
    ("tmux", "tmux"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("python3", "python3"),
    ("tar", "tar"),
];
/// Where programs are looked for.
const DIRECTORIES: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// How containers are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Own mount, PID, UTS and IPC namespaces and an own root for each container.
    Namespaces,
    /// Plain processes of this machine: neither namespaces nor user namespaces can be made.
    None,
}

/// What this machine has and lacks for the stand-in cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prerequisites {
    /// How containers will be kept apart.
    pub isolation: Isolation,
    /// Debian packages without which nothing works.
    pub missing_required: Vec<&'static str>,
    /// Debian packages without which a program is missing in some pod.
    pub missing_optional: Vec<&'static str>,
}

impl Prerequisites {
    /// Looks at the machine.
    pub fn check() -> Self {
        let missing = |programs: &[(&str, &'static str)]| {
            let mut packages: Vec<_> =
                programs.iter().filter(|(name, _)| find_program(name).is_none()).map(|(_, package)| *package).collect();
            packages.dedup();
            packages
        };
        let isolation = if rustix::process::geteuid().is_root() { Isolation::Namespaces } else { Isolation::None };
        Self { isolation, missing_required: missing(&REQUIRED), missing_optional: missing(&OPTIONAL) }
    }

    /// Sentences for the person who starts the cluster: what is missing and what to do. Empty when all is well.
    pub fn advice(&self) -> Vec<String> {
        let mut advice = Vec::new();
        let install = |packages: &[&str]| format!("run: apt-get install -y {}", packages.join(" "));
        if !self.missing_required.is_empty() {
            advice.push(format!("pods cannot start without these; {}", install(&self.missing_required)));
        }
        if !self.missing_optional.is_empty() {
            advice.push(format!("some programs are missing in the pods; {}", install(&self.missing_optional)));
        }
        if self.isolation == Isolation::None {
            advice.push(
                "not root: containers are plain processes of this machine, without own PIDs, host name or files; \
                 run as root or under `unshare --user --map-root-user`"
                    .to_owned(),
            );
        }
        advice
    }
}

/// The parts of the machine that root file systems are made from.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) isolation: Isolation,
    pub(crate) busybox: Option<Busybox>,
    /// The waiting program of containers without a shell, and its libraries.
    pub(crate) sleep: PathBuf,
    pub(crate) sleep_libraries: Vec<PathBuf>,
}

/// A static busybox of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Busybox {
    pub(crate) path: PathBuf,
    pub(crate) applets: Vec<String>,
    open: Arc<File>,
}

impl Busybox {
    /// A path to the open program that works from inside any root that has a `/proc`.
    pub(crate) fn path_by_descriptor(&self) -> String {
        format!("/proc/self/fd/{}", self.open.as_raw_fd())
    }
}

impl Host {
    /// Looks at the machine; blocks shortly.
    pub(crate) fn inspect(isolation: Isolation) -> Self {
        let sleep = find_program("sleep").unwrap_or_else(|| PathBuf::from("/bin/sleep"));
        let sleep_libraries = libraries_of(&sleep);
        Self { isolation, busybox: find_busybox(), sleep, sleep_libraries }
    }
}

fn find_busybox() -> Option<Busybox> {
    let path = find_program("busybox")?;
    let listed = Command::new(&path).arg("--list").output().ok()?;
    let applets = String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect();
    let open = Arc::new(File::open(&path).ok()?);
    Some(Busybox { path, applets, open })
}

fn find_program(name: &str) -> Option<PathBuf> {
    DIRECTORIES.iter().map(|directory| Path::new(directory).join(name)).find(|path| path.exists())
}

/// The shared libraries of a program, the dynamic loader among them.
fn libraries_of(program: &Path) -> Vec<PathBuf> {
    let Ok(listed) = Command::new("ldd").arg(program).output() else { return Vec::new() };
    String::from_utf8_lossy(&listed.stdout)
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}
