//! What a container's first process wrote, line by line, bounded.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

/// What is kept of a log; older lines are forgotten.
const MAX_LOG_BYTES: usize = 1024 * 1024;
/// A longer line is cut into pieces, as container runtimes do.
const MAX_LINE_BYTES: usize = 16 * 1024;

/// One line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogLine {
    pub(crate) number: u64,
    pub(crate) at: Timestamp,
    pub(crate) text: Vec<u8>,
}

/// A log that one writer fills and many readers follow.
#[derive(Debug)]
pub(crate) struct Log {
    inner: Mutex<Inner>,
    /// How many lines there ever were, and whether more can come.
    progress: watch::Sender<Progress>,
}

/// How far a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Open { lines: u64 },
    Ended,
}

#[derive(Debug, Default)]
struct Inner {
    lines: VecDeque<LogLine>,
    kept_bytes: usize,
    count: u64,
    partial: Vec<u8>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::default(), progress: watch::Sender::new(Progress::Open { lines: 0 }) }
    }

    /// Takes what the process wrote.
    pub(crate) fn append(&self, bytes: &[u8], now: Timestamp) {
        let mut inner = self.lock();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            inner.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || inner.partial.len() >= MAX_LINE_BYTES {
                inner.finish_line(now);
            }
        }
        let lines = inner.count;
        drop(inner);
        self.progress.send_if_modified(|progress| match progress {
            Progress::Open { lines: known } if *known != lines => {
                *known = lines;
                true
            }
            _ => false,
        });
    }

    /// Says that nothing more comes.
    pub(crate) fn end(&self, now: Timestamp) {
        let mut inner = self.lock();
        if !inner.partial.is_empty() {
            inner.finish_line(now);
        }
        drop(inner);
        self.progress.send_replace(Progress::Ended);
    }

    /// The kept lines from a number on.
    pub(crate) fn from(&self, number: u64) -> Vec<LogLine> {
        self.lock().lines.iter().filter(|line| line.number >= number).cloned().collect()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn finish_line(&mut self, now: Timestamp) {
        let mut text = std::mem::take(&mut self.partial);
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        self.kept_bytes += text.len();
        self.lines.push_back(LogLine { number: self.count, at: now, text });
        self.count += 1;
        while self.kept_bytes > MAX_LOG_BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.kept_bytes -= oldest.text.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_whatever_the_pieces() {
        let log = Log::new();
        for piece in ["one\ntw", "o\n", "three"] {
            log.append(piece.as_bytes(), Timestamp::UNIX_EPOCH);
        }
        log.end(Timestamp::UNIX_EPOCH);
        let texts: Vec<_> = log.from(1).into_iter().map(|line| line.text).collect();
        assert_eq!(texts, [b"two".to_vec(), b"three".to_vec()]);
    }

    #[test]
    fn old_lines_are_forgotten_when_the_log_is_full() {
        let log = Log::new();
        let line = [[b'x'; 1023].as_slice(), b"\n"].concat();
        for _ in 0..2000 {
            log.append(&line, Timestamp::UNIX_EPOCH);
        }
        let kept = log.from(0);
        assert!(kept.len() < 1100, "{} lines are kept", kept.len());
        assert_eq!(kept.last().map(|line| line.number), Some(1999));
    }
}
