//! Self subject access reviews: "may I?"

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::status::{self, Body, Refusal};
use super::{Call, allows, body_bytes, parse_json, protobuf};
use crate::rbac::{Attributes, ResourceAttributes};

/// Answers a review with the rights of whoever asks.
pub(crate) async fn answer(call: Call, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    if call.path.resource != "selfsubjectaccessreviews" {
        return Err(Refusal::UnknownPath);
    }
    if call.verb != "create" {
        return Err(Refusal::MethodNotAllowed);
    }
    let body = review_body(request).await?;
    let attributes = attributes_of(&body["spec"]).ok_or_else(|| Refusal::Invalid {
        message: "SelfSubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid \
                  value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
            .to_owned(),
    })?;
    let allowed = allows(&call.cluster, &call.user, &attributes);
    let review = json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {},
        "spec": body["spec"], "status": {"allowed": allowed}});
    Ok(status::json(StatusCode::CREATED, &review))
}

/// kubectl sends its reviews as protobuf.
async fn review_body(request: Request<Incoming>) -> Result<Value, Refusal> {
    let bytes = body_bytes(request).await?;
    match protobuf::access_review(&bytes) {
        Some(review) => Ok(review),
        None => parse_json(&bytes),
    }
}

fn attributes_of(spec: &Value) -> Option<Attributes> {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    match (resource.is_object(), path.is_object()) {
        (true, false) => Some(Attributes::Resource(ResourceAttributes {
            verb: text(resource, "verb"),
            group: text(resource, "group"),
            resource: text(resource, "resource"),
            subresource: text(resource, "subresource"),
            namespace: text(resource, "namespace"),
            name: text(resource, "name"),
        })),
        (false, true) => Some(Attributes::Path { verb: text(path, "verb"), path: text(path, "path") }),
        _ => None,
    }
}
