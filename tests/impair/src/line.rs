//! One direction of one flow: a [`Decider`] and what waits behind it, in order of time. Pure like it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use bytes::Bytes;

use crate::counters::Tally;
use crate::decide::{Carries, Decider, Verdict};
use crate::profile::Impairment;

/// A direction that packets enter and leave.
#[derive(Debug)]
pub struct Line {
    decider: Decider,
    waiting: BinaryHeap<Reverse<Waiting>>,
    entered: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    at: Instant,
    /// Packets of the same time leave as they came.
    number: u64,
    packet: Bytes,
}

impl Line {
    /// An empty line.
    pub fn new(impairment: Impairment, carries: Carries, seed: u64) -> Self {
        Self { decider: Decider::new(impairment, carries, seed), waiting: BinaryHeap::new(), entered: 0 }
    }

    /// Treats what enters from now on by another impairment.
    pub fn set_impairment(&mut self, impairment: Impairment) {
        self.decider.set_impairment(impairment);
    }

    /// A packet enters.
    pub fn enter(&mut self, now: Instant, packet: Bytes, tally: &Tally) {
        tally.entered.add(1);
        match self.decider.decide(now, packet.len()) {
            Verdict::Lose => tally.lost.add(1),
            Verdict::Overflow => tally.overflowed.add(1),
            Verdict::Deliver { at, copy_at, held_back } => {
                tally.reordered.add(u64::from(held_back));
                if let Some(copy_at) = copy_at {
                    tally.duplicated.add(1);
                    self.wait(copy_at, packet.clone());
                }
                self.wait(at, packet);
            }
        }
    }

    /// When the next packet leaves.
    pub fn next_at(&self) -> Option<Instant> {
        self.waiting.peek().map(|Reverse(waiting)| waiting.at)
    }

    /// The next packet whose time has come.
    pub fn leave(&mut self, now: Instant) -> Option<Bytes> {
        if self.next_at()? > now {
            return None;
        }
        let Reverse(waiting) = self.waiting.pop()?;
        self.decider.released(waiting.packet.len());
        Some(waiting.packet)
    }

    /// Throws away all that waits; says how many packets that were.
    pub fn clear(&mut self) -> u64 {
        self.decider.cleared();
        self.waiting.drain().len() as u64
    }

    /// Whether more may enter without being dropped.
    pub fn has_room(&self) -> bool {
        self.decider.has_room_for(1)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn wait(&mut self, at: Instant, packet: Bytes) {
        self.entered += 1;
        self.waiting.push(Reverse(Waiting { at, number: self.entered, packet }));
    }
}

/// Sleeps until then; for ever without a time.
pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::profile::Probability;

    #[test]
    fn a_packet_leaves_when_its_time_has_come() {
        let now = Instant::now();
        let delay = Duration::from_millis(50);
        let mut line = Line::new(Impairment { delay, ..Impairment::NONE }, Carries::Datagrams, 0);
        line.enter(now, Bytes::from_static(b"a"), &Tally::default());
        assert_eq!(line.leave(now), None);
        assert_eq!(line.next_at(), Some(now + delay));
        assert_eq!(line.leave(now + delay), Some(Bytes::from_static(b"a")));
        assert!(line.is_empty());
    }

    #[test]
    fn a_copy_leaves_behind_its_packet() {
        let mut line =
            Line::new(Impairment { duplicate: Probability::ALWAYS, ..Impairment::NONE }, Carries::Datagrams, 0);
        let now = Instant::now();
        line.enter(now, Bytes::from_static(b"a"), &Tally::default());
        assert_eq!((line.leave(now), line.leave(now), line.leave(now)).2, None);
        assert!(line.is_empty());
    }

    proptest! {
        #[test]
        fn what_leaves_is_what_entered_and_was_not_dropped(sizes in prop::collection::vec(1_usize..2_000, 1..100), seed: u64) {
            let impairment = Impairment {
                loss: Probability::percent(20),
                duplicate: Probability::percent(20),
                reorder: Probability::percent(20),
                jitter: Duration::from_millis(5),
                queue_bytes: 20_000,
                ..Impairment::NONE
            };
            let mut line = Line::new(impairment, Carries::Datagrams, seed);
            let tally = Tally::default();
            let now = Instant::now();
            for size in &sizes {
                line.enter(now, Bytes::from(vec![0; *size]), &tally);
            }
            let mut left = 0;
            while line.leave(now + Duration::from_secs(1)).is_some() {
                left += 1;
            }
            let counted = tally.read();
            prop_assert_eq!(counted.entered, sizes.len() as u64);
            prop_assert_eq!(left, counted.entered - counted.lost - counted.overflowed + counted.duplicated);
            prop_assert!(line.has_room());
        }
    }
}
