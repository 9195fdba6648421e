//! What was typed, held against what the screen shows.

use std::collections::VecDeque;

use super::screen::{self, Row};
use super::typed::Line;

/// Rows over which a line may spread that the terminal does not know to belong together.
pub(super) const SPREAD_ROWS: usize = 20;

/// What is left of, and at, a prompt on the screen.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) prompt: String,
    pub(super) text: String,
    pub(super) first_row: usize,
}

/// What was typed, with the blanks before it that the screen shows: others went to another program.
pub(super) fn with_blanks_of(shown: &str, typed: &str) -> String {
    let shown = shown.len() - shown.trim_start_matches(' ').len();
    let typed_blanks = typed.len() - typed.trim_start_matches(' ').len();
    typed[typed_blanks.saturating_sub(shown)..].to_owned()
}

/// The typed line that the text on the screen is, with its exact text.
pub(super) fn typed_line(lines: &VecDeque<Line>, text: &str) -> Option<(usize, String)> {
    const JOINED_AT_MOST: usize = 16;
    let is_it = |expected: &str| {
        let same = |expected: &str| screen::same_but_blanks(text, expected);
        !expected.trim().is_empty() && (same(expected) || other_looks(expected).iter().any(|look| same(look)))
    };
    let one = lines.iter().position(|line| line.exact && (is_it(&line.text) || is_it(&format!("{}^C", line.text))));
    if let Some(index) = one {
        return Some((index, lines[index].text.clone()));
    }
    if let Some(index) = lines.iter().position(|line| line.exact && interrupted(text, &line.text)) {
        return Some((index, lines[index].text.clone()));
    }
    for first in 0..lines.len() {
        let mut joined = String::new();
        for (index, line) in
            lines.iter().enumerate().skip(first).take(JOINED_AT_MOST).take_while(|(_, line)| line.exact)
        {
            joined.push_str(&line.text);
            if is_it(&joined) {
                return Some((index, joined));
            }
            joined.push('\n');
        }
    }
    let nearly_all =
        |line: &Line| mostly_shown(text, &line.text) || overdrawn(text, &line.text) || overwritten(text, &line.text);
    if let Some(index) = lines.iter().position(|line| line.exact && nearly_all(line)) {
        return Some((index, lines[index].text.clone()));
    }
    // Keys that went to another program before, or a right prompt behind.
    let text = text.trim_end();
    let nearly = |line: &Line| {
        let beside = text.strip_prefix(line.text.as_str()).is_some_and(|rest| rest.starts_with("  "));
        line.exact
            && (ends_with_command(&line.text, text)
                || ((beside || displaced(text, &line.text)) && !line.text.is_empty()))
    };
    let index = lines.iter().position(nearly)?;
    let expected = if ends_with_command(&lines[index].text, text) { text } else { &lines[index].text };
    Some((index, expected.to_owned()))
}

/// How shells and terminals show characters outside ASCII which they do not: zsh by their codes, or its bytes by a code for
/// all of them; a terminal puts marks into the character before.
fn other_looks(typed: &str) -> Vec<String> {
    if typed.is_ascii() {
        return Vec::new();
    }
    let is_mark = |character: char| {
        ('\u{300}'..'\u{370}').contains(&character)
            || ('\u{200b}'..'\u{2010}').contains(&character)
            || ('\u{fe00}'..'\u{fe10}').contains(&character)
    };
    let each = |show: &dyn Fn(char) -> String| typed.chars().map(show).collect::<String>();
    vec![
        each(&|character| if is_mark(character) { String::new() } else { character.into() }),
        each(&|character| {
            if is_mark(character) { format!("<{:04x}>", u32::from(character)) } else { character.into() }
        }),
        each(&|character| {
            if character.is_ascii() { character.into() } else { "<ffffffff>".repeat(character.len_utf8()) }
        }),
    ]
}

/// Whether a line was typed while another program wrote into it: each row begins with the next part of it, or with none, and
/// goes on with what the program wrote.
fn interrupted(shown: &str, typed: &str) -> bool {
    if !(2..=SPREAD_ROWS).contains(&shown.lines().count()) {
        return false;
    }
    let mut rest = typed.trim_end();
    for (index, row) in shown.lines().enumerate() {
        let same = same_beginning(row, rest);
        // All of it in the first row is a line that others follow.
        if index == 0 && (same == 0 || same == rest.len()) {
            return false;
        }
        rest = &rest[same..];
    }
    rest.is_empty()
}

/// As [`interrupted`], where the screen is seen just before the line feed of the Enter: the cursor stands behind the last
/// part of the line, or in an empty row below what the program wrote behind all of it.
pub(super) fn interrupted_before_enter(shown: &str, typed: &str) -> bool {
    let typed = typed.trim();
    let mut rows = shown.lines();
    let whole_in_first = rows.next().is_some_and(|row| row.starts_with(typed));
    let Some(last) = rows.next_back() else { return whole_in_first && !typed.is_empty() && shown.ends_with('\n') };
    if typed.is_empty() || whole_in_first {
        return whole_in_first && !typed.is_empty() && shown.ends_with('\n');
    }
    !shown.ends_with('\n') && !last.trim().is_empty() && typed.ends_with(last.trim_end()) && interrupted(shown, typed)
}

/// How many bytes at the beginning of both are the same characters.
fn same_beginning(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(one, other)| one == other).map(|(one, _)| one.len_utf8()).sum()
}

/// Whether a line that is longer than the screen was typed as far as the screen shows it.
fn mostly_shown(shown: &str, typed: &str) -> bool {
    const AT_LEAST: usize = 200;
    let visible = |text: &str| text.chars().filter(|character| !character.is_whitespace()).collect::<Vec<_>>();
    if typed.len() < AT_LEAST {
        return false;
    }
    let (shown, typed) = (visible(shown), visible(typed));
    let prefix = shown.iter().zip(&typed).take_while(|(one, other)| one == other).count();
    let suffix = shown.iter().rev().zip(typed.iter().rev()).take_while(|(one, other)| one == other).count();
    prefix.max(suffix) * 2 > typed.len()
}

/// Whether a part of a typed line was written over where it wraps: a shell does not know of output without a line feed at its
/// end, which moved its prompt to the right.
pub(super) fn overwritten(shown: &str, typed: &str) -> bool {
    const LOST_AT_MOST: usize = 40;
    const BEGINS_WITH: usize = 8;
    let visible = |text: &str| text.chars().filter(|character| !character.is_whitespace()).collect::<Vec<_>>();
    let (shown, typed) = (visible(shown), visible(typed));
    let lost = typed.len().saturating_sub(shown.len());
    if !(1..=LOST_AT_MOST).contains(&lost) || lost * 2 > typed.len() {
        return false;
    }
    let prefix = shown.iter().zip(&typed).take_while(|(one, other)| one == other).count();
    let suffix = shown.iter().rev().zip(typed.iter().rev()).take_while(|(one, other)| one == other).count();
    prefix >= BEGINS_WITH && prefix < shown.len() && prefix + suffix >= shown.len()
}

/// Whether a paste of more lines than the screen has rows was drawn again over itself: readline cannot go up above the
/// screen. From the last row up each begins with its line.
fn overdrawn(shown: &str, typed: &str) -> bool {
    const AT_LEAST: usize = 8;
    let visible = |line: &str| line.chars().filter(|character| !character.is_whitespace()).collect::<String>();
    let lines = typed.lines().count();
    if lines < AT_LEAST {
        return false;
    }
    let pairs = shown.lines().rev().zip(typed.trim_end().lines().rev());
    let same = pairs.take_while(|(row, line)| visible(row).starts_with(&visible(line))).count();
    same * 2 > lines
}

/// Whether a typed line was drawn again further right: readline counts the colours of a prompt that does not mark them.
fn displaced(shown: &str, typed: &str) -> bool {
    shown.strip_suffix(typed.trim_end()).is_some_and(|before| !before.is_empty() && typed.starts_with(before))
}

/// Whether a typed line ends with the text of a command. The keys before were for another program, and no words of it.
pub(super) fn ends_with_command(typed: &str, command: &str) -> bool {
    let command = command.trim();
    let before = typed.trim_end().strip_suffix(command);
    !command.is_empty() && before.is_some_and(|before| !before.ends_with(char::is_whitespace))
}

/// The typed text at the end of the rows, whose text is `shown`, with what stands left of it.
pub(super) fn expected(rows: &[Row], shown: &str, typed: &str) -> Option<Found> {
    // Most of what waits is not what is shown, which must not cost much: what all rows do not end with, none of them does.
    if typed.trim().is_empty() || screen::find_suffix(shown, typed).is_none() {
        return None;
    }
    for first_row in (0..rows.len()).rev() {
        let all = screen::text(&rows[first_row..]);
        let Some(start) = screen::find_suffix(&all, typed) else { continue };
        let prompt = &all[..start];
        if prompt.contains('\n') {
            return None;
        }
        if !prompt.trim().is_empty() {
            return Some(Found { prompt: prompt.to_owned(), text: all[start..].to_owned(), first_row });
        }
    }
    None
}

/// The text without the blanks by which fish draws further lines below the first.
pub(super) fn without_indent(text: &str, width: usize) -> String {
    let indented = |line: &str| line.len() - line.trim_start_matches(' ').len() >= width;
    if width < 2 || !text.contains('\n') || !text.lines().skip(1).all(indented) {
        return text.to_owned();
    }
    text.lines()
        .enumerate()
        .map(|(index, line)| if index == 0 { line } else { line.trim_start() })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_drawn_again_further_right_is_the_one_that_was_typed() {
        assert!(displaced("echo onecho one two", "echo one two"));
        assert!(!displaced("echo one two", "echo one two"));
        assert!(!displaced("sudo echo one two", "echo one two"));
    }

    #[test]
    fn a_line_that_was_written_over_where_it_wraps_is_the_one_that_was_typed() {
        assert!(overwritten("echo alpha  gamma delta", "echo alpha beta gamma delta"));
        assert!(!overwritten("echo alpha beta gamma delta", "echo alpha beta gamma delta"));
        assert!(!overwritten("echo alpha", "echo alpha beta"), "it is not all there yet");
        assert!(!overwritten("ls gamma", "ls beta gamma"), "too short to tell");
        assert!(!overwritten("echo alpha omega", "echo alpha beta gamma"));
    }

    #[test]
    fn a_paste_that_was_drawn_over_itself_is_the_one_that_was_typed() {
        let typed: Vec<String> = (0..12).map(|number| format!("echo {number}")).collect();
        let shown: Vec<String> = typed[2..].iter().map(|line| format!("{line}; was longer")).collect();
        assert!(overdrawn(&shown.join("\n"), &typed.join("\n")));
        assert!(!overdrawn(&shown[5..].join("\n"), &typed.join("\n")));
        assert!(!overdrawn("out\nput", &typed.join("\n")));
        assert!(!overdrawn("echo 1\nls", "echo 1\nls"), "a short one is never drawn so");
    }

    #[test]
    fn a_line_that_another_program_wrote_into_is_the_one_that_was_typed() {
        assert!(interrupted("echo tynoise\nped", "echo typed"));
        assert!(interrupted("echo tynoise\nped\nmore noise", "echo typed "));
        assert!(interrupted("echo tynoise\nanother\nped", "echo typed"));
        for (shown, typed) in
            [("echo typed", "echo typed"), ("noise\necho typed", "echo typed"), ("echo typed\nnoise", "echo typed")]
        {
            assert!(!interrupted(shown, typed), "{shown:?}");
        }
    }
}
