//! What runs in the container before the shell: it marks the process, reports its id and chooses the shell. Pure.
//!
//! A closed exec connection does not end its process, and Kubernetes offers no way to find it again. So a few lines of
//! POSIX sh export a marker into the environment (inherited by every descendant), print the process id in a private escape
//! sequence (`exec` keeps it, and it is also the process session of every job), and then become the shell.

use bytes::{Bytes, BytesMut};
use podlatch_protocol::id::SessionId;
use podlatch_protocol::request::{MarkNonce, Program};

use crate::marks;

/// The environment variable by which a session's processes are found.
pub const MARKER_VARIABLE: &str = "PODLATCH_SESSION";

/// How much output may precede the report before the container is taken for one without a prelude.
const SEARCH_LIMIT_BYTES: usize = 4 * 1024;

/// `$1` is the session; the rest is the asked-for command, or nothing for the best shell. Containers come with a `TERM` of
/// `xterm`, which costs colours; the better one is chosen only where its description is installed.
const SCRIPT: &str = r#"export PODLATCH_SESSION="$1"; shift
for t in /etc/terminfo /lib/terminfo /usr/share/terminfo /usr/lib/terminfo; do
if [ -e $t/x/xterm-256color ]; then export TERM=xterm-256color; break; fi; done
if [ $# -eq 0 ]; then for s in bash ash sh; do
if command -v $s >/dev/null 2>&1; then set -- $s; break; fi; done; fi
if command -v "$1" >/dev/null 2>&1; then p=$$; else p=none; fi
printf '\033]7717;podlatch;%s;%s\007' "$PODLATCH_SESSION" "$p"
[ $p = none ] && exit 127
"#;

/// The command that runs `program` behind the prelude; with a nonce, a shell that can do it marks its commands.
pub fn command(session: SessionId, program: &Program, nonce: Option<MarkNonce>) -> Vec<String> {
    let marks = nonce.map(|nonce| marks::script(program, nonce)).unwrap_or_default();
    let script = format!("{SCRIPT}{marks}exec \"$@\"");
    let mut words: Vec<String> = vec!["sh".into(), "-c".into(), script, "podlatch".into(), session.to_string()];
    if let Program::Command(command) = program {
        words.extend(command.iter().cloned());
    }
    words
}

/// What the prelude reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// The process runs; this is its id and its process session.
    Started(u32),
    /// There is no such program in the container.
    NoSuchProgram,
    /// The output does not begin as the prelude's does.
    Absent,
}

/// Takes the prelude's report out of the beginning of the output.
#[derive(Debug)]
pub struct Filter {
    opening: Vec<u8>,
    seen: BytesMut,
}

/// What the filter made of a piece of output.
#[derive(Debug, PartialEq, Eq)]
pub enum Filtered {
    /// The report is not complete yet.
    More,
    /// The report, and the output around it.
    Done(Report, Bytes),
}

impl Filter {
    /// Looks for the report of this session.
    pub fn new(session: SessionId) -> Self {
        Self { opening: format!("\x1b]7717;podlatch;{session};").into_bytes(), seen: BytesMut::new() }
    }

    /// Takes the next piece of output. After `Done`, output needs no filter.
    pub fn push(&mut self, bytes: &[u8]) -> Filtered {
        self.seen.extend_from_slice(bytes);
        let begin = self.seen.windows(self.opening.len()).position(|window| window == self.opening);
        let after = begin.map(|begin| (begin, begin + self.opening.len()));
        let found = after.and_then(|(begin, after)| {
            let length = self.seen[after..].iter().position(|byte| *byte == 7)?;
            Some((begin, after, after + length))
        });
        match found {
            Some((begin, after, end)) => {
                let report = parse(&self.seen[after..end]);
                let mut output = self.seen.split_to(begin);
                output.extend_from_slice(&self.seen[end + 1 - begin..]);
                Filtered::Done(report, output.freeze())
            }
            None if self.seen.len() > SEARCH_LIMIT_BYTES => Filtered::Done(Report::Absent, self.flush()),
            None => Filtered::More,
        }
    }

    /// The output that was held back while looking for the report.
    pub fn flush(&mut self) -> Bytes {
        self.seen.split().freeze()
    }
}

fn parse(report: &[u8]) -> Report {
    match std::str::from_utf8(report) {
        Ok("none") => Report::NoSuchProgram,
        Ok(text) => text.parse().map_or(Report::Absent, Report::Started),
        Err(_) => Report::Absent,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn session() -> SessionId {
        SessionId::new(1, &[1; 10])
    }

    fn report(text: &str) -> Vec<u8> {
        format!("\x1b]7717;podlatch;{};{text}\x07", session()).into_bytes()
    }

    #[test]
    fn the_report_is_taken_out_of_the_output() {
        let mut bytes = report("4711");
        bytes.extend_from_slice(b"/ # ");
        let done = Filter::new(session()).push(&bytes);
        assert_eq!(done, Filtered::Done(Report::Started(4711), Bytes::from_static(b"/ # ")));
    }

    #[test]
    fn a_missing_program_and_a_foreign_report_are_told_apart() {
        assert_eq!(Filter::new(session()).push(&report("none")), Filtered::Done(Report::NoSuchProgram, Bytes::new()));
        let other = SessionId::new(2, &[1; 10]);
        assert_eq!(Filter::new(other).push(&report("1")), Filtered::More);
    }

    #[test]
    fn output_without_a_report_is_let_through_unchanged() {
        let mut filter = Filter::new(session());
        let long = vec![b'x'; SEARCH_LIMIT_BYTES + 1];
        assert_eq!(filter.push(&long), Filtered::Done(Report::Absent, Bytes::from(long)));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(before in "[a-z]{0,20}", after in "[a-z\u{1b}]{0,20}", cut in 1_usize..40) {
            let mut bytes = before.clone().into_bytes();
            bytes.extend(report("77"));
            bytes.extend_from_slice(after.as_bytes());
            let mut filter = Filter::new(session());
            let mut output = Vec::new();
            let mut found = None;
            for piece in bytes.chunks(cut) {
                if found.is_some() {
                    output.extend_from_slice(piece);
                } else if let Filtered::Done(report, bytes) = filter.push(piece) {
                    found = Some(report);
                    output.extend_from_slice(&bytes);
                }
            }
            prop_assert_eq!(found, Some(Report::Started(77)));
            prop_assert_eq!(output, format!("{before}{after}").into_bytes());
        }
    }

    #[test]
    fn the_script_runs_in_a_posix_shell_and_reports_its_own_process() {
        let words = command(
            session(),
            &Program::Command(vec!["sh".into(), "-c".into(), "echo $$ $PODLATCH_SESSION".into()]),
            None,
        );
        let output = std::process::Command::new(&words[0]).args(&words[1..]).output().expect("sh runs");
        let Filtered::Done(Report::Started(process), rest) = Filter::new(session()).push(&output.stdout) else {
            panic!("no report in {output:?}");
        };
        assert_eq!(String::from_utf8_lossy(&rest).trim_end(), format!("{process} {}", session()));
    }

    #[test]
    fn the_script_reports_a_program_that_is_not_there() {
        let words = command(session(), &Program::Command(vec!["no-such-program-here".into()]), None);
        let output = std::process::Command::new(&words[0]).args(&words[1..]).output().expect("sh runs");
        assert_eq!(Filter::new(session()).push(&output.stdout), Filtered::Done(Report::NoSuchProgram, Bytes::new()));
        assert_eq!(output.status.code(), Some(127));
    }
}
