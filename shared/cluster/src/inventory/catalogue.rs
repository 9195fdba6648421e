//! What one watch knows, and what a subscriber has been told of it. Pure.
//!
//! A subscriber is brought up to date from the state, not from a queue of changes: however slow it is, it costs the memory
//! of its keys alone, and it never sees anything that is out of date by more than one step.

use std::collections::BTreeMap;

use podlatch_protocol::close::Refusal;
use podlatch_protocol::inventory::{InventoryEvent, Item, ItemKey, WorkloadKind};

use super::pods::Life;

/// Events that one step returns at most.
const STEP: usize = 256;

/// A kind of objects that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Feed {
    /// Namespaces.
    Namespaces,
    /// Pods.
    Pods,
    /// Workloads of a kind.
    Workloads(WorkloadKind),
}

impl Feed {
    /// Without this one, the watch makes no sense.
    const fn is_essential(self) -> bool {
        matches!(self, Self::Namespaces | Self::Pods)
    }

    fn holds(self, key: &ItemKey) -> bool {
        match key {
            ItemKey::Namespace(_) => self == Self::Namespaces,
            ItemKey::Pod(_) => self == Self::Pods,
            ItemKey::Workload(kind, _) => self == Self::Workloads(*kind),
        }
    }
}

/// Everything that one watch knows.
#[derive(Debug)]
pub(super) struct Catalogue {
    entries: BTreeMap<ItemKey, Entry>,
    feeds: BTreeMap<Feed, FeedState>,
    revision: u64,
    listing: u64,
}

#[derive(Debug)]
struct Entry {
    item: Item,
    life: Life,
    revision: u64,
    listing: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum FeedState {
    /// Nothing complete was seen yet.
    Listing,
    /// It is complete, as far as Kubernetes answers.
    Complete,
    /// It cannot be seen.
    Failed(Refusal),
}

/// What a pod that is looked for is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PodPresence {
    /// Not known yet, or not to be known.
    Unknown,
    /// It is there.
    Present,
    /// It was deleted, replaced, or has ended.
    Gone,
}

impl Catalogue {
    /// Knows nothing yet of `feeds`.
    pub(super) fn new(feeds: impl IntoIterator<Item = Feed>) -> Self {
        let feeds = feeds.into_iter().map(|feed| (feed, FeedState::Listing)).collect();
        Self { entries: BTreeMap::new(), feeds, revision: 0, listing: 0 }
    }

    /// An item exists, or changed.
    pub(super) fn apply(&mut self, item: Item, life: Life) {
        let (key, listing) = (item.key(), self.listing);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.listing = listing;
            entry.life = life;
            if entry.item == item {
                return;
            }
        }
        self.revision += 1;
        self.entries.insert(key, Entry { item, life, revision: self.revision, listing });
    }

    /// An item is gone.
    pub(super) fn delete(&mut self, key: &ItemKey) {
        self.entries.remove(key);
    }

    /// A whole new list of a feed begins.
    pub(super) const fn begin_list(&mut self) {
        self.listing += 1;
    }

    /// The list is complete: what it does not have is gone.
    pub(super) fn end_list(&mut self, feed: Feed, began: u64) {
        self.entries.retain(|key, entry| !feed.holds(key) || entry.listing >= began);
        self.feeds.insert(feed, FeedState::Complete);
    }

    /// The number of the newest list.
    pub(super) const fn listing(&self) -> u64 {
        self.listing
    }

    /// A feed failed for now. What was complete before stays as it is, unless the right to it was withdrawn.
    pub(super) fn fail(&mut self, feed: Feed, refusal: Refusal, failure: FeedFailure) {
        if failure == FeedFailure::Passing && self.feeds.get(&feed) == Some(&FeedState::Complete) {
            return;
        }
        self.entries.retain(|key, _| !feed.holds(key));
        self.feeds.insert(feed, FeedState::Failed(refusal));
    }

    /// Why the watch cannot be served, if it cannot.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        self.feeds.iter().find_map(|(feed, state)| match state {
            FeedState::Failed(refusal) if feed.is_essential() => Some(refusal),
            _ => None,
        })
    }

    /// What a pod is doing, told apart from another pod of the same name by its UID.
    pub(super) fn pod(&self, name: &str, uid: &str) -> PodPresence {
        if self.feeds.get(&Feed::Pods) != Some(&FeedState::Complete) {
            return PodPresence::Unknown;
        }
        match self.entries.get(&ItemKey::Pod(name.to_owned())) {
            Some(Entry { item: Item::LabelledPod(pod), life: Life::Alive, .. }) if pod.item.uid == uid => {
                PodPresence::Present
            }
            _ => PodPresence::Gone,
        }
    }

    fn is_complete(&self) -> bool {
        self.feeds.values().all(|state| *state != FeedState::Listing)
    }
}

/// How a feed failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FeedFailure {
    /// Kubernetes does not allow it.
    Refused,
    /// Kubernetes does not answer, or not properly.
    Passing,
}

/// What one subscriber has been told.
#[derive(Debug, Default)]
pub(super) struct View {
    told: BTreeMap<ItemKey, u64>,
    synced: bool,
}

impl View {
    /// The next events for this subscriber; empty when it knows everything.
    pub(super) fn step(&mut self, catalogue: &Catalogue) -> Vec<InventoryEvent> {
        if let Some(refusal) = catalogue.refusal() {
            return vec![InventoryEvent::Refused(refusal.clone())];
        }
        let mut events = Vec::new();
        let gone: Vec<_> =
            self.told.keys().filter(|key| !catalogue.entries.contains_key(key)).take(STEP).cloned().collect();
        for key in gone {
            self.told.remove(&key);
            events.push(InventoryEvent::Deleted(key));
        }
        for (key, entry) in &catalogue.entries {
            if events.len() >= STEP {
                return events;
            }
            if self.told.get(key) != Some(&entry.revision) {
                self.told.insert(key.clone(), entry.revision);
                events.push(InventoryEvent::Applied(entry.item.clone()));
            }
        }
        if !self.synced && catalogue.is_complete() {
            self.synced = true;
            events.push(InventoryEvent::Synced);
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use podlatch_protocol::close::RefusalCode;
    use podlatch_protocol::inventory::{LabelledPod, NamespaceItem, PodItem, WorkloadItem};
    use proptest::prelude::*;

    use super::*;

    const DEPLOYMENTS: Feed = Feed::Workloads(WorkloadKind::Deployment);

    fn catalogue() -> Catalogue {
        Catalogue::new([Feed::Pods, DEPLOYMENTS])
    }

    fn pod(name: &str, uid: &str) -> Item {
        let item = PodItem {
            name: name.to_owned(),
            uid: uid.to_owned(),
            workload: None,
            status: String::new(),
            restarts: 0,
            created_unix_seconds: 0,
            containers: vec![],
            default_container: None,
        };
        Item::LabelledPod(LabelledPod { item, labels: None })
    }

    fn deployment(name: &str) -> Item {
        Item::Workload(WorkloadItem { kind: WorkloadKind::Deployment, name: name.to_owned(), desired: 1, ready: 1 })
    }

    fn list(catalogue: &mut Catalogue, feed: Feed, items: impl IntoIterator<Item = Item>) {
        catalogue.begin_list();
        let began = catalogue.listing();
        for item in items {
            catalogue.apply(item, Life::Alive);
        }
        catalogue.end_list(feed, began);
    }

    fn refusal() -> Refusal {
        Refusal::new(RefusalCode::Forbidden, "no")
    }

    #[test]
    fn a_subscriber_gets_what_there_is_then_synced_then_changes() {
        let (mut catalogue, mut view) = (catalogue(), View::default());
        assert!(view.step(&catalogue).is_empty());
        list(&mut catalogue, Feed::Pods, [pod("a", "1")]);
        assert_eq!(view.step(&catalogue), [InventoryEvent::Applied(pod("a", "1"))]);
        list(&mut catalogue, DEPLOYMENTS, []);
        assert_eq!(view.step(&catalogue), [InventoryEvent::Synced]);
        catalogue.apply(pod("a", "2"), Life::Alive);
        assert_eq!(view.step(&catalogue), [InventoryEvent::Applied(pod("a", "2"))]);
        catalogue.apply(pod("a", "2"), Life::Alive);
        assert!(view.step(&catalogue).is_empty(), "nothing changed");
        catalogue.delete(&ItemKey::Pod("a".to_owned()));
        assert_eq!(view.step(&catalogue), [InventoryEvent::Deleted(ItemKey::Pod("a".to_owned()))]);
        assert!(view.step(&catalogue).is_empty());
    }

    #[test]
    fn a_new_list_removes_what_it_does_not_have_and_only_of_its_kind() {
        let (mut catalogue, mut view) = (catalogue(), View::default());
        list(&mut catalogue, Feed::Pods, [pod("a", "1"), pod("b", "1")]);
        list(&mut catalogue, DEPLOYMENTS, [deployment("d")]);
        assert_eq!(view.step(&catalogue).len(), 4);
        list(&mut catalogue, Feed::Pods, [pod("b", "1")]);
        assert_eq!(view.step(&catalogue), [InventoryEvent::Deleted(ItemKey::Pod("a".to_owned()))]);
    }

    #[test]
    fn without_pods_the_watch_is_refused_and_without_a_kind_of_workload_it_is_not() {
        let (mut catalogue, mut view) = (catalogue(), View::default());
        catalogue.fail(DEPLOYMENTS, refusal(), FeedFailure::Refused);
        list(&mut catalogue, Feed::Pods, [pod("a", "1")]);
        assert_eq!(view.step(&catalogue), [InventoryEvent::Applied(pod("a", "1")), InventoryEvent::Synced]);
        catalogue.fail(Feed::Pods, refusal(), FeedFailure::Passing);
        assert_eq!(catalogue.refusal(), None, "what was complete stays");
        catalogue.fail(Feed::Pods, refusal(), FeedFailure::Refused);
        assert_eq!(view.step(&catalogue), [InventoryEvent::Refused(refusal())]);
        list(&mut catalogue, Feed::Pods, []);
        assert_eq!(catalogue.refusal(), None, "and comes back");
    }

    #[test]
    fn a_pod_is_gone_when_it_is_deleted_replaced_or_ended_but_not_before_pods_are_known() {
        let mut catalogue = catalogue();
        assert_eq!(catalogue.pod("a", "1"), PodPresence::Unknown);
        list(&mut catalogue, Feed::Pods, [pod("a", "1")]);
        assert_eq!(catalogue.pod("a", "1"), PodPresence::Present);
        assert_eq!(catalogue.pod("a", "0"), PodPresence::Gone);
        catalogue.apply(pod("a", "1"), Life::Ended);
        assert_eq!(catalogue.pod("a", "1"), PodPresence::Gone);
        catalogue.fail(Feed::Pods, refusal(), FeedFailure::Refused);
        assert_eq!(catalogue.pod("a", "1"), PodPresence::Unknown);
    }

    proptest! {
        /// Whatever happens between its steps, a subscriber ends up with exactly what there is.
        #[test]
        fn a_subscriber_of_any_speed_ends_up_with_what_there_is(
            changes in prop::collection::vec((0_u8..6, 0_u8..20, any::<bool>()), 0..200),
        ) {
            let (mut catalogue, mut view) = (Catalogue::new([Feed::Namespaces]), View::default());
            let mut known = BTreeMap::new();
            let follow = |view: &mut View, catalogue: &Catalogue, known: &mut BTreeMap<ItemKey, Item>| {
                let events = view.step(catalogue);
                for event in &events {
                    match event {
                        InventoryEvent::Applied(item) => drop(known.insert(item.key(), item.clone())),
                        InventoryEvent::Deleted(key) => drop(known.remove(key)),
                        InventoryEvent::Synced | InventoryEvent::Refused(_) => {}
                    }
                }
                !events.is_empty()
            };
            for (change, name, look) in changes {
                let item = Item::Namespace(NamespaceItem { name: name.to_string() });
                match change {
                    0 => catalogue.delete(&item.key()),
                    1 => list(&mut catalogue, Feed::Namespaces, [item]),
                    _ => catalogue.apply(item, Life::Alive),
                }
                if look {
                    follow(&mut view, &catalogue, &mut known);
                }
            }
            while follow(&mut view, &catalogue, &mut known) {}
            let there: BTreeMap<_, _> =
                catalogue.entries.iter().map(|(key, entry)| (key.clone(), entry.item.clone())).collect();
            prop_assert_eq!(known, there);
        }
    }
}
