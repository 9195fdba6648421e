//! Where on the screen a line stands, and at which prompt.

use super::Lines;
use crate::commands::matching::{self, Found};
use crate::commands::prompt::{Editor, Kind};
use crate::commands::screen::{self, Remembered, Row};
use crate::commands::typed::Line;

/// A place on the screen at which a line may have been accepted.
pub(super) struct Place {
    pub(super) rows: Vec<Row>,
    /// What they show.
    pub(super) text: String,
    /// Rows from the last of them to the cursor's.
    pub(super) below: usize,
    pub(super) editor: Editor,
}

impl Place {
    pub(super) fn new(rows: Vec<Row>, below: usize, editor: Editor) -> Self {
        Self { text: screen::text(&rows), rows, below, editor }
    }

    pub(super) fn expected(&self, typed: &str) -> Option<Found> {
        matching::expected(&self.rows, &self.text, typed)
    }
}

impl Lines {
    pub(super) fn judge(&self, found: &Found, place: &Place) -> Option<Kind> {
        let above_cursor = place.below + place.rows.len() - 1 - found.first_row;
        let follows = self.screen.is_below(Remembered::AcceptedLine, above_cursor);
        self.prompts.judge(&found.prompt, place.editor, follows)
    }

    /// The text behind the nearest prompt that is known, or at which the line was opened.
    pub(super) fn at_known_prompt(&self, place: &Place) -> Option<Found> {
        let opened =
            self.opened.as_ref().filter(|opened| (opened.clean || opened.asked) && !opened.prompt.trim().is_empty());
        let opened = opened.map(|opened| self.prompts.without_line(&opened.prompt, place.editor));
        let candidates = opened.into_iter().chain(self.prompts.known());
        let (first_row, prompt) = candidates
            .filter_map(|prompt| Some((screen::find_prompt(&place.rows, prompt)?, prompt)))
            .reduce(|best, other| if other.0 > best.0 { other } else { best })?;
        Some(self.behind_prompt(place, prompt, first_row))
    }

    fn at_prompt(&self, place: &Place, prompt: &str) -> Option<Found> {
        Some(self.behind_prompt(place, prompt, screen::find_prompt(&place.rows, prompt)?))
    }

    fn behind_prompt(&self, place: &Place, prompt: &str, first_row: usize) -> Found {
        let right = self.opened.as_ref().map_or("", |opened| opened.right.as_str());
        let rows = &place.rows[first_row..];
        let text = screen::text_without_right(rows, right);
        let text = text.strip_prefix(prompt).unwrap_or_default();
        let text = if screen::is_right_prompt(rows, text) { "" } else { text };
        let noise = self.opened.as_ref().map_or("", |opened| opened.noise.as_str());
        let text = text.strip_prefix(noise).unwrap_or(text);
        let text = matching::without_indent(text, prompt.chars().count());
        Found { prompt: prompt.to_owned(), text, first_row }
    }

    /// Where the line of an editor with bracketed paste stands. A prompt that is known may stand above it only because this
    /// one looks different each time: it shows the time, or how the last command ended.
    pub(super) fn at_editor(&self, place: &Place) -> Option<Found> {
        let known = self.at_known_prompt(place);
        if let Some(found) = known.as_ref().filter(|found| self.is_typed(found)) {
            return Some(found.clone());
        }
        let nearer = |found: &Found| known.as_ref().is_none_or(|known| found.first_row > known.first_row);
        let believed = |found: &Found| known.is_none() || self.judge(found, place).is_some();
        let other = self.by_expectation(place).filter(|found| nearer(found) && believed(found));
        let other = other
            .or_else(|| self.at_prompt(place, self.drawn.as_deref()?).filter(|found| nearer(found) && believed(found)));
        other.or_else(|| self.at_similar_prompt(place).filter(nearer)).or(known)
    }

    /// Whether what was found is what was typed.
    pub(super) fn is_typed(&self, found: &Found) -> bool {
        matching::typed_line(&self.typed.lines, &found.text).is_some()
    }

    /// The text of a typed line where no prompt is known.
    fn by_expectation(&self, place: &Place) -> Option<Found> {
        let exact = || self.typed.lines.iter().filter(|line| line.exact);
        let left_of_right_prompt = |line: &Line| {
            let rows = screen::without_right_prompt(&place.rows)?;
            let found = matching::expected(&rows, &screen::text(&rows), &line.text)?;
            Some(Found { first_row: place.rows.len() - rows.len() + found.first_row, ..found })
        };
        exact().find_map(|line| place.expected(&line.text)).or_else(|| exact().find_map(left_of_right_prompt))
    }

    /// The text behind the nearest prompt that looks like a known one.
    fn at_similar_prompt(&self, place: &Place) -> Option<Found> {
        let opened = self.opened.as_ref().filter(|opened| opened.clean).map(|opened| opened.prompt.as_str());
        let similar = |first_row: usize| {
            let row: String = place.rows[first_row].characters.iter().collect();
            let prompt = self.prompts.similar(&row, place.editor, opened)?;
            Some(self.behind_prompt(place, prompt, first_row))
        };
        (0..place.rows.len()).rev().find_map(similar)
    }

    /// The prompt, and what another program wrote behind it. In the cursor's row, whose left part this is, that may also be
    /// a line that the shell put there itself, unless that is busybox.
    pub(super) fn noise(&self, left: &str) -> Option<(String, String)> {
        let opened = self.opened.as_ref();
        if !left.is_empty() && !opened.is_some_and(|opened| opened.asked && opened.prompt != left) {
            return None;
        }
        let rows = if self.bracketed { self.screen.line_rows(0) } else { self.screen.rows(0, matching::SPREAD_ROWS) };
        let prompt = opened.map(|opened| opened.prompt.as_str());
        let candidates = prompt.into_iter().chain(self.drawn.as_deref()).chain(self.prompts.known());
        let candidates = candidates.filter(|prompt| !prompt.is_empty());
        let known = candidates.filter_map(|prompt| Some((screen::find_prompt(&rows, prompt)?, prompt.to_owned())));
        let first: String = rows.first()?.characters.iter().collect();
        let similar = || Some((0, self.prompts.similar(&first, Editor::BracketedPaste, None)?.to_owned()));
        let (first_row, prompt) = known.max_by_key(|(first_row, _)| *first_row).or_else(similar)?;
        let noise = screen::text(&rows[first_row..]).strip_prefix(&prompt)?.to_owned();
        Some((prompt, noise))
    }
}
