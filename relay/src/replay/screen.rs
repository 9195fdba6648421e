//! The screen of a recording at a moment, for a player that seeks. Pure.
//!
//! The player draws it on an empty terminal and goes on from there, so that a jump costs the same wherever it goes. Queries
//! of the recorded programs are not in it.

use avt::Terminal;
use podlatch_protocol::terminal::TerminalSize;

use crate::recording::archive::TimedEvent;
use crate::recording::asciicast::Event;

/// The terminal as the events so far left it.
pub struct Screen {
    terminal: Terminal,
    size: TerminalSize,
}

impl Screen {
    /// An empty terminal.
    pub fn new(size: TerminalSize) -> Self {
        Self { terminal: terminal(size), size }
    }

    /// The terminal that [`Self::draw`] drew.
    pub fn restored(size: TerminalSize, drawn: &str) -> Self {
        let mut screen = Self::new(size);
        screen.terminal.feed(drawn);
        screen
    }

    /// Goes on by one event.
    pub fn feed(&mut self, event: &TimedEvent) {
        match &event.event {
            Event::Output(text) => self.terminal.feed(text.as_str()),
            Event::Resize(size) => {
                self.size = *size;
                self.terminal.resize(size.columns().into(), size.rows().into());
            }
            Event::Marker(_) | Event::Exit(_) | Event::Other => {}
        }
    }

    /// How large it is.
    pub const fn size(&self) -> TerminalSize {
        self.size
    }

    /// What draws it on an empty terminal of its size: cells, colours, cursor, margins, and a sequence that has begun.
    pub fn draw(&self) -> String {
        self.terminal.dump()
    }
}

/// An empty terminal without lines to scroll back to.
pub(super) fn terminal(size: TerminalSize) -> Terminal {
    let made = Terminal::new(size.columns().into(), size.rows().into());
    made.unwrap_or_else(|_| unreachable!("a terminal size is never zero"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(text: &str) -> TimedEvent {
        TimedEvent { at_ms: 0, event: Event::Output(text.to_owned()) }
    }

    fn text(screen: &Screen) -> Vec<String> {
        screen.terminal.screen().visible_lines().map(|line| line.text().trim_end().to_owned()).collect()
    }

    #[test]
    fn a_player_that_starts_from_a_drawn_screen_sees_what_one_from_the_start_sees() {
        let events = [
            output("$ ls\r\nfile \x1b[31mred\x1b[m\r\n"),
            TimedEvent { at_ms: 1, event: Event::Resize(TerminalSize::clamped(30, 5)) },
            output("\x1b[?1049h\x1b[2J\x1b[2;4rin the editor \u{4f60}\x1b[3"),
            output("1mred again\r\n\r\n\r\nmore"),
            TimedEvent { at_ms: 2, event: Event::Marker("ls".to_owned()) },
            output("\x1b[?1049l$ "),
            output("done"),
        ];
        let mut whole = Screen::new(TerminalSize::clamped(20, 4));
        for (cut, event) in events.iter().enumerate() {
            let mut jumped = Screen::restored(whole.size(), &whole.draw());
            assert_eq!(text(&jumped), text(&whole), "before event {cut}");
            jumped.feed(event);
            whole.feed(event);
            assert_eq!(text(&jumped), text(&whole), "after event {cut}");
        }
        assert_eq!(text(&whole)[..3], ["$ ls", "file red", "$ done"]);
    }
}
