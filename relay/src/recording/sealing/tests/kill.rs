//! Kills in the middle of sealing, at every step of any schedule.

use proptest::prelude::*;

use super::*;
use crate::recording::SessionKey;
use crate::recording::files::Files;
use crate::recording::manifest::{Entry, Manifest, Outcome};
use crate::recording::sealing::local;
use crate::recording::sealing::render::{Cursor, Until, render};
use crate::recording::timeline::{self, Exit};

fn key() -> SessionKey {
    SessionKey { organisation: organisation(), session: session() }
}

/// What one attempt to seal does before the relay is killed.
#[derive(Debug, Clone, Copy)]
enum Attempt {
    /// The segment is stored; the manifest does not say so.
    Stored,
    /// The manifest's last line is torn after so many bytes.
    Torn(usize),
    /// Nothing was killed.
    Whole,
}

fn attempt() -> impl Strategy<Value = Attempt> {
    prop_oneof![Just(Attempt::Stored), (0_usize..2_000).prop_map(Attempt::Torn), Just(Attempt::Whole)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However often the relay is killed while it seals, and whatever was durable at each attempt, the segments that are
    /// there in the end hold every byte once.
    #[test]
    fn nothing_is_lost_or_doubled(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..12),
        attempts in proptest::collection::vec((attempt(), any::<proptest::sample::Index>()), 0..12),
    ) {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("log");
        let mut files = Files::create(&folder).expect("begins");
        let mut durable = vec![0];
        let mut written = Vec::new();
        for (millis, piece) in pieces.iter().enumerate() {
            written.extend_from_slice(piece);
            let at = at(i64::try_from(millis).expect("few"));
            files.append(&[Bytes::copy_from_slice(piece)], 2 * written.len() as u64, at).expect("writes");
            durable.push(files.end().timeline);
        }
        let end = OutputEnd::At(2 * written.len() as u64);
        files.note(timeline::Event::Exit(Exit { status: Some(0), output: end }), at(99)).expect("writes");

        let mut objects: Vec<Vec<u8>> = Vec::new();
        let mut seal = |until: Until, attempt: Attempt| {
            // What a start does.
            let manifest = local::load(&folder, key()).expect("loads");
            let rendered = render(&folder, &Cursor::after(&manifest), until).expect("renders");
            if rendered.cast.is_empty() {
                return;
            }
            let line = Entry::Segment(rendered.entry()).line();
            objects.truncate(manifest.segments.len());
            objects.push(rendered.cast);
            match attempt {
                Attempt::Stored => {}
                Attempt::Torn(bytes) => {
                    let torn = &line.as_bytes()[..bytes.min(line.len())];
                    let path = folder.join("manifest");
                    let mut whole = std::fs::read(&path).unwrap_or_default();
                    whole.extend_from_slice(torn);
                    std::fs::write(path, whole).expect("writes");
                }
                Attempt::Whole => local::append(&folder, &line).expect("writes"),
            }
        };
        let mut furthest = 0;
        for (attempt, index) in attempts {
            // What was durable once stays so.
            furthest = furthest.max(*index.get(&durable));
            seal(Until::Durable(furthest), attempt);
        }
        seal(Until::End, Attempt::Whole);

        let cursor = Cursor::after(&local::load(&folder, key()).expect("loads"));
        let rest = render(&folder, &cursor, Until::End).expect("renders");
        prop_assert!(rest.cast.is_empty(), "all is sealed");
        let (manifest, lines) = local::end(&folder, key(), &cursor).expect("ends");
        prop_assert_eq!(&manifest.end.as_ref().expect("an end").outcome, &Outcome::Complete);
        let again = local::end(&folder, key(), &cursor).expect("ends");
        prop_assert_eq!(&again.1, &lines, "an end is written once");
        prop_assert_eq!(manifest.segments.last().expect("a segment").to.recorded, written.len() as u64);
        let text: String = objects.iter().map(|object| text_of(object)).collect();
        prop_assert_eq!(text, String::from_utf8_lossy(&written));
        prop_assert!(holds(&lines));
    }
}

fn text_of(cast: &[u8]) -> String {
    let lines = std::str::from_utf8(cast).expect("text").lines();
    let text = |line| match asciicast::parse(line).expect("an asciicast") {
        Line::Event(_, Event::Output(text)) => Some(text),
        _ => None,
    };
    lines.filter_map(text).collect()
}

fn holds(lines: &str) -> bool {
    let mut manifest = Manifest::empty(organisation(), session());
    lines.lines().all(|line| manifest.push(line).is_ok())
}
