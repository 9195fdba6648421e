//! The devcluster's own paths, for tests in other processes: faults on demand. Only the admin may use them.
//!
//! All are POST requests with a JSON body below `/devcluster/`:
//!
//! | path | body | does |
//! |---|---|---|
//! | `drop-connections` | none | cuts every connection; processes in pods live on |
//! | `refuse-connections` | `{"milliseconds": n}` | closes new connections at once, for so long |
//! | `freeze-exec`, `thaw-exec` | `{"namespace", "pod"}` | stops the exec streams of a pod without closing them |
//! | `delay-exec` | `{"milliseconds": n}` | makes new execs wait before their process starts |
//! | `limit-stream-idle` | `{"milliseconds": n}` | closes new exec streams that carry no data for so long |
//! | `expire-watches` | none | forgets the history: every watch gets 410 |
//! | `revoke` | `{"user"}` | takes every grant from a user |
//! | `grant` | `{"user"` or `"group", "namespace"?, "verbs", "api_group", "resources"}` | adds a rule |

use std::sync::PoisonError;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;

use super::json_body;
use super::status::{self, Body, Refusal};
use crate::cluster::Cluster;
use crate::rbac::{Grant, GrantScope, Rule, Subject};

/// Where these paths begin; nobody but a master is let through to them.
pub(crate) const PREFIX: &str = "/devcluster/";

#[derive(Deserialize)]
struct Pause {
    milliseconds: u64,
}

#[derive(Deserialize)]
struct Pod {
    namespace: String,
    pod: String,
}

#[derive(Deserialize)]
struct Who {
    user: String,
}

#[derive(Deserialize)]
struct NewGrant {
    user: Option<String>,
    group: Option<String>,
    namespace: Option<String>,
    verbs: Vec<String>,
    api_group: String,
    resources: Vec<String>,
}

/// Does what the path says.
pub(crate) async fn answer(cluster: &Cluster, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    if request.method() != Method::POST {
        return Err(Refusal::MethodNotAllowed);
    }
    let action = request.uri().path().trim_start_matches(PREFIX).to_owned();
    let body = json_body(request).await?.unwrap_or_default();
    let faults = &cluster.faults;
    let policy = || cluster.policy.write().unwrap_or_else(PoisonError::into_inner);
    match action.as_str() {
        "drop-connections" => faults.drop_connections(),
        "refuse-connections" => faults.refuse_connections(pause(body)?),
        "freeze-exec" => {
            let pod: Pod = parse(body)?;
            faults.freeze_exec(&pod.namespace, &pod.pod);
        }
        "thaw-exec" => {
            let pod: Pod = parse(body)?;
            faults.thaw_exec(&pod.namespace, &pod.pod);
        }
        "delay-exec" => faults.delay_exec(pause(body)?),
        "limit-stream-idle" => faults.limit_stream_idle(pause(body)?),
        "expire-watches" => cluster.store.forget_history(),
        "revoke" => policy().revoke(&Subject::User(parse::<Who>(body)?.user)),
        "grant" => policy().add(grant(parse(body)?)?),
        _ => return Err(Refusal::UnknownPath),
    }
    Ok(status::empty(StatusCode::NO_CONTENT))
}

fn parse<T: serde::de::DeserializeOwned>(body: serde_json::Value) -> Result<T, Refusal> {
    serde_json::from_value(body).map_err(|error| Refusal::bad_request(format!("the body does not fit: {error}")))
}

fn pause(body: serde_json::Value) -> Result<Duration, Refusal> {
    parse::<Pause>(body).map(|pause| Duration::from_millis(pause.milliseconds))
}

fn grant(new: NewGrant) -> Result<Grant, Refusal> {
    let subject = match (new.user, new.group) {
        (Some(user), None) => Subject::User(user),
        (None, Some(group)) => Subject::Group(group),
        _ => return Err(Refusal::bad_request("the body names a user or a group")),
    };
    let rule = Rule { verbs: new.verbs, api_groups: vec![new.api_group], resources: new.resources, ..Rule::default() };
    let scope = new.namespace.map_or(GrantScope::Cluster, GrantScope::Namespace);
    Ok(Grant { subject, scope, rules: vec![rule] })
}
