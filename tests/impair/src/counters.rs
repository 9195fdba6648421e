//! What happened so far.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a proxy has done since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// From the clients to the upstream.
    pub to_upstream: DirectionCounters,
    /// From the upstream to the clients.
    pub to_client: DirectionCounters,
    /// Flows (UDP client addresses, TCP connections) that were begun.
    pub flows: u64,
    /// Source ports that were given up towards the upstream (UDP).
    pub address_changes: u64,
    /// Connections that were reset (TCP).
    pub resets: u64,
}

/// What happened to packets (UDP) or to reads (TCP) of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DirectionCounters {
    /// Entered the proxy.
    pub entered: u64,
    /// Left it.
    pub delivered: u64,
    /// Were lost by chance.
    pub lost: u64,
    /// Were doubled by chance.
    pub duplicated: u64,
    /// Were held back by chance.
    pub reordered: u64,
    /// Were dropped because too many bytes waited.
    pub overflowed: u64,
    /// Were swallowed by a cut.
    pub cut: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The running count of one direction.
#[derive(Debug, Default)]
pub struct Tally {
    pub(crate) entered: Counter,
    pub(crate) delivered: Counter,
    pub(crate) lost: Counter,
    pub(crate) duplicated: Counter,
    pub(crate) reordered: Counter,
    pub(crate) overflowed: Counter,
    pub(crate) cut: Counter,
}

impl Tally {
    /// The count so far.
    pub fn read(&self) -> DirectionCounters {
        DirectionCounters {
            entered: self.entered.get(),
            delivered: self.delivered.get(),
            lost: self.lost.get(),
            duplicated: self.duplicated.get(),
            reordered: self.reordered.get(),
            overflowed: self.overflowed.get(),
            cut: self.cut.get(),
        }
    }
}

/// The running count of a proxy.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    pub(crate) to_upstream: Tally,
    pub(crate) to_client: Tally,
    pub(crate) flows: Counter,
    pub(crate) address_changes: Counter,
    pub(crate) resets: Counter,
}

impl Tallies {
    pub(crate) fn read(&self) -> Counters {
        Counters {
            to_upstream: self.to_upstream.read(),
            to_client: self.to_client.read(),
            flows: self.flows.get(),
            address_changes: self.address_changes.get(),
            resets: self.resets.get(),
        }
    }
}
