//! `create`, `update`, `patch` and `delete`.

use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::status::{self, Body, Refusal};
use super::{Call, json_body, object_response, with_kind};
use crate::cluster::objects;
use crate::fixtures;
use crate::store::{Key, Kind};

/// Changes objects as the verb says.
pub(crate) async fn answer(
    call: Call,
    kind: &'static Kind,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or("application/json").to_owned();
    let body = json_body(request).await?;
    match (call.verb, body) {
        ("create", Some(object)) => create(&call, kind, object),
        ("update", Some(object)) => update(&call, kind, &object),
        ("patch", Some(patch)) => apply_patch(&call, kind, &content_type, &patch),
        ("delete", options) => delete(&call, kind, &options.unwrap_or_default()),
        ("deletecollection", options) => delete_all(&call, kind, &options.unwrap_or_default()),
        ("create" | "update" | "patch", None) => Err(Refusal::bad_request("the request has no body")),
        _ => Err(Refusal::MethodNotAllowed),
    }
}

fn create(call: &Call, kind: &'static Kind, mut object: Value) -> Result<Response<Body>, Refusal> {
    let name = name_of(&mut object)?;
    let key = Key::new(kind, &call.path.namespace, &name);
    let stored = fixtures::create_object(&call.cluster, &key, object, Timestamp::now());
    let stored = stored.ok_or_else(|| Refusal::AlreadyExists {
        group: kind.group.to_owned(),
        resource: kind.plural.to_owned(),
        name,
    })?;
    Ok(object_response(call, kind, &stored, StatusCode::CREATED))
}

/// The object's name, made up from `generateName` when it has none.
fn name_of(object: &mut Value) -> Result<String, Refusal> {
    let metadata = &mut object["metadata"];
    if let Some(name) = metadata["name"].as_str().filter(|name| !name.is_empty()) {
        return Ok(name.to_owned());
    }
    let prefix = metadata["generateName"].as_str().filter(|prefix| !prefix.is_empty());
    let prefix = prefix.ok_or_else(|| Refusal::Invalid {
        message: "metadata.name: Required value: name or generateName is required".to_owned(),
    })?;
    let name = format!("{prefix}{}", objects::name_suffix());
    metadata["name"] = json!(name);
    Ok(name)
}

fn update(call: &Call, kind: &'static Kind, object: &Value) -> Result<Response<Body>, Refusal> {
    change(call, kind, &object["metadata"]["resourceVersion"], |stored| replace(stored, object.clone()))
}

fn apply_patch(call: &Call, kind: &'static Kind, content_type: &str, patch: &Value) -> Result<Response<Body>, Refusal> {
    let key = call.key(kind);
    match content_type.split(';').next().unwrap_or_default() {
        "application/apply-patch+yaml" if call.cluster.store.get(&key).is_none() => {
            return create(call, kind, patch.clone());
        }
        "application/merge-patch+json" | "application/strategic-merge-patch+json" | "application/apply-patch+yaml" => {}
        other => {
            let message = format!("the devcluster does not take patches of type {other}; send a merge patch");
            return Err(Refusal::UnsupportedMediaType { message });
        }
    }
    change(call, kind, &patch["metadata"]["resourceVersion"], |stored| {
        let mut merged = stored.clone();
        merge(&mut merged, patch);
        replace(stored, merged);
    })
}

/// Changes a stored object, unless it changed since the version that the client knows.
fn change(
    call: &Call,
    kind: &'static Kind,
    known_version: &Value,
    apply: impl FnOnce(&mut Value),
) -> Result<Response<Body>, Refusal> {
    let mut conflict = false;
    let stored = call.cluster.store.update(&call.key(kind), |object| {
        conflict = !known_version.is_null() && *known_version != object["metadata"]["resourceVersion"];
        if !conflict {
            apply(object);
        }
    });
    let stored = stored.ok_or_else(|| call.not_found())?;
    if conflict {
        return Err(Refusal::Conflict {
            group: kind.group.to_owned(),
            resource: kind.plural.to_owned(),
            name: call.path.name.clone(),
        });
    }
    Ok(object_response(call, kind, &stored, StatusCode::OK))
}

/// Takes a new object in, but not over what only the server sets.
fn replace(stored: &mut Value, mut object: Value) {
    for field in ["uid", "creationTimestamp", "resourceVersion", "namespace", "name"] {
        object["metadata"][field] = stored["metadata"][field].clone();
    }
    if let (Some(new), Some(old)) = (object.as_object_mut(), stored.as_object()) {
        new.remove("kind");
        new.remove("apiVersion");
        if let Some(status) = old.get("status") {
            new.insert("status".to_owned(), status.clone());
        }
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|_, value| !value.is_null());
    }
    *stored = object;
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            if let Some(object) = target.as_object_mut() {
                object.remove(name);
            }
        } else {
            merge(&mut target[name], value);
        }
    }
}

fn delete(call: &Call, kind: &'static Kind, options: &Value) -> Result<Response<Body>, Refusal> {
    let stored = delete_one(call, &call.key(kind), options).ok_or_else(|| call.not_found())?;
    if kind.name == "Pod" {
        return Ok(status::json(StatusCode::OK, &with_kind(kind, &stored)));
    }
    let details = json!({"name": call.path.name, "group": kind.group, "kind": kind.plural,
        "uid": stored["metadata"]["uid"]});
    let done = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    Ok(status::json(StatusCode::OK, &done))
}

fn delete_all(call: &Call, kind: &'static Kind, options: &Value) -> Result<Response<Body>, Refusal> {
    let selector = super::list::selector_of(call)?;
    let (version, items) = call.cluster.store.list(kind, call.namespace());
    let matching = items.iter().filter(|(_, object)| selector.matches(object));
    let deleted: Vec<_> = matching.filter_map(|(key, _)| delete_one(call, key, options)).collect();
    let list = json!({"kind": format!("{}List", kind.name), "apiVersion": kind.api_version(),
        "metadata": {"resourceVersion": version.0.to_string()}, "items": deleted});
    Ok(status::json(StatusCode::OK, &list))
}

fn delete_one(call: &Call, key: &Key, options: &Value) -> Option<Value> {
    let cluster = &call.cluster;
    if key.kind.name != "Pod" {
        return cluster.store.delete(key).map(|object| Value::clone(&object));
    }
    let asked = options["gracePeriodSeconds"].as_u64().or_else(|| call.query.number("gracePeriodSeconds"));
    cluster.delete_pod(key, asked.map(Duration::from_secs)).map(|object| Value::clone(&object))
}
