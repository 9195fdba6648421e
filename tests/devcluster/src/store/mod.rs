//! The objects of the cluster: one version counter, one history of changes, many watchers.
//!
//! Objects are JSON without `kind` and `apiVersion`, as they stand in a list. The history is bounded: a watcher that
//! asks for a version older than what is kept is told that it expired, as a real API server does.

mod kinds;
mod selector;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

pub(crate) use kinds::{Kind, Scope, kind_of, kinds};
pub(crate) use selector::Selector;

/// How many changes are kept for watchers that fell behind.
const HISTORY_LEN: usize = 4096;
/// Where counting starts, so that no version looks like the special "0".
const FIRST_VERSION: u64 = 100;

/// Counts the changes of the whole cluster; every object carries the one of its last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u64);

/// Names one object of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) kind: &'static Kind,
    /// Empty for objects of the cluster.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(kind: &'static Kind, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    /// The word that a watch event carries.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One entry of the history.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) version: Version,
    pub(crate) key: Key,
    pub(crate) change: Change,
    pub(crate) object: Arc<Value>,
    /// The object before this change; a selector may have matched it.
    pub(crate) previous: Option<Arc<Value>>,
}

/// The asked-for version is older than the history.
#[derive(Debug, thiserror::Error)]
#[error("too old resource version: {asked} ({oldest})")]
pub(crate) struct Expired {
    asked: u64,
    oldest: u64,
}

/// The object store. All methods are quick and never wait.
#[derive(Debug)]
pub(crate) struct Store {
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    version: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    history: VecDeque<Event>,
}

impl Store {
    pub(crate) fn new() -> Self {
        let inner = Inner { version: FIRST_VERSION, objects: BTreeMap::new(), history: VecDeque::new() };
        Self { inner: Mutex::new(inner), changed: watch::Sender::new(FIRST_VERSION) }
    }

    /// Resolves on every change; carries the newest version.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.lock().objects.get(key).cloned()
    }

    /// All objects of a kind in key order, with the version that the list shows. No namespace means all of them.
    pub(crate) fn list(&self, kind: &'static Kind, namespace: Option<&str>) -> (Version, Vec<(Key, Arc<Value>)>) {
        let inner = self.lock();
        let items = inner
            .objects
            .iter()
            .filter(|(key, _)| key.kind == kind && namespace.is_none_or(|wanted| key.namespace == wanted))
            .map(|(key, object)| (key.clone(), Arc::clone(object)))
            .collect();
        (Version(inner.version), items)
    }

    /// Adds an object unless one of that name is there; gives back what is stored then.
    pub(crate) fn create(&self, key: Key, mut object: Value) -> Option<Arc<Value>> {
        let mut inner = self.lock();
        if inner.objects.contains_key(&key) {
            return None;
        }
        let object = inner.stamp(&mut object);
        inner.objects.insert(key.clone(), Arc::clone(&object));
        inner.record(key, Change::Added, Arc::clone(&object), None);
        self.changed.send_replace(inner.version);
        Some(object)
    }

    /// Changes an object in place; gives back the new one, or none if there is no such object.
    pub(crate) fn update(&self, key: &Key, change: impl FnOnce(&mut Value)) -> Option<Arc<Value>> {
        let mut inner = self.lock();
        let previous = inner.objects.get(key).cloned()?;
        let mut next = Value::clone(&previous);
        change(&mut next);
        if next == *previous {
            return Some(previous);
        }
        let next = inner.stamp(&mut next);
        inner.objects.insert(key.clone(), Arc::clone(&next));
        inner.record(key.clone(), Change::Modified, Arc::clone(&next), Some(previous));
        self.changed.send_replace(inner.version);
        Some(next)
    }

    /// Takes an object out; its last state carries the version of the deletion.
    pub(crate) fn delete(&self, key: &Key) -> Option<Arc<Value>> {
        let mut inner = self.lock();
        let previous = inner.objects.remove(key)?;
        let mut last = Value::clone(&previous);
        let last = inner.stamp(&mut last);
        inner.record(key.clone(), Change::Deleted, Arc::clone(&last), Some(previous));
        self.changed.send_replace(inner.version);
        Some(last)
    }

    /// The changes after a version, oldest first, and the version they lead to.
    pub(crate) fn since(&self, after: Version) -> Result<(Version, Vec<Event>), Expired> {
        let inner = self.lock();
        if let Some(oldest) = inner.history.front()
            && after.0 + 1 < oldest.version.0
        {
            return Err(Expired { asked: after.0, oldest: oldest.version.0 });
        }
        if after.0 < FIRST_VERSION {
            return Err(Expired { asked: after.0, oldest: FIRST_VERSION });
        }
        let start = inner.history.partition_point(|event| event.version <= after);
        Ok((Version(inner.version), inner.history.range(start..).cloned().collect()))
    }

    /// Forgets the history, so that every running and resumed watch expires.
    pub(crate) fn forget_history(&self) {
        let mut inner = self.lock();
        inner.version += 2;
        inner.history.clear();
        let marker = Event {
            version: Version(inner.version),
            key: Key::new(kind_of("", "events").unwrap_or(&kinds()[0]), "", ""),
            change: Change::Deleted,
            object: Arc::new(json!({})),
            previous: None,
        };
        inner.history.push_back(marker);
        self.changed.send_replace(inner.version);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn stamp(&mut self, object: &mut Value) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        Arc::new(object.take())
    }

    fn record(&mut self, key: Key, change: Change, object: Arc<Value>, previous: Option<Arc<Value>>) {
        if self.history.len() == HISTORY_LEN {
            self.history.pop_front();
        }
        self.history.push_back(Event { version: Version(self.version), key, change, object, previous });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(store: &Store) -> Version {
        store.list(pods(), None).0
    }

    fn pods() -> &'static Kind {
        kind_of("", "pods").expect("pods are a known kind")
    }

    #[test]
    fn every_change_gets_a_new_version_and_stays_in_the_history() {
        let store = Store::new();
        let start = version(&store);
        let key = Key::new(pods(), "default", "a");
        store.create(key.clone(), json!({"metadata": {"name": "a"}})).expect("is new");
        store.update(&key, |pod| pod["status"] = json!({"phase": "Running"})).expect("is there");
        store.delete(&key).expect("is there");
        let (_, events) = store.since(start).expect("is recent");
        let changes: Vec<_> = events.iter().map(|event| (event.change, event.version.0)).collect();
        assert_eq!(changes, [(Change::Added, 101), (Change::Modified, 102), (Change::Deleted, 103)]);
    }

    #[test]
    fn an_update_that_changes_nothing_makes_no_event() {
        let store = Store::new();
        let key = Key::new(pods(), "default", "a");
        store.create(key.clone(), json!({"metadata": {"name": "a"}}));
        let known = version(&store);
        store.update(&key, |_| ());
        assert_eq!(version(&store), known);
    }

    #[test]
    fn a_version_before_the_history_expired() {
        let store = Store::new();
        let key = Key::new(pods(), "default", "a");
        store.create(key.clone(), json!({"metadata": {"name": "a"}}));
        let before = version(&store);
        for n in 0..=HISTORY_LEN {
            store.update(&key, |pod| pod["n"] = json!(n));
        }
        assert!(store.since(before).is_err());
        assert!(store.since(version(&store)).is_ok());
    }

    #[test]
    fn forgetting_the_history_expires_running_watches() {
        let store = Store::new();
        store.create(Key::new(pods(), "default", "a"), json!({"metadata": {"name": "a"}}));
        let before = version(&store);
        store.forget_history();
        assert!(store.since(before).is_err());
        assert!(store.since(version(&store)).is_ok());
    }
}
