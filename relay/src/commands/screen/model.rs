//! The terminal model behind the screen: kept while there is output, and as the bytes that draw it while there is none.
//! A model costs some 70 KiB, and most sessions are at rest most of the time.

use std::cell::OnceCell;

use avt::{Anchor, Line, Position, Terminal};

/// Rows above the screen that are kept: how far the beginning of a long command may have scrolled away.
const SCROLLBACK_ROWS: usize = 100;

/// Rows that are remembered, wherever they move to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Remembered {
    /// The one in which the line editor began its line.
    LineBegin,
    /// The last one of the line that was accepted last.
    AcceptedLine,
    /// The one above [`Remembered::LineBegin`], which stays when the line editor draws its line again.
    AboveLine,
}

/// How many there are.
const REMEMBERED: usize = 3;

/// A terminal that is made when it is looked at.
pub(super) struct Model {
    awake: OnceCell<Awake>,
    /// What it is made from.
    drawing: Drawing,
}

struct Awake {
    terminal: Terminal,
    remembered: [Option<Anchor>; REMEMBERED],
}

/// A terminal at rest.
struct Drawing {
    columns: usize,
    rows: usize,
    text: Box<str>,
    remembered: [Option<Position>; REMEMBERED],
}

impl Model {
    /// An empty terminal. Neither side may be zero.
    pub(super) fn new(columns: usize, rows: usize) -> Self {
        let drawing = Drawing { columns, rows, text: Box::default(), remembered: [None; REMEMBERED] };
        Self { awake: OnceCell::new(), drawing }
    }

    /// Gives its memory back; the next look at it draws it again.
    pub(super) fn rest(&mut self) {
        if let Some(awake) = self.awake.take() {
            self.drawing = awake.draw();
        }
    }

    /// The terminal, to look at.
    pub(super) fn terminal(&self) -> &Terminal {
        &self.awake().terminal
    }

    /// The terminal, to change.
    pub(super) fn terminal_mut(&mut self) -> &mut Terminal {
        &mut self.awake_mut().terminal
    }

    /// Remembers this place in place of another.
    pub(super) fn remember(&mut self, what: Remembered, at: Option<Position>) {
        let awake = self.awake_mut();
        awake.remembered[what as usize] = at.and_then(|at| awake.terminal.anchor_at(at));
    }

    /// Where that is now, if it is still there.
    pub(super) fn find(&self, what: Remembered) -> Option<Position> {
        let Awake { terminal, remembered } = self.awake();
        remembered[what as usize].as_ref().and_then(|anchor| terminal.resolve(anchor))
    }

    fn awake(&self) -> &Awake {
        self.awake.get_or_init(|| Awake::draw_again(&self.drawing))
    }

    fn awake_mut(&mut self) -> &mut Awake {
        self.awake();
        self.awake.get_mut().unwrap_or_else(|| unreachable!("it was just made"))
    }
}

impl Awake {
    fn draw_again(drawing: &Drawing) -> Self {
        let terminal = Terminal::with_scrollback(drawing.columns, drawing.rows, Some(SCROLLBACK_ROWS));
        let mut terminal = terminal.unwrap_or_else(|_| unreachable!("a terminal size is never zero"));
        terminal.feed(&*drawing.text);
        let remembered = drawing.remembered.map(|at| at.and_then(|at| terminal.anchor_at(at)));
        Self { terminal, remembered }
    }

    /// What stands above the screen first, pushed out of it by empty lines; then the screen and all else that the terminal
    /// knows.
    fn draw(&self) -> Drawing {
        let (columns, rows) = self.terminal.size();
        let primary = self.terminal.primary_screen();
        let above = primary.all_lines().count().saturating_sub(rows);
        let mut text = String::new();
        for line in primary.all_lines().take(above) {
            draw_line(&mut text, line);
        }
        if above > 0 {
            text.push_str(&"\r\n".repeat(rows.saturating_sub(1)));
            text.push_str("\x1b[H");
        }
        text.push_str(&self.terminal.dump());
        let remembered = [0, 1, 2]
            .map(|index: usize| self.remembered[index].as_ref().and_then(|anchor| self.terminal.resolve(anchor)));
        Drawing { columns, rows, text: text.into(), remembered }
    }
}

/// Draws a line without its colours: nobody reads those.
fn draw_line(text: &mut String, line: &Line) {
    let cells = line.cells();
    let used = if line.is_wrapped() {
        cells.len()
    } else {
        cells.iter().rposition(|cell| cell.char() != ' ').map_or(0, |last| last + 1)
    };
    text.extend(cells[..used].iter().filter(|cell| cell.width() > 0).map(avt::Cell::char));
    // The next character wraps by itself; where that is none of this drawing, a blank does, which is drawn over.
    text.push_str(if line.is_wrapped() { " \r" } else { "\r\n" });
}
