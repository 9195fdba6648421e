//! What becomes of each packet: pure, from a seed and the time that the caller passes in.

use std::time::{Duration, Instant};

use crate::profile::{Impairment, Probability};

/// By how much a lost TCP segment is late: Linux' shortest retransmission timeout.
pub const RETRANSMISSION: Duration = Duration::from_millis(200);

/// What a direction carries, which says what loss means to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// Packets that may be lost, doubled and reordered.
    Datagrams,
    /// Bytes that arrive once and in order; loss makes them late.
    Stream,
}

/// What becomes of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It arrives.
    Deliver {
        /// When.
        at: Instant,
        /// When its copy arrives, if it is doubled.
        copy_at: Option<Instant>,
        /// Whether later packets may overtake it.
        held_back: bool,
    },
    /// It never arrives, by chance.
    Lose,
    /// It never arrives, because too many bytes wait already. Streams never meet it: they are not read while that is so.
    Overflow,
}

/// Decides for one direction of one flow.
///
/// Every packet uses up the same number of draws, whatever the impairment is, so changing that in the middle does not shift
/// the fate of the packets behind.
#[derive(Debug, Clone)]
pub struct Decider {
    impairment: Impairment,
    carries: Carries,
    random: SplitMix64,
    /// When the rate lets the next packet begin.
    free_at: Option<Instant>,
    /// When the last packet that kept its place arrives.
    last_at: Option<Instant>,
    held_bytes: usize,
}

impl Decider {
    /// Decides by this impairment, with chance from this seed.
    pub fn new(impairment: Impairment, carries: Carries, seed: u64) -> Self {
        Self { impairment, carries, random: SplitMix64(seed), free_at: None, last_at: None, held_bytes: 0 }
    }

    /// Decides by another impairment from now on. What was decided stays.
    pub fn set_impairment(&mut self, impairment: Impairment) {
        self.impairment = impairment;
        if impairment.rate.is_none() {
            self.free_at = None;
        }
    }

    /// What becomes of a packet that comes `now`. Times never go back from call to call.
    pub fn decide(&mut self, now: Instant, packet_bytes: usize) -> Verdict {
        let draws = Draws::next(&mut self.random);
        let impairment = self.impairment;
        if impairment.loss.hits(draws.loss) && self.carries == Carries::Datagrams {
            return Verdict::Lose;
        }
        if !self.has_room_for(packet_bytes) && self.carries == Carries::Datagrams {
            return Verdict::Overflow;
        }
        let arrives = self.pass_rate(now, packet_bytes) + impairment.delay;
        let mut at = arrives + share(impairment.jitter, draws.jitter);
        if impairment.loss.hits(draws.loss) {
            at += RETRANSMISSION;
        }
        self.held_bytes += packet_bytes;
        let held_back = self.happens(impairment.reorder, draws.reorder);
        if held_back {
            at += impairment.reorder_by;
        } else {
            at = self.last_at.map_or(at, |last| at.max(last));
            self.last_at = Some(at);
        }
        let doubled = self.happens(impairment.duplicate, draws.duplicate) && self.has_room_for(packet_bytes);
        let copy_at = doubled.then(|| {
            self.held_bytes += packet_bytes;
            at.max(arrives + share(impairment.jitter, draws.copy_jitter))
        });
        Verdict::Deliver { at, copy_at, held_back }
    }

    /// Says that everything that waited was thrown away: what comes next need not queue behind it.
    pub fn cleared(&mut self) {
        (self.free_at, self.last_at, self.held_bytes) = (None, None, 0);
    }

    /// Says that a packet, or its copy, waits no longer.
    pub fn released(&mut self, packet_bytes: usize) {
        self.held_bytes = self.held_bytes.saturating_sub(packet_bytes);
    }

    /// Whether a packet of this size may wait. The first may always, however large it is.
    pub fn has_room_for(&self, packet_bytes: usize) -> bool {
        self.held_bytes == 0 || self.held_bytes.saturating_add(packet_bytes) <= self.impairment.queue_bytes
    }

    /// How many bytes wait.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// When the packet is through the rate.
    fn pass_rate(&mut self, now: Instant, packet_bytes: usize) -> Instant {
        let Some(rate) = self.impairment.rate else {
            return now;
        };
        let begins = self.free_at.map_or(now, |free| free.max(now));
        let through = begins + rate.time_for(packet_bytes);
        self.free_at = Some(through);
        through
    }

    fn happens(&self, probability: Probability, draw: u64) -> bool {
        self.carries == Carries::Datagrams && probability.hits(draw)
    }
}

/// The chance that one packet uses up.
struct Draws {
    loss: u64,
    duplicate: u64,
    reorder: u64,
    jitter: u64,
    copy_jitter: u64,
}

impl Draws {
    fn next(random: &mut SplitMix64) -> Self {
        Self {
            loss: random.next(),
            duplicate: random.next(),
            reorder: random.next(),
            jitter: random.next(),
            copy_jitter: random.next(),
        }
    }
}

/// An evenly spread part of a duration.
fn share(whole: Duration, draw: u64) -> Duration {
    let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(if nanos == 0 { 0 } else { draw % nanos })
}

/// SplitMix64: the same numbers from the same seed for ever, which crates for randomness do not promise.
///
/// Source: <https://prng.di.unimi.it/splitmix64.c>
#[derive(Debug, Clone)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A seed of its own for each flow and direction of a proxy.
pub(crate) fn derive_seed(seed: u64, flow: u64, direction: u64) -> u64 {
    SplitMix64(seed ^ SplitMix64(flow.wrapping_mul(2).wrapping_add(direction)).next()).next()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::profile::BytesPerSecond;

    fn impairments() -> impl Strategy<Value = Impairment> {
        let probability = || (0_u32..=100).prop_map(Probability::percent);
        let millis = || (0_u64..300).prop_map(Duration::from_millis);
        let rate = prop::option::of((1_u64..1_000_000).prop_map(|bytes| BytesPerSecond::new(bytes).expect("not zero")));
        (millis(), millis(), probability(), probability(), probability(), millis(), rate, 0_usize..100_000).prop_map(
            |(delay, jitter, loss, duplicate, reorder, reorder_by, rate, queue_bytes)| Impairment {
                delay,
                jitter,
                loss,
                duplicate,
                reorder,
                reorder_by,
                rate,
                queue_bytes,
            },
        )
    }

    /// Packets: how long after the one before, in microseconds, and how large.
    fn packets() -> impl Strategy<Value = Vec<(u64, usize)>> {
        prop::collection::vec((0_u64..20_000, 1_usize..1_500), 1..200)
    }

    fn run(decider: &mut Decider, start: Instant, packets: &[(u64, usize)]) -> Vec<(Instant, usize, Verdict)> {
        let mut now = start;
        packets
            .iter()
            .map(|(gap, bytes)| {
                now += Duration::from_micros(*gap);
                (now, *bytes, decider.decide(now, *bytes))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn the_same_seed_decides_the_same(impairment in impairments(), packets in packets(), seed: u64) {
            let start = Instant::now();
            let mut one = Decider::new(impairment, Carries::Datagrams, seed);
            let mut other = one.clone();
            prop_assert_eq!(run(&mut one, start, &packets), run(&mut other, start, &packets));
        }

        #[test]
        fn nothing_is_early_and_nothing_waits_beyond_the_queue(impairment in impairments(), packets in packets(), seed: u64) {
            let mut decider = Decider::new(impairment, Carries::Datagrams, seed);
            for (now, bytes, verdict) in run(&mut decider, Instant::now(), &packets) {
                if let Verdict::Deliver { at, copy_at, .. } = verdict {
                    let earliest = now + impairment.delay + impairment.rate.map_or(Duration::ZERO, |rate| rate.time_for(bytes));
                    prop_assert!(at >= earliest);
                    prop_assert!(copy_at.is_none_or(|copy| copy >= at));
                }
            }
            let largest = packets.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
            prop_assert!(decider.held_bytes() <= impairment.queue_bytes.max(largest));
        }

        #[test]
        fn only_reordering_reorders(impairment in impairments(), packets in packets(), seed: u64) {
            let impairment = Impairment { reorder: Probability::NEVER, ..impairment };
            let mut decider = Decider::new(impairment, Carries::Datagrams, seed);
            let times: Vec<Instant> = run(&mut decider, Instant::now(), &packets)
                .into_iter()
                .filter_map(|(_, _, verdict)| if let Verdict::Deliver { at, .. } = verdict { Some(at) } else { None })
                .collect();
            prop_assert!(times.is_sorted());
        }

        #[test]
        fn the_rate_is_never_exceeded(packets in packets(), bytes_per_second in 1_000_u64..1_000_000, seed: u64) {
            let rate = BytesPerSecond::new(bytes_per_second).expect("not zero");
            let impairment = Impairment { rate: Some(rate), queue_bytes: usize::MAX, ..Impairment::NONE };
            let mut decider = Decider::new(impairment, Carries::Datagrams, seed);
            let start = Instant::now();
            let mut passed = 0;
            for (_, bytes, verdict) in run(&mut decider, start, &packets) {
                let Verdict::Deliver { at, .. } = verdict else { panic!("nothing is dropped here") };
                passed += bytes;
                // Each packet's time is rounded down to a nanosecond.
                prop_assert!(at - start + Duration::from_nanos(packets.len() as u64) >= rate.time_for(passed));
            }
        }

        #[test]
        fn a_stream_loses_nothing_doubles_nothing_and_keeps_its_order(impairment in impairments(), packets in packets(), seed: u64) {
            let mut decider = Decider::new(impairment, Carries::Stream, seed);
            let mut last = None;
            for (_, _, verdict) in run(&mut decider, Instant::now(), &packets) {
                let Verdict::Deliver { at, copy_at: None, held_back: false } = verdict else {
                    panic!("a stream met {verdict:?}")
                };
                prop_assert!(last.is_none_or(|last| at >= last));
                last = Some(at);
            }
        }

        #[test]
        fn a_change_in_the_middle_does_not_shift_the_fates_behind(packets in packets(), seed: u64) {
            let lossy = Impairment { loss: Probability::percent(30), ..Impairment::NONE };
            let lost = |verdicts: Vec<(Instant, usize, Verdict)>| -> Vec<bool> {
                verdicts.into_iter().map(|(_, _, verdict)| verdict == Verdict::Lose).collect()
            };
            let start = Instant::now();
            let (front, behind) = packets.split_at(packets.len() / 2);
            let mut whole = Decider::new(lossy, Carries::Datagrams, seed);
            let expected = lost(run(&mut whole, start, &packets)).split_off(front.len());
            let mut changed = Decider::new(Impairment::NONE, Carries::Datagrams, seed);
            run(&mut changed, start, front);
            changed.set_impairment(lossy);
            prop_assert_eq!(lost(run(&mut changed, start, behind)), expected);
        }
    }

    #[test]
    fn chance_comes_as_often_as_asked() {
        let impairment = Impairment {
            loss: Probability::percent(10),
            duplicate: Probability::percent(20),
            reorder: Probability::percent(30),
            ..Impairment::NONE
        };
        let mut decider = Decider::new(impairment, Carries::Datagrams, 1);
        let (mut lost, mut doubled, mut late) = (0, 0, 0);
        for _ in 0..10_000 {
            match decider.decide(Instant::now(), 1) {
                Verdict::Lose => lost += 1,
                Verdict::Overflow => panic!("one byte at a time fits"),
                Verdict::Deliver { copy_at, held_back, .. } => {
                    doubled += u32::from(copy_at.is_some());
                    late += u32::from(held_back);
                }
            }
        }
        assert!((900..1_100).contains(&lost), "{lost}");
        assert!((1_600..2_000).contains(&doubled), "{doubled}");
        assert!((2_500..2_900).contains(&late), "{late}");
    }

    #[test]
    fn the_numbers_are_those_of_the_published_generator() {
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }
}
