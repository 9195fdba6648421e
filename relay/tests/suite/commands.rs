//! Commands found in recorded terminal sessions, held against what was really submitted.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use podlatch_protocol::terminal::TerminalSize;
use podlatch_relay::clock::UnixMillis;
use podlatch_relay::commands::{Event, Secrets, Strokes, Tracker};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Expected {
    commands: Vec<String>,
    also_accepted: Option<Vec<String>>,
    #[serde(default)]
    optional: Vec<String>,
    #[serde(default)]
    never: Vec<String>,
}

#[derive(Default)]
struct Score {
    expected: usize,
    found: usize,
    reported: usize,
    right: usize,
    sessions: usize,
    leaks: String,
    misses: String,
}

/// How a recorded session is played to the tracker.
#[derive(Clone, Copy)]
struct Playing {
    /// The bytes come in pieces of at most so many.
    piece: usize,
    /// Output comes so many seconds later.
    delay: f64,
    /// What is known of the keys.
    known: Known,
    /// Done after each event.
    then: fn(&mut Tracker),
}

/// What is known of the keys that were typed.
#[derive(Clone, Copy)]
enum Known {
    /// All.
    Keys,
    /// Only that lines were begun and entered, as a relay that was killed knows it.
    Strokes,
}

const AS_RECORDED: Playing = Playing { piece: usize::MAX, delay: 0.0, known: Known::Keys, then: |_| {} };

#[test]
fn the_corpus_is_read_right() {
    let score = score("terminal-corpus", AS_RECORDED);
    assert_eq!(score.sessions, 44);
    score.check();
}

#[test]
fn sessions_of_other_kinds_are_read_right() {
    score("terminal-sessions", AS_RECORDED).check();
}

#[test]
fn a_pod_far_away_changes_nothing() {
    for delay in [0.04, 0.3] {
        score("terminal-corpus", Playing { delay, ..AS_RECORDED }).check();
        score("terminal-sessions", Playing { delay, ..AS_RECORDED }).check();
    }
}

#[test]
fn a_relay_that_was_killed_reads_nearly_as_well() {
    let killed = Playing { known: Known::Strokes, ..AS_RECORDED };
    score("terminal-corpus", killed).check();
    score("terminal-sessions", killed).check();
}

#[test]
fn any_split_of_the_bytes_gives_the_same_commands() {
    for file in [casts("terminal-corpus"), casts("terminal-sessions")].concat() {
        let split = Playing { piece: 1, ..AS_RECORDED };
        assert_eq!(lines_of(&file, split), lines_of(&file, AS_RECORDED), "{}", file.display());
    }
}

#[test]
fn a_tracker_that_rests_after_every_event_finds_the_same() {
    for file in [casts("terminal-corpus"), casts("terminal-sessions")].concat() {
        let resting = Playing { then: Tracker::rest, ..AS_RECORDED };
        assert_eq!(lines_of(&file, resting), lines_of(&file, AS_RECORDED), "{}", file.display());
    }
}

impl Score {
    fn check(&self) {
        let (recall, precision) = (ratio(self.found, self.expected), ratio(self.right, self.reported));
        println!("{} sessions: recall {recall:.3}, precision {precision:.3}\n{}", self.sessions, self.misses);
        assert!(recall >= 0.97 && precision >= 0.97, "recall {recall:.3}, precision {precision:.3}\n{}", self.misses);
        assert!(self.leaks.is_empty(), "{}", self.leaks);
    }

    fn add(&mut self, file: &Path, playing: Playing) {
        let reported = lines_of(file, playing);
        let expected = std::fs::read_to_string(file.with_extension("expected.json")).expect("expectations");
        let expected: Expected = serde_json::from_str(&expected).expect("expectations");
        let lists = [Some(expected.commands.clone()), expected.also_accepted.clone()];
        let best = lists.into_iter().flatten().max_by_key(|list| in_order(list, &reported)).expect("a list");
        let found = in_order(&best, &reported);
        let right = reported.iter().filter(|line| best.contains(line) || expected.optional.contains(line)).count();
        if found < best.len() || right < reported.len() {
            let _infallible = writeln!(self.misses, "{}: {best:?} became {reported:?}", file.display());
        }
        for never in expected.never.iter().filter(|never| reported.iter().any(|line| line.contains(*never))) {
            let _infallible = writeln!(self.leaks, "{}: {never:?} was reported", file.display());
        }
        self.sessions += 1;
        self.expected += best.len();
        self.found += found;
        self.reported += reported.len();
        self.right += right;
    }
}

/// The score of a folder's sessions.
fn score(folder: &str, playing: Playing) -> Score {
    let mut score = Score::default();
    for file in casts(folder) {
        score.add(&file, playing);
    }
    score
}

fn casts(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let files = std::fs::read_dir(folder).expect("fixtures").map(|entry| entry.expect("fixtures").path());
    let mut files: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|end| end == "cast")).collect();
    files.sort();
    files
}

/// The lines of the commands that are found.
fn lines_of(file: &Path, Playing { piece, delay, known, then }: Playing) -> Vec<String> {
    let text = std::fs::read_to_string(file).expect("a session");
    let header: Value = serde_json::from_str(text.lines().next().expect("a header")).expect("a header");
    let side = |name: &str| header[name].as_u64().and_then(|side| u16::try_from(side).ok()).expect("a side");
    let mut tracker = Tracker::new(TerminalSize::clamped(side("width"), side("height")), Secrets::Keep);
    let (mut lines, mut strokes) = (Vec::new(), Strokes::default());
    let events = text.lines().skip(1).map(|line| serde_json::from_str(line).expect("an event"));
    let late =
        |(seconds, code, data): (f64, String, Value)| (if code == "o" { seconds + delay } else { seconds }, code, data);
    let mut events: Vec<(f64, String, Value)> = events.map(late).collect();
    events.sort_by(|one, other| one.0.total_cmp(&other.0));
    for (seconds, code, data) in events {
        let at = UnixMillis::new(0).plus(std::time::Duration::from_secs_f64(seconds));
        let data = data.as_str().unwrap_or_default();
        match code.as_str() {
            "o" => pieces(data, piece).iter().for_each(|bytes| tracker.output(bytes, at)),
            "i" => pieces(data, piece).iter().for_each(|bytes| match known {
                Known::Keys => tracker.input(bytes, at),
                Known::Strokes => strokes.of(bytes, at).into_iter().for_each(|stroke| tracker.stroke(stroke, at)),
            }),
            "r" => {
                let (columns, rows) = data.split_once('x').expect("a size");
                tracker.resize(TerminalSize::clamped(columns.parse().expect("columns"), rows.parse().expect("rows")));
            }
            _ => {}
        }
        then(&mut tracker);
        while let Some(event) = tracker.take() {
            let Event::Submitted(command) = event else { continue };
            lines.extend(command.text.lines().map(|line| line.trim_end().to_owned()));
        }
    }
    lines
}

fn pieces(data: &str, piece: usize) -> Vec<Vec<u8>> {
    let bytes = STANDARD.decode(data).expect("base64");
    bytes.chunks(piece).map(<[u8]>::to_vec).collect()
}

/// The length of the longest common subsequence.
fn in_order(expected: &[String], reported: &[String]) -> usize {
    let mut lengths = vec![0; reported.len() + 1];
    for line in expected {
        let mut diagonal = 0;
        for (index, other) in reported.iter().enumerate() {
            let above = lengths[index + 1];
            lengths[index + 1] = if line.trim_end() == other { diagonal + 1 } else { above.max(lengths[index]) };
            diagonal = above;
        }
    }
    lengths[reported.len()]
}

fn ratio(part: usize, whole: usize) -> f64 {
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    if whole == 0 { 1.0 } else { count(part) / count(whole) }
}
