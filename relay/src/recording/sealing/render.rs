//! Renders the next segment of a recording from its hot log. Blocking; holds one segment in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use podlatch_protocol::terminal::TerminalSize;

use super::super::asciicast::{self, Header};
use super::super::manifest::{Hash, Manifest, Marker, Resume, SegmentEntry};
use super::super::timeline::{Entry, Event, Exit};
use super::super::utf8::Utf8;
use super::super::{Position, files};
use super::SEGMENT_BYTES;
use crate::clock::UnixMillis;

/// Output of one event, in bytes: a flood's line stays readable with little memory.
const EVENT_BYTES: usize = 64 * 1024;

/// How much later than it happened something is noted at most.
const LATEST_MS: u64 = 30_000;

/// Where sealing stands: behind the last sealed segment.
#[derive(Debug, Clone)]
pub(in crate::recording) struct Cursor {
    /// Number of the next segment.
    pub(super) index: u64,
    /// Hash of the last entry.
    pub(super) head: Hash,
    pub(super) position: Position,
    /// Byte of the timeline where the next entry begins.
    pub(super) timeline: u64,
    utf8: Utf8,
    size: TerminalSize,
    clock: RecordingClock,
    /// What the log says of the end, once it was reached.
    pub(super) exit: Option<Exit>,
}

/// The recording's own time.
#[derive(Debug, Clone, Copy)]
enum RecordingClock {
    /// Nothing has happened yet.
    Stopped,
    Running {
        began_at: UnixMillis,
        elapsed_ms: u64,
    },
}

impl RecordingClock {
    /// Goes on to `at`, never back.
    fn advance(&mut self, at: UnixMillis) {
        match self {
            Self::Stopped => *self = Self::Running { began_at: at, elapsed_ms: 0 },
            Self::Running { began_at, elapsed_ms } => {
                let now = u64::try_from(at.get().saturating_sub(began_at.get())).unwrap_or(0);
                *elapsed_ms = now.max(*elapsed_ms);
            }
        }
    }

    fn elapsed_ms(self) -> u64 {
        match self {
            Self::Stopped => 0,
            Self::Running { elapsed_ms, .. } => elapsed_ms,
        }
    }

    /// The time of something at `at` that was noted only now: a moment ago, or now if that is too long ago to be true.
    fn a_moment_ago(self, at: UnixMillis) -> u64 {
        let now = self.elapsed_ms();
        let then = self.began_at().and_then(|began| u64::try_from(at.get().saturating_sub(began.get())).ok());
        then.filter(|then| *then < now && now - then <= LATEST_MS).unwrap_or(now)
    }

    fn began_at(self) -> Option<UnixMillis> {
        match self {
            Self::Stopped => None,
            Self::Running { began_at, .. } => Some(began_at),
        }
    }
}

impl Cursor {
    /// Behind what a manifest says is sealed.
    pub(super) fn after(manifest: &Manifest) -> Self {
        let beginning = Self {
            index: manifest.segments.len() as u64 + 1,
            head: manifest.head.clone(),
            position: Position::default(),
            timeline: 0,
            utf8: Utf8::default(),
            size: TerminalSize::DEFAULT,
            clock: RecordingClock::Stopped,
            exit: None,
        };
        let Some(last) = manifest.segments.last() else {
            return beginning;
        };
        let began_at = UnixMillis::new(last.began_at_ms);
        Self {
            position: last.to,
            timeline: last.resume.timeline,
            utf8: Utf8::with_split(hex::decode(&last.resume.split).unwrap_or_default()),
            size: TerminalSize::clamped(last.resume.columns, last.resume.rows),
            clock: RecordingClock::Running { began_at, elapsed_ms: last.to_ms },
            exit: last.resume.exit,
            ..beginning
        }
    }
}

/// Up to where a hot log is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The session goes on: what is durable, up to this byte of the timeline.
    Durable(u64),
    /// The session is over: all there is.
    End,
}

/// A segment, not stored yet.
#[derive(Debug)]
pub(super) struct Rendered {
    /// The asciicast; empty where there was nothing to render.
    pub(super) cast: Vec<u8>,
    pub(super) from: Cursor,
    pub(super) to: Cursor,
    /// The terminal's size at first.
    size: TerminalSize,
    markers: Vec<Marker>,
    /// Whether there may be more.
    pub(super) full: bool,
}

impl Rendered {
    /// What the manifest says of it.
    pub(super) fn entry(&self) -> SegmentEntry {
        SegmentEntry {
            index: self.from.index,
            previous: self.from.head.clone(),
            sha256: Hash::of(&self.cast),
            bytes: self.cast.len() as u64,
            from: self.from.position,
            to: self.to.position,
            from_ms: self.from.clock.elapsed_ms(),
            to_ms: self.to.clock.elapsed_ms(),
            began_at_ms: self.to.clock.began_at().map_or(0, UnixMillis::get),
            columns: self.size.columns(),
            rows: self.size.rows(),
            markers: self.markers.clone(),
            resume: Resume {
                timeline: self.to.timeline,
                split: hex::encode(self.to.utf8.split()),
                columns: self.to.size.columns(),
                rows: self.to.size.rows(),
                exit: self.to.exit,
            },
        }
    }
}

/// Renders what follows the cursor, at most about [`SEGMENT_BYTES`].
pub(super) fn render(folder: &Path, from: &Cursor, until: Until) -> io::Result<Rendered> {
    let output = files::open_output(folder)?;
    let mut entries = files::read_timeline(folder, from.timeline)?;
    let mut rendering = Rendering::new(from);
    loop {
        if rendering.is_full() {
            break;
        }
        let Some(entry) = entries.next()? else { break };
        match until {
            Until::Durable(end) if entries.end() > end || matches!(entry.event, Event::Exit(_)) => break,
            Until::Durable(_) | Until::End => {}
        }
        if !rendering.take(&output, entry)? {
            break;
        }
        rendering.done.to.timeline = entries.end();
    }
    if until == Until::End && !rendering.done.full {
        rendering.finish();
    }
    Ok(rendering.done())
}

struct Rendering {
    done: Rendered,
    lines: Vec<EventLine>,
    /// How long the lines are, but for their times.
    bytes: usize,
}

/// An event and when it is: what comes before it, and so its interval, may not be known yet.
struct EventLine {
    at_ms: u64,
    behind_interval: Vec<u8>,
}

impl Rendering {
    fn new(from: &Cursor) -> Self {
        let done = Rendered {
            cast: Vec::new(),
            from: from.clone(),
            to: from.clone(),
            size: from.size,
            markers: Vec::new(),
            full: false,
        };
        Self { done, lines: Vec::new(), bytes: 0 }
    }

    fn is_full(&mut self) -> bool {
        self.done.full = self.bytes >= SEGMENT_BYTES;
        self.done.full
    }

    /// Takes an entry; returns whether it was taken whole, with all of its output.
    fn take(&mut self, output: &File, entry: Entry) -> io::Result<bool> {
        match entry.event {
            Event::Output => return self.take_output(output, &entry),
            Event::Resize(size) => {
                self.done.to.size = size;
                self.put(entry.at, &asciicast::Event::Resize(size));
            }
            Event::Marker(label) => self.put_marker(entry.at, label),
            Event::Mark(mark) => {
                if !mark.label.is_empty() {
                    self.put_marker(entry.at, mark.label);
                }
                self.done.to.position.source = entry.position.source;
            }
            Event::Typed(_) => {}
            Event::Exit(exit) => {
                self.finish();
                if let Some(status) = exit.status {
                    self.put(entry.at, &asciicast::Event::Exit(status));
                }
                self.done.to.exit = Some(exit);
            }
        }
        Ok(true)
    }

    fn take_output(&mut self, output: &File, entry: &Entry) -> io::Result<bool> {
        let mut buffer = vec![0; EVENT_BYTES];
        while self.done.to.position.recorded < entry.position.recorded {
            if self.is_full() {
                return Ok(false);
            }
            let at = self.done.to.position.recorded;
            let want = usize::try_from(entry.position.recorded - at).unwrap_or(EVENT_BYTES).min(EVENT_BYTES);
            let read = output.read_at(&mut buffer[..want], at)?;
            if read == 0 {
                // The log lost what its timeline promises: it ends here.
                return Ok(false);
            }
            let text = self.done.to.utf8.decode(&buffer[..read]);
            if !text.is_empty() {
                self.put(entry.at, &asciicast::Event::Output(text));
            }
            self.done.to.position.recorded += read as u64;
        }
        self.done.to.position.source = entry.position.source;
        Ok(true)
    }

    /// The beginning of a character that never got its rest.
    fn finish(&mut self) {
        let rest = self.done.to.utf8.finish();
        if !rest.is_empty() {
            self.append(&asciicast::Event::Output(rest.to_owned()));
        }
    }

    /// What is known late stands in front of what came since, as far as that is in this segment.
    fn put_marker(&mut self, at: UnixMillis, label: String) {
        self.put(at, &asciicast::Event::Marker(label.clone()));
        let at_ms = self.done.to.clock.a_moment_ago(at);
        if let Some(EventLine { behind_interval, .. }) = self.lines.pop() {
            let place = self.lines.partition_point(|line| line.at_ms <= at_ms);
            self.lines.insert(place, EventLine { at_ms, behind_interval });
        }
        self.done.markers.push(Marker { at_ms, label });
    }

    fn put(&mut self, at: UnixMillis, event: &asciicast::Event) {
        self.done.to.clock.advance(at);
        self.append(event);
    }

    fn append(&mut self, event: &asciicast::Event) {
        // The very first size is the one that the recording begins with.
        if let (true, 1, asciicast::Event::Resize(size)) = (self.lines.is_empty(), self.done.from.index, event) {
            self.done.size = *size;
        }
        let behind_interval = event.behind_interval();
        self.bytes += behind_interval.len();
        self.lines.push(EventLine { at_ms: self.done.to.clock.elapsed_ms(), behind_interval });
    }

    /// The segment: nothing where nothing happened.
    fn done(mut self) -> Rendered {
        if self.lines.is_empty() {
            return self.done;
        }
        let began = self.done.to.clock.began_at().map_or(0, UnixMillis::get);
        let mut elapsed_ms = self.done.from.clock.elapsed_ms();
        let elapsed = i64::try_from(elapsed_ms).unwrap_or(0);
        let timestamp = Some(began.saturating_add(elapsed).div_euclid(1000));
        let mut cast = Header { size: self.done.size, timestamp }.line();
        for EventLine { at_ms, behind_interval } in self.lines {
            asciicast::put_line(at_ms.saturating_sub(elapsed_ms), &behind_interval, &mut cast);
            elapsed_ms = elapsed_ms.max(at_ms);
        }
        self.done.cast = cast;
        self.done
    }
}
