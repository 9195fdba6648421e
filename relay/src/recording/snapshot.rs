//! The screen as it stands at an offset of the output, as bytes that draw it on an empty terminal.
//!
//! Replaying the recording itself would not do: it repeats the terminal queries of every program that ever ran, whose
//! answers would be typed into the one that runs now.

mod modes;

use std::fmt::Write;
use std::io::{self, Read};
use std::path::Path;

use avt::{Color, Line, Pen, Terminal};
use bytes::Bytes;
use podlatch_protocol::terminal::TerminalSize;

use super::files;
use super::timeline::Event;
use super::utf8::Utf8;
use modes::Modes;

/// Lines above the screen that are kept for scrolling back.
const SCROLLBACK_LINES: usize = 1_000;

/// Read from the disk at a time, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// Drawn on a terminal that was reset, this gives the screen at `offset`.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Output goes on from here.
    pub offset: u64,
    /// The bytes that draw it.
    pub bytes: Bytes,
}

/// Draws the output of a recording up to `end`. Blocking: takes time in proportion to the recording's length.
pub(super) fn take(folder: &Path, end: u64) -> io::Result<Snapshot> {
    let mut model = Model::new();
    let mut output = files::open_output(folder)?.take(end);
    let mut at = 0;
    let mut entries = files::read_timeline(folder, 0)?;
    while let Some(entry) = entries.next()? {
        if let Event::Resize(size) = entry.event {
            let until = entry.position.recorded.min(end);
            model.feed_from(&mut output, until.saturating_sub(at))?;
            at = at.max(until);
            model.resize(size);
        }
    }
    model.feed_from(&mut output, end - at)?;
    Ok(Snapshot { offset: end, bytes: model.draw().into() })
}

struct Model {
    terminal: Terminal,
    modes: Modes,
    utf8: Utf8,
}

impl Model {
    fn new() -> Self {
        let (columns, rows) = TerminalSize::DEFAULT.into();
        let terminal = Terminal::with_scrollback(columns.into(), rows.into(), Some(SCROLLBACK_LINES));
        Self {
            terminal: terminal.unwrap_or_else(|_| unreachable!("a terminal size is never zero")),
            modes: Modes::default(),
            utf8: Utf8::default(),
        }
    }

    fn resize(&mut self, size: TerminalSize) {
        self.terminal.resize(size.columns().into(), size.rows().into());
    }

    fn feed_from(&mut self, output: &mut impl Read, mut length: u64) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        while length > 0 {
            let want = usize::try_from(length).unwrap_or(READ_BYTES).min(READ_BYTES);
            let read = output.read(&mut buffer[..want])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.feed(&buffer[..read]);
            length -= read as u64;
        }
        Ok(())
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.modes.feed(bytes);
        self.terminal.feed(self.utf8.decode(bytes));
    }

    /// Scrollback first, pushed out of the screen by empty lines; then the screen, its modes, and the split character.
    fn draw(&self) -> Vec<u8> {
        let mut text = String::new();
        let (_, rows) = self.terminal.size();
        let primary = self.terminal.primary_screen();
        let above = primary.all_lines().count().saturating_sub(rows);
        for line in primary.all_lines().take(above) {
            draw_line(&mut text, line);
        }
        if above > 0 {
            text.push_str("\x1b[m");
            text.push_str(&"\r\n".repeat(rows.saturating_sub(1)));
            text.push_str("\x1b[H");
        }
        text.push_str(&self.terminal.dump());
        self.modes.draw(&mut text);
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(self.utf8.split());
        bytes
    }
}

fn draw_line(text: &mut String, line: &Line) {
    let mut pen = None;
    let cells = line.cells();
    let used = cells.iter().rposition(|cell| cell.char() != ' ' || !cell.pen().is_default()).map_or(0, |last| last + 1);
    for cell in cells[..used].iter().filter(|cell| cell.width() > 0) {
        if pen != Some(cell.pen()) {
            draw_pen(text, cell.pen());
            pen = Some(cell.pen());
        }
        text.push(cell.char());
    }
    // A wrapped line goes on in the next one by itself, as long as it is full.
    if !line.is_wrapped() || used < cells.len() {
        text.push_str("\x1b[m\r\n");
    }
}

fn draw_pen(text: &mut String, pen: &Pen) {
    text.push_str("\x1b[0");
    let flags = [
        (pen.is_bold(), 1),
        (pen.is_faint(), 2),
        (pen.is_italic(), 3),
        (pen.is_underline(), 4),
        (pen.is_blink(), 5),
        (pen.is_inverse(), 7),
        (pen.is_strikethrough(), 9),
    ];
    for (_, code) in flags.iter().filter(|(set, _)| *set) {
        push(text, format_args!(";{code}"));
    }
    for (color, base) in [(pen.foreground(), 38), (pen.background(), 48)] {
        match color {
            Some(Color::Indexed(index)) => push(text, format_args!(";{base};5;{index}")),
            Some(Color::RGB(rgb)) => push(text, format_args!(";{base};2;{};{};{}", rgb.r, rgb.g, rgb.b)),
            None => {}
        }
    }
    text.push('m');
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _infallible = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(bytes: &[u8]) -> Vec<String> {
        let mut model = Model::new();
        model.feed(bytes);
        model.terminal.screen().text()
    }

    fn drawn_again(bytes: &[u8]) -> Vec<String> {
        let mut model = Model::new();
        model.feed(bytes);
        screen(&model.draw())
    }

    #[test]
    fn the_drawn_screen_is_the_screen() {
        for bytes in [
            &b"hello\r\nworld"[..],
            b"\x1b[31mred\x1b[m \x1b[1;44mbold on blue\x1b[m\r\n$ ",
            "wide: \u{4f60}\u{597d}, euro: \u{20ac}\r\n".as_bytes(),
            b"shell$ vim\r\n\x1b[?1049h\x1b[2J\x1b[10;10Hin the editor",
        ] {
            assert_eq!(drawn_again(bytes), screen(bytes));
        }
    }

    #[test]
    fn scrolled_out_lines_are_kept_above_the_screen() {
        let mut bytes = Vec::new();
        for number in 0..200 {
            bytes.extend_from_slice(format!("\x1b[3{}mline {number}\x1b[m\r\n", number % 8).as_bytes());
        }
        let lines = drawn_again(&bytes);
        assert_eq!(lines, screen(&bytes));
        assert!(lines[0].starts_with("line 0") && lines.iter().any(|line| line == "line 199"));
    }

    #[test]
    fn a_split_character_is_finished_by_the_output_that_follows() {
        let mut model = Model::new();
        model.feed(b"\xe2\x82");
        let mut drawn = model.draw();
        drawn.extend_from_slice(b"\xac");
        assert_eq!(screen(&drawn)[0], "\u{20ac}");
    }

    #[test]
    fn queries_are_not_repeated_but_modes_are() {
        let mut model = Model::new();
        model.feed(b"\x1b[6n\x1b[c\x1b[?2004h\x1b[?1000h\x1b[?1006h\x1b[?1000l$ ");
        let drawn = String::from_utf8(model.draw()).expect("text");
        assert!(!drawn.contains("[6n") && !drawn.contains("[c"));
        assert!(drawn.contains("\x1b[?2004h") && drawn.contains("\x1b[?1006h") && !drawn.contains("\x1b[?1000h"));
    }
}
