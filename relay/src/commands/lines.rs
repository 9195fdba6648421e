//! Lines read off the screen: what was typed, held against what the screen shows when a line is accepted.

use std::time::Duration;

use podlatch_protocol::terminal::TerminalSize;

use super::keys::{Key, Keys};
use super::matching::{self, Found};
use super::prompt::{Editor, Kind, Prompts};
use super::scan::{Scan, Stop};
use super::screen::{self, Remembered, Row, Screen};
use super::strokes::Stroke;
use super::typed::{Line, Submit, Typed};
use crate::clock::UnixMillis;

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
    /// The cursor was asked for since the last accepted line.
    asked: bool,
    /// What stood left of the cursor when the output first rested after that: the prompt, unless keys were typed ahead.
    drawn: Option<String>,
    opened: Option<Opened>,
    last_output: Option<UnixMillis>,
    /// When the line that was accepted last was submitted.
    accepted_at: Option<UnixMillis>,
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
}

/// A place on the screen at which a line may have been accepted.
struct Place {
    rows: Vec<Row>,
    /// What they show.
    text: String,
    /// Rows from the last of them to the cursor's.
    below: usize,
    editor: Editor,
}

impl Place {
    fn new(rows: Vec<Row>, below: usize, editor: Editor) -> Self {
        Self { text: screen::text(&rows), rows, below, editor }
    }

    fn expected(&self, typed: &str) -> Option<Found> {
        matching::expected(&self.rows, &self.text, typed)
    }
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
            asked: false,
            drawn: None,
            opened: None,
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
        if self.bracketed && self.drawn.is_none() && self.last_output.is_some_and(|last| at >= last.plus(QUIET)) {
            self.drawn = Some(self.screen.around_cursor().0).filter(|prompt| !prompt.trim().is_empty());
        }
        self.screen.settle();
        // A line that ends at the margin has its line feed already when it is submitted.
        if !self.bracketed && !self.typed.lines.is_empty() && self.screen.cursor_at_line_start() {
            self.plain_lines(1).into_iter().for_each(&mut on_line);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let watch = !self.bracketed && !self.typed.lines.is_empty();
            let (length, stop) = self.scan.next(rest, watch);
            self.screen.feed(&rest[..length]);
            rest = &rest[length..];
            let Some(stop) = stop else { break };
            if stop == Stop::LineFeed {
                let accepted = self.plain_lines(0);
                let (feed, after) = rest.split_at(1);
                self.screen.feed(feed);
                rest = after;
                accepted.into_iter().for_each(&mut on_line);
            } else if !self.screen.on_alternate() {
                self.sequence(stop, at).into_iter().for_each(&mut on_line);
            }
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
        if unkeyed && at_editor && quiet_for(SETTLED) {
            self.typed.forget_unread(at);
        }
        let clean = self.typed.at_line_start() && self.typed.lines.is_empty() && quiet_for(QUIET);
        if let Some(opened) = &mut self.opened {
            opened.keyed = true;
            opened.clean |= clean && unkeyed;
        } else {
            let (prompt, right) = self.screen.around_cursor();
            self.opened = Some(Opened { prompt, right, at, clean, asked: false, keyed: true });
        }
    }

    fn sequence(&mut self, stop: Stop, at: UnixMillis) -> Option<Accepted> {
        match stop {
            Stop::BracketedPaste { on: true } => {
                if !self.bracketed {
                    self.opened = None;
                }
                self.bracketed = true;
                // The line begins in this row or below.
                self.screen.remember_row(Remembered::LineBegin, 0);
                self.drawn = None;
                None
            }
            Stop::BracketedPaste { on: false } if self.bracketed => {
                self.bracketed = false;
                let accepted = self.bracketed_line();
                self.opened = None;
                accepted
            }
            Stop::AskCursor if !self.bracketed => {
                let (prompt, right) = self.screen.around_cursor();
                if !prompt.trim().is_empty() {
                    self.asked = true;
                    self.opened = Some(Opened { prompt, right, at, clean: false, asked: true, keyed: false });
                }
                None
            }
            _ => None,
        }
    }

    /// A line editor with bracketed paste finished a line: before or behind its line feed.
    fn bracketed_line(&mut self) -> Option<Accepted> {
        let below = usize::from(self.screen.cursor_at_line_start());
        let rows = self.screen.rows_from(Remembered::LineBegin, below);
        self.screen.forget_row(Remembered::LineBegin);
        let place = Place::new(rows, below, Editor::BracketedPaste);
        let found = self.at_known_prompt(&place).or_else(|| self.by_expectation(&place));
        let found = found.or_else(|| self.at_prompt(&place, self.drawn.as_deref()?))?;
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
        let by_time = || lines.iter().position(interrupted).or_else(|| lines.iter().position(fresh)).unwrap_or(0);
        let index = index.unwrap_or_else(by_time);
        let mut line = lines.drain(..(index + 1).min(lines.len())).next_back()?;
        match expected {
            Some(text) => (line.text, line.exact) = (text, true),
            // What the shell suggests behind the typed text is not submitted with it.
            None => line.exact &= !line.text.trim().is_empty() && found.text.starts_with(&line.text),
        }
        Some(line)
    }

    /// Before a line feed without bracketed paste: the line is accepted if it is what was typed, at a prompt.
    fn plain_lines(&mut self, below: usize) -> Option<Accepted> {
        if self.screen.on_alternate() || self.typed.lines.is_empty() {
            return None;
        }
        let last = self.screen.last_in_row(below)?;
        let plausible =
            |line: &Line| !line.exact || line.submit != Submit::Enter || line.text.trim_end().ends_with(last);
        if !self.typed.lines.iter().any(plausible) {
            return None;
        }
        let editor = if self.asked { Editor::AskCursor } else { Editor::Silent };
        let place = Place::new(self.screen.logical_line(below), below, editor);
        let known = self.at_known_prompt(&place);
        let of = |index| Some((index, self.plain_line(index, &place, known.as_ref())?));
        let index = (0..self.typed.lines.len()).find_map(of);
        let (index, (found, kind)) = index?;
        let mut line = self.typed.lines.drain(..=index).next_back()?;
        line.exact &= screen::same_but_blanks(&found.text, &line.text);
        self.asked = false;
        let accepted = self.accept(&found, kind, &place, &line);
        self.opened = None;
        accepted
    }

    /// Whether the screen shows the typed line with this index at a prompt; `known` is what stands at a known one.
    fn plain_line(&self, index: usize, place: &Place, known: Option<&Found>) -> Option<(Found, Kind)> {
        let line = &self.typed.lines[index];
        let found = match (line.exact, line.submit) {
            (_, Submit::EndOfInput) => return None,
            (true, Submit::Enter) => exact_line(place, known, &line.text)?,
            (true, Submit::Interrupt) => {
                place.expected(&format!("{}^C", line.text)).or_else(|| place.expected(&line.text))?
            }
            (false, submit) => {
                let found = known?;
                let fits = submit == Submit::Interrupt
                    || screen::find_suffix(&found.text, &line.text).is_some()
                    || (line.moved && found.text.contains(&line.text));
                if !fits || found.text.is_empty() || place.below > 0 || self.screen.cursor_row_is_full() {
                    return None;
                }
                found.clone()
            }
        };
        // A shell that asks for the cursor does so at each prompt, unless more input waits already.
        let typed_at_rest = self.opened.as_ref().is_some_and(|opened| opened.clean && opened.prompt == found.prompt);
        if typed_at_rest && !self.asked && self.prompts.wants_cursor(&found.prompt) {
            return None;
        }
        let kind = self.judge(&found, place)?;
        let pasted = self.accepted_at.is_some_and(|before| line.at <= before.plus(PASTED));
        let unlikely = kind == Kind::Continuation && !self.asked && !pasted && self.prompts.wants_cursor(&found.prompt);
        (!unlikely).then_some((found, kind))
    }

    fn judge(&self, found: &Found, place: &Place) -> Option<Kind> {
        let above_cursor = place.below + place.rows.len() - 1 - found.first_row;
        let follows = self.screen.is_below(Remembered::AcceptedLine, above_cursor);
        self.prompts.judge(&found.prompt, place.editor, follows)
    }

    /// The text behind the nearest prompt that is known, or at which the line was opened.
    fn at_known_prompt(&self, place: &Place) -> Option<Found> {
        let opened =
            self.opened.as_ref().filter(|opened| (opened.clean || opened.asked) && !opened.prompt.trim().is_empty());
        let candidates = opened.map(|opened| opened.prompt.as_str()).into_iter().chain(self.prompts.known());
        let (first_row, prompt) = candidates
            .filter_map(|prompt| Some((screen::find_prompt(&place.rows, prompt)?, prompt)))
            .reduce(|best, other| if other.0 > best.0 { other } else { best })?;
        Some(self.behind_prompt(place, prompt, first_row))
    }

    fn at_prompt(&self, place: &Place, prompt: &str) -> Option<Found> {
        Some(self.behind_prompt(place, prompt, screen::find_prompt(&place.rows, prompt)?))
    }

    fn behind_prompt(&self, place: &Place, prompt: &str, first_row: usize) -> Found {
        let text = screen::text(&place.rows[first_row..]);
        let right = self.opened.as_ref().map_or("", |opened| opened.right.as_str());
        let text = text.strip_prefix(prompt).unwrap_or_default();
        let text = matching::without_indent(&matching::without_right(text, right), prompt.chars().count());
        Found { prompt: prompt.to_owned(), text, first_row }
    }

    /// The text of a typed line where no prompt is known.
    fn by_expectation(&self, place: &Place) -> Option<Found> {
        self.typed.lines.iter().filter(|line| line.exact).find_map(|line| place.expected(&line.text))
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

/// A typed line at a known prompt or any other. If only its end is there, the rest went to another program before.
fn exact_line(place: &Place, known: Option<&Found>, typed: &str) -> Option<Found> {
    let whole = |found: &&Found| !found.text.trim().is_empty() && screen::same_but_blanks(&found.text, typed);
    let end = |found: &&Found| matching::ends_with_command(typed, &found.text);
    let at_known = known.filter(whole).cloned();
    at_known.or_else(|| place.expected(typed)).or_else(|| known.filter(end).cloned())
}
