//! What a screen shows of the text, and what of that is new.

use std::ops::Range;

use avt::Screen;

use super::line::{LineReader, Matched, Needle};

/// A line that shows the text, and the row in which it begins.
pub(super) type Placed = (u64, Matched);

/// An occurrence that was not there before.
#[derive(Debug)]
pub(super) struct News {
    begin: u64,
    pub(super) line: Matched,
    pub(super) occurrence: usize,
}

impl News {
    /// In which row it stands.
    pub(super) fn row(&self) -> u64 {
        self.begin + self.line.row(self.occurrence)
    }
}

/// The lines that showed the text when the screen was last looked at.
#[derive(Debug, Default)]
pub(super) struct Shown(Vec<Placed>);

impl Shown {
    /// Takes over what is shown `now` in `rows`, and what `passed` since. Returns what is new, in the order of the lines.
    pub(super) fn update(&mut self, passed: Vec<Placed>, rows: &Range<u64>, now: Vec<Placed>) -> Vec<News> {
        let (before, mut kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.0).into_iter().partition(|placed| overlaps(placed, rows));
        let mut before: Vec<Option<Placed>> = before.into_iter().map(Some).collect();
        let mut changed = Vec::new();
        for (row, line) in passed.into_iter().chain(now.iter().cloned()) {
            if !take_same(&mut before, row, &line) {
                changed.push((row, line));
            }
        }
        kept.extend(now);
        self.0 = kept;
        let mut news = Vec::new();
        for (row, line) in changed {
            let old = before.iter().flatten().find(|(old_row, _)| *old_row == row).map(|(_, old)| old);
            for occurrence in 0..line.places.len() {
                if !old.is_some_and(|old| line.continues(occurrence, old)) {
                    news.push(News { begin: row, line: line.clone(), occurrence });
                }
            }
        }
        news
    }

    /// Rows that have to be looked at when these have changed: whole lines, as they are and as they were.
    pub(super) fn affected(&self, changed: &Range<u64>, screen: Screen<'_>, top: u64) -> Range<u64> {
        let as_they_were = self.0.iter().filter(|placed| overlaps(placed, changed));
        let (start, end) = as_they_were.fold((changed.start, changed.end), |(start, end), (begin, line)| {
            (start.min(*begin), end.max(begin + line.rows()))
        });
        let row = |number: u64| usize::try_from(number.saturating_sub(top)).unwrap_or(usize::MAX);
        let wraps = |number: usize| screen.line(number).is_some_and(avt::Line::is_wrapped);
        let (mut first, mut after) = (row(start), row(end));
        while first > 0 && wraps(first - 1) {
            first -= 1;
        }
        while after > 0 && wraps(after - 1) {
            after += 1;
        }
        top + first as u64..top + after as u64
    }
}

fn overlaps((begin, line): &Placed, rows: &Range<u64>) -> bool {
    *begin < rows.end && rows.start < begin + line.rows()
}

/// Takes the same line out of `before`, the one of the same row if there are several.
fn take_same(before: &mut [Option<Placed>], row: u64, line: &Matched) -> bool {
    let same = |placed: &Option<Placed>| placed.as_ref().is_some_and(|(_, old)| old.is_same(line));
    let in_place = |placed: &Option<Placed>| placed.as_ref().is_some_and(|(old_row, _)| *old_row == row);
    let found = before.iter().position(|old| in_place(old) && same(old)).or_else(|| before.iter().position(same));
    found.is_some_and(|index| before[index].take().is_some())
}

/// The lines of a screen that show the text, among `rows`, which hold whole lines. `above` is the beginning of the
/// screen's first line, if that has scrolled away; `top` is the number of the screen's first row.
pub(super) fn look(
    screen: Screen<'_>,
    needle: &Needle,
    above: &LineReader,
    top: u64,
    rows: &Range<u64>,
) -> Vec<Placed> {
    let mut reader = if rows.start <= top { above.clone() } else { LineReader::default() };
    let mut placed = Vec::new();
    let mut end = top;
    for line in screen.visible_lines() {
        end += 1;
        if rows.contains(&(end - 1)) {
            placed.extend(reader.push(line, needle).map(|matched| (begin(end, &matched), matched)));
        }
    }
    placed.extend(reader.unfinished(needle).map(|matched| (begin(rows.end.min(end), &matched), matched)));
    placed
}

/// The row in which a line begins that ends before row `end`.
pub(super) fn begin(end: u64, line: &Matched) -> u64 {
    end.saturating_sub(line.rows())
}
