//! The holder against a small reference model: every byte by itself, no cleverness.

#![cfg(test)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::WriterId;
use podlatch_protocol::limits::{INPUT_WINDOW_BYTES, MAX_CHUNK_BYTES};
use podlatch_protocol::request::Lease;
use podlatch_protocol::session::{Cleanup, ExitOutcome, Input, InputApplied};
use proptest::prelude::*;

use super::{AttachError, Due, Holder, InputIgnored, RING_BYTES};

const GRACE: Duration = Duration::from_mins(5);
const VALID: Duration = Duration::from_secs(15);
const EXPIRY: Duration = Duration::from_hours(8);

fn lease(valid_for: Duration) -> Lease {
    Lease { valid_for, expires_in: EXPIRY }
}

fn holder(credit: u64, now: Instant) -> Holder {
    Holder::new(GRACE, credit, lease(VALID), now)
}

/// What the process wrote, what the relay holds, what the process read: as plain byte strings.
#[derive(Default)]
struct Model {
    written: Vec<u8>,
    durable: usize,
    relay: Vec<u8>,
    credit: usize,
    attached: bool,
    /// Whether the lease runs.
    leased: bool,
    typed: BTreeMap<WriterId, Vec<u8>>,
    read: BTreeMap<WriterId, Vec<u8>>,
}

impl Model {
    fn may_send(&self) -> bool {
        self.attached && self.leased && self.relay.len() < self.written.len().min(self.credit)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<u8>),
    Send(usize),
    Credit(usize),
    Durable(usize),
    Detach,
    /// The lease runs out.
    Freeze,
    /// A new one comes.
    Lease,
    /// Attach with what the relay has, or after it lost the last bytes of what it had.
    Attach {
        lost: usize,
        credit: usize,
    },
    /// Type new bytes, sending again some that were sent before.
    Type {
        writer: u64,
        again: usize,
        new: Vec<u8>,
    },
    /// Send bytes whose predecessors are missing.
    Skip {
        writer: u64,
        gap: u64,
    },
    Apply(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..3_000);
    prop_oneof![
        4 => bytes().prop_map(Step::Write),
        4 => (0_usize..20).prop_map(Step::Send),
        2 => (0_usize..5_000).prop_map(Step::Credit),
        2 => (0_usize..5_000).prop_map(Step::Durable),
        1 => Just(Step::Detach),
        1 => Just(Step::Freeze),
        2 => Just(Step::Lease),
        2 => (0_usize..4_000, 0_usize..5_000).prop_map(|(lost, credit)| Step::Attach { lost, credit }),
        4 => (0_u64..3, 0_usize..50, bytes()).prop_map(|(writer, again, new)| Step::Type { writer, again, new }),
        1 => (0_u64..3, 1_u64..9).prop_map(|(writer, gap)| Step::Skip { writer, gap }),
        3 => (0_usize..5).prop_map(Step::Apply),
    ]
}

fn type_step(holder: &mut Holder, model: &mut Model, writer: WriterId, again: usize, new: &[u8]) {
    let read = model.read.entry(writer).or_default().len();
    let typed = model.typed.entry(writer).or_default();
    let from = typed.len().saturating_sub(again);
    let mut bytes = typed[from..].to_vec();
    bytes.extend_from_slice(new);
    let result = holder.handle_input(Input { writer, offset: from as u64, bytes: bytes.into() });
    let fits = typed.len() + new.len() <= read + usize::try_from(INPUT_WINDOW_BYTES).expect("fits");
    match result {
        Ok(()) => {
            assert!(fits && !new.is_empty());
            typed.extend_from_slice(new);
        }
        Err(InputIgnored::Duplicate) => assert!(new.is_empty()),
        Err(InputIgnored::Overrun) => {}
        Err(InputIgnored::Gap) => panic!("there was no gap"),
    }
}

fn attach_step(holder: &mut Holder, model: &mut Model, lost: usize, credit: usize) {
    let have = model.relay.len().saturating_sub(lost);
    match holder.attach(have as u64, (have + credit) as u64) {
        Ok(attached) => {
            model.relay.truncate(have);
            model.attached = true;
            model.credit = have + credit;
            assert_eq!(attached.output_offset, have as u64);
            for InputApplied { writer, offset } in attached.writers {
                assert_eq!(offset, model.typed.get(&writer).map_or(0, Vec::len) as u64);
            }
        }
        Err(AttachError::Forgotten { .. }) => assert!(have < model.durable),
        Err(AttachError::Ahead { .. }) => panic!("the relay has only what was written"),
    }
}

fn apply(holder: &mut Holder, model: &mut Model, step: Step, now: Instant) {
    match step {
        Step::Write(bytes) => {
            if holder.may_read() {
                model.written.extend_from_slice(&bytes);
                holder.handle_output(Bytes::from(bytes));
            }
        }
        Step::Send(times) => {
            for _ in 0..times {
                assert_eq!(holder.has_output(now), model.may_send(), "what it says and does differ");
                let Some(output) = holder.next_output(now) else { break };
                assert!(model.attached, "output was sent to nobody");
                assert!(model.leased, "output was sent by a frozen session");
                assert_eq!(output.offset, model.relay.len() as u64, "a gap, or bytes twice");
                assert!(output.bytes.len() <= MAX_CHUNK_BYTES);
                model.relay.extend_from_slice(&output.bytes);
                assert!(model.relay.len() <= model.credit, "sent beyond the credit");
            }
        }
        Step::Credit(more) => {
            model.credit = model.relay.len() + more;
            holder.handle_credit((model.relay.len() + more) as u64);
        }
        Step::Durable(less) => {
            let offset = model.relay.len().saturating_sub(less);
            model.durable = model.durable.max(offset);
            holder.handle_recorded(offset as u64);
        }
        Step::Detach => {
            model.attached = false;
            holder.detach(now);
        }
        Step::Freeze => {
            model.leased = false;
            holder.handle_lease(lease(Duration::ZERO), now);
        }
        Step::Lease => {
            model.leased = true;
            holder.handle_lease(lease(VALID), now);
        }
        Step::Attach { lost, credit } => attach_step(holder, model, lost, credit),
        Step::Type { writer, again, new } => type_step(holder, model, WriterId(writer), again, &new),
        Step::Skip { writer, gap } => {
            let writer = WriterId(writer);
            let offset = model.typed.entry(writer).or_default().len() as u64 + gap;
            let input = Input { writer, offset, bytes: Bytes::from_static(b"lost") };
            assert_eq!(holder.handle_input(input), Err(InputIgnored::Gap));
        }
        Step::Apply(times) => {
            for _ in 0..times {
                let Some((writer, bytes)) = holder.next_input(now) else { break };
                assert!(model.leased, "input was applied to a frozen session");
                let read = model.read.entry(writer).or_default();
                read.extend_from_slice(&bytes);
                let applied = holder.input_written(writer, bytes.len() as u64);
                assert_eq!(applied.offset, read.len() as u64);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn no_byte_is_lost_or_doubled_either_way(steps in prop::collection::vec(step(), 1..120)) {
        let now = Instant::now();
        let mut holder = holder(1_000, now);
        let mut model = Model { credit: 1_000, attached: true, leased: true, ..Model::default() };
        for step in steps {
            apply(&mut holder, &mut model, step, now);
            prop_assert!(model.written.starts_with(&model.relay), "the relay has something else than was written");
            for (writer, read) in &model.read {
                prop_assert!(model.typed[writer].starts_with(read), "the process read something else than was typed");
            }
        }
        apply(&mut holder, &mut model, Step::Lease, now);
        // Whatever happened: once a relay is there with credit, everything arrives, and so does everything typed.
        if holder.attach(model.relay.len() as u64, u64::MAX).is_ok() {
            model.attached = true;
            model.credit = usize::MAX;
            apply(&mut holder, &mut model, Step::Send(usize::MAX), now);
            prop_assert_eq!(&model.relay, &model.written);
        }
        apply(&mut holder, &mut model, Step::Apply(usize::MAX), now);
        for (writer, typed) in &model.typed {
            prop_assert_eq!(typed, model.read.entry(*writer).or_default());
        }
    }
}

#[test]
fn a_full_ring_stops_the_reading_and_durability_starts_it_again() {
    let now = Instant::now();
    let mut holder = holder(u64::MAX, now);
    holder.detach(now);
    let chunk = Bytes::from(vec![0; 1 << 20]);
    while holder.may_read() {
        holder.handle_output(chunk.clone());
    }
    assert!(holder.attach(0, u64::MAX).is_ok());
    while holder.next_output(now).is_some() {}
    assert!(!holder.may_read(), "nothing is durable yet");
    holder.handle_recorded(RING_BYTES);
    assert!(holder.may_read());
}

#[test]
fn little_is_read_ahead_of_a_relay_that_gives_no_credit() {
    let mut holder = holder(0, Instant::now());
    let mut read = 0;
    while holder.may_read() {
        holder.handle_output(Bytes::from(vec![0; 4096]));
        read += 4096;
    }
    assert!(read <= 128 * 1024, "{read} bytes would still appear after a Ctrl-C");
}

#[test]
fn the_grace_time_ends_the_session_and_then_forgets_it() {
    let start = Instant::now();
    let mut holder = holder(0, start);
    assert_eq!(holder.deadline(), Some(start + EXPIRY));
    holder.detach(start);
    let late = start + GRACE;
    assert_eq!(holder.handle_timeout(start), Due::Nothing);
    assert_eq!(holder.handle_timeout(late), Due::End(EndCause::RelayLost));
    assert!(holder.begin_end(EndCause::RelayLost));
    assert!(!holder.begin_end(EndCause::ClosedByUser), "the first cause stands");
    holder.handle_end(EndCause::Exited, ExitOutcome::Exited(129), Cleanup::Confirmed, late);
    assert_eq!(holder.handle_timeout(late), Due::Nothing);
    assert_eq!(holder.handle_timeout(late + GRACE), Due::Forget);
    holder.attach(0, 0).expect("a relay may still fetch the end");
    assert_eq!(holder.next_end().map(|ended| ended.cause), Some(EndCause::RelayLost));
}

#[test]
fn the_end_is_reported_behind_the_last_byte() {
    let now = Instant::now();
    let mut holder = holder(2, now);
    holder.handle_output(Bytes::from_static(b"bye"));
    holder.handle_end(EndCause::Exited, ExitOutcome::Exited(0), Cleanup::NotWanted, now);
    while holder.next_output(now).is_some() {}
    assert_eq!(holder.next_end(), None, "a byte is still to come");
    holder.handle_credit(3);
    while holder.next_output(now).is_some() {}
    assert_eq!(holder.next_end().map(|ended| ended.output_length), Some(3));
    assert_eq!(holder.next_end(), None, "once is enough");
    holder.attach(3, 3).expect("a relay that was restarted");
    assert!(holder.next_end().is_some());
}

#[test]
fn only_the_latest_size_counts() {
    use podlatch_protocol::terminal::TerminalSize;
    let mut holder = holder(0, Instant::now());
    holder.handle_resize(TerminalSize::clamped(10, 10));
    holder.handle_resize(TerminalSize::clamped(20, 20));
    assert_eq!(holder.next_resize(), Some(TerminalSize::clamped(20, 20)));
    assert_eq!(holder.next_resize(), None);
}

#[test]
fn a_session_freezes_when_its_lease_runs_out_and_goes_on_with_a_new_one() {
    let start = Instant::now();
    let late = start + VALID;
    let writer = WriterId(1);
    let mut holder = holder(u64::MAX, start);
    holder.handle_output(Bytes::from_static(b"a secret"));
    holder.handle_input(Input { writer, offset: 0, bytes: Bytes::from_static(b"rm") }).expect("new");
    assert!(holder.has_output(start) && holder.has_input(start));
    assert!(!holder.has_output(late) && holder.next_output(late).is_none());
    assert!(!holder.has_input(late) && holder.next_input(late).is_none());
    assert!(holder.may_read(), "the process itself goes on");
    holder.attach(0, u64::MAX).expect("a relay returns");
    assert!(holder.next_output(late).is_none(), "no attach is a right");
    holder.handle_lease(lease(VALID), late);
    assert_eq!(holder.next_output(late).map(|output| output.bytes), Some(Bytes::from_static(b"a secret")));
    assert_eq!(holder.next_input(late), Some((writer, Bytes::from_static(b"rm"))));
}

#[test]
fn a_session_ends_at_its_expiry_by_this_sides_clock_whether_a_relay_is_there_or_not() {
    let start = Instant::now();
    for detached_at in [None, Some(start + EXPIRY.mul_f64(0.999))] {
        let mut holder = holder(0, start);
        if let Some(at) = detached_at {
            holder.detach(at);
        }
        assert_eq!(holder.deadline(), Some(start + EXPIRY));
        assert_eq!(holder.handle_timeout(start + EXPIRY.mul_f64(0.999)), Due::Nothing);
        assert_eq!(holder.handle_timeout(start + EXPIRY), Due::End(EndCause::Expired));
    }
    let mut holder = holder(0, start);
    holder.detach(start);
    assert_eq!(holder.handle_timeout(start + GRACE), Due::End(EndCause::RelayLost), "whichever comes first");
}
