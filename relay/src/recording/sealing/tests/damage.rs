//! Recordings that somebody changed.

use std::path::PathBuf;

use super::*;
use crate::recording::Hash;
use crate::recording::archive::State;

/// A recording of three segments in `folder`.
async fn recorded(folder: &Path, texts: [&str; 3]) -> (Life, PathBuf, Hash) {
    let mut life = Life::begin(folder, AT_ONCE);
    let recording = life.create().await;
    for (index, text) in texts.into_iter().enumerate() {
        append(&recording, text.as_bytes(), 10).await;
        life.segments(index + 1).await;
    }
    finish(&recording, 0, 20).await;
    let head = life.stored(folder).await.head;
    (life, folder.join("store").join(organisation().to_string()).join(session().to_string()), head)
}

async fn damage_at(life: &Life, index: u64) -> String {
    let archive = life.open().await.expect("opens");
    match archive.read(index).await {
        Err(ArchiveError::Damaged { segment, why }) if segment == index => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_tampered_missing_or_foreign_segment_is_told_and_the_others_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (life, objects, _) = recorded(folder.path(), ["one", "two", "three"]).await;
    let other = tempfile::tempdir().expect("a folder");
    let (_, foreign, _) = recorded(other.path(), ["one", "TWO", "three"]).await;
    let second = objects.join("00000002.cast");
    let honest = std::fs::read(&second).expect("reads");

    let changed = String::from_utf8(honest.clone()).expect("text").replace("two", "2wo");
    for tampered in [changed.into_bytes(), honest[..honest.len() / 2].to_vec(), Vec::new(), b"\n\n".to_vec()] {
        std::fs::write(&second, tampered).expect("writes");
        damage_at(&life, 2).await;
    }
    std::fs::copy(foreign.join("00000002.cast"), &second).expect("copies");
    assert_eq!(damage_at(&life, 2).await, "its bytes are not those that were recorded");
    std::fs::remove_file(&second).expect("removes");
    assert_eq!(damage_at(&life, 2).await, "it is missing");

    let archive = life.open().await.expect("opens");
    archive.read(1).await.expect("reads");
    archive.read(3).await.expect("reads");
    let nowhere = archive.read(9).await;
    assert!(matches!(nowhere, Err(ArchiveError::NotFound)), "{nowhere:?}");
    let played = archive.concat().try_collect::<Vec<_>>().await;
    assert!(matches!(played, Err(ArchiveError::Damaged { segment: 2, .. })), "{played:?}");
}

#[tokio::test]
async fn a_changed_manifest_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let (life, objects, head) = recorded(folder.path(), ["one", "two", "three"]).await;
    let manifest = objects.join("manifest.jsonl");
    let honest = std::fs::read_to_string(&manifest).expect("reads");
    let lines: Vec<&str> = honest.lines().collect();
    let without = |index: usize| {
        let mut lines = lines.clone();
        lines.remove(index);
        lines.join("\n")
    };
    for changed in [without(1), without(lines.len() - 1), honest.replace("\"to_ms\":10", "\"to_ms\":11"), "{}".into()] {
        std::fs::write(&manifest, changed).expect("writes");
        let archive = life.open().await.expect("opens");
        assert!(matches!(archive.state, State::Damaged { .. }), "{:?}", archive.state);
        let played = archive.concat().try_collect::<Vec<_>>().await;
        assert!(matches!(played, Err(ArchiveError::Damaged { .. })), "{played:?}");
    }
    // A chain that holds, but not the one that was noted.
    std::fs::write(&manifest, honest.replace("\"exit_status\":0", "\"exit_status\":1")).expect("writes");
    let archive = life.archives.open(organisation(), session(), Some(&head)).await.expect("opens");
    assert!(matches!(archive.state, State::Damaged { .. }), "{:?}", archive.state);
}

#[tokio::test]
async fn segments_of_a_relay_that_was_lost_are_read_without_their_manifest() {
    let folder = tempfile::tempdir().expect("a folder");
    let (life, objects, _) = recorded(folder.path(), ["one", "two", "three"]).await;
    std::fs::remove_file(objects.join("manifest.jsonl")).expect("removes");
    let archive = life.open().await.expect("opens");
    assert!(matches!(archive.state, State::Truncated { .. }), "{:?}", archive.state);
    assert_eq!(output(&play(archive).await), "onetwothree");
    std::fs::remove_file(objects.join("00000002.cast")).expect("removes");
    let archive = life.open().await.expect("opens");
    assert!(matches!(archive.state, State::Damaged { segment: 2, .. }), "{:?}", archive.state);
}
