//! What stands on the screen behind a prompt, for commands that a shell keeps out of its history. Pure.

use avt::{Position, Terminal};

/// Output between a prompt and its command that is looked at, in bytes: more is no line that a person types.
const MAX_BYTES: usize = 256 * 1024;

/// Rows of the screen that the line is drawn on. It does not scroll, so the line must not be longer.
const ROWS: usize = 120;

/// The output since the last prompt, with the places where typed text begins.
#[derive(Debug, Default)]
pub(super) struct TypedLine {
    bytes: Vec<u8>,
    places: Vec<(usize, Place)>,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A program runs: its output says nothing of a line.
    #[default]
    Closed,
    Open,
}

/// What begins at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A command line, or the same one, drawn again.
    Line,
    /// Its next line.
    NextLine,
}

impl TypedLine {
    /// A prompt is about to be drawn.
    pub(super) fn open(&mut self) {
        self.bytes.clear();
        self.places.clear();
        self.state = State::Open;
    }

    /// A command runs.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }

    pub(super) fn output(&mut self, bytes: &[u8]) {
        if self.state == State::Open {
            if self.bytes.len() + bytes.len() > MAX_BYTES {
                return self.close();
            }
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Typed text begins behind the output so far.
    pub(super) fn place(&mut self, place: Place) {
        if self.state == State::Open {
            self.places.push((self.bytes.len(), place));
        }
    }

    /// The line that was submitted, drawn on a terminal of so many columns.
    pub(super) fn text(&self, columns: u16) -> Option<String> {
        let mut terminal = Terminal::new(columns.into(), ROWS).ok()?;
        let mut fed = 0;
        let mut begin: Option<Position> = None;
        let mut lines: Vec<String> = Vec::new();
        for (at, place) in &self.places {
            terminal.feed(&*String::from_utf8_lossy(self.bytes.get(fed..*at)?));
            fed = *at;
            let here = terminal.cursor_position();
            match (place, begin) {
                (Place::NextLine, Some(begin)) => lines.extend(between(&terminal, begin, here)),
                (Place::Line | Place::NextLine, _) => lines.clear(),
            }
            begin = Some(here);
        }
        terminal.feed(&*String::from_utf8_lossy(self.bytes.get(fed..)?));
        lines.extend(between(&terminal, begin?, terminal.cursor_position()));
        // A line with `!` is shown again as it was expanded.
        if let [typed, expanded] = lines.as_slice()
            && self.places.iter().all(|(_, place)| *place == Place::Line)
            && typed.contains('!')
        {
            return Some(expanded.clone());
        }
        Some(lines.join("\n"))
    }
}

/// The lines from `begin` to the row above `end`; nothing if the screen may have scrolled.
fn between(terminal: &Terminal, begin: Position, end: Position) -> Vec<String> {
    let (Ok(first), Ok(last)) = (usize::try_from(begin.row), usize::try_from(end.row)) else {
        return Vec::new();
    };
    if last + 1 >= ROWS {
        return Vec::new();
    }
    let mut lines = Vec::new();
    let mut line = String::new();
    for row in first..last {
        let Some(shown) = terminal.screen().line(row) else {
            break;
        };
        let skipped = if row == first { begin.col } else { 0 };
        line.extend(shown.cells().iter().skip(skipped).filter(|cell| cell.width() > 0).map(avt::Cell::char));
        if !shown.is_wrapped() {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(parts: &[(&str, Option<Place>)], columns: u16) -> Option<String> {
        let mut line = TypedLine::default();
        line.output(b"of a program before");
        line.open();
        for (text, place) in parts {
            line.output(text.as_bytes());
            if let Some(place) = place {
                line.place(*place);
            }
        }
        line.text(columns)
    }

    const LINE: Option<Place> = Some(Place::Line);
    const NEXT: Option<Place> = Some(Place::NextLine);

    #[test]
    fn the_text_stands_between_the_prompt_and_the_next_row() {
        let text = line(&[("hook\r\nuser@host:~$ ", LINE), (" echo ab\x08 \x08\u{e9}\r\n\x1b[?2004l", None)], 80);
        assert_eq!(text.as_deref(), Some(" echo a\u{e9}"));
    }

    #[test]
    fn a_wrapped_line_is_one() {
        assert_eq!(
            line(&[("$ ", LINE), ("echo 01234567890 \r123\r\n", None)], 18).as_deref(),
            Some("echo 01234567890123")
        );
    }

    #[test]
    fn a_prompt_that_is_drawn_again_begins_anew() {
        let parts = [("$ ", LINE), ("ec\x07\r\necho eclipse\r\n$ ", LINE), ("ec\x08\x08 echo a\r\n", None)];
        assert_eq!(line(&parts, 80).as_deref(), Some(" echo a"));
    }

    #[test]
    fn further_lines_are_joined_without_their_prompts() {
        let parts = [("$ ", LINE), (" for i in 1\r\n> ", NEXT), ("do echo\r\n> ", NEXT), ("done\r\n", None)];
        assert_eq!(line(&parts, 80).as_deref(), Some(" for i in 1\ndo echo\ndone"));
    }

    #[test]
    fn history_is_shown_as_it_was_expanded() {
        assert_eq!(line(&[("$ ", LINE), ("!!\r\nls -l\r\n", None)], 80).as_deref(), Some("ls -l"));
    }

    #[test]
    fn what_cannot_be_known_is_not_guessed() {
        assert_eq!(line(&[("$ ls\r\n", None)], 80), None, "no place");
        let mut endless = TypedLine::default();
        endless.open();
        endless.place(Place::Line);
        endless.output(&vec![b'x'; MAX_BYTES + 1]);
        assert_eq!(endless.text(80), None);
        assert_eq!(line(&[("$ ", LINE), (&"x\r\n".repeat(ROWS), None)], 80).as_deref(), Some(""));
    }
}
