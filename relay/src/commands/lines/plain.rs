//! Lines of shells that do not switch bracketed paste: busybox, dash, and the kernel's own line editing.

use super::place::Place;
use super::{Accepted, Lines, PASTED};
use crate::commands::matching::{self, Found};
use crate::commands::prompt::{Editor, Kind};
use crate::commands::screen;
use crate::commands::typed::{Line, Submit};

impl Lines {
    /// Before a line feed without bracketed paste: the line is accepted if it is what was typed, at a prompt.
    pub(super) fn plain_lines(&mut self, below: usize) -> Option<Accepted> {
        if self.screen.on_alternate() || self.typed.lines.is_empty() {
            return None;
        }
        let last = self.screen.last_in_row(below);
        let at_prompt = self.line_feeds <= matching::SPREAD_ROWS;
        let plausible = |line: &Line| {
            let typed = line.text.trim_end().chars().next_back();
            let shown = |last| typed.map_or(at_prompt && last == '>', |typed| screen::shows(last, typed));
            !line.exact || line.submit != Submit::Enter || last.is_none_or(shown)
        };
        if (last.is_none() && !self.asked) || !self.typed.lines.iter().any(plausible) {
            return None;
        }
        let place = Place::new(self.screen.logical_line(below), below, self.plain_editor());
        let known = self.at_known_prompt(&place);
        let lines = &self.typed.lines;
        // One that is the same as the one before is found as little as that, and a flood of output must not cost much.
        let as_before = |index: usize| index > 0 && lines[index - 1].is_like(&lines[index]);
        let of = |index| Some((index, self.plain_line(index, &place, known.as_ref())?));
        let index = (0..lines.len()).filter(|index| !as_before(*index)).find_map(of);
        let index = index.or_else(|| if at_prompt { self.spread_line(below) } else { None });
        let (index, (found, kind)) = index?;
        let mut line = self.typed.lines.drain(..=index).next_back()?;
        line.exact &=
            screen::same_but_blanks(&found.text, &line.text) || matching::overwritten(&found.text, &line.text);
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
            (true, Submit::Enter) if line.text.trim().is_empty() => return self.empty_line(place),
            (true, Submit::Enter) => exact_line(place, known, &line.text)?,
            (true, Submit::Interrupt) => {
                place.expected(&format!("{}^C", line.text)).or_else(|| place.expected(&line.text))?
            }
            (false, submit) => {
                let found = known?;
                let fits = submit == Submit::Interrupt
                    || screen::find_suffix(&found.text, &line.text).is_some()
                    || ((line.moved || self.asked) && found.text.contains(line.text.trim()));
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

    fn plain_editor(&self) -> Editor {
        if self.asked { Editor::AskCursor } else { Editor::Silent }
    }

    /// An empty line of a command that goes on below it.
    fn empty_line(&self, place: &Place) -> Option<(Found, Kind)> {
        let found = Found { prompt: place.text.clone(), text: String::new(), first_row: 0 };
        self.judge(&found, place).filter(|kind| *kind == Kind::Continuation).map(|kind| (found, kind))
    }

    /// The line that spreads over rows of which the terminal does not know that they belong together: busybox wraps by
    /// itself, even at a blank, and another program may write into what is typed at its prompt.
    fn spread_line(&self, below: usize) -> Option<(usize, (Found, Kind))> {
        let at_rest = self.opened.as_ref().filter(|opened| opened.clean).map(|opened| opened.prompt.as_str());
        if !self.asked && at_rest.is_none() {
            return None;
        }
        let place = Place::new(self.screen.rows(below, matching::SPREAD_ROWS), below, self.plain_editor());
        let mut found = self.at_known_prompt(&place)?;
        let begun = self.asked || (at_rest == Some(&found.prompt) && !self.prompts.wants_cursor(&found.prompt));
        if !begun {
            return None;
        }
        let wrapped = screen::wrapped_by_busybox(&place.rows[found.first_row..]);
        let wrapped = wrapped.as_deref().and_then(|text| text.strip_prefix(found.prompt.as_str()));
        let goes_on = below > 0 || self.screen.cursor_row_is_full();
        let spread = |line: &Line| match (line.exact, line.submit) {
            (_, Submit::EndOfInput) => false,
            (true, _) if line.text.trim().is_empty() => false,
            (true, Submit::Enter) => {
                screen::same_but_blanks(&found.text, &line.text)
                    || matching::interrupted_before_enter(&found.text, &line.text)
            }
            (true, Submit::Interrupt) => screen::same_but_blanks(&found.text, &format!("{}^C", line.text)),
            (false, _) => !goes_on && wrapped.is_some_and(|text| screen::find_suffix(text, &line.text).is_some()),
        };
        let index = self.typed.lines.iter().position(spread)?;
        let line = &self.typed.lines[index];
        found.text = if line.exact { line.text.clone() } else { wrapped?.to_owned() };
        let kind = self.judge(&found, &place)?;
        Some((index, (found, kind)))
    }
}

/// A typed line at a known prompt or any other. If only its end is there, the rest went to another program before.
fn exact_line(place: &Place, known: Option<&Found>, typed: &str) -> Option<Found> {
    let whole = |found: &&Found| !found.text.trim().is_empty() && screen::same_but_blanks(&found.text, typed);
    let end = |found: &&Found| matching::ends_with_command(typed, &found.text);
    let at_known = known.filter(whole).cloned();
    let overwritten = |found: &&Found| matching::overwritten(&found.text, typed);
    at_known
        .or_else(|| place.expected(typed))
        .or_else(|| known.filter(|found| end(found) || overwritten(found)).cloned())
}
