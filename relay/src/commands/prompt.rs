//! Which text left of a typed line is a shell's prompt, and which belongs to another program.

use std::collections::VecDeque;
use std::sync::LazyLock;

use regex::Regex;

/// Prompts that are remembered; a prompt changes with each change of directory.
const MAX_KNOWN: usize = 24;

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
                first || changes || starts_shell(&self.running) || ends_like_shell(trimmed)
            }
            Editor::Silent => {
                let may_start = first || changes || starts_shell(&self.running);
                may_start && (ends_like_shell(trimmed) || trimmed.ends_with('>'))
            }
        };
        likely.then_some(Kind::New)
    }

    /// Whether a shell with this prompt asks for the cursor each time.
    pub(super) fn wants_cursor(&self, prompt: &str) -> bool {
        let mut editors =
            self.known.iter().filter(|(known, _)| prompt.ends_with(known.as_str())).map(|(_, of)| *of).peekable();
        match editors.peek() {
            Some(_) => editors.all(|editor| editor == Editor::AskCursor),
            None => self.editor == Some(Editor::AskCursor),
        }
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
    prompt.ends_with(known.as_str()) || (shape(known) == shape(prompt) && shape(known).len() > 2)
}

/// The prompt with each run of letters, digits and path characters as one `w`.
fn shape(prompt: &str) -> String {
    let mut shape = String::new();
    for character in prompt.chars() {
        let word = character.is_alphanumeric() || "/~._-+:".contains(character);
        if !word {
            shape.push(character);
        } else if !shape.ends_with('w') {
            shape.push('w');
        }
    }
    shape
}

fn ends_like_shell(trimmed: &str) -> bool {
    trimmed.ends_with(['$', '#', '%', '❯', '➜', 'λ', '»', '›', '⟩', '▶', '⇒', '→'])
}

fn asks_for_secret(trimmed: &str) -> bool {
    static ASKS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)(pass ?word|pass ?phrase|pass ?code|passwort|\bpin\b|\botp\b|secret|verification code|api[ _-]?key|token)[^:：]*[:：]$").ok()
    });
    ASKS.as_ref().is_none_or(|asks| asks.is_match(trimmed))
}

fn is_continuation(trimmed: &str) -> bool {
    static WORDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let words = "for|while|until|if|then|else|elif|case|select|function|quote|dquote|bquote|heredoc|heredocd|cmdsubst|\
                     mathsubst|braceparam|subsh|cursh|cmdand|cmdor|pipe|errpipe|array|always|repeat|foreach|nocorrect|cond|math";
        Regex::new(&format!("^(?:(?:{words})(?: (?:{words}))*)?>$")).ok()
    });
    WORDS.as_ref().is_some_and(|words| words.is_match(trimmed))
}

/// Prompts of interpreters and database shells, whose lines are no shell commands.
fn is_interpreter(trimmed: &str) -> bool {
    static PROMPTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let names = "sqlite|mysql|mariadb|mongo|mongosh|rs\\d*|test|ftp|lftp|sftp|tftp|telnet|redis|cqlsh|irb|pry|ghci|Prelude|\
                     scala|julia|php|iex|erl|node|deno|lua|R|octave|gnuplot|bc|gdb|lldb|pdb|ipdb|jshell|groovy|ksql|spark-sql|\
                     influx|etcdctl|zk|nslookup|parted|fdisk|gdisk|virsh|rabbitmq|presto|trino|duckdb|D|hive|impala|sql|SQL|SQLPLUS";
        Regex::new(&format!(
            r"(?x)^(?:>>>|\.\.\.|\s*\.\.\.>|In\ \[\d+\]:|\s*\.\.\.:|\s*->|(?:{names})(?:[\s(\[@:/].*)?>+|\((?:gdb|lldb|Pdb|ipdb|parted)[^)]*\)|
                  redis\s.*>|[\w.:/@-]*[=('\x22*!^-][\#>]|[\d.:]+:\d+(?:\[\d+\])?>|irb\(.*|MariaDB\s\[.*|mysql.*>|.*\(yes/no.*\)\??|.*\[[yYnN]/[yYnN]\].*)$"
        ))
        .ok()
    });
    PROMPTS.as_ref().is_none_or(|prompts| prompts.is_match(trimmed))
}

fn starts_shell(command: &str) -> bool {
    const SHELLS: [&str; 43] = [
        "sh",
        "bash",
        "zsh",
        "fish",
        "ash",
        "dash",
        "ksh",
        "mksh",
        "csh",
        "tcsh",
        "busybox",
        "rbash",
        "nu",
        "pwsh",
        "xonsh",
        "su",
        "sudo",
        "doas",
        "ssh",
        "mosh",
        "chroot",
        "nsenter",
        "unshare",
        "setpriv",
        "runuser",
        "login",
        "newgrp",
        "sg",
        "kubectl",
        "oc",
        "docker",
        "podman",
        "nerdctl",
        "crictl",
        "ctr",
        "exec",
        "script",
        "env",
        "nix-shell",
        "poetry",
        "pipenv",
        "telnet",
        "lxc",
    ];
    let words: Vec<&str> = words(command).collect();
    let runs_text = |index: usize| words.get(index + 1).is_some_and(|next| matches!(*next, "-c" | "-lc" | "-ec"));
    words.iter().enumerate().any(|(index, word)| SHELLS.contains(word) && !runs_text(index))
}

/// Commands after which the shell's own prompt may look different.
fn changes_prompt(command: &str) -> bool {
    const MARKS: [&str; 5] = ["PS1=", "PS2=", "PROMPT=", "fish_prompt", "fish_greeting"];
    MARKS.iter().any(|mark| command.contains(mark))
        || words(command).any(|word| matches!(word, "source" | "." | "prompt"))
}

fn starts_interpreter(command: &str) -> bool {
    const INTERPRETERS: [&str; 10] = ["node", "nodejs", "lua", "R", "tclsh", "ftp", "nslookup", "deno", "php", "bc"];
    !command.contains("<<") && words(command).next().is_some_and(|word| INTERPRETERS.contains(&word))
}

/// The words of a command without the folders before them.
fn words(command: &str) -> impl Iterator<Item = &str> {
    const AT_MOST: usize = 64;
    let words = command.split(|character: char| character.is_whitespace() || ";|&()`{}".contains(character));
    words.filter(|word| !word.is_empty()).take(AT_MOST).map(|word| word.rsplit('/').next().unwrap_or(word))
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
