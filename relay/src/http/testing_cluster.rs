//! A cluster for the endpoints' tests: an agent in this process, and an API server that knows pods and nothing else.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use podlatch_cluster::Services;
use podlatch_cluster::guard::Guard;
use podlatch_cluster::inventory::Inventory;
use podlatch_cluster::rights::{DebugImages, Rights};
use podlatch_cluster::session::{Limits, Sessions};
use podlatch_protocol::control::Hello;
use podlatch_protocol::id::AgentInstanceId;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::testing::TestRelay;
use crate::domain::cluster::Cluster;
use crate::pki::AgentIdentity;
use crate::tunnel::Registration;

/// The pods of the cluster: their paths, UIDs and labels.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pods(Arc<Mutex<BTreeMap<String, Value>>>);

impl Pods {
    /// Makes or replaces a pod of the namespace `shop`.
    #[expect(clippy::needless_pass_by_value, reason = "tests read better with the literal in place")]
    pub(crate) fn put(&self, name: &str, uid: &str, labels: Value) {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop", "uid": uid, "labels": labels},
            "spec": {"containers": [{"name": "app"}]}, "status": {"phase": "Running"},
        });
        self.0.lock().expect("not poisoned").insert(format!("/api/v1/namespaces/shop/pods/{name}"), pod);
    }

    fn answer(&self, path: &str) -> Response<Body> {
        let status = |code: u16| json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "", "reason": "", "code": code});
        let (code, body) = match self.0.lock().expect("not poisoned").get(path) {
            Some(pod) => (200, pod.clone()),
            None if path.contains("/pods/") => (404, status(404)),
            None => (500, status(500)),
        };
        let body = Body::from(serde_json::to_vec(&body).expect("JSON"));
        Response::builder().status(code).body(body).expect("a response")
    }
}

impl TestRelay {
    /// Serves a cluster by an agent that speaks this minor version, until the registration is dropped.
    pub(crate) async fn serve(&self, cluster: &Cluster, pods: &Pods, minor: u16) -> Registration {
        let pods = pods.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            std::future::ready(Ok::<_, Infallible>(pods.answer(request.uri().path())))
        });
        let (client, tasks) = (Client::new(service, "default"), TaskTracker::new());
        let limits = Limits {
            guard: Guard::default(),
            rights: Rights::AsAsked,
            debug_images: DebugImages::Any,
            max_sessions: 10,
        };
        let inventory = Inventory::new(client.clone(), Guard::default());
        let sessions = Sessions::new(client, inventory.clone(), limits, tasks.clone());
        let identity =
            AgentIdentity { organisation: cluster.organisation, cluster: cluster.id, agent: self.agent(cluster).await };
        let hello = Hello {
            minor,
            agent_version: String::new(),
            kubernetes_version: String::new(),
            instance: AgentInstanceId::new(1, &[1; 10]),
            sessions: Vec::new(),
        };
        self.app.agents.serve_here(identity, hello, Services { sessions, inventory }, tasks)
    }
}
