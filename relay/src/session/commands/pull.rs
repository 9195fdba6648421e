//! Reads a recording in order with what was typed, and gives it to the follower. Blocking.

use std::io;
use std::ops::Range;

use podlatch_protocol::terminal::TerminalSize;

use super::follow::{Follower, Found};
use super::note::{CommandNote, Note};
use super::{Piece, Typed};
use crate::clock::UnixMillis;
use crate::recording::{LogReader, Step};

/// Entries that are read at a time.
const BATCH_ENTRIES: usize = 4 * 1024;

/// Output that is read at a time, in bytes.
const READ_BYTES: u64 = 64 * 1024;

/// A run of output beyond this is a flood that nobody types into: what is in its middle is skipped, so that following it costs
/// little and catches up.
const FLOOD_BYTES: u64 = 192 * 1024;

/// What is read of a flood at its beginning, and of output before a restart: enough for the screen.
const SCREEN_BYTES: u64 = 32 * 1024;

/// Where reading begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Start {
    timeline: u64,
    recorded: u64,
}

/// A follower that reads by itself.
pub(super) struct Pull {
    log: LogReader,
    follower: Follower,
    /// Output below this was read.
    recorded: u64,
    /// Typed bytes with an offset at or below this were given to the follower.
    now: UnixMillis,
}

impl Pull {
    /// Begins behind the command whose key is `audited`, the last that was: at the prompt before it, so that its end is found.
    /// A session whose shell does not mark goes on where the recording ends.
    pub(super) fn begin(mut log: LogReader, audited: Option<u64>) -> io::Result<Self> {
        let mut survey = Survey { audited, ..Survey::default() };
        loop {
            let timeline = log.position();
            let Some(step) = log.next()? else { break };
            survey.see(timeline, &step);
        }
        let (start, size) = survey.start(log.position());
        log.seek(start.timeline);
        let follower = Follower::new(size);
        Ok(Self { log, follower, recorded: start.recorded, now: UnixMillis::new(0) })
    }

    /// Reads what there is, up to a batch; returns whether there may be more.
    pub(super) fn read(&mut self, typed: &Typed) -> io::Result<bool> {
        let mut entries = 0;
        let mut run = self.recorded..self.recorded;
        while entries < BATCH_ENTRIES
            && let Some(step) = self.log.next()?
        {
            entries += 1;
            match step {
                Step::Output { recorded_end, at } => {
                    run.end = recorded_end;
                    self.now = at;
                    continue;
                }
                Step::Resize { size, at } => {
                    self.output(run.clone(), typed)?;
                    self.now = at;
                    self.follower.resize(size);
                }
                Step::Mark { mark, source_end, at } => {
                    self.output(run.clone(), typed)?;
                    self.now = at;
                    if let Some(note) = Note::decode(&mark.note) {
                        self.follower.mark(note, source_end, at);
                    }
                }
                Step::Other => {}
            }
            run = self.recorded..run.end.max(self.recorded);
        }
        self.output(run, typed)?;
        Ok(entries == BATCH_ENTRIES)
    }

    /// A run of output, with what was typed in between.
    fn output(&mut self, run: Range<u64>, typed: &Typed) -> io::Result<()> {
        let mut at = run.start.max(self.recorded);
        for Piece { offset, at: when, bytes } in typed.until(run.end) {
            if offset > at {
                self.stretch(at..offset)?;
                at = offset;
            }
            self.follower.input(&bytes, when);
        }
        self.stretch(at..run.end.max(at))?;
        self.recorded = run.end.max(self.recorded);
        Ok(())
    }

    fn stretch(&mut self, range: Range<u64>) -> io::Result<()> {
        if range.end - range.start <= FLOOD_BYTES {
            return self.feed(range);
        }
        self.feed(range.start..range.start + SCREEN_BYTES)?;
        self.feed(range.end - SCREEN_BYTES..range.end)
    }

    fn feed(&mut self, mut range: Range<u64>) -> io::Result<()> {
        while range.start < range.end {
            let bytes = self.log.output(range.start, (range.end - range.start).min(READ_BYTES))?;
            self.follower.output(&bytes, self.now);
            range.start += bytes.len() as u64;
        }
        Ok(())
    }

    pub(super) fn handle_time(&mut self, now: UnixMillis) {
        self.follower.handle_time(now);
    }

    /// Nothing happens for a while: gives memory back until something does.
    pub(super) fn resting(mut self) -> Self {
        self.follower.rest();
        self
    }

    pub(super) fn deadline(&self) -> Option<UnixMillis> {
        self.follower.deadline()
    }

    pub(super) fn finish(&mut self, now: UnixMillis) {
        self.follower.finish(now);
    }

    pub(super) fn take(&mut self) -> Option<Found> {
        self.follower.take()
    }
}

/// Looks through a timeline for the place to begin.
#[derive(Default)]
struct Survey {
    audited: Option<u64>,
    recorded: u64,
    size: Option<TerminalSize>,
    marks: Marks,
    /// At the last prompt that was seen.
    prompt: (Start, Option<TerminalSize>),
    found: Option<(Start, Option<TerminalSize>)>,
}

/// Whether the shell marks.
#[derive(Default, PartialEq, Eq)]
enum Marks {
    #[default]
    None,
    Some,
}

impl Survey {
    fn see(&mut self, timeline: u64, step: &Step) {
        match step {
            Step::Output { recorded_end, .. } => self.recorded = *recorded_end,
            Step::Resize { size, .. } => {
                self.size = Some(*size);
                // The first one is from the beginning.
                if self.recorded == 0 {
                    self.prompt.1 = self.size;
                }
            }
            Step::Mark { mark, source_end, .. } => {
                self.marks = Marks::Some;
                match Note::decode(&mark.note) {
                    Some(Note::Prompt { .. }) => {
                        self.prompt = (Start { timeline, recorded: self.recorded }, self.size);
                    }
                    Some(Note::Command(CommandNote::Exact { .. } | CommandNote::Unsure { .. }))
                        if self.audited.is_some_and(|audited| *source_end <= audited) =>
                    {
                        self.found = Some(self.prompt);
                    }
                    _ => {}
                }
            }
            Step::Other => {}
        }
    }

    fn start(self, end: u64) -> (Start, TerminalSize) {
        let (start, size) = match (self.marks, self.found) {
            (Marks::None, _) => {
                (Start { timeline: end, recorded: self.recorded.saturating_sub(SCREEN_BYTES) }, self.size)
            }
            (Marks::Some, Some(found)) => found,
            (Marks::Some, None) => (Start::default(), None),
        };
        (start, size.unwrap_or(TerminalSize::DEFAULT))
    }
}
