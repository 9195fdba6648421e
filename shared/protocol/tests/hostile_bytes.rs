//! Nothing that a peer sends makes decoding panic: the fuzz corpus replayed, and bytes of all kinds.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

type Target = fn(&[u8]);

/// The fuzz targets by the names of their corpora.
const TARGETS: [(&str, Target); 3] = [
    ("frame", targets::frame),
    ("session_messages", targets::session_messages),
    ("control_messages", targets::control_messages),
];

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = fs::read_dir(folder).expect("the corpus is committed");
    entries.map(|entry| fs::read(entry.expect("can be listed").path()).expect("can be read")).collect()
}

#[test]
fn the_corpus_passes() {
    for (name, target) in TARGETS {
        let inputs = corpus(name);
        assert!(inputs.len() >= 10, "{name} has {} inputs", inputs.len());
        for bytes in &inputs {
            target(bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_pass(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for (_, target) in TARGETS {
            target(&bytes);
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
        for (name, target) in TARGETS {
            let inputs = corpus(name);
            let mut bytes = which.get(&inputs).clone();
            for (place, value) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *value;
            }
            bytes.truncate(length.index(bytes.len() + 1));
            target(&bytes);
        }
    }
}
