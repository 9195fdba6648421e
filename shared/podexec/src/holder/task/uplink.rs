//! The relay's end of a session, while there is one, and what waits to be told there.

use std::time::{Duration, Instant};

use podlatch_protocol::session::{InputApplied, ToAgent, ToRelay};
use tokio::sync::mpsc;

use crate::holder::handle::Link;

/// How long the news that input was read may wait for output to travel with. An echo mostly follows at once, and two messages
/// would wake every station of the way twice for each keystroke. Well below the time in which a writer fills its window.
const APPLIED_DELAY: Duration = Duration::from_millis(5);

/// The link that is attached, if one is.
pub(super) struct Uplink {
    pub(super) to_relay: Option<mpsc::Sender<ToRelay>>,
    pub(super) from_relay: Option<mpsc::Receiver<ToAgent>>,
    /// Messages that go before further output.
    notices: Vec<ToRelay>,
    /// News of input that was read; it waits for output to follow, but not for long.
    applied: Vec<InputApplied>,
    applied_due: Option<Instant>,
}

impl Uplink {
    /// Attached to a link, which gets these messages before any output.
    pub(super) fn new(link: Link, first: Vec<ToRelay>) -> Self {
        Self {
            to_relay: Some(link.to_relay),
            from_relay: Some(link.from_relay),
            notices: first,
            applied: Vec::new(),
            applied_due: None,
        }
    }

    pub(super) const fn is_attached(&self) -> bool {
        self.to_relay.is_some()
    }

    /// Forgets the link, and what it was to be told: a link's news is nobody else's.
    pub(super) fn detach(&mut self) {
        self.to_relay = None;
        self.from_relay = None;
        self.forget_notices();
    }

    pub(super) fn forget_notices(&mut self) {
        self.notices.clear();
        self.applied.clear();
        self.applied_due = None;
    }

    pub(super) const fn has_notice(&self) -> bool {
        !self.notices.is_empty()
    }

    /// The first message that goes before output.
    pub(super) fn next_notice(&mut self) -> Option<ToRelay> {
        self.has_notice().then(|| self.notices.remove(0))
    }

    /// Input was read: that is told with the next output, or a moment later.
    pub(super) fn note_applied(&mut self, applied: InputApplied, now: Instant) {
        if !self.is_attached() {
            return;
        }
        self.applied.retain(|other| other.writer != applied.writer);
        self.applied.push(applied);
        self.applied_due.get_or_insert(now + APPLIED_DELAY);
    }

    /// Puts the news of input that was read on the way.
    pub(super) fn tell_applied(&mut self) {
        self.applied_due = None;
        self.notices.extend(self.applied.drain(..).map(ToRelay::InputApplied));
    }

    /// Puts it on the way if it waited for long enough by `now`.
    pub(super) fn handle_time(&mut self, now: Instant) {
        if self.applied_due.is_some_and(|due| due <= now) {
            self.tell_applied();
        }
    }

    /// When [`Self::handle_time`] has to be called next.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.applied_due
    }
}

/// What the relay says. Cancel safe.
pub(super) async fn receive(from_relay: &mut Option<mpsc::Receiver<ToAgent>>) -> Option<ToAgent> {
    match from_relay {
        Some(from_relay) => from_relay.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use podlatch_protocol::id::WriterId;

    use super::*;

    fn applied(writer: u64, offset: u64) -> InputApplied {
        InputApplied { writer: WriterId(writer), offset }
    }

    #[test]
    fn news_of_input_waits_a_moment_for_output_and_only_the_latest_of_a_writer_is_told() {
        let (to_relay, _relay) = mpsc::channel(1);
        let (_relay, from_relay) = mpsc::channel(1);
        let mut uplink = Uplink::new(Link { to_relay, from_relay }, Vec::new());
        let start = Instant::now();
        uplink.note_applied(applied(1, 1), start);
        uplink.note_applied(applied(2, 5), start + APPLIED_DELAY / 2);
        uplink.note_applied(applied(1, 2), start + APPLIED_DELAY / 2);
        uplink.handle_time(start + APPLIED_DELAY / 2);
        assert_eq!((uplink.next_notice(), uplink.deadline()), (None, Some(start + APPLIED_DELAY)));
        uplink.handle_time(start + APPLIED_DELAY);
        let told: Vec<_> = std::iter::from_fn(|| uplink.next_notice()).collect();
        assert_eq!(told, [applied(2, 5), applied(1, 2)].map(ToRelay::InputApplied));
        assert_eq!(uplink.deadline(), None);
        uplink.note_applied(applied(1, 3), start);
        uplink.detach();
        uplink.note_applied(applied(1, 4), start);
        uplink.tell_applied();
        assert_eq!((uplink.next_notice(), uplink.deadline()), (None, None), "a link's news is nobody else's");
    }
}
