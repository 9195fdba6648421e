//! The screen as the person sees it, and the text of its rows.

mod model;
mod rows;

use avt::{Line, Position, ScreenKind};
use podlatch_protocol::terminal::TerminalSize;

use model::Model;
pub(super) use model::Remembered;
pub(super) use rows::{
    Row, find_prompt, find_suffix, is_right_prompt, same_but_blanks, shows, text, text_without_right,
    without_right_prompt, wrapped_by_busybox,
};

/// Rows that one command may span; a longer one loses its beginning.
const MAX_COMMAND_ROWS: usize = 300;

/// Rows of the screen that are modelled: each costs memory, and no monitor shows more.
const MAX_ROWS: u16 = 300;

/// The model of one terminal.
pub(super) struct Screen {
    model: Model,
    wanted: Option<TerminalSize>,
    /// The beginning of a character whose rest is still to come.
    split: Vec<u8>,
}

impl Screen {
    pub(super) fn new(size: TerminalSize) -> Self {
        let (columns, rows) = (size.columns().into(), size.rows().min(MAX_ROWS).into());
        Self { model: Model::new(columns, rows), wanted: None, split: Vec::new() }
    }

    /// Needs little memory until it is fed or looked at again.
    pub(super) fn rest(&mut self) {
        self.model.rest();
    }

    /// Takes effect with the next output, so that a storm of sizes costs one.
    pub(super) fn resize(&mut self, size: TerminalSize) {
        self.wanted = Some(size);
    }

    /// Decodes UTF-8 as a browser does: what is invalid becomes U+FFFD, what is incomplete waits.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.settle();
        let mut joined = std::mem::take(&mut self.split);
        let mut rest = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            joined.as_slice()
        };
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => return self.model.terminal_mut().feed(text),
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    self.model.terminal_mut().feed(std::str::from_utf8(valid).unwrap_or_default());
                    let Some(invalid) = error.error_len() else {
                        self.split = after.to_vec();
                        return;
                    };
                    self.model.terminal_mut().feed("\u{fffd}");
                    rest = &after[invalid..];
                }
            }
        }
    }

    /// Applies a size that waits for output.
    pub(super) fn settle(&mut self) {
        if let Some(size) = self.wanted.take() {
            self.model.terminal_mut().resize(size.columns().into(), size.rows().min(MAX_ROWS).into());
        }
    }

    pub(super) fn on_alternate(&self) -> bool {
        self.model.terminal().active_screen_kind() == ScreenKind::Alternate
    }

    pub(super) fn cursor_at_line_start(&self) -> bool {
        self.model.terminal().cursor().col == 0
    }

    /// Whether the line in the cursor's row goes on in the next one, as far as can be seen: the row is full.
    pub(super) fn cursor_row_is_full(&self) -> bool {
        let terminal = self.model.terminal();
        let line = terminal.screen().line(terminal.cursor().row);
        let last = line.and_then(|line| line.cells().last());
        terminal.cursor().col >= terminal.size().0 || last.is_some_and(|cell| cell.width() == 0 || cell.char() != ' ')
    }

    /// What is left and right of the cursor in its row; the left part with the rows that wrap into it.
    pub(super) fn around_cursor(&self) -> (String, String) {
        let mut rows = self.rows_while(0, |row| row.wrapped);
        let Some(row) = rows.pop() else { return Default::default() };
        let line = self.model.terminal().screen().line(self.model.terminal().cursor().row);
        let cells = line.map_or(&[][..], Line::cells);
        let column = self.model.terminal().cursor().col.min(cells.len());
        let before = cells[..column].iter().filter(|cell| cell.width() > 0).count().min(row.characters.len());
        let above = rows.iter().flat_map(|row| &row.characters);
        let left = above.chain(&row.characters[..before]).collect();
        let right: String = row.characters[before..].iter().collect();
        (left, right.trim().to_owned())
    }

    /// The last character that is not blank in the row that many rows above the cursor's. Cheap.
    pub(super) fn last_in_row(&self, above_cursor: usize) -> Option<char> {
        let line =
            self.model.terminal().screen().line(self.model.terminal().cursor().row.checked_sub(above_cursor)?)?;
        line.cells().iter().rev().map(avt::Cell::char).find(|character| *character != ' ')
    }

    /// The rows that end `above_cursor` rows above the cursor's.
    pub(super) fn rows(&self, above_cursor: usize, at_most: usize) -> Vec<Row> {
        let (all, end) = self.lines_to(above_cursor);
        let start = end.saturating_sub(at_most);
        (start..end).map(|index| Row::new(all[index], all.get(index + 1).copied())).collect()
    }

    /// As many of the rows that end there as one command may span.
    pub(super) fn all_rows(&self, above_cursor: usize) -> Vec<Row> {
        self.rows(above_cursor, MAX_COMMAND_ROWS)
    }

    /// All lines, and how many come before those below the row that many rows above the cursor's.
    fn lines_to(&self, above_cursor: usize) -> (Vec<&Line>, usize) {
        let terminal = self.model.terminal();
        let all: Vec<&Line> = terminal.screen().all_lines().collect();
        let to_cursor = all.len().saturating_sub(terminal.size().1) + terminal.cursor().row + 1;
        let end = to_cursor.saturating_sub(above_cursor).min(all.len());
        (all, end)
    }

    /// The rows of the logical line that ends that many rows above the cursor's. Cheap for a short line.
    pub(super) fn logical_line(&self, above_cursor: usize) -> Vec<Row> {
        self.rows_while(above_cursor, |row| row.joins)
    }

    /// The row that many rows above the cursor's, below those above it which go on.
    fn rows_while(&self, above_cursor: usize, goes_on: impl Fn(&Row) -> bool) -> Vec<Row> {
        let (all, end) = self.lines_to(above_cursor);
        let mut rows: Vec<Row> = Vec::new();
        for index in (end.saturating_sub(MAX_COMMAND_ROWS)..end).rev() {
            let row = Row::new(all[index], all.get(index + 1).copied());
            if !rows.is_empty() && !goes_on(&row) {
                break;
            }
            rows.push(row);
        }
        rows.reverse();
        rows
    }

    /// The rows below the cursor into which its line wraps.
    fn rows_below(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let lines: Vec<&Line> =
            self.model.terminal().screen().visible_lines().skip(self.model.terminal().cursor().row).collect();
        for pair in lines.windows(2) {
            let next = Row::new(pair[1], None);
            if !Row::new(pair[0], Some(pair[1])).joins || next.characters.iter().all(|character| *character == ' ') {
                break;
            }
            rows.push(next);
        }
        rows
    }

    /// As [`Screen::rows`], from the row on in which the line editor began its line, if that is still there.
    pub(super) fn line_rows(&self, above_cursor: usize) -> Vec<Row> {
        let mut rows = self.rows(above_cursor, MAX_COMMAND_ROWS);
        let last = self.row(above_cursor);
        let row_of = |what| self.model.find(what).map(|position| position.row);
        let first = row_of(Remembered::LineBegin).or_else(|| Some(row_of(Remembered::AboveLine)? + 1));
        if let (Some(first), Some(last)) = (first, last) {
            let count = usize::try_from(last - first + 1).unwrap_or(0).clamp(1, rows.len().max(1));
            rows.drain(..rows.len().saturating_sub(count));
        }
        if above_cursor == 0 {
            rows.extend(self.rows_below());
        }
        rows
    }

    /// Remembers the row that many rows above the cursor's.
    pub(super) fn remember_row(&mut self, what: Remembered, above_cursor: usize) {
        let screen = self.model.terminal().active_screen_kind();
        let at = self.row(above_cursor).map(|row| Position { screen, col: 0, row });
        self.model.remember(what, at);
    }

    /// Forgets a remembered row.
    pub(super) fn forget_row(&mut self, what: Remembered) {
        self.model.remember(what, None);
    }

    /// Whether the row that many rows above the cursor's is the one below a remembered row.
    pub(super) fn is_below(&self, remembered: Remembered, above_cursor: usize) -> bool {
        let row = self.model.find(remembered).map(|position| position.row + 1);
        row.is_some() && row == self.row(above_cursor)
    }

    fn row(&self, above_cursor: usize) -> Option<isize> {
        let cursor = isize::try_from(self.model.terminal().cursor().row).ok()?;
        cursor.checked_sub_unsigned(above_cursor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn screen(bytes: &str) -> Screen {
        let mut screen = Screen::new(TerminalSize::clamped(20, 5));
        screen.feed(bytes.as_bytes());
        screen
    }

    #[test]
    fn rows_that_wrap_are_one_line_whoever_wraps_them() {
        for bytes in ["$ abcdefghijklmnopqrstuv", "$ abcdefghijklmnopqr\r\r\nstuv", "$ abcdefghijklmnopqrs \rstuv"] {
            assert_eq!(text(&screen(bytes).logical_line(0)), "$ abcdefghijklmnopqrstuv", "{bytes:?}");
        }
        assert_eq!(text(&screen("one\r\n$ two").logical_line(0)), "$ two");
        assert_eq!(
            text(&screen("$ abcdefghijklmnopq\u{4f60}\u{597d}").logical_line(0)),
            "$ abcdefghijklmnopq\u{4f60}\u{597d}"
        );
    }

    #[test]
    fn the_prompt_is_what_is_left_of_the_cursor() {
        assert_eq!(screen("\x1b[31mhost\x1b[m$ ").around_cursor(), ("host$ ".into(), String::new()));
        assert_eq!(screen("host%         12:30\r\x1b[6C").around_cursor(), ("host% ".into(), "12:30".into()));
        assert_eq!(screen("a-very-long-prompt-that-wraps$ ").around_cursor().0, "a-very-long-prompt-that-wraps$ ");
    }

    #[test]
    fn a_cursor_behind_a_gap_for_a_wide_character_is_fine() {
        let screen = screen("\x1b[2;1H\u{4f60}\x1b[1;1Habcdefghijklmnopqrs\x1b[1;20H");
        assert_eq!(screen.around_cursor().0, "abcdefghijklmnopqrs");
    }

    /// All that can be seen, and what is remembered.
    #[derive(Debug, PartialEq)]
    struct Looks {
        lines: Vec<(String, bool)>,
        cursor: (usize, usize),
        on_alternate: bool,
        remembered: [Option<Position>; 3],
    }

    fn looks(screen: &Screen) -> Looks {
        let terminal = screen.model.terminal();
        let lines = terminal
            .screen()
            .all_lines()
            .map(|line| (line.cells().iter().map(avt::Cell::char).collect(), line.is_wrapped()));
        let cursor = (terminal.cursor().col, terminal.cursor().row);
        let remembered = [Remembered::LineBegin, Remembered::AcceptedLine, Remembered::AboveLine]
            .map(|what| screen.model.find(what));
        Looks { lines: lines.collect(), cursor, on_alternate: screen.on_alternate(), remembered }
    }

    proptest! {
        #[test]
        fn rest_changes_nothing(
            pieces in prop::collection::vec(
                prop_oneof![
                    "[a-z ]{0,50}".prop_map(String::from),
                    "[a-z\u{4f60}\u{e9} ]{0,9}\r\n".prop_map(String::from),
                    Just("\r\n".repeat(7)),
                    // Without colours: they are not drawn again, and a coloured blank counts where a line wraps anew.
                    "\u{1b}\\[[0-9;?]{0,4}[A-Za-ln-z]".prop_map(String::from),
                    Just("\u{1b}[?1049h".to_owned()),
                    Just("\u{1b}[?1049l".to_owned()),
                    Just("\u{1b}[?25".to_owned()),
                ],
                0..30,
            ),
            (columns, rows) in (2_u16..30, 1_u16..8),
            resized in 2_u16..30,
        ) {
            let new = || Screen::new(TerminalSize::clamped(columns, rows));
            let (mut awake, mut resting) = (new(), new());
            for (index, piece) in pieces.iter().enumerate() {
                for screen in [&mut awake, &mut resting] {
                    screen.feed(piece.as_bytes());
                    match index {
                        5 => screen.remember_row(Remembered::LineBegin, 0),
                        7 => screen.remember_row(Remembered::AboveLine, 1),
                        9 => screen.remember_row(Remembered::AcceptedLine, 1),
                        14 => screen.resize(TerminalSize::clamped(resized, rows)),
                        _ => {}
                    }
                }
                resting.rest();
                prop_assert_eq!(looks(&resting), looks(&awake));
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_and_sizes_that_storm_are_fine() {
        let mut screen = Screen::new(TerminalSize::clamped(1, 1));
        for side in 1..200 {
            screen.resize(TerminalSize::clamped(side * 5, 1_000 / side));
            screen.feed(&[0xe4, 0xbd, 0xa0, 0xff, 0xe4]);
        }
        assert!(screen.rows(5_000, MAX_COMMAND_ROWS).is_empty());
    }
}
