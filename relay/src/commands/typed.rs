//! What was typed, line by line: an expectation to hold against the screen, never a source of text by itself.

use std::collections::VecDeque;
use std::time::Duration;

use super::keys::Key;
use crate::clock::UnixMillis;

/// Lines that were submitted and not yet seen on the screen; the oldest go first.
const MAX_LINES: usize = 64;

/// Longest line that is followed, in characters; longer ones are known from the screen only.
const MAX_CHARACTERS: usize = 16 * 1024;

/// A submitted line this old is not on its way any more, if the shell waits at its prompt.
const LINE_UNREAD: Duration = Duration::from_secs(1);

/// The same for keys of an unfinished line.
const KEYS_UNREAD: Duration = Duration::from_millis(350);

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Submit {
    Enter,
    Interrupt,
    EndOfInput,
}

/// A submitted line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// What the line should be if `exact`; else what was typed after the last key of unknown effect.
    pub(super) text: String,
    /// Only keys of known effect were typed.
    pub(super) exact: bool,
    /// The cursor was moved after a key of unknown effect, so that `text` need not be the line's end.
    pub(super) moved: bool,
    pub(super) submit: Submit,
    pub(super) at: UnixMillis,
    /// Names it; see [`super::Command::entered`].
    pub(super) number: u64,
}

impl Line {
    /// Whether nothing but the time tells them apart.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let what = |line: &Self| (line.exact, line.moved, line.submit);
        what(self) == what(other) && self.text == other.text
    }
}

/// The line that is being typed, and the submitted ones.
#[derive(Debug, Default)]
pub(super) struct Typed {
    current: Current,
    /// Of the line that was submitted last.
    number: u64,
    pub(super) lines: VecDeque<Line>,
}

#[derive(Debug, Default)]
struct Current {
    characters: Vec<char>,
    cursor: usize,
    known: Known,
    touched: bool,
    /// When the last key came.
    at: Option<UnixMillis>,
}

/// What of the line is known from the keys.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Known {
    #[default]
    All,
    /// What was typed after the last key of unknown effect.
    End,
    /// As `End`, but it need not be the end of the line.
    Somewhere,
    /// Nothing: what is typed is searched for in the history.
    Search,
}

impl Typed {
    /// Whether nothing was typed since the last submitted line.
    pub(super) fn at_line_start(&self) -> bool {
        !self.current.touched
    }

    /// What stands left of the cursor without the echo of what is typed now.
    pub(super) fn without_echo<'a>(&self, left: &'a str) -> &'a str {
        const AT_MOST: usize = 64;
        let typed: String = self.current.characters.iter().take(AT_MOST).collect();
        let known = self.current.known == Known::All;
        let ends = typed.char_indices().map(|(start, character)| start + character.len_utf8()).filter(|_| known);
        let echoes = ends.map(|end| &typed[..end]).filter(|echo| !echo.trim().is_empty());
        echoes.rev().find_map(|echo| left.strip_suffix(echo)).unwrap_or(left)
    }

    /// Forgets what was typed so long ago that its echo should have come: it went elsewhere than to a prompt. `left` is what
    /// stands left of the cursor, where the echo would be.
    pub(super) fn forget_unread(&mut self, left: &str, now: UnixMillis) {
        self.lines.retain(|line| line.at.plus(LINE_UNREAD) > now);
        if self.current.at.is_none_or(|at| at.plus(KEYS_UNREAD) <= now) && !self.is_echoed(left) {
            self.current = Current::default();
        }
    }

    fn is_echoed(&self, left: &str) -> bool {
        let last_line = self.current.characters.rsplit(|character| *character == '\n').next().unwrap_or_default();
        let typed: String = last_line.iter().collect();
        !typed.trim().is_empty() && left.ends_with(&typed)
    }

    /// Forgets the lines that a program read which ended now; what was typed just before may be for the shell.
    pub(super) fn forget_answered(&mut self, now: UnixMillis) {
        self.lines.retain(|line| line.at.plus(LINE_UNREAD) > now);
    }

    pub(super) fn key(&mut self, key: Key, at: UnixMillis) {
        match key {
            Key::Enter => self.submit(Submit::Enter, at),
            Key::EnterAndNext => {
                self.submit(Submit::Enter, at);
                self.current = Current { known: Known::End, touched: true, at: Some(at), ..Current::default() };
            }
            Key::Interrupt => self.submit(Submit::Interrupt, at),
            Key::DeleteOrEnd if !self.current.touched => self.submit(Submit::EndOfInput, at),
            key => {
                self.current.edit(key);
                self.current.at = Some(at);
            }
        }
    }

    fn submit(&mut self, submit: Submit, at: UnixMillis) {
        let current = std::mem::take(&mut self.current);
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
        }
        let text = current.characters.into_iter().collect();
        self.number = number_at(at).max(self.number + 1);
        let number = self.number;
        self.lines.push_back(Line {
            text,
            exact: current.known == Known::All,
            moved: current.known == Known::Somewhere,
            submit,
            at,
            number,
        });
    }
}

/// The number of the first line of a millisecond; there are some more for others.
fn number_at(at: UnixMillis) -> u64 {
    at.since_epoch() << 12
}

impl Current {
    fn edit(&mut self, key: Key) {
        self.touched = true;
        if self.known == Known::Search && matches!(key, Key::Insert(_) | Key::Backspace | Key::Search) {
            return;
        }
        let at_end = self.cursor == self.characters.len();
        match key {
            Key::Insert(character) if self.characters.len() < MAX_CHARACTERS => {
                self.characters.insert(self.cursor, character);
                self.cursor += 1;
            }
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.characters.remove(self.cursor);
            }
            Key::Delete | Key::DeleteOrEnd if !at_end => {
                self.characters.remove(self.cursor);
            }
            Key::Left if self.cursor > 0 => self.cursor -= 1,
            Key::Right if !at_end => self.cursor += 1,
            Key::Home if self.known == Known::All => self.cursor = 0,
            Key::End if !at_end => self.cursor = self.characters.len(),
            Key::KillForward if self.known == Known::All => self.characters.truncate(self.cursor),
            // At the end of the line every shell kills all of it, and knows the line again.
            Key::KillBack if at_end && self.known != Known::Search => *self = Self { touched: true, ..Self::default() },
            Key::Redraw => {}
            Key::Backspace | Key::Delete | Key::DeleteOrEnd | Key::Left if self.known == Known::All => {}
            // At the end of a line, Right and End accept what the shell suggests; the others are unknown by nature.
            _ => {
                let moved = matches!(key, Key::Left | Key::Home | Key::Right | Key::KillForward);
                let known = match self.known {
                    _ if key == Key::Search => Known::Search,
                    Known::Search => Known::Somewhere,
                    _ if moved => Known::Somewhere,
                    _ => Known::End,
                };
                *self = Self { known, touched: true, ..Self::default() };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(keys: &[Key]) -> Line {
        let mut typed = Typed::default();
        for key in keys.iter().chain([&Key::Enter]) {
            typed.key(*key, UnixMillis::new(0));
        }
        typed.lines.pop_back().expect("a line was submitted")
    }

    fn inserted(text: &str) -> Vec<Key> {
        text.chars().map(Key::Insert).collect()
    }

    #[test]
    fn known_keys_edit_the_line() {
        let cases: [(&[Key], &str); 6] = [
            (&[Key::Backspace], "ab"),
            (&[Key::Left, Key::Left, Key::Insert('x')], "axbc"),
            (&[Key::Home, Key::Delete], "bc"),
            (&[Key::Home, Key::Right, Key::KillForward], "a"),
            (&[Key::Home, Key::End, Key::Insert('d')], "abcd"),
            (&[Key::KillBack, Key::Insert('y')], "y"),
        ];
        for (keys, text) in cases {
            let line = line(&[&inserted("abc"), keys].concat());
            assert_eq!((line.text.as_str(), line.exact), (text, true), "{keys:?}");
        }
    }

    #[test]
    fn after_an_unknown_key_only_the_rest_is_known() {
        for key in [Key::Other, Key::Right, Key::End] {
            let line = line(&[&inserted("ab")[..], &[key], &inserted("cd")].concat());
            assert_eq!((line.text.as_str(), line.exact), ("cd", false));
        }
    }

    #[test]
    fn the_echo_of_what_is_typed_is_no_part_of_the_prompt() {
        let mut typed = Typed::default();
        for key in inserted("gst") {
            typed.key(key, UnixMillis::new(0));
        }
        for left in ["pod# ", "pod# g", "pod# gst"] {
            assert_eq!(typed.without_echo(left), "pod# ");
        }
        typed.key(Key::Other, UnixMillis::new(0));
        assert_eq!(typed.without_echo("pod# gst"), "pod# gst");
    }

    #[test]
    fn what_nobody_reads_is_bounded() {
        let mut typed = Typed::default();
        for _ in 0..1_000 {
            for key in inserted(&"x".repeat(100)) {
                typed.key(key, UnixMillis::new(0));
            }
            typed.key(Key::Enter, UnixMillis::new(0));
        }
        assert_eq!(typed.lines.len(), MAX_LINES);
        assert!(line(&inserted(&"y".repeat(MAX_CHARACTERS + 5))).text.len() <= MAX_CHARACTERS);
    }
}
