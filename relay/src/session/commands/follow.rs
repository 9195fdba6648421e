//! What a session's output, input and marks say about its commands. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use podlatch_protocol::terminal::TerminalSize;

use super::line::{Place, TypedLine};
use super::note::{CommandNote, Note};
use crate::clock::UnixMillis;
use crate::commands::redact::redact;
use crate::commands::{Command, Event, Mark, Secrets, Source, Stroke, Tracker};

/// How long a command's event waits for the command's end, so that it can tell how it ended.
const TOLD_AFTER: Duration = Duration::from_secs(2);

/// How much later an end may become known that came in time.
const SLACK: Duration = Duration::from_secs(1);

/// Something to be audited.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// A command was entered; how it ended is known or will not be said here.
    Executed {
        /// Which mark told of it; `None` where the screen did.
        key: Option<u64>,
        /// The command.
        command: Command,
        /// Whether it was still running when this was found.
        phase: Phase,
        /// Whether the recording names it already.
        label: Label,
    },
    /// A command that was told of while it ran has ended.
    Finished {
        /// Which mark told of the command.
        key: u64,
        /// The command.
        command: Command,
        /// When it ended.
        at: UnixMillis,
    },
}

/// What is known of a command's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has ended, or nobody will tell.
    Over,
    /// It goes on.
    Running,
}

/// Whether a recording has a marker with the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// It was recorded with the mark.
    Recorded,
    /// It was not known then.
    Missing,
}

/// Follows one session.
pub(super) struct Follower {
    tracker: Tracker,
    line: TypedLine,
    size: TerminalSize,
    running: Option<Running>,
    found: VecDeque<Found>,
}

struct Running {
    key: u64,
    command: Command,
    phase: Phase,
    label: Label,
}

/// What is known of a command besides what the tracker says.
#[derive(Clone, Copy)]
struct Told {
    key: u64,
    redactions: u32,
    label: Label,
}

impl Follower {
    pub(super) fn new(size: TerminalSize) -> Self {
        Self {
            tracker: Tracker::new(size, Secrets::Redact),
            line: TypedLine::default(),
            size,
            running: None,
            found: VecDeque::new(),
        }
    }

    /// Output, without marks.
    pub(super) fn output(&mut self, bytes: &[u8], at: UnixMillis) {
        self.line.output(bytes);
        self.tracker.output(bytes, at);
        self.collect(None, at);
    }

    /// How a person typed what an earlier life of the relay knew.
    pub(super) fn strokes(&mut self, how: &[u8], at: UnixMillis) {
        for stroke in how.iter().filter_map(|byte| Stroke::of_byte(*byte)) {
            self.tracker.stroke(stroke, at);
        }
        self.collect(None, at);
    }

    /// What a person typed.
    pub(super) fn input(&mut self, bytes: &[u8], at: UnixMillis) {
        self.tracker.input(bytes, at);
        self.collect(None, at);
    }

    pub(super) fn resize(&mut self, size: TerminalSize) {
        self.size = size;
        self.tracker.resize(size);
    }

    /// What the shell said; `key` is where in its own output.
    pub(super) fn mark(&mut self, note: Note, key: u64, at: UnixMillis) {
        match note {
            Note::Command(command) => {
                let label = match command {
                    CommandNote::Exact { .. } => Label::Recorded,
                    CommandNote::Unsure { .. } => Label::Missing,
                };
                let (text, redactions) = self.exactly(command);
                self.line.close();
                self.tracker.mark(Mark::CommandLine(text), at);
                self.collect(Some(Told { key, redactions, label }), at);
                self.tracker.mark(Mark::Executed, at);
            }
            Note::Input => {
                self.line.place(Place::Line);
                self.tracker.mark(Mark::PromptEnd, at);
            }
            Note::NextLine => self.line.place(Place::NextLine),
            Note::Prompt { status, cwd } => {
                self.line.open();
                self.tracker.mark(Mark::Finished(Some(status)), at);
                self.collect(None, at);
                self.tracker.mark(Mark::Cwd(cwd), at);
                self.tracker.mark(Mark::PromptStart, at);
            }
        }
        self.collect(None, at);
    }

    /// The command line, and how many secrets were taken out of it before.
    fn exactly(&self, note: CommandNote) -> (String, u32) {
        match note {
            CommandNote::Exact { text, redactions } => (text, redactions),
            CommandNote::Unsure { last } => {
                let shown = self.line.text(self.size.columns()).map(|shown| redact(&shown));
                match shown {
                    // The history joins lines in its own way, and is right where it is the same command.
                    Some(shown) if !shown.text.trim().is_empty() && !is_same(&shown.text, &last) => {
                        (shown.text, shown.count)
                    }
                    Some(_) | None => (last, 0),
                }
            }
        }
    }

    /// Nothing happens for a while: gives memory back until something does.
    pub(super) fn rest(&mut self) {
        self.tracker.rest();
    }

    /// Tells of a command that has been running for a while.
    pub(super) fn handle_time(&mut self, now: UnixMillis) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        if let Some(Running { key, command, phase, label }) = &mut self.running {
            *phase = Phase::Running;
            let (key, phase, label) = (Some(*key), *phase, *label);
            self.found.push_back(Found::Executed { key, command: command.clone(), phase, label });
        }
    }

    /// When [`Self::handle_time`] has something to do.
    pub(super) fn deadline(&self) -> Option<UnixMillis> {
        let waiting = self.running.as_ref().filter(|running| running.phase == Phase::Over)?;
        Some(waiting.command.at.plus(TOLD_AFTER + SLACK))
    }

    /// The session is over.
    pub(super) fn finish(&mut self, at: UnixMillis) {
        self.tracker.finish();
        self.collect(None, at);
        if let Some(running) = self.running.take() {
            self.finished(running, None, at);
        }
    }

    /// What was found, oldest first.
    pub(super) fn take(&mut self) -> Option<Found> {
        self.found.pop_front()
    }

    /// Takes over what the tracker found. `mark` is the mark that it was just given, if it says what a command is.
    fn collect(&mut self, mark: Option<Told>, at: UnixMillis) {
        while let Some(event) = self.tracker.take() {
            match (event, mark) {
                (Event::Submitted(command), Some(told)) if command.source == Source::Marks => {
                    if let Some(earlier) = self.running.take() {
                        self.finished(earlier, None, at);
                    }
                    let command = Command { redactions: told.redactions.max(command.redactions), ..command };
                    self.running = Some(Running { key: told.key, command, phase: Phase::Over, label: told.label });
                }
                (Event::Submitted(command), _) => {
                    let (phase, label) = (Phase::Over, Label::Missing);
                    self.found.push_back(Found::Executed { key: None, command, phase, label });
                }
                (Event::Finished(ended), _) => {
                    let same = |running: &mut Running| running.command.number == ended.number;
                    if let Some(running) = self.running.take_if(same) {
                        self.finished(running, ended.exit_code, at);
                    }
                }
            }
        }
    }

    fn finished(&mut self, running: Running, exit_code: Option<i32>, at: UnixMillis) {
        let Running { key, command, phase, label } = running;
        let late = at > command.at.plus(TOLD_AFTER);
        let command = Command { exit_code, ..command };
        if phase == Phase::Over && !late {
            self.found.push_back(Found::Executed { key: Some(key), command, phase, label });
            return;
        }
        if phase == Phase::Over {
            // As it would have been told, had somebody looked in time: a relay that starts again finds the same.
            let command = Command { exit_code: None, ..command.clone() };
            self.found.push_back(Found::Executed { key: Some(key), command, phase: Phase::Running, label });
        }
        self.found.push_back(Found::Finished { key, command, at });
    }
}

/// Whether two texts are the same command but for how its lines are joined.
fn is_same(shown: &str, last: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| c.is_whitespace() || c == ';').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let indented = |text: &str| text.starts_with([' ', '\t']);
    indented(shown) == indented(last) && words(shown) == words(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixMillis = UnixMillis::new(1_700_000_000_000);

    fn at(millis: u64) -> UnixMillis {
        START.plus(Duration::from_millis(millis))
    }

    fn follower() -> Follower {
        Follower::new(TerminalSize::clamped(80, 24))
    }

    fn exact(text: &str) -> Note {
        Note::Command(CommandNote::Exact { text: text.into(), redactions: 0 })
    }

    fn prompt(status: i32) -> Note {
        Note::Prompt { status, cwd: "/tmp".into() }
    }

    fn all(follower: &mut Follower) -> Vec<(Option<u64>, String, Option<i32>, Phase)> {
        std::iter::from_fn(|| follower.take())
            .map(|found| match found {
                Found::Executed { key, command, phase, .. } => (key, command.text, command.exit_code, phase),
                Found::Finished { key, command, .. } => {
                    (Some(key), format!("end of {}", command.text), command.exit_code, Phase::Over)
                }
            })
            .collect()
    }

    #[test]
    fn a_short_command_is_told_of_once_with_its_end() {
        let mut follower = follower();
        follower.mark(prompt(0), 5, at(0));
        follower.mark(exact("false"), 10, at(1));
        assert_eq!(all(&mut follower), []);
        follower.mark(prompt(1), 20, at(2));
        assert_eq!(all(&mut follower), [(Some(10), "false".into(), Some(1), Phase::Over)]);
    }

    #[test]
    fn a_long_one_is_told_of_while_it_runs_and_when_it_ends() {
        let mut follower = follower();
        follower.mark(exact("sleep 9"), 10, at(0));
        follower.handle_time(at(2_999));
        assert_eq!(all(&mut follower), []);
        assert_eq!(follower.deadline(), Some(at(3_000)));
        follower.handle_time(at(3_000));
        assert_eq!(all(&mut follower), [(Some(10), "sleep 9".into(), None, Phase::Running)]);
        assert_eq!(follower.deadline(), None);
        follower.mark(prompt(0), 20, at(9_000));
        assert_eq!(all(&mut follower), [(Some(10), "end of sleep 9".into(), Some(0), Phase::Over)]);
    }

    #[test]
    fn a_relay_that_starts_again_tells_of_a_long_one_in_the_same_way() {
        let mut follower = follower();
        follower.mark(exact("sleep 9"), 10, at(0));
        follower.mark(prompt(0), 20, at(9_000));
        let expected = [
            (Some(10), "sleep 9".into(), None, Phase::Running),
            (Some(10), "end of sleep 9".into(), Some(0), Phase::Over),
        ];
        assert_eq!(all(&mut follower), expected);
    }

    #[test]
    fn a_command_whose_end_nobody_sees_is_told_of_at_the_end() {
        let mut follower = follower();
        follower.mark(exact("exit"), 10, at(0));
        follower.finish(at(1));
        assert_eq!(all(&mut follower), [(Some(10), "exit".into(), None, Phase::Over)]);
    }

    #[test]
    fn what_the_shell_is_not_sure_of_is_read_off_the_screen() {
        let run = |shown: &str, last: &str| {
            let mut follower = follower();
            follower.mark(prompt(0), 5, at(0));
            follower.output(b"$ ", at(0));
            follower.mark(Note::Input, 6, at(0));
            follower.output(shown.as_bytes(), at(0));
            follower.mark(Note::Command(CommandNote::Unsure { last: last.into() }), 10, at(1));
            follower.mark(prompt(0), 20, at(2));
            all(&mut follower).remove(0).1
        };
        assert_eq!(run("ls\r\n", "ls"), "ls");
        assert_eq!(run(" ls -l\r\n", "ls"), " ls -l");
        assert_eq!(run(" ls\r\n", "ls"), " ls");
        assert_eq!(run("for i in 1\r\ndo echo\r\ndone\r\n", "for i in 1; do echo; done"), "for i in 1; do echo; done");
    }
}
