//! The tracker: what was typed, what the screen shows and what the shell marks, put together.

use std::collections::VecDeque;

use podlatch_protocol::terminal::TerminalSize;

use super::redact::redact;
use super::{Command, Event, MAX_COMMAND_BYTES, Mark, Secrets, Source};
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
}

impl Tracker {
    /// For a session that starts with a terminal of `size`.
    pub fn new(_size: TerminalSize, secrets: Secrets) -> Self {
        Self { secrets, events: VecDeque::new(), submitted: 0, cwd: None, running: None }
    }

    /// Output of the session, without marks, in pieces of any length.
    pub fn output(&mut self, _bytes: &[u8], _at: UnixMillis) {}

    /// What the person's terminal sent: keys, pastes, and its own replies to programs.
    pub fn input(&mut self, _bytes: &[u8], _at: UnixMillis) {}

    /// The terminal has a new size from here on.
    pub fn resize(&mut self, _size: TerminalSize) {}

    /// The shell's mark at this place of the output.
    pub fn mark(&mut self, mark: Mark, at: UnixMillis) {
        match mark {
            Mark::PromptStart => self.finished(None),
            Mark::PromptEnd | Mark::Executed => {}
            Mark::CommandLine(text) => {
                self.finished(None);
                let command = self.submit(&text, Source::Marks, 1.0, at);
                self.running = command;
            }
            Mark::Finished(exit_code) => self.finished(exit_code),
            Mark::Cwd(cwd) => self.cwd = Some(cwd),
        }
    }

    /// The session ended: a command that still runs finishes without an exit code.
    pub fn finish(&mut self) {
        self.finished(None);
    }

    /// The next event, oldest first.
    pub fn take(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn finished(&mut self, exit_code: Option<i32>) {
        if let Some(command) = self.running.take() {
            self.push(Event::Finished(Command { exit_code, ..command }));
        }
    }

    fn submit(&mut self, text: &str, source: Source, confidence: f32, at: UnixMillis) -> Option<Command> {
        let text = text.trim_end();
        if text.trim_start().is_empty() {
            return None;
        }
        let (mut text, redactions) = match self.secrets {
            Secrets::Keep => (text.to_owned(), 0),
            Secrets::Redact => {
                let redacted = redact(text);
                (redacted.text, redacted.count)
            }
        };
        text.truncate(text.floor_char_boundary(MAX_COMMAND_BYTES));
        self.submitted += 1;
        let number = self.submitted;
        let cwd = self.cwd.clone().filter(|_| source == Source::Marks);
        let command = Command { number, text, source, confidence, exit_code: None, cwd, redactions, at };
        self.push(Event::Submitted(command.clone()));
        Some(command)
    }

    fn push(&mut self, event: Event) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}
