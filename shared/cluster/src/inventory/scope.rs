//! One running watch of the cluster: the namespaces, or what is in one namespace. It runs as long as somebody holds it.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::inventory::WorkloadKind;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::catalogue::{Catalogue, Feed, FeedFailure};
use super::workloads::Listed;
use crate::guard::Guard;

/// Kubernetes ends each watch request after this time; a connection that died without a word shows then at the latest.
const WATCH_SECONDS: u32 = 60;

/// A running watch.
#[derive(Debug)]
pub(super) struct Scope {
    board: Arc<Board>,
    _running: DropGuard,
}

/// What a watch knows, and a bell that rings when that changes.
#[derive(Debug)]
struct Board {
    catalogue: Mutex<Catalogue>,
    changed: watch::Sender<()>,
}

impl Scope {
    /// Watches the cluster's namespaces.
    pub(super) fn namespaces(client: &Client, guard: &Guard, tasks: &TaskTracker) -> Self {
        let starter = Starter::new([Feed::Namespaces], guard, tasks);
        starter.watch(Api::<Namespace>::all(client.clone()));
        starter.scope
    }

    /// Watches what is in a namespace.
    pub(super) fn namespace(client: &Client, namespace: &str, guard: &Guard, tasks: &TaskTracker) -> Self {
        let kinds = [
            WorkloadKind::Deployment,
            WorkloadKind::StatefulSet,
            WorkloadKind::DaemonSet,
            WorkloadKind::Job,
            WorkloadKind::CronJob,
        ];
        let starter = Starter::new(kinds.map(Feed::Workloads).into_iter().chain([Feed::Pods]), guard, tasks);
        starter.watch(within::<Pod>(client, namespace));
        starter.watch(within::<Deployment>(client, namespace));
        starter.watch(within::<StatefulSet>(client, namespace));
        starter.watch(within::<DaemonSet>(client, namespace));
        starter.watch(within::<Job>(client, namespace));
        starter.watch(within::<CronJob>(client, namespace));
        starter.scope
    }

    /// What is known now.
    pub(super) fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.board.catalogue()
    }

    /// Rings whenever that changes.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.board.changed.subscribe()
    }
}

impl Board {
    fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Catalogue)) {
        change(&mut self.catalogue());
        self.changed.send_replace(());
    }
}

struct Starter<'a> {
    scope: Scope,
    stop: CancellationToken,
    guard: &'a Guard,
    tasks: &'a TaskTracker,
}

impl<'a> Starter<'a> {
    fn new(feeds: impl IntoIterator<Item = Feed>, guard: &'a Guard, tasks: &'a TaskTracker) -> Self {
        let stop = CancellationToken::new();
        let board = Arc::new(Board { catalogue: Mutex::new(Catalogue::new(feeds)), changed: watch::Sender::new(()) });
        Self { scope: Scope { board, _running: stop.clone().drop_guard() }, stop, guard, tasks }
    }

    fn watch<K>(&self, api: Api<K>)
    where
        K: Listed + Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    {
        let (board, stop, guard) = (Arc::clone(&self.scope.board), self.stop.clone(), self.guard.clone());
        self.tasks.spawn(async move { stop.run_until_cancelled(follow(api, &board, &guard)).await });
    }
}

fn within<K>(client: &Client, namespace: &str) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    Api::namespaced(client.clone(), namespace)
}

/// Keeps one kind of objects up to date, through every failure.
async fn follow<K>(api: Api<K>, board: &Board, guard: &Guard)
where
    K: Listed + Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let mut events = pin!(watcher(api, watcher::Config::default().timeout(WATCH_SECONDS)).default_backoff());
    let mut began = 0;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => board.change(|catalogue| {
                catalogue.begin_list();
                began = catalogue.listing();
            }),
            // Whatever is no longer allowed is as good as gone.
            Ok(Event::InitApply(object) | Event::Apply(object)) if !object.is_permitted(guard) => {
                board.change(|catalogue| catalogue.delete(&Listed::key(&object)));
            }
            Ok(Event::InitApply(object) | Event::Apply(object)) => {
                if let Some(item) = object.item() {
                    let life = object.life();
                    board.change(|catalogue| catalogue.apply(item, life));
                }
            }
            Ok(Event::Delete(object)) => board.change(|catalogue| catalogue.delete(&Listed::key(&object))),
            Ok(Event::InitDone) => board.change(|catalogue| catalogue.end_list(K::FEED, began)),
            Err(error) => {
                if let Some((refusal, failure)) = explain(&error) {
                    tracing::debug!(feed = ?K::FEED, "watching fails for now: {error}");
                    board.change(|catalogue| catalogue.fail(K::FEED, refusal, failure));
                }
            }
        }
    }
}

/// What a watch error means; `None` for those that only mean that the list is made anew.
fn explain(error: &watcher::Error) -> Option<(Refusal, FeedFailure)> {
    let cause = match error {
        watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause) => cause,
        watcher::Error::WatchError(_) => return None,
        watcher::Error::NoResourceVersion => {
            return Some((Refusal::new(RefusalCode::KubernetesError, ""), FeedFailure::Passing));
        }
    };
    Some(refusal_of(cause))
}

/// A failure of Kubernetes as a person reads it.
pub(super) fn refusal_of(error: &kube::Error) -> (Refusal, FeedFailure) {
    match error {
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
            (Refusal::new(RefusalCode::Forbidden, status.message.clone()), FeedFailure::Refused)
        }
        kube::Error::Api(status) => {
            (Refusal::new(RefusalCode::KubernetesError, status.message.clone()), FeedFailure::Passing)
        }
        other => (Refusal::new(RefusalCode::KubernetesUnreachable, other.to_string()), FeedFailure::Passing),
    }
}
