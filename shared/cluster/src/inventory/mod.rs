//! What there is in the cluster, as far as Kubernetes and the guard let this agent see it.
//!
//! A namespace is watched while somebody looks at it, and a little longer: a cluster may have thousands of them. So the
//! agent works with rights to a few namespaces as well as with rights to all.

mod catalogue;
mod pods;
mod scope;
mod workloads;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use podlatch_link::disconnect::Disconnect;
use podlatch_link::framing::FrameWriter;
use podlatch_link::stream::{RecvHalf, SendHalf};
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::codec;
use podlatch_protocol::frame::{self, FrameKind};
use podlatch_protocol::inventory::{InventoryEvent, Item, NamespaceItem, PodItem, WatchScope};
use podlatch_protocol::pod::PodDescription;
use podlatch_protocol::target::{Namespace, PodName};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use self::catalogue::{PodPresence, View};
use self::scope::{Scope, refusal_of};
use crate::guard::Guard;

/// Changes are gathered for this long, so that a rollout is not sent pod by pod.
const GATHER: Duration = Duration::from_millis(100);

/// A watch that nobody looks at any more goes on for this long: people go back and forth between namespaces.
const LINGER: Duration = Duration::from_secs(30);

/// Namespaces that are watched at once.
const MAX_SCOPES: usize = 256;

/// How long Kubernetes may take to describe one pod.
const LOOK_UP: Duration = Duration::from_secs(10);

/// Background streams give way to everything else.
const WATCH_PRIORITY: i32 = 0;

/// What there is in the cluster. Cheap to clone.
#[derive(Clone)]
pub struct Inventory {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    guard: Guard,
    scopes: Mutex<HashMap<WatchScope, Weak<Scope>>>,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Inventory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inventory").field("guard", &self.shared.guard).finish_non_exhaustive()
    }
}

impl Inventory {
    /// Watches nothing yet.
    pub fn new(client: Client, guard: Guard) -> Self {
        let (scopes, tasks) = (Mutex::default(), TaskTracker::new());
        Self { shared: Arc::new(Shared { client, guard, scopes, tasks }) }
    }

    /// Serves one watch stream until the relay ends it, or the watch is refused. Cancel safe: the stream is then reset.
    pub async fn serve(&self, watch: WatchScope, send: SendHalf, _recv: RecvHalf) {
        // Fails only where the stream is over, which writing shows.
        let _ = send.set_priority(WATCH_PRIORITY);
        let stopped = send.stopped();
        let labels = match watch {
            WatchScope::LabelledNamespace(_) => Labels::Told,
            WatchScope::Namespaces | WatchScope::Namespace(_) => Labels::Untold,
        };
        let subscriber = Subscriber { writer: FrameWriter::new(send), labels, ending: Ending::BrokenOff };
        tokio::select! {
            () = self.feed(watch, subscriber) => {}
            () = stopped => {}
        }
    }

    /// One pod as it is now. A pod that the guard does not allow is refused. Cancel safe.
    pub async fn pod(&self, namespace: &Namespace, name: &PodName) -> Result<PodItem, Refusal> {
        let found = self.permitted_pod(namespace, name).await?;
        pods::item(&found).ok_or_else(|| Refusal::new(RefusalCode::PodNotFound, ""))
    }

    /// The UID of a pod, if the guard allows it. Cancel safe.
    pub async fn permitted_uid(&self, namespace: &Namespace, name: &PodName) -> Result<String, Refusal> {
        self.permitted_pod(namespace, name).await.map(|pod| pod.metadata.uid.unwrap_or_default())
    }

    /// What a pod is, for whoever decides by it; if the guard allows it. Cancel safe.
    pub async fn describe(&self, namespace: &Namespace, name: &PodName) -> Result<PodDescription, Refusal> {
        let pod = self.permitted_pod(namespace, name).await?;
        pods::description(&pod)
    }

    async fn permitted_pod(&self, namespace: &Namespace, name: &PodName) -> Result<Pod, Refusal> {
        self.permit(namespace)?;
        let api: Api<Pod> = Api::namespaced(self.shared.client.clone(), namespace.as_str());
        let found = match timeout(LOOK_UP, api.get_opt(name.as_str())).await {
            Ok(found) => found.map_err(|error| refusal_of(&error).0)?,
            Err(_) => return Err(Refusal::new(RefusalCode::KubernetesUnreachable, "")),
        };
        let pod = found.ok_or_else(|| Refusal::new(RefusalCode::PodNotFound, ""))?;
        if !self.shared.guard.permits_pod(pod.metadata.labels.as_ref()) {
            return Err(Refusal::new(RefusalCode::NotAllowedByAgent, format!("{namespace}/{name}")));
        }
        Ok(pod)
    }

    /// Returns when this very pod was deleted, was replaced by another of its name, or has ended. Where the agent may not
    /// watch pods, it never returns. Cancel safe.
    pub async fn pod_gone(&self, namespace: Namespace, name: PodName, uid: String) {
        let Ok(scope) = self.scope(WatchScope::Namespace(namespace)) else {
            return std::future::pending().await;
        };
        let mut changes = scope.changes();
        while scope.catalogue().pod(name.as_str(), &uid) != PodPresence::Gone {
            // The sender lives in the scope, so this cannot fail.
            let _ = changes.changed().await;
        }
    }

    async fn feed(&self, watch: WatchScope, mut subscriber: Subscriber) {
        if let (WatchScope::Namespaces, Some(namespaces)) = (&watch, self.shared.guard.named_namespaces()) {
            // What the guard lists is all there is to see, and no right to list namespaces is needed for it.
            let item = |name: &Namespace| Item::Namespace(NamespaceItem { name: name.to_string() });
            let mut events: Vec<_> = namespaces.iter().map(|name| InventoryEvent::Applied(item(name))).collect();
            events.push(InventoryEvent::Synced);
            if subscriber.tell(&events).await.is_ok() {
                std::future::pending::<()>().await;
            }
            return;
        }
        match self.scope(watch) {
            Ok(scope) => {
                let lingering = Lingering { scope, tasks: self.shared.tasks.clone() };
                // An error is the stream's end.
                let _ = subscriber.follow(&lingering.scope).await;
            }
            Err(refusal) => {
                let _ = subscriber.tell(&[InventoryEvent::Refused(refusal)]).await;
                subscriber.finish();
            }
        }
    }

    fn permit(&self, namespace: &Namespace) -> Result<(), Refusal> {
        let refused = || Refusal::new(RefusalCode::NotAllowedByAgent, namespace.to_string());
        self.shared.guard.permits(namespace).then_some(()).ok_or_else(refused)
    }

    /// The running watch, or a new one: also in place of one that was refused, because rights may have changed since.
    fn scope(&self, watch: WatchScope) -> Result<Arc<Scope>, Refusal> {
        // Whoever asks for labels shares the watch of those who do not.
        let watch = match watch {
            WatchScope::LabelledNamespace(namespace) => WatchScope::Namespace(namespace),
            watch => watch,
        };
        if let WatchScope::Namespace(namespace) = &watch {
            self.permit(namespace)?;
        }
        let mut scopes = self.scopes();
        if let Some(scope) = scopes.get(&watch).and_then(Weak::upgrade)
            && scope.catalogue().refusal().is_none()
        {
            return Ok(scope);
        }
        scopes.retain(|_, scope| scope.strong_count() > 0);
        if scopes.len() >= MAX_SCOPES {
            return Err(Refusal::new(RefusalCode::KubernetesError, "too many namespaces are being looked at"));
        }
        let (client, tasks) = (&self.shared.client, &self.shared.tasks);
        let scope = Arc::new(match &watch {
            WatchScope::Namespaces => Scope::namespaces(client, &self.shared.guard, tasks),
            WatchScope::Namespace(namespace) | WatchScope::LabelledNamespace(namespace) => {
                Scope::namespace(client, namespace.as_str(), &self.shared.guard, tasks)
            }
        });
        scopes.insert(watch, Arc::downgrade(&scope));
        Ok(scope)
    }

    fn scopes(&self) -> MutexGuard<'_, HashMap<WatchScope, Weak<Scope>>> {
        self.shared.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a watch running a little longer than it is looked at.
struct Lingering {
    scope: Arc<Scope>,
    tasks: TaskTracker,
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.scope.catalogue().refusal().is_some() {
            return;
        }
        let scope = Arc::clone(&self.scope);
        self.tasks.spawn(async move {
            sleep(LINGER).await;
            drop(scope);
        });
    }
}

/// The relay's end of a watch stream.
struct Subscriber {
    writer: FrameWriter<SendHalf>,
    labels: Labels,
    ending: Ending,
}

/// Whether a subscriber asked for the labels of pods. One that did not may not know the items that have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Labels {
    Told,
    Untold,
}

impl Labels {
    fn fitting(self, event: InventoryEvent) -> InventoryEvent {
        match (self, event) {
            (Self::Untold, InventoryEvent::Applied(Item::LabelledPod(pod))) => {
                InventoryEvent::Applied(Item::Pod(pod.item))
            }
            (_, event) => event,
        }
    }
}

/// How a watch stream ends when it is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It is broken off, and is reset so that the relay sees that.
    BrokenOff,
    /// Everything was said. A reset would take back what the relay has not read yet.
    Finished,
}

impl Subscriber {
    /// Tells everything that is known, then every change, until the stream ends or the watch is refused.
    async fn follow(&mut self, scope: &Scope) -> std::io::Result<()> {
        let (mut view, mut changes) = (View::default(), scope.changes());
        loop {
            changes.mark_unchanged();
            let events = view.step(&scope.catalogue());
            if events.is_empty() {
                // The sender lives in the scope, so this cannot fail.
                let _ = changes.changed().await;
                sleep(GATHER).await;
                continue;
            }
            let events: Vec<_> = events.into_iter().map(|event| self.labels.fitting(event)).collect();
            self.tell(&events).await?;
            if matches!(events.last(), Some(InventoryEvent::Refused(_))) {
                self.finish();
                return Ok(());
            }
        }
    }

    async fn tell(&mut self, events: &[InventoryEvent]) -> std::io::Result<()> {
        for event in events {
            match codec::encode(event) {
                Ok(body) => frame::put(self.writer.buffer(), FrameKind::INVENTORY, &body),
                Err(error) => tracing::warn!("an item is too large to be listed: {error}"),
            }
        }
        self.writer.flush().await
    }

    fn finish(&mut self) {
        // Fails only where the stream is over already.
        let _ = self.writer.get_mut().finish();
        self.ending = Ending::Finished;
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        if self.ending == Ending::BrokenOff {
            // Fails only where the stream is over already.
            let _ = self.writer.get_mut().reset(Disconnect::ShuttingDown.code());
        }
    }
}
