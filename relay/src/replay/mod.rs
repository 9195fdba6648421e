//! Replay: stored recordings, looked at again.
//!
//! A recording is read segment by segment, each proven against its hash. What needs a terminal model (the screen at a
//! moment, a search over what was on the screen) plays the recording on a blocking thread, a segment at a time, so that
//! neither its length nor its number of hits decides how much memory or time a request takes. What cannot be read is left
//! out, and the answer says so: what can be shown is shown.

mod keyframes;
pub mod screen;
pub mod search;
pub mod tape;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use podlatch_protocol::id::SessionId;
use podlatch_protocol::terminal::TerminalSize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;

use keyframes::{Keyframe, Keyframes};
use screen::Screen;
use search::{Hit, Needle, Search};

use crate::recording::archive::TimedEvent;

/// Recordings that are played at once; the others wait. Playing is work for a whole core.
const PLAYED_AT_ONCE: usize = 2;

/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(10);

/// How long one request may play. A recording of 100 MiB takes less than half of it.
const PLAY_TIME: Duration = Duration::from_secs(20);

/// A segment of a recording, before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Its number.
    pub index: u64,
    /// When its last event was, in milliseconds since the recording began.
    pub to_ms: u64,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

/// Where a recording is read from.
pub trait Source: Sync {
    /// Whose recording it is.
    fn session(&self) -> SessionId;

    /// The size of the terminal at first.
    fn size(&self) -> TerminalSize;

    /// The segments, in their order.
    fn segments(&self) -> Vec<SegmentFacts>;

    /// A segment's events; the error says why a person cannot have them. Cancel safe.
    fn read(&self, index: u64) -> impl Future<Output = Result<Vec<TimedEvent>, Unreadable>> + Send;
}

/// A part of a recording cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not what was recorded, or is gone; it stays so.
    #[error("{0}")]
    Damaged(String),
    /// The storage does not answer; it may later.
    #[error("the storage of recordings does not answer. Try again later ({0})")]
    Storage(String),
}

/// A recording could not be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlayError {
    /// Too many people search or seek at once.
    #[error("too many recordings are searched at the moment; try again in a few seconds")]
    Busy,
    /// It takes longer than a request may.
    #[error("this recording is too long to jump that far; play it from an earlier moment")]
    TooLong,
    /// A part cannot be read for now.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The player broke.
    #[error("the recording could not be played")]
    Broken,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// In the order of time.
    pub hits: Vec<Hit>,
    /// Whether there may be more: too many, too long a recording, or a part that cannot be read.
    pub truncated: bool,
}

/// The screen at a moment, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenAt {
    /// How large it is.
    pub size: TerminalSize,
    /// What draws it on an empty terminal.
    pub drawn: String,
    /// The segment of the event that comes next; behind the last one at the end.
    pub next_segment: u64,
    /// The number of that event in its segment, from 0.
    pub next_event: usize,
}

/// Plays recordings, a few at once. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Replays {
    turns: Arc<Semaphore>,
    keyframes: Arc<Keyframes>,
    turn: Duration,
    play_time: Duration,
}

impl Default for Replays {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(PLAYED_AT_ONCE)),
            keyframes: Arc::new(Keyframes::default()),
            turn: TURN,
            play_time: PLAY_TIME,
        }
    }
}

impl Replays {
    /// Where a text appeared on the screen, from `from_ms` on, at most `most` times. Cancel safe: the search ends.
    pub async fn search(
        &self,
        source: &impl Source,
        needle: Needle,
        from_ms: u64,
        most: usize,
    ) -> Result<Found, PlayError> {
        let _turn = self.turn().await?;
        let until = Instant::now() + self.play_time;
        let mut search = Search::new(needle, source.size(), from_ms, most);
        let mut is_partial = false;
        for segment in source.segments() {
            let events = match source.read(segment.index).await {
                Ok(events) => events,
                Err(Unreadable::Damaged(_)) => {
                    is_partial = true;
                    continue;
                }
                Err(error @ Unreadable::Storage(_)) => return Err(error.into()),
            };
            let (later, flow) = blocking(move || {
                let flow = feed_all(&events, until, |event| search.feed(event));
                (search, flow)
            })
            .await?;
            search = later;
            if flow.is_break() {
                is_partial = true;
                break;
            }
        }
        let (hits, is_full) = search.finish();
        Ok(Found { hits, truncated: is_full || is_partial })
    }

    /// The screen as it was at a time. Cancel safe: the playing ends.
    pub async fn screen(&self, source: &impl Source, at_ms: u64) -> Result<ScreenAt, PlayError> {
        let _turn = self.turn().await?;
        let until = Instant::now() + self.play_time;
        let segments = source.segments();
        let behind = segments.last().map_or(0, |segment| segment.index + 1);
        let begin = self.keyframes.latest(source.session(), &segments, at_ms);
        let (mut screen, rest) = match begin {
            Some((keyframe, played)) => (Screen::restored(keyframe.size, &keyframe.drawn), &segments[played..]),
            None => (Screen::new(source.size()), &segments[..]),
        };
        for segment in rest {
            let events = match source.read(segment.index).await {
                Ok(events) => events,
                Err(Unreadable::Damaged(_)) => continue,
                Err(error @ Unreadable::Storage(_)) => return Err(error.into()),
            };
            let (later, played) = blocking(move || {
                let due = events.partition_point(|event| event.at_ms <= at_ms);
                let flow = feed_all(&events[..due], until, |event| {
                    screen.feed(event);
                    ControlFlow::Continue(())
                });
                (screen, flow.is_continue().then_some((due, due == events.len())))
            })
            .await?;
            screen = later;
            match played {
                None => return Err(PlayError::TooLong),
                Some((_, true)) => {
                    let keyframe = Keyframe { size: screen.size(), drawn: screen.draw() };
                    self.keyframes.keep(source.session(), segment, keyframe);
                }
                Some((next_event, false)) => return Ok(screen_at(&screen, segment.index, next_event)),
            }
        }
        Ok(screen_at(&screen, behind, 0))
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, PlayError> {
        match tokio::time::timeout(self.turn, self.turns.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(PlayError::Busy),
        }
    }
}

fn screen_at(screen: &Screen, next_segment: u64, next_event: usize) -> ScreenAt {
    ScreenAt { size: screen.size(), drawn: screen.draw(), next_segment, next_event }
}

/// Feeds until somebody breaks, or the time is up.
fn feed_all(
    events: &[TimedEvent],
    until: Instant,
    mut feed: impl FnMut(&TimedEvent) -> ControlFlow<()>,
) -> ControlFlow<()> {
    events.iter().try_for_each(|event| {
        if Instant::now() > until {
            return ControlFlow::Break(());
        }
        feed(event)
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, PlayError> {
    spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a recording could not be played");
        PlayError::Broken
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::recording::asciicast::Event;

    const SIZE: TerminalSize = TerminalSize::DEFAULT;

    /// Segments of events; an error in place of one that cannot be read.
    struct Tape {
        segments: Vec<Result<Vec<TimedEvent>, Unreadable>>,
        reads: AtomicUsize,
    }

    impl Source for Tape {
        fn session(&self) -> SessionId {
            SessionId::new(1, &[1; 10])
        }

        fn size(&self) -> TerminalSize {
            SIZE
        }

        fn segments(&self) -> Vec<SegmentFacts> {
            let facts = |(segment, number): (&Result<Vec<TimedEvent>, _>, u64)| SegmentFacts {
                index: number,
                to_ms: segment.as_ref().ok().and_then(|events| events.last()).map_or(number * 10, |last| last.at_ms),
                sha256: number.to_string(),
            };
            self.segments.iter().zip(1..).map(facts).collect()
        }

        async fn read(&self, index: u64) -> Result<Vec<TimedEvent>, Unreadable> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            self.segments[usize::try_from(index).expect("small") - 1].clone()
        }
    }

    fn output(at_ms: u64, text: &str) -> TimedEvent {
        TimedEvent { at_ms, event: Event::Output(text.to_owned()) }
    }

    fn tape(segments: Vec<Result<Vec<TimedEvent>, Unreadable>>) -> Tape {
        Tape { segments, reads: AtomicUsize::new(0) }
    }

    fn damaged() -> Result<Vec<TimedEvent>, Unreadable> {
        Err(Unreadable::Damaged("it was changed".into()))
    }

    fn needle(text: &str) -> Needle {
        Needle::parse(text).expect("good")
    }

    fn rows(at: &ScreenAt) -> Vec<String> {
        let mut terminal = screen::terminal(at.size);
        terminal.feed(at.drawn.as_str());
        let rows: Vec<String> = terminal.screen().visible_lines().map(|row| row.text().trim_end().to_owned()).collect();
        rows.into_iter().filter(|row| !row.is_empty()).collect()
    }

    #[tokio::test]
    async fn a_screen_is_drawn_at_any_moment_and_says_where_to_go_on() {
        let segments =
            vec![Ok(vec![output(1, "a\r\n"), output(5, "b\r\n")]), Ok(vec![output(5, "c\r\n"), output(9, "d")])];
        let tape = tape(segments);
        let replays = Replays::default();
        for (at_ms, expected, next) in [
            (0, vec![], (1, 0)),
            (1, vec!["a"], (1, 1)),
            (5, vec!["a", "b", "c"], (2, 1)),
            (8, vec!["a", "b", "c"], (2, 1)),
            (9, vec!["a", "b", "c", "d"], (3, 0)),
            (99, vec!["a", "b", "c", "d"], (3, 0)),
            (4, vec!["a"], (1, 1)),
        ] {
            let at = replays.screen(&tape, at_ms).await.expect("draws");
            assert_eq!(
                (rows(&at), (at.next_segment, at.next_event)),
                (expected.into_iter().map(String::from).collect(), next),
                "{at_ms}"
            );
        }
    }

    #[tokio::test]
    async fn a_second_jump_begins_where_the_first_one_passed() {
        let tape = tape((0..50).map(|at| Ok(vec![output(at, "x")])).collect());
        let replays = Replays::default();
        let first = replays.screen(&tape, 48).await.expect("draws");
        let reads = tape.reads.swap(0, Ordering::Relaxed);
        let second = replays.screen(&tape, 47).await.expect("draws");
        assert_eq!((reads, tape.reads.load(Ordering::Relaxed)), (50, 1));
        assert_eq!(rows(&first)[0].len(), rows(&second)[0].len() + 1);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_left_out_and_told() {
        let tape = tape(vec![Ok(vec![output(1, "needle\r\n")]), damaged(), Ok(vec![output(20, "needle 2")])]);
        let replays = Replays::default();
        let found = replays.search(&tape, needle("needle"), 0, 10).await.expect("searches");
        assert_eq!(found.hits.iter().map(|hit| hit.at_ms).collect::<Vec<_>>(), [1, 20]);
        assert!(found.truncated);
        let at = replays.screen(&tape, 30).await.expect("draws");
        assert_eq!(rows(&at), ["needle", "needle 2"]);
    }

    #[tokio::test]
    async fn storage_that_is_down_is_no_damage() {
        let tape = tape(vec![Err(Unreadable::Storage("no route".into()))]);
        let replays = Replays::default();
        assert!(matches!(replays.search(&tape, needle("x"), 0, 1).await, Err(PlayError::Unreadable(_))));
        assert!(matches!(replays.screen(&tape, 3).await, Err(PlayError::Unreadable(_))));
    }

    #[tokio::test]
    async fn a_million_hits_end_when_there_are_enough() {
        let flood = "needle\r\n".repeat(20_000);
        let tape = tape((0..50).map(|at| Ok(vec![output(at, &flood)])).collect());
        let found = Replays::default().search(&tape, needle("needle"), 0, 200).await.expect("searches");
        assert_eq!((found.hits.len(), found.truncated), (200, true));
        assert_eq!(tape.reads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_search_ends_when_its_time_is_up_and_says_so() {
        let tape = tape((0..50).map(|at| Ok(vec![output(at, "needle\r\n")])).collect());
        let replays = Replays { play_time: Duration::ZERO, ..Replays::default() };
        let found = replays.search(&tape, needle("needle"), 0, 200).await.expect("searches");
        assert_eq!((found.hits.len(), found.truncated), (0, true));
        assert_eq!(replays.screen(&tape, 40).await, Err(PlayError::TooLong));
    }

    #[tokio::test]
    async fn who_gets_no_turn_is_told_to_come_back() {
        let replays = Replays { turns: Arc::new(Semaphore::new(0)), turn: Duration::ZERO, ..Replays::default() };
        assert_eq!(replays.screen(&tape(vec![]), 0).await, Err(PlayError::Busy));
    }
}
