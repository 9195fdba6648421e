//! Lines read off the screen: what was typed, held against what the screen shows when a line is accepted.

mod place;
mod plain;

use std::time::Duration;

use podlatch_protocol::terminal::TerminalSize;

use super::keys::{Key, Keys};
use super::matching::{self, Found};
use super::prompt::{Editor, Kind, Prompts};
use super::scan::{self, Scan, Stop};
use super::screen::{Remembered, Screen};
use super::strokes::Stroke;
use super::typed::{Line, Submit, Typed};
use crate::clock::UnixMillis;
use place::Place;

/// A prompt that stood this long without output is complete, and what was typed before it went elsewhere.
const QUIET: Duration = Duration::from_millis(15);

/// As `QUIET`, for forgetting what was typed ahead: the echo of it would have come with the prompt.
const SETTLED: Duration = Duration::from_millis(100);

/// Lines that are submitted within this time were not typed one by one.
const PASTED: Duration = Duration::from_millis(100);

/// A line that a shell accepted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Accepted {
    pub(super) text: String,
    pub(super) confidence: f32,
    /// Names the Enter that submitted it.
    pub(super) entered: u64,
    /// When that came.
    pub(super) at: UnixMillis,
}

/// Finds accepted lines.
pub(super) struct Lines {
    screen: Screen,
    scan: Scan,
    keys: Keys,
    typed: Typed,
    prompts: Prompts,
    /// The line editor has bracketed paste switched on.
    bracketed: bool,
    /// That line editor finished its line, and then wrote this, of which the rest tells where the line ends.
    unread: Option<Vec<u8>>,
    /// The cursor was asked for since the last accepted line.
    asked: bool,
    /// What stood left of the cursor when the output first rested after that: the prompt, unless keys were typed ahead.
    drawn: Option<String>,
    opened: Option<Opened>,
    /// Line feeds since that was opened, as far as they were looked at.
    line_feeds: usize,
    last_output: Option<UnixMillis>,
    /// When the line that was accepted last was submitted.
    accepted_at: Option<UnixMillis>,
}

/// Where a line editor with bracketed paste leaves the cursor when it finishes a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Behind the line, or at the beginning of the row below it.
    AtEnd,
    /// Anywhere in its last row, or in the empty one below it.
    InLastRow,
}

/// Where a line begins.
#[derive(Debug, Clone)]
struct Opened {
    /// What stands left of it.
    prompt: String,
    /// What stands right of it: a right prompt.
    right: String,
    at: UnixMillis,
    /// The screen was at rest when the first key came, so the prompt is complete.
    clean: bool,
    /// The shell asked for the cursor here, so the prompt is complete.
    asked: bool,
    /// A key was typed since.
    keyed: bool,
    /// What another program wrote behind the prompt before.
    noise: String,
}

impl Lines {
    pub(super) fn new(size: TerminalSize) -> Self {
        Self {
            screen: Screen::new(size),
            scan: Scan::default(),
            keys: Keys::default(),
            typed: Typed::default(),
            prompts: Prompts::default(),
            bracketed: false,
            unread: None,
            asked: false,
            drawn: None,
            opened: None,
            line_feeds: 0,
            last_output: None,
            accepted_at: None,
        }
    }

    pub(super) fn resize(&mut self, size: TerminalSize) {
        self.screen.resize(size);
    }

    pub(super) fn rest(&mut self) {
        self.screen.rest();
    }

    /// Follows output, and calls `on_line` for each line that is accepted in it.
    pub(super) fn output(&mut self, bytes: &[u8], at: UnixMillis, mut on_line: impl FnMut(Accepted)) {
        let unread = self.unread.take().map(|unread| [&unread, bytes].concat());
        let mut rest = unread.as_deref().unwrap_or(bytes);
        if unread.is_some() {
            self.last_output = Some(at);
            let Some((after, accepted)) = self.leave_line(rest) else { return };
            rest = after;
            accepted.into_iter().for_each(&mut on_line);
        }
        if self.bracketed && self.drawn.is_none() && self.last_output.is_some_and(|last| at >= last.plus(QUIET)) {
            let left = self.screen.around_cursor().0;
            self.drawn = Some(self.typed.without_echo(&left).to_owned()).filter(|prompt| !prompt.trim().is_empty());
        }
        self.screen.settle();
        let on_alternate = self.screen.on_alternate();
        // A line that ends at the margin has its line feed already when it is submitted.
        if !self.bracketed && !self.typed.lines.is_empty() && self.screen.cursor_at_line_start() {
            self.plain_lines(1).into_iter().for_each(&mut on_line);
        }
        while !rest.is_empty() {
            let watch = !self.bracketed && !self.typed.lines.is_empty();
            let (length, stop) = self.scan.next(rest, watch);
            self.screen.feed(&rest[..length]);
            rest = &rest[length..];
            let Some(stop) = stop else { break };
            if stop == Stop::LineFeed {
                self.line_feeds = self.line_feeds.saturating_add(1);
                let accepted = self.plain_lines(0);
                let (feed, after) = rest.split_at(1);
                self.screen.feed(feed);
                rest = after;
                accepted.into_iter().for_each(&mut on_line);
            } else if stop == (Stop::BracketedPaste { on: false }) && self.bracketed && !self.screen.on_alternate() {
                let Some((after, accepted)) = self.leave_line(rest) else { break };
                rest = after;
                accepted.into_iter().for_each(&mut on_line);
            } else if !self.screen.on_alternate() {
                self.sequence(stop, at);
            }
        }
        if on_alternate && !self.screen.on_alternate() {
            self.typed.forget_answered(at);
        }
        self.last_output = Some(at);
    }

    /// Follows what is typed.
    pub(super) fn input(&mut self, bytes: &[u8], at: UnixMillis) {
        let mut keys = std::mem::take(&mut self.keys);
        keys.feed(bytes, at, |key| self.key(key, at));
        self.keys = keys;
    }

    /// Follows typing of which the keys are not known.
    pub(super) fn stroke(&mut self, stroke: Stroke, at: UnixMillis) {
        match stroke {
            Stroke::Begin => self.key(Key::Other, at),
            Stroke::Enter => self.key(Key::Enter, at),
            Stroke::Interrupt => self.key(Key::Interrupt, at),
        }
    }

    fn key(&mut self, key: Key, at: UnixMillis) {
        if !self.screen.on_alternate() {
            self.open_by_key(at);
        }
        self.typed.key(key, at);
    }

    fn open_by_key(&mut self, at: UnixMillis) {
        let quiet_for = |least: Duration| self.last_output.is_none_or(|last| at >= last.plus(least));
        let unkeyed = self.opened.as_ref().is_none_or(|opened| !opened.keyed);
        let at_editor = self.bracketed || self.opened.is_some();
        let nothing_typed = self.typed.at_line_start();
        if unkeyed && at_editor && quiet_for(SETTLED) {
            self.typed.forget_unread(&self.screen.around_cursor().0, at);
        }
        let clean = self.typed.at_line_start() && self.typed.lines.is_empty() && quiet_for(QUIET);
        if self.opened.as_ref().is_some_and(|opened| opened.keyed) {
            return;
        }
        self.line_feeds = 0;
        let (mut prompt, right) = self.screen.around_cursor();
        let behind = if clean && at_editor && nothing_typed { self.noise(&prompt) } else { None };
        let noise = behind.map_or_else(String::new, |(before, noise)| {
            prompt = before;
            self.drawn = self.bracketed.then(|| prompt.clone());
            noise
        });
        if let Some(opened) = &mut self.opened {
            opened.keyed = true;
            opened.clean |= clean;
            opened.noise = noise;
        } else {
            self.opened = Some(Opened { prompt, right, at, clean, asked: false, keyed: true, noise });
        }
    }

    fn sequence(&mut self, stop: Stop, at: UnixMillis) {
        match stop {
            Stop::BracketedPaste { on: true } => {
                // Again without an end before it: fish, when a line was given up.
                self.opened = None;
                self.bracketed = true;
                // The line begins in this row or below.
                self.screen.remember_row(Remembered::LineBegin, 0);
                self.screen.remember_row(Remembered::AboveLine, 1);
                self.drawn = None;
            }
            Stop::AskCursor if !self.bracketed => {
                let (prompt, right) = self.screen.around_cursor();
                if !prompt.trim().is_empty() {
                    self.asked = true;
                    self.line_feeds = 0;
                    self.opened = Some(Opened {
                        prompt,
                        right,
                        at,
                        clean: false,
                        asked: true,
                        keyed: false,
                        noise: String::new(),
                    });
                }
            }
            _ => {}
        }
    }

    /// A line editor with bracketed paste finished its line. zsh leaves it where the cursor stood in it, and then goes down to
    /// its end: what follows the bytes of that, or `None` where the next ones have to tell.
    fn leave_line<'a>(&mut self, rest: &'a [u8]) -> Option<(&'a [u8], Option<Accepted>)> {
        let Some(down) = scan::cursor_down(rest) else {
            self.unread = Some(rest.to_vec());
            return None;
        };
        let (down, after) = rest.split_at(down);
        self.screen.feed(down);
        self.bracketed = false;
        let accepted = self.bracketed_line(if down.is_empty() { Left::AtEnd } else { Left::InLastRow });
        self.opened = None;
        Some((after, accepted))
    }

    /// Nothing follows.
    pub(super) fn finish(&mut self) -> Option<Accepted> {
        let unread = self.unread.take()?;
        self.screen.feed(&unread);
        self.bracketed_line(Left::AtEnd)
    }

    /// Before or behind the line feed of that line.
    fn bracketed_line(&mut self, left: Left) -> Option<Accepted> {
        let is_below = self.screen.last_in_row(0).is_none();
        let is_below = is_below || (left == Left::AtEnd && self.screen.cursor_at_line_start());
        let below = usize::from(is_below);
        let rows = self.screen.line_rows(below);
        self.screen.forget_row(Remembered::LineBegin);
        let mut place = Place::new(rows, below, Editor::BracketedPaste);
        let mut found = self.at_editor(&place);
        if found.is_none() && !self.typed.lines.is_empty() {
            // The row in which the line began may have been drawn anew elsewhere.
            place = Place::new(self.screen.all_rows(below), below, Editor::BracketedPaste);
            found = self.at_known_prompt(&place).filter(|found| self.is_typed(found));
        }
        let found = found?;
        let kind = self.judge(&found, &place)?;
        let line = self.consume(&found)?;
        self.accept(&found, kind, &place, &line)
    }

    /// Takes the typed line that belongs to what was found, and forgets those before it.
    fn consume(&mut self, found: &Found) -> Option<Line> {
        let lines = &mut self.typed.lines;
        let opened_at = self.opened.as_ref().filter(|opened| opened.clean).map(|opened| opened.at);
        let (index, expected) = matching::typed_line(lines, &found.text).unzip();
        let fresh = |line: &Line| opened_at.is_none_or(|opened| line.at >= opened);
        let interrupted = |line: &Line| line.submit == Submit::Interrupt && found.text.ends_with("^C");
        // What the shell suggests behind the typed text may still be shown.
        let begins = |line: &Line| line.exact && !line.text.trim().is_empty() && found.text.starts_with(&line.text);
        // What is known to be another text is not it: an Enter that answered a program, or the Ctrl-C that ended one.
        let unknown = |line: &Line| fresh(line) && !line.exact && line.submit != Submit::Interrupt;
        let nothing = |line: &Line| fresh(line) && line.text.is_empty() && line.submit != Submit::Interrupt;
        let by_time = || {
            let index = lines.iter().position(interrupted).or_else(|| lines.iter().position(begins));
            let index = index.or_else(|| lines.iter().position(unknown)).or_else(|| lines.iter().position(nothing));
            index.or_else(|| lines.iter().position(fresh)).unwrap_or(0)
        };
        let index = index.unwrap_or_else(by_time);
        let mut line = lines.drain(..(index + 1).min(lines.len())).next_back()?;
        match expected {
            Some(text) => (line.text, line.exact) = (text, true),
            // What the shell suggests behind the typed text is not submitted with it.
            None => line.exact &= !line.text.trim().is_empty() && found.text.starts_with(&line.text),
        }
        Some(line)
    }

    fn accept(&mut self, found: &Found, kind: Kind, place: &Place, line: &Line) -> Option<Accepted> {
        // Shells write ^C behind a line that is given up.
        let given_up = !line.exact && found.text.trim_end().ends_with("^C");
        if line.submit != Submit::Enter || given_up {
            return None;
        }
        self.accepted_at = Some(line.at);
        let text = if line.exact { matching::with_blanks_of(&found.text, &line.text) } else { found.text.clone() };
        let text = text.trim_end();
        self.prompts.submitted(&found.prompt, place.editor, kind, text);
        self.screen.remember_row(Remembered::AcceptedLine, place.below);
        if text.trim().is_empty() {
            return None;
        }
        let confidence = match (line.exact, kind) {
            (true, Kind::Known | Kind::Continuation) => 0.98,
            (true, Kind::New) => 0.95,
            (false, Kind::Known | Kind::Continuation) => 0.85,
            (false, Kind::New) => 0.7,
        };
        Some(Accepted { text: text.to_owned(), confidence, entered: line.number, at: line.at })
    }
}

#[cfg(test)]
mod tests;
