//! The tracker: what was typed, what the screen shows and what the shell marks, put together.

use std::collections::VecDeque;

use podlatch_protocol::terminal::TerminalSize;

use super::lines::{Accepted, Lines};
use super::redact::{REPLACEMENT, Redacted, redact};
use super::{Command, Event, Extent, MAX_COMMAND_BYTES, MAX_COMMAND_CHARACTERS, Mark, Secrets, Source, Stroke};
use crate::clock::UnixMillis;

/// Events that wait to be taken; the oldest go first when nobody takes them.
const MAX_EVENTS: usize = 1024;

/// Finds the commands of one session. Feed it everything in the order in which it happened, and take the events after
/// each call. Costs about what the screen model costs, and a bounded amount of memory whatever it is fed. Never panics.
pub struct Tracker {
    secrets: Secrets,
    events: VecDeque<Event>,
    submitted: u64,
    cwd: Option<String>,
    running: Option<Command>,
    lines: Lines,
    /// A shell with marks reads lines now, so the screen need not be read.
    marked_shell_reads: bool,
    /// What the screen is still to show of the line that a mark told of.
    marked_line: MarkedLine,
    /// Further lines that may belong to a private key whose beginning was a line of its own.
    private_key_lines: usize,
}

/// The line that a mark told of, as the screen shows it: fish says that it runs before it leaves the line.
#[derive(Debug, Default, PartialEq, Eq)]
enum MarkedLine {
    #[default]
    Unknown,
    /// The screen showed it while the shell read it.
    Shown,
    /// This line; the screen is still to show it.
    Expected(String),
}

impl MarkedLine {
    /// A mark told of a line.
    fn told(&mut self, text: &str) {
        if *self == Self::Unknown {
            *self = Self::Expected(words(text));
        }
    }

    /// Whether the first line that the screen shows after the mark is the same.
    fn is(&mut self, shown: &str) -> bool {
        std::mem::replace(self, Self::Shown) == Self::Expected(words(shown))
    }
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Longest private key that is looked for over several lines, in lines.
const MAX_PRIVATE_KEY_LINES: usize = 200;

/// As much of a command as is looked at: twice what is kept, so that a secret at the cut is not kept in part.
fn beginning_of(text: &str) -> &str {
    if text.len() <= 2 * MAX_COMMAND_BYTES {
        return text;
    }
    let cut = &text[..text.floor_char_boundary(2 * MAX_COMMAND_BYTES)];
    cut.rfind(char::is_whitespace).map_or("", |space| &cut[..space])
}

impl Tracker {
    /// For a session that starts with a terminal of `size`.
    pub fn new(size: TerminalSize, secrets: Secrets) -> Self {
        Self {
            secrets,
            events: VecDeque::new(),
            submitted: 0,
            cwd: None,
            running: None,
            lines: Lines::new(size),
            marked_shell_reads: false,
            marked_line: MarkedLine::default(),
            private_key_lines: 0,
        }
    }

    /// Output of the session, without marks, in pieces of any length.
    pub fn output(&mut self, bytes: &[u8], at: UnixMillis) {
        let mut accepted = Vec::new();
        self.lines.output(bytes, at, |line| accepted.push(line));
        for line in &accepted {
            self.shown(line);
        }
    }

    /// What the person's terminal sent: keys, pastes, and its own replies to programs.
    pub fn input(&mut self, bytes: &[u8], at: UnixMillis) {
        self.lines.input(bytes, at);
    }

    /// What is known of typing whose keys were not kept.
    pub fn stroke(&mut self, stroke: Stroke, at: UnixMillis) {
        self.lines.stroke(stroke, at);
    }

    /// The terminal has a new size from here on.
    pub fn resize(&mut self, size: TerminalSize) {
        self.lines.resize(size);
    }

    /// Nothing happens for a while: gives back the memory of the screen, until something does. Changes nothing else.
    pub fn rest(&mut self) {
        self.lines.rest();
    }

    /// The shell's mark at this place of the output.
    pub fn mark(&mut self, mark: Mark, at: UnixMillis) {
        match mark {
            Mark::PromptStart => {
                self.finished(None);
                self.marked_shell_reads = true;
            }
            Mark::PromptEnd => self.marked_shell_reads = true,
            Mark::Executed => self.marked_shell_reads = false,
            Mark::CommandLine(text) => {
                self.finished(None);
                self.marked_line.told(&text);
                self.running = self.submit(&Accepted { text, confidence: 1.0, entered: 0, at }, Source::Marks);
            }
            Mark::Finished(exit_code) => {
                self.finished(exit_code);
                self.marked_shell_reads = true;
                self.marked_line = MarkedLine::Unknown;
            }
            Mark::Cwd(cwd) => self.cwd = Some(cwd),
        }
    }

    /// The session ended: a command that still runs finishes without an exit code.
    pub fn finish(&mut self) {
        if let Some(line) = self.lines.finish() {
            self.shown(&line);
        }
        self.finished(None);
    }

    /// The next event, oldest first.
    pub fn take(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The screen showed a line that was accepted.
    fn shown(&mut self, line: &Accepted) {
        if self.marked_shell_reads {
            self.marked_line = MarkedLine::Shown;
        } else if !self.marked_line.is(&line.text) {
            self.submit(line, Source::Screen);
        }
    }

    fn finished(&mut self, exit_code: Option<i32>) {
        if let Some(command) = self.running.take() {
            self.push(Event::Finished(Command { exit_code, ..command }));
        }
    }

    fn submit(&mut self, line: &Accepted, source: Source) -> Option<Command> {
        let text = line.text.trim_end();
        if text.trim_start().is_empty() {
            return None;
        }
        let end = text.char_indices().nth(MAX_COMMAND_CHARACTERS - 1);
        let extent = if end.is_some() { Extent::Cut } else { Extent::Whole };
        let text = beginning_of(text);
        let Redacted { mut text, count: redactions } = match self.secrets {
            Secrets::Keep => Redacted { text: text.to_owned(), count: 0 },
            Secrets::Redact => self.redact(text),
        };
        if let Some((end, _)) = text.char_indices().nth(MAX_COMMAND_CHARACTERS) {
            text.truncate(end);
        }
        self.submitted += 1;
        let number = self.submitted;
        let cwd = self.cwd.clone().filter(|_| source == Source::Marks);
        let entered = (source == Source::Screen).then_some(line.entered);
        let (confidence, exit_code, at) = (line.confidence, None, line.at);
        let command = Command { number, text, source, extent, entered, confidence, exit_code, cwd, redactions, at };
        self.push(Event::Submitted(command.clone()));
        Some(command)
    }

    /// As [`redact`], with private keys that go on over the lines of a here-document.
    fn redact(&mut self, text: &str) -> Redacted {
        let key_ends = text.rfind("-----END ");
        if self.private_key_lines > 0 {
            let Some(end) = key_ends else {
                self.private_key_lines -= 1;
                return Redacted { text: REPLACEMENT.to_owned(), count: 1 };
            };
            self.private_key_lines = 0;
            let rest = redact(&text[end..]);
            return Redacted { text: format!("{REPLACEMENT}{}", rest.text), count: rest.count + 1 };
        }
        let key_begins = text.rfind("-----BEGIN ").filter(|begin| text[*begin..].contains("PRIVATE KEY"));
        if key_begins.is_some() && key_begins > key_ends {
            self.private_key_lines = MAX_PRIVATE_KEY_LINES;
        }
        redact(text)
    }

    fn push(&mut self, event: Event) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

#[cfg(test)]
mod tests;
