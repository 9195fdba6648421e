//! Screens at the ends of segments, kept in memory so that a second jump need not play everything again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use podlatch_protocol::id::SessionId;
use podlatch_protocol::terminal::TerminalSize;

use super::SegmentFacts;

/// Memory that all of them may take together, in bytes; the oldest go first.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// What one takes besides its text, about.
const OVERHEAD_BYTES: usize = 256;

/// A screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keyframe {
    pub(super) size: TerminalSize,
    pub(super) drawn: String,
}

/// Of which session, behind a segment with which content.
type Key = (SessionId, u64, String);

#[derive(Debug, Default)]
struct Kept {
    frames: HashMap<Key, Arc<Keyframe>>,
    order: VecDeque<Key>,
    bytes: usize,
}

/// Those that are kept.
#[derive(Debug, Default)]
pub(super) struct Keyframes(Mutex<Kept>);

impl Keyframes {
    /// The last one that is not behind `at_ms`, and how many segments it has behind it.
    pub(super) fn latest(
        &self,
        session: SessionId,
        segments: &[SegmentFacts],
        at_ms: u64,
    ) -> Option<(Arc<Keyframe>, usize)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = segments.partition_point(|segment| segment.to_ms <= at_ms);
        let frame = |segment| kept.frames.get(&key(session, segment)).cloned();
        (1..=due).rev().find_map(|played| frame(&segments[played - 1]).map(|frame| (frame, played)))
    }

    /// Keeps the screen behind a segment.
    pub(super) fn keep(&self, session: SessionId, segment: &SegmentFacts, frame: Keyframe) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(session, segment);
        if kept.frames.contains_key(&key) {
            return;
        }
        kept.bytes += frame.drawn.len() + OVERHEAD_BYTES;
        kept.frames.insert(key.clone(), Arc::new(frame));
        kept.order.push_back(key);
        while kept.bytes > MOST_BYTES {
            let Some(oldest) = kept.order.pop_front() else { break };
            if let Some(frame) = kept.frames.remove(&oldest) {
                kept.bytes -= frame.drawn.len() + OVERHEAD_BYTES;
            }
        }
    }
}

fn key(session: SessionId, segment: &SegmentFacts) -> Key {
    (session, segment.index, segment.sha256.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let keyframes = Keyframes::default();
        let session = SessionId::new(1, &[1; 10]);
        let segments: Vec<SegmentFacts> =
            (0..40).map(|index| SegmentFacts { index, to_ms: index, sha256: index.to_string() }).collect();
        for segment in &segments {
            let drawn = "x".repeat(1024 * 1024);
            keyframes.keep(session, segment, Keyframe { size: TerminalSize::DEFAULT, drawn });
        }
        assert!(keyframes.latest(session, &segments, 10).is_none());
        assert_eq!(keyframes.latest(session, &segments, 38).map(|(_, played)| played), Some(39));
        assert!(keyframes.latest(SessionId::new(2, &[2; 10]), &segments, 38).is_none());
        let kept = keyframes.0.lock().expect("no holder panics");
        assert!(kept.bytes <= MOST_BYTES && kept.frames.len() == kept.order.len());
    }
}
