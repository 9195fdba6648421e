//! Watches: the state first when asked for, then every change, with bookmarks.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::list::selector_of;
use super::status::{Body, Refusal};
use super::{Call, table, with_kind};
use crate::cluster::Cluster;
use crate::store::{Change, Event, Kind, Selector, Version};

/// How long a watch lasts when the client does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(45);
/// How often a quiet watch is told the newest version.
const BOOKMARK_INTERVAL: Duration = Duration::from_mins(1);
/// A bookmark comes this long before the end of the watch.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// Events that wait for a slow client; behind them the watch waits.
const QUEUE_LEN: usize = 16;

/// What the client gets before the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Every object as ADDED.
    State,
    /// Every object as ADDED, then a bookmark that says so.
    StateAndBookmark,
    /// Only what came after this version.
    After(Version),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bookmarks {
    Wanted,
    Unwanted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Objects,
    Tables,
}

struct Watch {
    cluster: Arc<Cluster>,
    kind: &'static Kind,
    namespace: Option<String>,
    selector: Selector,
    bookmarks: Bookmarks,
    form: Form,
    deadline: Instant,
    out: mpsc::Sender<Result<Frame<Bytes>, Infallible>>,
}

/// The client is gone, or the watch is at its end.
struct Over;

/// Starts a watch; its events follow in the body.
pub(crate) fn watch(call: &Call, kind: &'static Kind) -> Result<Response<Body>, Refusal> {
    let start = start_of(call)?;
    let timeout = call.query.number("timeoutSeconds").filter(|&seconds| seconds > 0).map(Duration::from_secs);
    let (out, frames) = mpsc::channel(QUEUE_LEN);
    let watch = Watch {
        cluster: Arc::clone(&call.cluster),
        kind,
        namespace: call.namespace().map(str::to_owned),
        selector: selector_of(call)?,
        bookmarks: if call.query.is_on("allowWatchBookmarks") { Bookmarks::Wanted } else { Bookmarks::Unwanted },
        form: if table::is_wanted(&call.accept) { Form::Tables } else { Form::Objects },
        deadline: Instant::now() + timeout.unwrap_or(DEFAULT_TIMEOUT),
        out,
    };
    let (stop, cut) = (call.cluster.stop.clone(), call.cut.clone());
    call.cluster.tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => (),
            () = cut.cancelled() => (),
            () = watch.run(start) => (),
        }
    });
    let body = StreamBody::new(ReceiverStream::new(frames)).boxed_unsync();
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(response)
}

fn start_of(call: &Call) -> Result<Start, Refusal> {
    let version = call.query.get("resourceVersion");
    let matching = call.query.get("resourceVersionMatch");
    let invalid = |text: &str| {
        let message = format!("ListOptions.meta.k8s.io \"\" is invalid: {text}");
        Err(Refusal::Invalid { message })
    };
    if call.query.is_on("sendInitialEvents") {
        return match matching {
            "NotOlderThan" => Ok(Start::StateAndBookmark),
            _ => invalid(
                "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to \
                 NotOlderThan",
            ),
        };
    }
    if !matching.is_empty() {
        return invalid(
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents \
             is provided",
        );
    }
    match version {
        "" | "0" => Ok(Start::State),
        version => match version.parse() {
            Ok(version) => Ok(Start::After(Version(version))),
            Err(_) => invalid(&format!("resourceVersion: Invalid value: \"{version}\"")),
        },
    }
}

impl Watch {
    async fn run(self, start: Start) {
        let over = match start {
            Start::After(version) => Ok(version),
            Start::State | Start::StateAndBookmark => self.send_state(start).await,
        };
        if let Ok(version) = over {
            let _ = self.follow(version).await;
        }
    }

    async fn send_state(&self, start: Start) -> Result<Version, Over> {
        let (version, items) = self.cluster.store.list(self.kind, self.namespace.as_deref());
        for (_, object) in items.iter().filter(|(_, object)| self.selector.matches(object)) {
            self.send(Change::Added.as_str(), object).await?;
        }
        if start == Start::StateAndBookmark && self.bookmarks == Bookmarks::Wanted {
            let metadata = json!({"resourceVersion": version.0.to_string(),
                "annotations": {"k8s.io/initial-events-end": "true"}});
            self.send_raw("BOOKMARK", &bookmark(self.kind, &metadata)).await?;
        }
        Ok(version)
    }

    async fn follow(&self, mut version: Version) -> Result<(), Over> {
        let mut changes = self.cluster.store.subscribe();
        let mut next_bookmark = self.next_bookmark();
        loop {
            changes.mark_unchanged();
            match self.cluster.store.since(version) {
                Ok((newest, events)) => {
                    for event in events.iter().filter(|event| self.concerns(event)) {
                        self.send_event(event).await?;
                    }
                    version = newest;
                }
                Err(expired) => {
                    let refusal = Refusal::Expired { message: expired.to_string() };
                    return self.send_raw("ERROR", &refusal.to_event_object()).await;
                }
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return Err(Over) },
                () = tokio::time::sleep_until(next_bookmark) => {
                    self.send_bookmark(version).await?;
                    next_bookmark = self.next_bookmark();
                }
                () = tokio::time::sleep_until(self.deadline) => return Err(Over),
                () = self.out.closed() => return Err(Over),
            }
        }
    }

    fn concerns(&self, event: &Event) -> bool {
        event.key.kind == self.kind && self.namespace.as_ref().is_none_or(|namespace| event.key.namespace == *namespace)
    }

    /// A selector makes objects appear and vanish that only changed.
    async fn send_event(&self, event: &Event) -> Result<(), Over> {
        let before = event.previous.as_ref().is_some_and(|object| self.selector.matches(object));
        let after = event.change != Change::Deleted && self.selector.matches(&event.object);
        let change = match (before, after) {
            (false, false) => return Ok(()),
            (false, true) => Change::Added,
            (true, true) => Change::Modified,
            (true, false) => Change::Deleted,
        };
        self.send(change.as_str(), &event.object).await
    }

    /// The next one, but always one shortly before the end.
    fn next_bookmark(&self) -> Instant {
        let now = Instant::now();
        let last = self.deadline.checked_sub(LAST_BOOKMARK).unwrap_or(self.deadline);
        let regular = now + BOOKMARK_INTERVAL;
        if last > now { regular.min(last) } else { regular }
    }

    async fn send_bookmark(&self, version: Version) -> Result<(), Over> {
        if self.bookmarks == Bookmarks::Unwanted {
            return Ok(());
        }
        let metadata = json!({"resourceVersion": version.0.to_string()});
        self.send_raw("BOOKMARK", &bookmark(self.kind, &metadata)).await
    }

    async fn send(&self, kind: &str, object: &Value) -> Result<(), Over> {
        let object = match self.form {
            Form::Objects => with_kind(self.kind, object),
            Form::Tables => table::of_objects(self.kind, "", std::slice::from_ref(object)),
        };
        self.send_raw(kind, &object).await
    }

    async fn send_raw(&self, kind: &str, object: &Value) -> Result<(), Over> {
        let mut line = serde_json::to_vec(&json!({"type": kind, "object": object})).unwrap_or_default();
        line.push(b'\n');
        self.out.send(Ok(Frame::data(line.into()))).await.map_err(|_| Over)
    }
}

/// An object with nothing but a version, and the empty fields that Go cannot leave out.
fn bookmark(kind: &Kind, metadata: &Value) -> Value {
    let mut object = with_kind(kind, &json!({"metadata": metadata, "spec": {}, "status": {}}));
    match kind.name {
        "Pod" => object["spec"] = json!({"containers": null}),
        "Deployment" | "StatefulSet" | "DaemonSet" => {
            object["spec"] = json!({"selector": null, "template": {"metadata": {}, "spec": {"containers": null}}});
        }
        _ => (),
    }
    object
}
