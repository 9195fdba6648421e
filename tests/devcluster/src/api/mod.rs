//! The Kubernetes API: routes a request to what answers it.

mod access;
mod admin;
mod discovery;
mod ephemeral;
mod list;
mod logs;
mod protobuf;
mod request;
mod review;
mod status;
mod table;
mod watch;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub(crate) use access::allows;
pub(crate) use request::{Query, ResourcePath};
pub(crate) use status::{Body, Refusal, empty};

use crate::cluster::Cluster;
use crate::exec;
use crate::rbac::{Attributes, User};
use crate::store::{Key, Kind, Scope, kind_of};
use request::{Target, attributes_of, verb_of};

/// The largest request body; etcd takes no larger object.
const MAX_BODY_BYTES: usize = 3 * 1024 * 1024;

/// A request after authentication, and what it is about.
pub(crate) struct Call {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) user: User,
    pub(crate) path: ResourcePath,
    pub(crate) query: Query,
    pub(crate) verb: &'static str,
    /// The header that says how the client likes its answer.
    pub(crate) accept: String,
    /// Cancelled when the connection is to be cut.
    pub(crate) cut: CancellationToken,
}

impl Call {
    /// The object that the path names.
    fn key(&self, kind: &'static Kind) -> Key {
        Key::new(kind, &self.path.namespace, &self.path.name)
    }

    /// The namespace that the path names, if any.
    fn namespace(&self) -> Option<&str> {
        (!self.path.namespace.is_empty()).then_some(self.path.namespace.as_str())
    }

    /// "There is no such object."
    pub(crate) fn not_found(&self) -> Refusal {
        Refusal::NotFound {
            group: self.path.group.clone(),
            resource: self.path.resource.clone(),
            name: self.path.name.clone(),
        }
    }
}

/// Answers one request. `cut` ends with the connection. Cancel safe.
pub(crate) async fn handle(
    cluster: Arc<Cluster>,
    request: Request<Incoming>,
    cut: CancellationToken,
) -> Response<Body> {
    answer(cluster, request, cut).await.unwrap_or_else(Refusal::into_response)
}

async fn answer(
    cluster: Arc<Cluster>,
    request: Request<Incoming>,
    cut: CancellationToken,
) -> Result<Response<Body>, Refusal> {
    let path = request.uri().path().to_owned();
    if let Some(health) = discovery::health(&path) {
        return Ok(health);
    }
    let user = access::authenticate(&cluster, request.headers())?;
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let target = Target::parse(&path);
    let attributes = attributes_of(request.method(), &path, &target, &query);
    access::authorize(&cluster, &user, &attributes)?;
    let Target::Resource(resource) = target else {
        if path.starts_with(admin::PREFIX) {
            return admin::answer(&cluster, request).await;
        }
        return discovery::answer(&cluster.address, &path).ok_or(Refusal::UnknownPath);
    };
    let verb = verb_of(request.method(), &resource, &query);
    let accept = request.headers().get(http::header::ACCEPT).and_then(|value| value.to_str().ok());
    let accept = accept.unwrap_or_default().to_owned();
    let call = Call { cluster, user, path: resource, query, verb, accept, cut };
    answer_resource(call, request).await
}

async fn answer_resource(call: Call, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let (group, resource) = (call.path.group.as_str(), call.path.resource.as_str());
    if group == "authorization.k8s.io" {
        return review::answer(call, request).await;
    }
    let kind = kind_of(group, resource).filter(|kind| kind.version == call.path.version).ok_or(Refusal::UnknownPath)?;
    if kind.scope == Scope::Namespaced && call.path.namespace.is_empty() && !call.path.name.is_empty() {
        return Err(Refusal::UnknownPath);
    }
    match (kind.name, call.path.subresource.as_str()) {
        ("Pod", "exec") => return exec::answer(&call, request),
        ("Pod", "ephemeralcontainers") => return ephemeral::answer(call, kind, request).await,
        ("Pod", "log") if request.method() == Method::GET => return logs::answer(&call),
        (_, "" | "status") => (),
        _ => return Err(Refusal::UnknownPath),
    }
    match call.verb {
        "get" => list::get(&call, kind),
        "list" => list::list(&call, kind),
        "watch" => watch::watch(&call, kind),
        _ => write::answer(call, kind, request).await,
    }
}

/// Reads a JSON body; none when there is none.
async fn json_body(request: Request<Incoming>) -> Result<Option<Value>, Refusal> {
    let bytes = body_bytes(request).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    parse_json(&bytes).map(Some)
}

fn parse_json(bytes: &[u8]) -> Result<Value, Refusal> {
    if bytes.starts_with(protobuf::MAGIC) {
        let message = "the devcluster reads no protobuf here; send JSON".to_owned();
        return Err(Refusal::UnsupportedMediaType { message });
    }
    let parsed = serde_json::from_slice(bytes).ok().or_else(|| serde_yaml::from_slice(bytes).ok());
    parsed.ok_or_else(|| Refusal::bad_request("the body of the request is neither JSON nor YAML"))
}

async fn body_bytes(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await;
    body.map(http_body_util::Collected::to_bytes)
        .map_err(|error| Refusal::bad_request(format!("the body of the request cannot be read: {error}")))
}

/// One object as an answer: with its kind, and as a table when the client asks for one.
fn object_response(call: &Call, kind: &'static Kind, object: &Value, code: StatusCode) -> Response<Body> {
    if table::is_wanted(&call.accept) {
        return status::json(code, &table::of_objects(kind, "", std::slice::from_ref(object)));
    }
    status::json(code, &with_kind(kind, object))
}

/// An object as it stands alone: with `kind` and `apiVersion`.
fn with_kind(kind: &Kind, object: &Value) -> Value {
    let mut object = object.clone();
    object["kind"] = kind.name.into();
    object["apiVersion"] = kind.api_version().into();
    object
}

/// What RBAC is asked for `create` on the same resource: an exec over WebSocket needs it beside `get`.
pub(crate) fn attributes_for(call: &Call, verb: &str) -> Attributes {
    Attributes::Resource(crate::rbac::ResourceAttributes {
        verb: verb.to_owned(),
        group: call.path.group.clone(),
        resource: call.path.resource.clone(),
        subresource: call.path.subresource.clone(),
        namespace: call.path.namespace.clone(),
        name: call.path.name.clone(),
    })
}
