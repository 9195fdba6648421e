//! Namespaces and workloads in the protocol's terms.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Namespace, Pod, PodTemplateSpec};
use kube::ResourceExt;
use podlatch_protocol::inventory::{Item, ItemKey, NamespaceItem, WorkloadItem, WorkloadKind};

use super::catalogue::Feed;
use super::pods::{self, Life};
use crate::guard::Guard;

/// A Kubernetes object that is listed.
pub(super) trait Listed: ResourceExt {
    /// Its feed.
    const FEED: Feed;

    /// How it is listed; `None` if it cannot be.
    fn item(&self) -> Option<Item>;

    /// Whether the guard lets it be seen.
    fn is_permitted(&self, guard: &Guard) -> bool;

    /// How it is found again.
    fn key(&self) -> ItemKey {
        match Self::FEED {
            Feed::Namespaces => ItemKey::Namespace(self.name_any()),
            Feed::Pods => ItemKey::Pod(self.name_any()),
            Feed::Workloads(kind) => ItemKey::Workload(kind, self.name_any()),
        }
    }

    /// Whether it has ended; only pods do.
    fn life(&self) -> Life {
        Life::Alive
    }
}

impl Listed for Namespace {
    const FEED: Feed = Feed::Namespaces;

    fn item(&self) -> Option<Item> {
        Some(Item::Namespace(NamespaceItem { name: self.name_any() }))
    }

    fn is_permitted(&self, guard: &Guard) -> bool {
        self.name_any().parse().is_ok_and(|name| guard.permits(&name))
    }
}

impl Listed for Pod {
    const FEED: Feed = Feed::Pods;

    fn item(&self) -> Option<Item> {
        pods::labelled(self).map(Item::LabelledPod)
    }

    fn is_permitted(&self, guard: &Guard) -> bool {
        guard.permits_pod(self.metadata.labels.as_ref())
    }

    fn life(&self) -> Life {
        pods::life(self)
    }
}

macro_rules! listed_workload {
    ($object:ty, $kind:ident, |$it:ident| ($desired:expr, $ready:expr, $template:expr)) => {
        impl Listed for $object {
            const FEED: Feed = Feed::Workloads(WorkloadKind::$kind);

            fn item(&self) -> Option<Item> {
                let $it = self;
                let count = |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
                let (desired, ready) = (count($desired), count($ready));
                Some(Item::Workload(WorkloadItem { kind: WorkloadKind::$kind, name: self.name_any(), desired, ready }))
            }

            fn is_permitted(&self, guard: &Guard) -> bool {
                let $it = self;
                let template: Option<&PodTemplateSpec> = $template;
                guard.permits_pod(template.and_then(|pods| pods.metadata.as_ref()?.labels.as_ref()))
            }
        }
    };
}

// Kubernetes' own default of `replicas` and `completions` is 1.
listed_workload!(Deployment, Deployment, |it| (
    it.spec.as_ref().map(|spec| spec.replicas.unwrap_or(1)),
    it.status.as_ref().and_then(|status| status.ready_replicas),
    it.spec.as_ref().map(|spec| &spec.template)
));
listed_workload!(StatefulSet, StatefulSet, |it| (
    it.spec.as_ref().map(|spec| spec.replicas.unwrap_or(1)),
    it.status.as_ref().and_then(|status| status.ready_replicas),
    it.spec.as_ref().map(|spec| &spec.template)
));
listed_workload!(DaemonSet, DaemonSet, |it| (
    it.status.as_ref().map(|status| status.desired_number_scheduled),
    it.status.as_ref().map(|status| status.number_ready),
    it.spec.as_ref().map(|spec| &spec.template)
));
listed_workload!(Job, Job, |it| (
    it.spec.as_ref().map(|spec| spec.completions.unwrap_or(1)),
    it.status.as_ref().and_then(|status| status.succeeded),
    it.spec.as_ref().map(|spec| &spec.template)
));
// A cron job wants no pods itself: both numbers are its jobs that run now.
listed_workload!(CronJob, CronJob, |it| (
    active(it),
    active(it),
    it.spec.as_ref().and_then(|spec| spec.job_template.spec.as_ref()).map(|spec| &spec.template)
));

fn active(job: &CronJob) -> Option<i32> {
    let jobs = job.status.as_ref()?.active.as_ref()?.len();
    i32::try_from(jobs).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn numbers<K: Listed + serde::de::DeserializeOwned>(object: serde_json::Value) -> (u32, u32) {
        let object: K = serde_json::from_value(object).expect("is an object");
        assert_eq!(object.item().map(|item| item.key()), Some(Listed::key(&object)));
        match object.item() {
            Some(Item::Workload(item)) => (item.desired, item.ready),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn workloads_say_how_many_pods_they_want_and_have() {
        let meta = json!({ "name": "w" });
        let spec = json!({ "replicas": 3, "selector": {}, "template": {}, "serviceName": "" });
        let object = |spec: serde_json::Value, status: serde_json::Value| json!({ "metadata": meta, "spec": spec, "status": status });
        assert_eq!(numbers::<Deployment>(object(spec.clone(), json!({ "readyReplicas": 2 }))), (3, 2));
        assert_eq!(numbers::<Deployment>(object(json!({ "selector": {}, "template": {} }), json!({}))), (1, 0));
        assert_eq!(numbers::<StatefulSet>(object(spec, json!({ "replicas": 3, "readyReplicas": 1 }))), (3, 1));
        let daemon = json!({ "desiredNumberScheduled": 5, "numberReady": 4, "currentNumberScheduled": 5, "numberMisscheduled": 0 });
        assert_eq!(numbers::<DaemonSet>(object(json!({ "selector": {}, "template": {} }), daemon)), (5, 4));
        assert_eq!(
            numbers::<Job>(object(json!({ "template": {}, "completions": 2 }), json!({ "succeeded": 1 }))),
            (2, 1)
        );
        let cron = json!({ "schedule": "* * * * *", "jobTemplate": {} });
        assert_eq!(numbers::<CronJob>(object(cron, json!({ "active": [{}] }))), (1, 1));
    }
}
