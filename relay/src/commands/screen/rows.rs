//! The text of the screen's rows.

use avt::Line;

/// Blanks that stand before a right prompt at least, and behind it at most.
const GAP: usize = 3;
const MARGIN: usize = 2;

/// A row of the screen.
pub(in crate::commands) struct Row {
    /// All of its characters, blanks at its end included.
    pub(in crate::commands) characters: Vec<char>,
    /// The next row goes on with the same line, as the terminal knows it.
    pub(super) wrapped: bool,
    /// The next row goes on with the same line, or it looks so: some shells wrap lines by themselves.
    pub(super) joins: bool,
}

impl Row {
    pub(super) fn new(line: &Line, next: Option<&Line>) -> Self {
        let cells = line.cells();
        let full = cells.last().is_some_and(|cell| cell.width() == 0 || cell.char() != ' ');
        let next_is_wide = next.and_then(|next| next.cells().first()).is_some_and(|cell| cell.width() == 2);
        let nearly_full = next_is_wide && cells.iter().rev().nth(1).is_some_and(|cell| cell.char() != ' ');
        let mut characters: Vec<char> = cells.iter().filter(|cell| cell.width() > 0).map(avt::Cell::char).collect();
        let wrapped = line.is_wrapped();
        if !full && nearly_full {
            characters.pop();
        }
        Self { characters, wrapped, joins: wrapped || full || nearly_full }
    }

    /// A row for tests.
    #[cfg(test)]
    pub(in crate::commands) fn of(text: &str, width: usize) -> Self {
        let mut characters: Vec<char> = text.chars().collect();
        let joins = characters.len() >= width;
        characters.resize(width.max(characters.len()), ' ');
        Self { characters, wrapped: joins, joins }
    }
}

/// The text of rows: lines that wrap are joined, others end with `\n`, blanks at their ends are gone.
pub(in crate::commands) fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        text.extend(&row.characters);
        let last = index + 1 == rows.len();
        if last || !row.joins {
            text.truncate(text.trim_end_matches(' ').len());
        }
        if !last && !row.joins {
            text.push('\n');
        }
    }
    text
}

/// The last row at which a line begins with `prompt`, which may go on in the rows below.
pub(in crate::commands) fn find_prompt(rows: &[Row], prompt: &str) -> Option<usize> {
    let starts_here = |first: &usize| {
        let mut characters = rows[*first..].iter().flat_map(|row| &row.characters);
        prompt.chars().all(|wanted| characters.next() == Some(&wanted))
    };
    (0..rows.len()).rev().find(starts_here)
}

/// Where the expected text begins in a text that ends with it, as a byte index; blanks between characters do not count.
pub(in crate::commands) fn find_suffix(text: &str, expected: &str) -> Option<usize> {
    let mut rest = text;
    for wanted in expected.chars().rev().filter(|character| !character.is_whitespace()) {
        rest = rest.trim_end();
        let last = rest.chars().next_back().filter(|shown| shows(*shown, wanted))?;
        rest = &rest[..rest.len() - last.len_utf8()];
    }
    // Blanks before the text are its own, but for the one that ends most prompts.
    let blanks = rest.len() - rest.trim_end_matches(' ').len();
    let leading = expected.chars().take_while(|character| *character == ' ').count();
    Some(rest.len() - leading.min(blanks.saturating_sub(1)))
}

/// Whether a text on the screen is the expected one but for blanks: those at the ends of rows cannot be seen.
pub(in crate::commands) fn same_but_blanks(text: &str, expected: &str) -> bool {
    let mut shown = text.chars().filter(|character| !character.is_whitespace());
    let mut wanted = expected.chars().filter(|character| !character.is_whitespace());
    loop {
        match (shown.next(), wanted.next()) {
            (None, None) => return true,
            (Some(shown), Some(wanted)) if shows(shown, wanted) => {}
            _ => return false,
        }
    }
}

/// Whether a text, which ends the rows, is a right prompt behind an empty line.
pub(in crate::commands) fn is_right_prompt(rows: &[Row], text: &str) -> bool {
    let [row] = rows else { return false };
    let used = row.characters.iter().rposition(|character| *character != ' ').map_or(0, |last| last + 1);
    let right = text.trim_start_matches(' ');
    text.len() - right.len() >= GAP && !right.contains(' ') && used + MARGIN >= row.characters.len()
}

/// The rows of the last line without what stands at the right margin behind a gap.
pub(in crate::commands) fn without_right_prompt(rows: &[Row]) -> Option<Vec<Row>> {
    let row = rows.last()?;
    let used = row.characters.iter().rposition(|character| *character != ' ')? + 1;
    let right = row.characters[..used].iter().rposition(|character| *character == ' ')?;
    let left = row.characters[..right].iter().rposition(|character| *character != ' ')? + 1;
    let stands_right = used + MARGIN >= row.characters.len() && right + 1 - left >= GAP;
    stands_right.then(|| vec![Row { characters: row.characters[..left].to_vec(), wrapped: false, joins: false }])
}

/// As [`text`], without the right prompt that stands in the first row. It may fill that row, which then looks as if it went on
/// in the next one.
pub(in crate::commands) fn text_without_right(rows: &[Row], right: &str) -> String {
    let Some((first, others)) = rows.split_first().filter(|_| !right.is_empty()) else { return text(rows) };
    let shown: String = first.characters.iter().collect();
    let left = shown.trim_end().strip_suffix(right).filter(|left| left.is_empty() || left.ends_with(' '));
    match (left, others) {
        (None, _) => text(rows),
        (Some(left), []) => left.trim_end().to_owned(),
        (Some(left), others) => format!("{}\n{}", left.trim_end(), text(others)),
    }
}

/// The text of rows if they are one line that busybox wrapped: also at a blank, and the first row early if it counts the
/// colours of its prompt as characters.
pub(in crate::commands) fn wrapped_by_busybox(rows: &[Row]) -> Option<String> {
    const COLOURS_AT_MOST: usize = 48;
    let (last, above) = rows.split_last()?;
    let mut text = String::new();
    for (index, row) in above.iter().enumerate() {
        let width = row.characters.len();
        let used = row.characters.iter().rposition(|character| *character != ' ').map_or(0, |last| last + 1);
        let early = index == 0 && used + COLOURS_AT_MOST >= width && used * 2 > width;
        let kept = if row.joins || used + 1 == width { Some(width) } else { early.then_some(used) };
        text.extend(&row.characters[..kept?]);
    }
    text.extend(&last.characters);
    Some(text.trim_end().to_owned())
}

/// Shells show a question mark for characters that they do not know.
pub(in crate::commands) fn shows(shown: char, typed: char) -> bool {
    shown == typed || (!typed.is_ascii() && matches!(shown, '?' | char::REPLACEMENT_CHARACTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_prompt_counts() {
        let rows = ["$ one", "out", "$ two"].map(|text| Row::of(text, 20));
        assert_eq!(find_prompt(&rows, "$ "), Some(2));
        assert_eq!(find_prompt(&rows, "# "), None);
        let rows = ["long-pro", "mpt$ ls"].map(|text| Row::of(text, 8));
        assert_eq!(find_prompt(&rows, "long-prompt$ "), Some(0));
    }

    #[test]
    fn a_suffix_is_found_whatever_blanks_the_screen_shows() {
        assert_eq!(find_suffix("$ echo  a", "echo a"), Some(2));
        assert_eq!(find_suffix("$  ls", " ls"), Some(2));
        assert_eq!(find_suffix("$ ls", " ls"), Some(2));
        assert_eq!(find_suffix("$ ls", "la"), None);
        assert_eq!(find_suffix("ls", "xls"), None);
    }
}
