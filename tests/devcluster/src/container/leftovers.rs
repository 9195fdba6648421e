//! The processes of a container that shares another one's PID namespace: known by their mount namespace, which they share with
//! nobody.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// Rounds of killing; a process that forks all the time needs more than one.
const ROUNDS: usize = 8;

/// A container's mount namespace, as `/proc` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MountNamespace(PathBuf);

impl MountNamespace {
    /// The one that a process is in.
    pub(super) fn of(pid: u32) -> Result<Self> {
        fs::read_link(format!("/proc/{pid}/ns/mnt")).map(Self).context("find out a container's mount namespace")
    }

    /// Kills every process in it, as a container runtime does when the first one has ended. Blocks shortly.
    pub(super) fn kill_all(&self) {
        // This program's own threads build containers; what they are in is left alone.
        let own = std::process::id();
        for _ in 0..ROUNDS {
            let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
            let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
            let found: Vec<_> =
                pids.filter(|pid| *pid != own && Self::of(*pid).is_ok_and(|one| one == *self)).collect();
            if found.is_empty() {
                return;
            }
            for pid in found.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
                // It may be gone already.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}
