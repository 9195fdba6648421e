//! Reads a recording in order with what was typed, and gives it to the follower. Blocking.

use std::collections::VecDeque;
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

/// Lines before a restart that are followed again, so that prompts are known.
const LINES_BEFORE: usize = 32;

/// What was audited in earlier lives of the relay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Audited {
    /// The key of the last command that a mark told of.
    pub(super) told: Option<u64>,
    /// The key of the last command that was read off the screen.
    pub(super) shown: Option<u64>,
    /// They ended before this.
    pub(super) before: UnixMillis,
}

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
    audited: Audited,
    marks: Marks,
    /// Typed bytes with an offset at or below this were given to the follower.
    now: UnixMillis,
}

impl Pull {
    /// Begins behind the last command that was audited: at the prompt before it, so that its end is found. In a session whose
    /// shell does not mark, some lines before the recording's end.
    pub(super) fn begin(mut log: LogReader, audited: Audited) -> io::Result<Self> {
        let mut survey = Survey { audited: audited.told, ..Survey::default() };
        loop {
            let timeline = log.position();
            let Some(step) = log.next()? else { break };
            survey.see(timeline, &step);
        }
        let marks = survey.marks;
        let (start, size) = survey.start(log.position());
        log.seek(start.timeline);
        let follower = Follower::new(size);
        Ok(Self { log, follower, recorded: start.recorded, audited, marks, now: UnixMillis::new(0) })
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
                Step::Typed { how, at } => {
                    self.output(run.clone(), typed)?;
                    self.now = at;
                    // Where the shell tells, its nested shells are not worth looking at every line again.
                    if at < self.audited.before && self.marks == Marks::None {
                        self.follower.strokes(&how, at);
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
        loop {
            let found = self.follower.take()?;
            if !self.was_audited(&found) {
                return Some(found);
            }
        }
    }

    /// Whether an earlier life of the relay has been there: what it did not take for a command is none now.
    fn was_audited(&self, found: &Found) -> bool {
        match found {
            Found::Executed { command, .. } if command.at < self.audited.before => {
                command.entered.is_some_and(|entered| self.audited.shown.is_some_and(|shown| entered <= shown))
            }
            Found::Executed { .. } | Found::Finished { .. } => false,
        }
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
    /// Where the last lines were typed.
    lines: VecDeque<(Start, Option<TerminalSize>)>,
}

/// Whether the shell marks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
            Step::Typed { .. } => {
                if self.lines.len() == LINES_BEFORE {
                    self.lines.pop_front();
                }
                let recorded = self.recorded.saturating_sub(SCREEN_BYTES);
                self.lines.push_back((Start { timeline, recorded }, self.size));
            }
            Step::Other => {}
        }
    }

    fn start(self, end: u64) -> (Start, TerminalSize) {
        let (start, size) = match (self.marks, self.found) {
            (Marks::None, _) => {
                let recorded = self.recorded.saturating_sub(SCREEN_BYTES);
                self.lines.front().copied().unwrap_or((Start { timeline: end, recorded }, self.size))
            }
            (Marks::Some, Some(found)) => found,
            (Marks::Some, None) => (Start::default(), None),
        };
        (start, size.unwrap_or(TerminalSize::DEFAULT))
    }
}
