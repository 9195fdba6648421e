//! What of a cluster a person may see: everything else never reaches their browser.

use podlatch_protocol::inventory::{Item, PodItem, WatchScope};
use podlatch_protocol::pod::PodLabels;
use podlatch_protocol::target::{Namespace, PodName};

use crate::clock::UnixMillis;
use crate::domain::access::decision::{
    Question, Reason, Target, could_be_allowed, goes_by_labels, pod_could_be_allowed, workloads_could_be_allowed,
};
use crate::domain::access::rule::AccessAction;
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
            WatchScope::Namespace(namespace) | WatchScope::LabelledNamespace(namespace) => Some(namespace.clone()),
        };
        Self { access, target: Target { namespace, ..cluster } }
    }

    /// Whether there may be anything to see at all.
    pub(super) fn is_open(&self, now: UnixMillis) -> bool {
        self.access.may_view(&self.target, now)
    }

    /// Whether rules go by the labels of the pods that are seen here.
    pub(super) fn goes_by_labels(&self) -> bool {
        goes_by_labels(&self.access.rules, &self.target)
    }

    /// Whether the person may know of this.
    pub(super) fn shows(&self, item: &Item, now: UnixMillis) -> bool {
        match item {
            Item::Namespace(item) => {
                let namespace = item.name.parse::<Namespace>().ok();
                namespace.is_some_and(|name| {
                    let target = Target { namespace: Some(name), ..self.target.clone() };
                    could_be_allowed(&self.question(&target, now))
                })
            }
            Item::Workload(_) => workloads_could_be_allowed(&self.question(&self.target, now)),
            Item::Pod(pod) => self.shows_pod(pod, None, now),
            Item::LabelledPod(pod) => self.shows_pod(&pod.item, pod.labels.as_ref(), now),
        }
    }

    fn shows_pod(&self, pod: &PodItem, labels: Option<&PodLabels>, now: UnixMillis) -> bool {
        let pod_labels = labels.map(|labels| labels.as_map().clone());
        let target = Target { pod: pod.name.parse::<PodName>().ok(), pod_labels, ..self.target.clone() };
        pod_could_be_allowed(&self.question(&target, now))
    }

    fn question<'a>(&'a self, target: &'a Target, now: UnixMillis) -> Question<'a> {
        self.access.question(target, (AccessAction::View, Reason::Missing), now)
    }
}
