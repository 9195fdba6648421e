//! What the API offers, as recorded from a real one.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::status::{self, Body};

const VERSION: &str = include_str!("../../tests/recorded/rest/version.json");
const API: &str = include_str!("../../tests/recorded/rest/api.json");
const APIS: &str = include_str!("../../tests/recorded/rest/apis.json");
const CORE: &str = include_str!("../../tests/recorded/rest/api-v1.json");
const APPS: &str = include_str!("../../tests/recorded/rest/apis-apps-v1.json");

/// The health endpoints, which need no token.
pub(crate) fn health(path: &str) -> Option<Response<Body>> {
    matches!(path, "/healthz" | "/livez" | "/readyz")
        .then(|| status::respond(StatusCode::OK, "text/plain; charset=utf-8", "ok"))
}

/// Version, groups and resources; none for paths that are not there.
pub(crate) fn answer(address: &str, path: &str) -> Option<Response<Body>> {
    let text = |body: &'static str| Some(status::respond(StatusCode::OK, "application/json", body));
    match path.trim_end_matches('/') {
        "/version" => text(VERSION),
        "/api" => {
            let body = API.replace("127.0.0.1:6443", address);
            Some(status::respond(StatusCode::OK, "application/json", body))
        }
        "/apis" => text(APIS),
        "/api/v1" => text(CORE),
        "/apis/apps/v1" => text(APPS),
        "/openapi/v3" => Some(status::json(StatusCode::OK, &json!({"paths": {}}))),
        other => other.strip_prefix("/apis/").and_then(group).map(|value| status::json(StatusCode::OK, &value)),
    }
}

/// A group, or one version of it with its resources.
fn group(path: &str) -> Option<Value> {
    let all: Value = serde_json::from_str(APIS).ok()?;
    let (name, version) = path.split_once('/').map_or((path, None), |(name, version)| (name, Some(version)));
    let group = all["groups"].as_array()?.iter().find(|group| group["name"] == name)?;
    let Some(version) = version else {
        let mut group = group.clone();
        group["kind"] = json!("APIGroup");
        group["apiVersion"] = json!("v1");
        return Some(group);
    };
    group["versions"].as_array()?.iter().find(|one| one["version"] == version)?;
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": path, "resources": resources(path)}))
}

fn resources(group_version: &str) -> Value {
    let namespaced = |name: &str, singular: &str, kind: &str, short: &[&str]| {
        json!({"name": name, "singularName": singular, "namespaced": true, "kind": kind, "shortNames": short,
            "categories": ["all"],
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]})
    };
    match group_version {
        "batch/v1" => {
            json!([namespaced("cronjobs", "cronjob", "CronJob", &["cj"]), namespaced("jobs", "job", "Job", &[])])
        }
        "authorization.k8s.io/v1" => json!([{"name": "selfsubjectaccessreviews", "namespaced": false,
            "singularName": "selfsubjectaccessreview", "kind": "SelfSubjectAccessReview", "verbs": ["create"]}]),
        _ => json!([]),
    }
}
