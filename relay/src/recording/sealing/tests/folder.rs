use super::*;
use crate::recording::Outcome;
use crate::recording::archive::State;
use crate::recording::sealing::SEGMENT_BYTES;

#[tokio::test]
async fn a_session_becomes_an_asciicast_and_its_hot_log_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut life = Life::begin(folder.path(), AT_ONCE);
    let recording = life.create().await;
    append(&recording, b"$ ", 10).await;
    life.segments(1).await;
    recording.marker("ls".to_owned(), at(1_000)).await.expect("notes it");
    append(&recording, b"ls\r\n\x1b[31mred\x1b[m\r\n", 1_005).await;
    recording.resize(TerminalSize::clamped(120, 40), at(2_000)).await.expect("notes it");
    life.segments(2).await;
    // The clock was set back: the recording's time stands still.
    append(&recording, b"exit\r\n", 1_500).await;
    finish(&recording, 3, 3_000).await;
    let sealed = life.stored(folder.path()).await;
    recording.release_below(recording.position().recorded);
    assert_eq!(&recording.read(0, 2).await.expect("reads")[..], b"$ ", "a viewer that is late still gets the rest");
    assert_eq!((sealed.outcome, sealed.duration_ms), (Outcome::Complete, 3_000));

    let archive = life.archives.open(organisation(), session(), Some(&sealed.head)).await.expect("opens");
    assert_eq!(archive.state, State::Complete);
    assert_eq!(archive.exit_status(), Some(3));
    assert_eq!(archive.bytes(), sealed.bytes);
    assert_eq!(archive.markers().map(|marker| (marker.at_ms, &*marker.label)).collect::<Vec<_>>(), [(1_000, "ls")]);
    let expected = [
        (0, Event::Resize(TerminalSize::clamped(100, 30))),
        (10, Event::Output("$ ".into())),
        (1_000, Event::Marker("ls".into())),
        (1_005, Event::Output("ls\r\n\u{1b}[31mred\u{1b}[m\r\n".into())),
        (2_000, Event::Resize(TerminalSize::clamped(120, 40))),
        (2_000, Event::Output("exit\r\n".into())),
        (3_000, Event::Exit(3)),
    ];
    assert_eq!(play(archive.clone()).await, expected);
    // Each segment is an asciicast of its own, with the times of the whole.
    let mut timed = Vec::new();
    for entry in archive.segments() {
        let segment = archive.read(entry.index).await.expect("reads");
        assert!(segment.cast.starts_with(b"{\"version\":3,"));
        timed.extend(segment.events().map(|event| event.expect("an event")).map(|event| (event.at_ms, event.event)));
    }
    assert_eq!(timed, expected);
}

#[tokio::test]
async fn a_command_that_is_known_late_is_found_where_it_was_entered() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut life = Life::begin(folder.path(), NEVER);
    let recording = life.create().await;
    append(&recording, b"$ ls\r\n", 1_000).await;
    append(&recording, b"alpha\r\n", 1_200).await;
    recording.marker("ls".to_owned(), at(1_000)).await.expect("notes it");
    append(&recording, b"beta\r\n", 90_000).await;
    recording.marker("of yesterday".to_owned(), at(1_000)).await.expect("notes it");
    recording.marker("rm".to_owned(), at(89_999)).await.expect("notes it");
    finish(&recording, 0, 90_000).await;
    let sealed = life.stored(folder.path()).await;
    let archive = life.archives.open(organisation(), session(), Some(&sealed.head)).await.expect("opens");
    let markers: Vec<_> = archive.markers().map(|marker| (marker.at_ms, &*marker.label)).collect();
    assert_eq!(markers, [(1_000, "ls"), (90_000, "of yesterday"), (89_999, "rm")]);
    let expected = [
        (0, Event::Resize(TerminalSize::clamped(100, 30))),
        (1_000, Event::Output("$ ls\r\n".into())),
        (1_000, Event::Marker("ls".into())),
        (1_200, Event::Output("alpha\r\n".into())),
        (89_999, Event::Marker("rm".into())),
        (90_000, Event::Output("beta\r\n".into())),
        (90_000, Event::Marker("of yesterday".into())),
        (90_000, Event::Exit(0)),
    ];
    assert_eq!(play(archive).await, expected);
}

#[tokio::test]
async fn a_character_that_is_split_over_segments_arrives_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut life = Life::begin(folder.path(), AT_ONCE);
    let recording = life.create().await;
    append(&recording, b"a\xe2\x82", 1).await;
    life.segments(1).await;
    append(&recording, b"\xac\xff\xf0\x9f", 2).await;
    finish(&recording, 0, 3).await;
    life.stored(folder.path()).await;
    let events = play(life.open().await.expect("opens")).await;
    assert_eq!(output(&events), "a\u{20ac}\u{fffd}\u{fffd}");
}

#[tokio::test]
async fn a_recording_can_be_read_while_its_session_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let life = Life::begin(folder.path(), AT_ONCE);
    let missing = life.open().await;
    assert!(matches!(missing, Err(ArchiveError::NotFound)), "{missing:?}");
    let recording = life.create().await;
    append(&recording, b"on it goes", 1).await;
    let archive = life.segments(1).await;
    assert_eq!(archive.state, State::Recording);
    assert_eq!(output(&play(archive).await), "on it goes");
}

#[tokio::test]
async fn a_flood_is_sealed_in_segments_of_bounded_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut life = Life::begin(folder.path(), NEVER);
    let recording = life.create().await;
    // The worst case: one byte becomes six.
    let piece = vec![0x01; 64 * 1024];
    for millis in 0..128 {
        append(&recording, &piece, millis).await;
    }
    finish(&recording, 0, 128).await;
    let sealed = life.stored(folder.path()).await;
    assert!(sealed.segments > 8, "{} segments", sealed.segments);
    let archive = life.open().await.expect("opens");
    let most = SEGMENT_BYTES + 6 * 64 * 1024 + 4096;
    assert!(archive.segments().iter().all(|segment| segment.bytes <= most as u64));
    assert_eq!(output(&play(archive).await).len(), 128 * piece.len());
}

#[tokio::test]
async fn what_a_killed_relay_left_is_sealed_by_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    {
        let life = Life::begin(folder.path(), NEVER);
        let recording = life.create().await;
        append(&recording, b"cut off", 1).await;
    }
    let mut life = Life::begin(folder.path(), NEVER);
    assert_eq!(life.recorder.seal_leftovers(|_| true).await.expect("looks"), 0, "it goes on");
    assert_eq!(life.recorder.seal_leftovers(|_| false).await.expect("looks"), 1);
    let sealed = life.stored(folder.path()).await;
    assert!(matches!(sealed.outcome, Outcome::Truncated { .. }), "{:?}", sealed.outcome);
    let archive = life.open().await.expect("opens");
    assert!(matches!(archive.state, State::Truncated { .. }), "{:?}", archive.state);
    assert_eq!(output(&play(archive).await), "cut off");
}

#[tokio::test]
async fn a_session_that_was_never_opened_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let life = Life::begin(folder.path(), AT_ONCE);
    let recording = life.create().await;
    recording.seal();
    let hot = folder.path().join("hot").join(organisation().to_string()).join(session().to_string());
    while hot.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(matches!(life.open().await, Err(ArchiveError::NotFound)));
}

#[tokio::test]
async fn a_store_that_comes_back_in_time_gets_all_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut life = Life::begin(folder.path(), AT_ONCE);
    // Nothing can be stored below a file.
    let place = folder.path().join("store").join(organisation().to_string());
    std::fs::write(&place, "in the way").expect("writes");
    let recording = life.create().await;
    append(&recording, b"patience", 1).await;
    recording.durable().wait_for(|durable| *durable == 8).await.expect("the hot log is safe");
    finish(&recording, 0, 2).await;
    assert!(life.sealed.try_recv().is_err());
    std::fs::remove_file(&place).expect("out of the way");
    assert_eq!(life.stored(folder.path()).await.outcome, Outcome::Complete);
    assert!(recording.failure().borrow().is_none());
    assert_eq!(output(&play(life.open().await.expect("opens")).await), "patience");
}

#[tokio::test]
async fn sealing_a_flood_lags_behind_while_it_lasts_and_catches_up_when_it_is_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut life = Life::begin(folder.path(), Pace { rests: u32::MAX / 1_000_000, ..AT_ONCE });
    let recording = life.create().await;
    let mut written = 0;
    for millis in 0..40 {
        append(&recording, &vec![b'x'; 256 * 1024], millis).await;
        written += 256 * 1024;
    }
    let archive = life.segments(1).await;
    let sealed = archive.segments().last().expect("one").to.recorded;
    assert!(sealed < written / 2, "{sealed} of {written} bytes were sealed while the flood lasted");
    finish(&recording, 0, 50).await;
    life.stored(folder.path()).await;
    let archive = life.open().await.expect("opens");
    assert_eq!(output(&play(archive).await).len() as u64, written);
}
