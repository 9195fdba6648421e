//! Keeps ignored signals out of the pods.
//!
//! A shell that starts a program in the background, and `nohup`, leave signals ignored, and processes inherit that:
//! Ctrl-C would do nothing in any pod. A signal that is caught, rather than ignored, is reset for children.

use std::fs;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::TaskTracker;

/// Signals that programs in pods must get.
const SIGNALS: [SignalKind; 4] =
    [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()];

/// Catches what this process was started to ignore, and goes on ignoring it.
pub(crate) fn catch_ignored(tasks: &TaskTracker, stop: &tokio_util::sync::CancellationToken) {
    let ignored = ignored_mask();
    for kind in SIGNALS.into_iter().filter(|kind| ignored & (1 << (kind.as_raw_value() - 1)) != 0) {
        if let Ok(mut caught) = signal(kind) {
            let stop = stop.clone();
            tasks.spawn(async move {
                loop {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        got = caught.recv() => if got.is_none() { return },
                    }
                }
            });
        }
    }
}

fn ignored_mask() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
