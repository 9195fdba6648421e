//! Which text left of a typed line is a shell's prompt, and which belongs to another program.

mod looks;
mod running;

use std::collections::VecDeque;

use looks::{asks_for_secret, ends_like_shell, is_continuation, is_interpreter, is_telling, shape, with_shape};
use running::{changes_prompt, ends_at_once, sets_prompt, starts_interpreter, starts_shell};

/// Prompts that are remembered; a prompt changes with each change of directory.
const MAX_KNOWN: usize = 24;

/// Longest prompt that is looked into, in bytes.
const MAX_LENGTH: usize = 512;

/// How the line editor behind a prompt shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Editor {
    /// It switches bracketed paste on for each line: bash, zsh, fish.
    BracketedPaste,
    /// It asks where the cursor is after the prompt: busybox.
    AskCursor,
    /// Not at all: dash, or the kernel's line editing in front of any program.
    Silent,
}

/// What a prompt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of a shell that was seen before.
    Known,
    /// Of a shell that is new.
    New,
    /// The second and further lines of a command.
    Continuation,
}

/// The prompts of a session's shells.
#[derive(Debug, Default)]
pub(super) struct Prompts {
    known: VecDeque<(String, Editor)>,
    /// The command that was submitted last at a prompt: what runs now, or ran.
    running: String,
    /// The editor at which it was submitted.
    editor: Option<Editor>,
}

impl Prompts {
    /// Known prompts, the latest first.
    pub(super) fn known(&self) -> impl Iterator<Item = &str> {
        self.known.iter().rev().map(|(prompt, _)| prompt.as_str())
    }

    /// A line was submitted at a prompt.
    pub(super) fn submitted(&mut self, prompt: &str, editor: Editor, kind: Kind, command: &str) {
        if kind == Kind::Continuation {
            return;
        }
        command.clone_into(&mut self.running);
        self.editor = Some(editor);
        self.known.retain(|(known, of)| known != prompt || *of != editor);
        if self.known.len() == MAX_KNOWN {
            self.known.pop_front();
        }
        self.known.push_back((prompt.to_owned(), editor));
    }

    /// What the text left of a typed line is, if it is a shell's prompt at all. `follows` says that the line comes
    /// directly below the command that was submitted last.
    pub(super) fn judge(&self, prompt: &str, editor: Editor, follows: bool) -> Option<Kind> {
        let trimmed = prompt.trim_end();
        if trimmed.is_empty() || asks_for_secret(trimmed) {
            return None;
        }
        let as_before = self.editor.is_some_and(|of| same_editor(of, editor));
        let is_next = follows && as_before && ends_at_once(&self.running);
        if is_next && sets_prompt(&self.running) && !is_interpreter(trimmed) {
            return Some(Kind::New);
        }
        if follows && as_before && is_continuation(trimmed) && !starts_interpreter(&self.running) {
            return Some(Kind::Continuation);
        }
        if self.known.iter().any(|(known, of)| same_editor(*of, editor) && prompt == known) {
            return Some(Kind::Known);
        }
        let changes = changes_prompt(&self.running);
        if is_interpreter(trimmed) && !changes {
            return None;
        }
        if self.known.iter().any(|known| is_known(known, prompt, editor)) {
            return Some(Kind::Known);
        }
        let first = self.known.is_empty();
        let likely = match editor {
            Editor::BracketedPaste | Editor::AskCursor => {
                first || changes || is_next || starts_shell(&self.running) || ends_like_shell(trimmed)
            }
            Editor::Silent => {
                let may_start = first || changes || starts_shell(&self.running);
                let looks_right = ends_like_shell(trimmed) || trimmed.ends_with('>');
                is_next || (may_start && looks_right) || (first && !trimmed.ends_with([':', '?', ']', ')']))
            }
        };
        likely.then_some(Kind::New)
    }

    /// The prompt without the line behind it that the shell put there by itself.
    pub(super) fn without_line<'a>(&self, prompt: &'a str, editor: Editor) -> &'a str {
        if editor != Editor::BracketedPaste || prompt.len() > MAX_LENGTH {
            return prompt;
        }
        let is_line = |end: &usize| {
            let line = prompt[*end..].trim();
            !line.is_empty() && !ends_like_shell(line) && !line.ends_with('>')
        };
        let end_of = |known: &str| Some(prompt.find(known)? + known.len()).filter(is_line);
        let end = self.known.iter().filter(|(_, of)| *of == editor).find_map(|(known, _)| end_of(known));
        let similar_at =
            |start: usize| Some(start + self.similar(&prompt[start..], editor, None)?.len()).filter(is_line);
        let similar = || prompt.char_indices().find_map(|(start, _)| similar_at(start));
        end.or_else(similar).map_or(prompt, |end| &prompt[..end])
    }

    /// The prompt at the beginning of this row, if it looks like a known one, or like this one, but for its words.
    pub(super) fn similar<'a>(&self, row: &'a str, editor: Editor, this: Option<&str>) -> Option<&'a str> {
        let line = &row[..row.floor_char_boundary(MAX_LENGTH)];
        let known = self.known.iter().rev().filter(|(_, of)| same_editor(*of, editor)).map(|(known, _)| known.as_str());
        let this = this.filter(|prompt| prompt.len() <= MAX_LENGTH);
        let shapes = this.into_iter().chain(known).map(shape).filter(|shape| is_telling(shape));
        shapes.into_iter().find_map(|shape| with_shape(line, &shape))
    }

    /// Whether a shell with this prompt asks for the cursor each time.
    pub(super) fn wants_cursor(&self, prompt: &str) -> bool {
        let mut editors =
            self.known.iter().filter(|(known, _)| prompt.ends_with(known.as_str())).map(|(_, of)| *of).peekable();
        let of_this = match editors.peek() {
            Some(_) => editors.all(|editor| editor == Editor::AskCursor),
            None => self.editor == Some(Editor::AskCursor),
        };
        of_this && !starts_shell(&self.running)
    }
}

/// busybox does not ask for the cursor while more input waits.
fn same_editor(known: Editor, now: Editor) -> bool {
    known == now || (known == Editor::AskCursor && now == Editor::Silent)
}

/// Output without a newline at its end may stand before a prompt; directories, times and counters in it may change.
fn is_known((known, known_editor): &(String, Editor), prompt: &str, editor: Editor) -> bool {
    if !same_editor(*known_editor, editor) {
        return false;
    }
    let (known_shape, shape) = (shape(known), shape(prompt));
    let same = known_shape == shape && shape.len() > 2;
    same || prompt.ends_with(known.as_str()) || (is_telling(&known_shape) && shape.ends_with(&known_shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(command: &str, prompt: &str, editor: Editor) -> Option<Kind> {
        let mut prompts = Prompts::default();
        prompts.submitted("root@pod:/data# ", Editor::BracketedPaste, Kind::New, command);
        prompts.judge(prompt, editor, true)
    }

    #[test]
    fn a_prompt_may_change_in_its_words_but_not_its_shape() {
        for (prompt, kind) in [
            ("root@pod:/data# ", Some(Kind::Known)),
            ("root@pod:/tmp/a-b# ", Some(Kind::Known)),
            ("no newlineroot@pod:/data# ", Some(Kind::Known)),
            ("> ", Some(Kind::Continuation)),
            ("quote> ", Some(Kind::Continuation)),
            ("Name: ", None),
            ("", None),
        ] {
            assert_eq!(after("ls", prompt, Editor::BracketedPaste), kind, "{prompt:?}");
        }
    }

    #[test]
    fn another_shell_is_believed_where_one_was_started() {
        for (command, prompt, editor, kind) in [
            ("sh", "# ", Editor::Silent, Some(Kind::New)),
            ("sudo -i", "root@pod:~# ", Editor::Silent, Some(Kind::New)),
            ("kubectl exec -it a -- ash", "/ # ", Editor::AskCursor, Some(Kind::New)),
            ("cat", "# ", Editor::Silent, None),
            ("sh -c 'read x'", "$ ", Editor::Silent, None),
            ("read -p '> ' x", "> ", Editor::Silent, None),
            ("node", "> ", Editor::BracketedPaste, None),
            ("su", "Password: ", Editor::Silent, None),
        ] {
            assert_eq!(after(command, prompt, editor), kind, "{command:?}, {prompt:?}");
        }
    }

    #[test]
    fn what_stands_below_a_command_of_the_shell_itself_is_its_next_prompt() {
        for editor in [Editor::BracketedPaste, Editor::Silent] {
            let after = |command: &str, prompt: &str, follows: bool| {
                let mut prompts = Prompts::default();
                prompts.submitted("/srv: ", editor, Kind::New, command);
                prompts.judge(prompt, editor, follows)
            };
            assert_eq!(after("cd app", "/srv/app: ", true), Some(Kind::New));
            assert_eq!(after("PS1='> '", "> ", true), Some(Kind::New));
            assert_eq!(after("if false; then", "elif-then> ", true), Some(Kind::Continuation));
            assert_eq!(after("cd app", "Overwrite? ", false), None);
            assert_eq!(after("cd app; ./ask", "Name: ", true), None);
            assert_eq!(after("cd app", "Password: ", true), None);
        }
    }

    #[test]
    fn the_first_prompt_need_not_look_like_one_unless_it_asks() {
        for (prompt, kind) in [("λ srv ", Some(Kind::New)), ("login: ", None), ("Continue? ", None), (">>> ", None)] {
            assert_eq!(Prompts::default().judge(prompt, Editor::Silent, false), kind, "{prompt:?}");
        }
    }

    #[test]
    fn a_line_behind_a_prompt_is_no_part_of_it() {
        let mut prompts = Prompts::default();
        prompts.submitted("10:00:01 /srv % ", Editor::BracketedPaste, Kind::New, "ls");
        for (prompt, without) in [
            ("10:00:01 /srv % echo a", "10:00:01 /srv % "),
            ("echo a10:00:02 /tmp % echo a", "echo a10:00:02 /tmp % "),
            ("10:00:01 /srv % ", "10:00:01 /srv % "),
            ("10:00:01 /srv % app> ", "10:00:01 /srv % app> "),
        ] {
            assert_eq!(prompts.without_line(prompt, Editor::BracketedPaste), without);
        }
        assert_eq!(prompts.similar("11:11:11 / % id", Editor::BracketedPaste, None), Some("11:11:11 / % "));
        assert_eq!(prompts.similar("11:11:11 / # id", Editor::BracketedPaste, None), None);
        assert_eq!(prompts.similar("[N] pod > id", Editor::BracketedPaste, Some("[I] pod > ")), Some("[N] pod > "));
        let long = "w".repeat(1_000_000);
        assert_eq!(prompts.without_line(&long, Editor::BracketedPaste), long);
    }

    #[test]
    fn interpreters_are_no_shells() {
        for prompt in [
            ">>> ",
            "... ",
            "In [1]: ",
            "sqlite> ",
            "   ...> ",
            "mysql> ",
            "MariaDB [shop]> ",
            "    -> ",
            "postgres=# ",
            "shop=> ",
            "shop-# ",
            "shop(# ",
            "127.0.0.1:6379> ",
            "127.0.0.1:6379[1]> ",
            "(gdb) ",
            "(Pdb) ",
            "irb(main):001:0> ",
            "ftp> ",
            "test> ",
            "Proceed (yes/no)? ",
            "Continue? [y/N] ",
            "Enter password: ",
            "[sudo] password for root: ",
            "PIN: ",
        ] {
            for command in ["python3", "bash"] {
                assert_eq!(after(command, prompt, Editor::BracketedPaste), None, "{prompt:?} after {command}");
            }
        }
    }
}
