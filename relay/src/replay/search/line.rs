//! Lines as a reader sees them: wrapped rows joined, wide characters once, blanks at the end left out.

use avt::Line;

/// Longest part of a line that is looked at as one, in characters. What is longer has no line break for pages on end.
const MOST_CHARACTERS: usize = 4 * 1024;

/// Characters of a hit's line that are shown before it and in all.
const EXCERPT_BEFORE: usize = 60;
const EXCERPT_CHARACTERS: usize = 200;

/// A text to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    folded: String,
    characters: usize,
}

/// A text cannot be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("search for 1 to {} characters that are not all blanks, in one line", Needle::MOST_CHARACTERS)]
pub struct InvalidNeedle;

impl Needle {
    /// Longest text that can be looked for, in characters.
    pub const MOST_CHARACTERS: usize = 200;

    /// Parses what a person typed.
    pub fn parse(text: &str) -> Result<Self, InvalidNeedle> {
        let characters = text.chars().take(Self::MOST_CHARACTERS + 1).count();
        let is_good = (1..=Self::MOST_CHARACTERS).contains(&characters)
            && !text.trim().is_empty()
            && !text.chars().any(char::is_control);
        if is_good { Ok(Self { folded: text.chars().map(fold).collect(), characters }) } else { Err(InvalidNeedle) }
    }
}

/// One character for one, so that places stay comparable.
fn fold(character: char) -> char {
    if character.is_ascii() {
        character.to_ascii_lowercase()
    } else {
        character.to_lowercase().next().unwrap_or(character)
    }
}

/// A line that shows the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matched {
    text: String,
    folded: String,
    /// Where the text begins, in bytes of `folded`.
    pub(super) places: Vec<usize>,
    /// How many characters of the line stand above each of its rows.
    rows: Vec<usize>,
}

impl Matched {
    fn find(text: &str, rows: &[usize], needle: &Needle) -> Option<Self> {
        if text.len() < needle.characters {
            return None;
        }
        let folded: String = text.chars().map(fold).collect();
        let places: Vec<usize> = folded.match_indices(&needle.folded).map(|(place, _)| place).collect();
        if places.is_empty() { None } else { Some(Self { text: text.to_owned(), folded, places, rows: rows.to_vec() }) }
    }

    /// Whether both show the same line.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.text == other.text
    }

    /// Whether `other` shows the text at the same place, behind the same beginning.
    pub(super) fn continues(&self, occurrence: usize, other: &Self) -> bool {
        let place = self.places[occurrence];
        other.places.contains(&place) && other.folded.as_bytes()[..place] == self.folded.as_bytes()[..place]
    }

    /// How many rows it takes.
    pub(super) fn rows(&self) -> u64 {
        self.rows.len() as u64
    }

    /// In which of its rows an occurrence begins.
    pub(super) fn row(&self, occurrence: usize) -> u64 {
        let column = self.column(occurrence);
        self.rows.partition_point(|above| *above <= column).saturating_sub(1) as u64
    }

    /// How many characters stand before an occurrence.
    fn column(&self, occurrence: usize) -> usize {
        self.folded[..self.places[occurrence]].chars().count()
    }

    /// The line around an occurrence, and where in it the occurrence stands, in characters.
    pub(super) fn excerpt(&self, occurrence: usize, needle: &Needle) -> (String, usize, usize) {
        let column = self.column(occurrence);
        let first = column.saturating_sub(EXCERPT_BEFORE);
        let length = EXCERPT_CHARACTERS.max(column - first + needle.characters);
        let text: String = self.text.chars().skip(first).take(length).collect();
        (text, column - first, column - first + needle.characters)
    }
}

/// Joins rows to lines.
#[derive(Debug, Clone, Default)]
pub(super) struct LineReader {
    text: String,
    characters: usize,
    rows: Vec<usize>,
}

impl LineReader {
    /// Adds a row; the line, if it ends here and shows the text.
    pub(super) fn push(&mut self, row: &Line, needle: &Needle) -> Option<Matched> {
        self.rows.push(self.characters);
        let cells = row.cells();
        // Most rows of a flood are mostly blank.
        let used = cells.iter().rposition(|cell| cell.char() != ' ').map_or(0, |last| last + 1);
        let used = if row.is_wrapped() { cells.len() } else { used };
        for cell in cells[..used].iter().filter(|cell| cell.width() > 0) {
            self.text.push(cell.char());
            self.characters += 1;
        }
        if row.is_wrapped() && self.characters < MOST_CHARACTERS {
            return None;
        }
        let matched = self.unfinished(needle);
        self.text.clear();
        self.rows.clear();
        self.characters = 0;
        matched
    }

    /// The line as far as it goes, if it shows the text.
    pub(super) fn unfinished(&self, needle: &Needle) -> Option<Matched> {
        Matched::find(self.text.trim_end(), &self.rows, needle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_on_one_line_is_not_looked_for() {
        for text in ["", "  ", "a\nb", "\x1b[m", &"x".repeat(201)] {
            assert_eq!(Needle::parse(text), Err(InvalidNeedle), "{text:?}");
        }
        assert!(Needle::parse(&"\u{4f60}".repeat(200)).is_ok());
    }

    #[test]
    fn a_long_line_is_shown_around_the_hit() {
        let needle = Needle::parse("NEEDLE").expect("good");
        let text = format!("{}\u{130}needle{}", "\u{4f60}".repeat(500), "z".repeat(500));
        let matched = Matched::find(&text, &[0], &needle).expect("is there");
        let (excerpt, start, end) = matched.excerpt(0, &needle);
        assert_eq!(excerpt.chars().count(), EXCERPT_CHARACTERS);
        assert_eq!(excerpt.chars().skip(start).take(end - start).collect::<String>(), "needle");
    }
}
