//! Nothing that a peer sends makes decoding panic: the fuzz corpus replayed, and bytes of all kinds.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;

/// A fuzz target and its corpus.
struct Target {
    run: fn(&[u8]),
    corpus: Vec<Vec<u8>>,
}

static TARGETS: LazyLock<[Target; 3]> = LazyLock::new(|| {
    [
        Target { run: targets::frame, corpus: read_corpus("frame") },
        Target { run: targets::session_messages, corpus: read_corpus("session_messages") },
        Target { run: targets::control_messages, corpus: read_corpus("control_messages") },
    ]
});

fn read_corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = fs::read_dir(folder).expect("the corpus is committed");
    entries.map(|entry| fs::read(entry.expect("can be listed").path()).expect("can be read")).collect()
}

#[test]
fn the_corpus_passes() {
    for target in &*TARGETS {
        assert!(target.corpus.len() >= 10, "the corpus is there");
        for bytes in &target.corpus {
            (target.run)(bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_pass(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for target in &*TARGETS {
            (target.run)(&bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn messages_with_bytes_changed_and_cut_off_pass(
        which: Index,
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        length: Index,
    ) {
        for target in &*TARGETS {
            let mut bytes = which.get(&target.corpus).clone();
            for (place, value) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *value;
            }
            bytes.truncate(length.index(bytes.len() + 1));
            (target.run)(&bytes);
        }
    }
}
