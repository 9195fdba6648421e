//! What of a cluster a person may see: everything else never reaches their browser.

use podlatch_protocol::inventory::{InventoryEvent, Item, ItemKey, WatchScope};
use podlatch_protocol::target::{Namespace, PodName};

use crate::clock::UnixMillis;
use crate::domain::access::decision::Target;
use crate::http::access::Access;

/// A person's sight of one watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sight {
    access: Access,
    /// The cluster, and the namespace where the watch is of one.
    target: Target,
}

impl Sight {
    pub(super) fn new(access: Access, cluster: Target, scope: &WatchScope) -> Self {
        let namespace = match scope {
            WatchScope::Namespaces => None,
            WatchScope::Namespace(namespace) => Some(namespace.clone()),
        };
        Self { access, target: Target { namespace, ..cluster } }
    }

    /// Whether there may be anything to see at all.
    pub(super) fn is_open(&self, now: UnixMillis) -> bool {
        self.access.may_view(&self.target, now)
    }

    /// Whether the person may know of this.
    pub(super) fn shows(&self, event: &InventoryEvent, now: UnixMillis) -> bool {
        match event {
            InventoryEvent::Applied(item) => self.shows_key(&Item::key(item), now),
            InventoryEvent::Deleted(key) => self.shows_key(key, now),
            InventoryEvent::Synced | InventoryEvent::Refused(_) => true,
        }
    }

    fn shows_key(&self, key: &ItemKey, now: UnixMillis) -> bool {
        let target = match key {
            ItemKey::Namespace(name) => {
                let Ok(namespace) = name.parse::<Namespace>() else {
                    return false;
                };
                Target { namespace: Some(namespace), ..self.target.clone() }
            }
            ItemKey::Pod(name) => Target { pod: name.parse::<PodName>().ok(), ..self.target.clone() },
            ItemKey::Workload(..) => self.target.clone(),
        };
        self.access.may_view(&target, now)
    }
}
