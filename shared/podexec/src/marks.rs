//! What makes a shell mark its prompts and commands in its output. Pure.
//!
//! bash, zsh and fish are started with a few lines of their own that hook into them. They read these lines from an open file
//! descriptor, so nothing is written to disk (zsh needs a folder for a moment, whose only file says to read the descriptor),
//! the person's own configuration is read as ever, and no environment and no command line ever holds the nonce. Everything
//! else starts as it does without marks: other shells, old versions, containers that have no `/dev/fd`.
//!
//! `ESC ] 7717 ; NONCE ; C ; f ; TEXT BEL` says that a command begins: `f` where TEXT is the command line, `u` where the
//! shell kept it out of its history and TEXT is only what was there before. `ESC ] 7717 ; NONCE ; P ; STATUS ; FOLDER BEL`
//! says that a prompt follows. Of bash alone, which is not always sure, `ESC ] 7717 ; NONCE ; I ; ; BEL` says that the prompt
//! ends, and `N` in place of `I` that the prompt for a further line does. A backslash, and control characters, are written as
//! `\\` and `\x0a`.

use std::fmt::Write;

use podlatch_protocol::request::{MarkNonce, Program};

/// A shell that can mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Ends the lines that a shell reads.
const END: &str = "PODLATCH_END";

/// The folder is the shell's for as long as it takes to find its configuration there; the file in it removes it.
const ZSH_FOLDER: &str = r#"for d in "$TMPDIR" /dev/shm /tmp /run /var/tmp; do f="$d/.podlatch-$PODLATCH_SESSION"
if [ -d "$d" ] && (umask 077; mkdir "$f" && printf 'command rm -rf -- "$ZDOTDIR"\nsource /dev/fd/9\n' >"$f/.zshenv"
) 2>/dev/null; then [ -z "${ZDOTDIR+x}" ] || export PODLATCH_ZDOTDIR="$ZDOTDIR"
export ZDOTDIR="$f"; exec "$@"; fi; done
"#;

impl Shell {
    /// The shell that `program` may turn out to be.
    fn of(program: &Program) -> Option<Self> {
        let Program::Command(words) = program else {
            return Some(Self::Bash);
        };
        // With arguments it may not be interactive, and they could not be told from ours.
        let [word] = words.as_slice() else {
            return None;
        };
        match word.rsplit('/').next() {
            Some("bash") => Some(Self::Bash),
            Some("zsh") => Some(Self::Zsh),
            Some("fish") => Some(Self::Fish),
            _ => None,
        }
    }

    /// The lines that it is to read, the name that it goes by, and how it is started to read them from descriptor 9.
    const fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Bash => (include_str!("marks/bash.sh"), "bash", "exec \"$1\" --rcfile /dev/fd/9\n"),
            Self::Zsh => (include_str!("marks/zsh.sh"), "zsh", ZSH_FOLDER),
            Self::Fish => (include_str!("marks/fish.fish"), "fish", "exec \"$1\" -C 'source </dev/fd/9'\n"),
        }
    }
}

/// Lines of POSIX sh that become the shell in `$1`, with marks, if it is one that can; otherwise they do nothing. Empty
/// where `program` cannot be such a shell.
pub(crate) fn script(program: &Program, nonce: MarkNonce) -> String {
    let Some((lines, name, start)) = Shell::of(program).map(Shell::parts) else {
        return String::new();
    };
    let lines = lines.replace("@NONCE@", &hexadecimal(nonce));
    // The first, empty text shows whether this sh can make one at all: some need a folder for it, and give up without.
    format!(
        "case $1 in {name}|*/{name}) if (: 9<<{END}\n{END}\n) 2>/dev/null; then exec 9<<'{END}'\n{lines}{END}\n\
         if [ -r /dev/fd/9 ]; then {start}fi; exec 9<&-; fi;; esac\n"
    )
}

fn hexadecimal(nonce: MarkNonce) -> String {
    nonce.0.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: MarkNonce = MarkNonce([0xab; 16]);

    fn command(words: &[&str]) -> Program {
        Program::Command(words.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn only_a_bare_shell_gets_lines_to_read() {
        assert!(script(&Program::Shell, NONCE).contains("--rcfile"));
        assert!(script(&command(&["/usr/bin/zsh"]), NONCE).contains("ZDOTDIR"));
        assert!(script(&command(&["fish"]), NONCE).contains("fish_preexec"));
        for other in [&["bash", "-l"][..], &["sh"], &["notbash"], &["env", "bash"]] {
            assert_eq!(script(&command(other), NONCE), "", "{other:?}");
        }
    }

    #[test]
    fn the_nonce_is_in_the_lines_and_the_request_stays_short_enough_for_any_proxy() {
        for program in [Program::Shell, command(&["zsh"]), command(&["fish"])] {
            let script = script(&program, NONCE);
            assert!(script.contains(&"ab".repeat(16)), "{script}");
            // It travels in a URL, where every second character may become three; 8 KiB pass everywhere.
            assert!(script.len() < 2_400, "{} bytes", script.len());
            // A pipe takes this much without a second process.
            assert!(script.len() < 4_096);
        }
    }

    #[test]
    fn another_shell_starts_as_ever() {
        let script = script(&Program::Shell, NONCE);
        let whole = format!("set -- sh -c 'echo plain'; {script}exec \"$@\"");
        let output = std::process::Command::new("sh").args(["-c", &whole]).output().expect("sh runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "plain\n");
    }

    #[test]
    fn a_shell_reads_its_lines_from_the_descriptor() {
        let script = script(&command(&["bash"]), NONCE).replace("exec \"$1\" --rcfile", "cat");
        let output = std::process::Command::new("sh").args(["-c", &script, "sh", "bash"]).output().expect("sh runs");
        assert!(String::from_utf8_lossy(&output.stdout).contains("__podlatch_n=abab"), "{output:?}");
    }
}
