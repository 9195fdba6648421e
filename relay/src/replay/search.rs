//! Search over what was on the screen of a recording, not over the bytes that drew it. Pure.
//!
//! A terminal model plays the recording; after every piece of output its lines are compared with those before. A hit is a
//! line that newly shows the text: one that is typed, printed, or scrolls past within one piece. A line that stays, that
//! is scrolled, or that is continued behind the text is no new one. Case does not matter; wrapped lines are joined.

mod line;
mod shown;

use std::ops::{ControlFlow, Range};

use avt::{Line, Observation, Observer, ScreenKind, Terminal};
use podlatch_protocol::terminal::TerminalSize;

use self::line::LineReader;
pub use self::line::{InvalidNeedle, Needle};
use self::shown::{News, Placed, Shown};
use super::screen::terminal;
use crate::recording::archive::TimedEvent;
use crate::recording::asciicast::Event;

/// Output that is played between two looks at the screen, in bytes; bounds what scrolls past unseen.
const PIECE_BYTES: usize = 16 * 1024;

/// A place where the text appeared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// When, in milliseconds since the recording began.
    pub at_ms: u64,
    /// In which row of the screen, from 0; 0 as well for what scrolled past.
    pub row: u16,
    /// The line, or the part of a long one around the hit.
    pub text: String,
    /// Where in `text` the hit begins, in characters.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// Plays a recording and collects hits.
pub struct Search {
    needle: Needle,
    from_ms: u64,
    most: usize,
    terminal: Terminal,
    active: ScreenKind,
    /// What the two screens showed when they were last looked at.
    primary: Shown,
    alternate: Shown,
    /// Lines that have left the primary screen since the beginning; makes rows comparable while it scrolls.
    scrolled: u64,
    /// The beginning of a line whose end is still on the screen.
    above: LineReader,
    hits: Vec<Hit>,
    is_full: bool,
}

impl Search {
    /// A search for hits at `from_ms` or later, at most `most` of them.
    pub fn new(needle: Needle, size: TerminalSize, from_ms: u64, most: usize) -> Self {
        Self {
            needle,
            from_ms,
            most,
            terminal: terminal(size),
            active: ScreenKind::Primary,
            primary: Shown::default(),
            alternate: Shown::default(),
            scrolled: 0,
            above: LineReader::default(),
            hits: Vec::new(),
            is_full: false,
        }
    }

    /// Goes on by one event. Breaks when there are more hits than were asked for.
    pub fn feed(&mut self, event: &TimedEvent) -> ControlFlow<()> {
        match &event.event {
            Event::Output(text) => {
                let mut rest = text.as_str();
                while !rest.is_empty() && !self.is_full {
                    let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
                    self.play(event.at_ms, |terminal, eyes| terminal.feed_with(piece, eyes));
                    rest = after;
                }
            }
            Event::Resize(size) => self.play(event.at_ms, |terminal, eyes| {
                terminal.resize_with(size.columns().into(), size.rows().into(), eyes);
            }),
            Event::Marker(_) | Event::Exit(_) | Event::Other => {}
        }
        if self.is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The hits in the order of time, and whether there are more.
    pub fn finish(self) -> (Vec<Hit>, bool) {
        (self.hits, self.is_full)
    }

    fn play(&mut self, at_ms: u64, step: impl FnOnce(&mut Terminal, &mut Eyes<'_>)) {
        let mut eyes = Eyes {
            needle: &self.needle,
            above: &mut self.above,
            scrolled: self.scrolled,
            passed: Vec::new(),
            changed: 0..0,
            has_new_size: false,
        };
        step(&mut self.terminal, &mut eyes);
        let Eyes { scrolled, passed, changed, has_new_size, .. } = eyes;
        let is_all = has_new_size || scrolled != self.scrolled || self.active != self.terminal.active_screen_kind();
        if !is_all && changed.is_empty() {
            return;
        }
        self.scrolled = scrolled;
        self.active = self.terminal.active_screen_kind();
        let changed = if is_all { 0..usize::MAX } else { changed };
        // The primary screen also scrolls out of sight: when a window gets smaller, and just before an editor opens.
        if is_all || self.active == ScreenKind::Primary {
            self.look_at_primary(at_ms, &changed, passed);
        }
        if self.active == ScreenKind::Alternate {
            self.look_at_alternate(at_ms, &changed);
        }
    }

    fn look_at_primary(&mut self, at_ms: u64, changed: &Range<usize>, passed: Vec<Placed>) {
        let (screen, top) = (self.terminal.primary_screen(), self.scrolled);
        // What has scrolled away is compared as well.
        let first = if changed.end == usize::MAX { 0 } else { top + changed.start as u64 };
        let rows = self.primary.affected(&(first..top.saturating_add(changed.end as u64)), screen, top);
        let now = shown::look(screen, &self.needle, &self.above, top, &rows);
        for news in self.primary.update(passed, &(first.min(rows.start)..rows.end), now) {
            self.note(at_ms, top, &news);
        }
    }

    fn look_at_alternate(&mut self, at_ms: u64, changed: &Range<usize>) {
        let screen = self.terminal.screen();
        let rows = self.alternate.affected(&(changed.start as u64..changed.end as u64), screen, 0);
        let now = shown::look(screen, &self.needle, &LineReader::default(), 0, &rows);
        for news in self.alternate.update(Vec::new(), &rows, now) {
            self.note(at_ms, 0, &news);
        }
    }

    fn note(&mut self, at_ms: u64, top: u64, news: &News) {
        if at_ms < self.from_ms || self.is_full {
            return;
        }
        if self.hits.len() == self.most {
            self.is_full = true;
            return;
        }
        let row = u16::try_from(news.row().saturating_sub(top)).unwrap_or(0);
        let (text, start, end) = news.line.excerpt(news.occurrence, &self.needle);
        self.hits.push(Hit { at_ms, row, text, start, end });
    }
}

/// Sees what changes and what scrolls away while a piece is played.
struct Eyes<'a> {
    needle: &'a Needle,
    above: &'a mut LineReader,
    scrolled: u64,
    passed: Vec<Placed>,
    changed: Range<usize>,
    has_new_size: bool,
}

impl Observer for &mut Eyes<'_> {
    type Output = ();

    fn dirty(&mut self, rows: Range<usize>) {
        self.changed = if self.changed.is_empty() {
            rows
        } else {
            self.changed.start.min(rows.start)..self.changed.end.max(rows.end)
        };
    }

    fn resized(&mut self, _columns: usize, _rows: usize) {
        self.has_new_size = true;
    }

    fn evicted(&mut self, _context: &mut Observation<'_>, row: &Line) {
        self.scrolled += 1;
        if let Some(line) = self.above.push(row, self.needle) {
            self.passed.push((shown::begin(self.scrolled, &line), line));
        }
    }

    fn end(&mut self, _context: &mut Observation<'_>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(at_ms: u64, text: &str) -> TimedEvent {
        TimedEvent { at_ms, event: Event::Output(text.to_owned()) }
    }

    /// Times and lines of the hits for a text, on a terminal of 20 × 4.
    fn hits(needle: &str, events: &[TimedEvent]) -> Vec<(u64, u16, String)> {
        let needle = Needle::parse(needle).expect("good");
        let mut search = Search::new(needle, TerminalSize::clamped(20, 4), 0, 100);
        for event in events {
            assert!(search.feed(event).is_continue());
        }
        let (hits, is_full) = search.finish();
        assert!(!is_full);
        for hit in &hits {
            assert_eq!(hit.end - hit.start, hit.text.chars().skip(hit.start).take(hit.end - hit.start).count());
        }
        hits.into_iter().map(|hit| (hit.at_ms, hit.row, hit.text)).collect()
    }

    fn hit(at_ms: u64, row: u16, text: &str) -> (u64, u16, String) {
        (at_ms, row, text.to_owned())
    }

    #[test]
    fn what_is_typed_is_found_once_and_when_it_is_complete() {
        let events: Vec<TimedEvent> = (0..).zip("$ LS -l".chars()).map(|(at, c)| output(at, &c.to_string())).collect();
        assert_eq!(hits("ls", &events), [hit(3, 0, "$ LS")]);
    }

    #[test]
    fn the_screen_is_searched_and_not_the_bytes_that_draw_it() {
        let events =
            [output(0, "ne\x1b[31mED\x1b[mle"), output(1, "\rxx"), output(2, "\x1b]0;needle\x07"), output(3, "\rne")];
        assert_eq!(hits("needle", &events), [hit(0, 0, "neEDle"), hit(3, 0, "neEDle")]);
    }

    #[test]
    fn a_line_that_scrolls_is_no_new_hit_but_its_like_is() {
        let events = [output(0, "needle\r\n"), output(1, "1\r\n2\r\n3\r\n"), output(2, "4\r\n5\r\nneedle\r\n")];
        assert_eq!(hits("needle", &events), [hit(0, 0, "needle"), hit(2, 2, "needle")]);
    }

    #[test]
    fn what_scrolls_past_within_one_piece_is_found() {
        let events = [output(0, &"needle\r\n".repeat(10)), output(1, "x")];
        assert_eq!(hits("needle", &events).len(), 10);
    }

    #[test]
    fn wrapped_lines_are_joined_also_where_their_beginning_has_scrolled_away() {
        let line = format!("{}needle", "x".repeat(17));
        assert_eq!(hits("needle", &[output(0, &line)]), [hit(0, 0, &line)]);
        let long = format!("{}needle", "x".repeat(97));
        let pieces: Vec<TimedEvent> = (0..).zip(long.chars()).map(|(at, c)| output(at, &c.to_string())).collect();
        let found = hits("needle", &pieces);
        assert_eq!((found.len(), found[0].0), (1, 102), "{found:?}");
    }

    #[test]
    fn wide_characters_are_one_character_each() {
        let found = hits("\u{597d}!", &[output(0, "\u{4f60}\u{597d}!")]);
        assert_eq!(found, [hit(0, 0, "\u{4f60}\u{597d}!")]);
    }

    #[test]
    fn coming_back_from_an_editor_shows_nothing_new() {
        let events = [
            output(0, "$ needle\r\n"),
            output(1, "\x1b[?1049h\x1b[2Jneedle in vim"),
            output(2, "\x1b[?1049l"),
            output(3, "$ "),
            output(4, "\r\nlast needle\r\n\r\n\r\n\r\n\x1b[?1049hvim"),
            TimedEvent { at_ms: 5, event: Event::Resize(TerminalSize::clamped(20, 2)) },
        ];
        let before_vim = hit(4, 0, "last needle");
        assert_eq!(hits("needle", &events), [hit(0, 0, "$ needle"), hit(1, 1, "needle in vim"), before_vim]);
    }

    #[test]
    fn a_new_size_makes_no_new_hits() {
        let size = TimedEvent { at_ms: 1, event: Event::Resize(TerminalSize::clamped(9, 3)) };
        let events = [output(0, "a needle in a haystack\r\n$ "), size, output(2, "x")];
        assert_eq!(hits("needle", &events), [hit(0, 0, "a needle in a haystack")]);
    }

    #[test]
    fn a_search_ends_when_it_has_enough() {
        let mut search = Search::new(Needle::parse("y").expect("good"), TerminalSize::clamped(20, 4), 2, 3);
        assert!(search.feed(&output(1, "y\r\ny\r\n")).is_continue(), "before the wanted time");
        assert!(search.feed(&output(2, &"y\r\n".repeat(1_000_000))).is_break());
        let (hits, is_full) = search.finish();
        assert!(is_full);
        assert_eq!(hits.len(), 3);
    }
}
