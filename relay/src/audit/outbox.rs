//! Brings the audit log to where it is to go: one loop for each receiver, at least once for each event, in the order of
//! each organisation's log. What could not be delivered stays where it is, in the log, and is tried again.

use std::time::Duration;

use podlatch_protocol::id::OrganisationId;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::body::EventBody;
use crate::domain::access::AuditScope;
use crate::entropy::Entropy;
use crate::store::{AuditFilter, Store, StoreError};

/// Events that are read at once.
const RUN: u16 = 200;

/// Bytes of events from which on a batch is sent.
const BATCH_BYTES: usize = 1024 * 1024;

/// Events of other processes (`admin` commands, other relays) are found within this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The longest first wait after a failure; it doubles with each further one.
const BASE_DELAY: Duration = Duration::from_secs(1);

/// The longest wait.
const MAX_DELAY: Duration = Duration::from_mins(1);

/// Failures between two lines in the relay's own log.
const REPORT_EVERY: u32 = 20;

/// A receiver of events.
pub trait Sink: Send {
    /// What its place in the log is stored under. Never changes.
    fn name(&self) -> &'static str;

    /// Delivers events, one JSON text each; `Ok` means that the receiver has them for good. Must end by itself: it has a
    /// deadline of its own. Not cancel safe: whether the receiver has got them is then unknown, and they come again.
    fn deliver(&mut self, lines: &[String]) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// One receiver, and how it fares.
#[derive(Debug)]
pub struct Outbox<S> {
    store: Store,
    entropy: Entropy,
    sink: S,
    failures: u32,
}

/// What a round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// Something was delivered; there may be more.
    Delivered,
    /// There is nothing to deliver.
    Empty,
}

impl<S: Sink> Outbox<S> {
    /// A receiver's outbox.
    pub const fn new(store: Store, entropy: Entropy, sink: S) -> Self {
        Self { store, entropy, sink, failures: 0 }
    }

    /// Delivers until `stop`, which ends a delivery that is under way too. Cancel safe: that one is made again by the next
    /// life.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut signal = self.store.audit_signal();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.step(&mut signal) => {}
            }
        }
    }

    /// One round, and the wait until the next makes sense.
    async fn step(&mut self, signal: &mut watch::Receiver<()>) {
        signal.mark_unchanged();
        match self.round().await {
            Ok(Round::Delivered) => self.recovered(),
            Ok(Round::Empty) => {
                // Either way it is looked again.
                let _ = timeout(LOOK_AGAIN, signal.changed()).await;
            }
            Err(error) => sleep(self.failed(&error)).await,
        }
    }

    /// One batch of each organisation that has something to deliver, so that none waits for a noisy one.
    async fn round(&mut self) -> anyhow::Result<Round> {
        let pending = self.store.audit_pending(self.sink.name()).await?;
        let round = if pending.is_empty() { Round::Empty } else { Round::Delivered };
        for (organisation, after) in pending {
            let (lines, reached) = self.batch(organisation, after).await?;
            if !lines.is_empty() {
                self.sink.deliver(&lines).await?;
            }
            self.store.audit_delivered(self.sink.name(), organisation, reached).await?;
        }
        Ok(round)
    }

    async fn batch(&self, organisation: OrganisationId, after: u64) -> Result<(Vec<String>, u64), StoreError> {
        let filter = AuditFilter::everything(organisation, AuditScope::All);
        let run = self.store.audit_run(&filter, after, RUN).await?;
        let (mut lines, mut bytes) = (Vec::new(), 0);
        for event in run.items {
            let position = event.position;
            let line = EventBody::from(event).json_line().map_err(|_| StoreError::Corrupt("audit_events.details"))?;
            bytes += line.len();
            lines.push(line);
            if bytes >= BATCH_BYTES {
                return Ok((lines, position));
            }
        }
        Ok((lines, run.reached))
    }

    fn failed(&mut self, error: &anyhow::Error) -> Duration {
        if self.failures.is_multiple_of(REPORT_EVERY) {
            tracing::error!(
                sink = self.sink.name(),
                failures = self.failures + 1,
                "audit events could not be delivered, and wait: {error:#}"
            );
        }
        let delay = delay(self.failures, u64::from_be_bytes(self.entropy.bytes()));
        self.failures = self.failures.saturating_add(1);
        delay
    }

    fn recovered(&mut self) {
        if self.failures > 0 {
            tracing::info!(sink = self.sink.name(), failures = self.failures, "audit events are delivered again");
        }
        self.failures = 0;
    }
}

/// Full jitter: anything up to the bound, so that receivers that come back are not met by everybody at once.
fn delay(failures: u32, random: u64) -> Duration {
    let bound = BASE_DELAY.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(MAX_DELAY);
    let bound = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random % (bound + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_to_a_minute_and_is_never_the_same() {
        for (failures, most) in [(0, 1_000), (1, 2_000), (5, 32_000), (6, 60_000), (40, 60_000), (u32::MAX, 60_000)] {
            assert_eq!(delay(failures, most).as_millis(), u128::from(most), "{failures}");
            assert_eq!(delay(failures, most + 1), Duration::ZERO, "{failures}");
        }
    }
}
