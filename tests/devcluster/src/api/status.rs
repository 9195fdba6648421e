//! The answers that are not objects: refusals, in the API server's words.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use serde::Serialize;

use crate::rbac::{ResourceAttributes, User};

/// Every response body.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// A request that is not served, and why.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// No token, or one that nobody has.
    Unauthorized,
    /// RBAC says no; `text` follows "is forbidden: " and may be empty.
    Forbidden {
        group: String,
        resource: String,
        name: String,
        text: String,
    },
    /// RBAC says no to a path outside the resources.
    ForbiddenPath {
        user: String,
        verb: String,
        path: String,
    },
    NotFound {
        group: String,
        resource: String,
        name: String,
    },
    /// No such path.
    UnknownPath,
    AlreadyExists {
        group: String,
        resource: String,
        name: String,
    },
    Conflict {
        group: String,
        resource: String,
        name: String,
    },
    BadRequest {
        message: String,
    },
    Invalid {
        message: String,
    },
    /// A resource version that is no longer kept.
    Expired {
        message: String,
    },
    MethodNotAllowed,
    UnsupportedMediaType {
        message: String,
    },
    /// What a kubelet answers by itself, passed on.
    Kubelet {
        message: String,
    },
    /// An upgrade to no known subprotocol.
    UnknownSubprotocol,
}

/// The JSON of a `Status`, its fields in the order that Go writes them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Empty,
    #[serde(rename = "status")]
    result: &'static str,
    message: String,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
    code: u16,
}

#[derive(Debug, Serialize)]
struct Empty {}

#[derive(Debug, Serialize)]
struct Details<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'a str,
}

impl Refusal {
    pub(crate) fn forbidden(attributes: &ResourceAttributes, user: &User) -> Self {
        Self::Forbidden {
            group: attributes.group.clone(),
            resource: attributes.resource.clone(),
            name: attributes.name.clone(),
            text: attributes.refusal(user),
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::BadRequest { message: message.into() }
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        match &self {
            Self::Kubelet { message } => {
                return respond(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", message.clone());
            }
            Self::UnknownSubprotocol => return empty(StatusCode::FORBIDDEN),
            Self::UnknownPath => {
                return respond(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "404 page not found\n");
            }
            _ => (),
        }
        let status = self.status();
        let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut text = serde_json::to_string(&status).unwrap_or_default();
        text.push('\n');
        respond(code, "application/json", text)
    }

    /// The same as the object of an ERROR event in a watch.
    pub(crate) fn to_event_object(&self) -> serde_json::Value {
        serde_json::to_value(self.status()).unwrap_or_default()
    }

    fn status(&self) -> Status<'_> {
        let of = |group: &str, resource: &str| {
            if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
        };
        match self {
            Self::Unauthorized => status(401, "Unauthorized", "Unauthorized".to_owned(), None),
            Self::Forbidden { group, resource, name, text } => {
                let named = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
                let message = format!("{}{named} is forbidden: {text}", of(group, resource));
                status(403, "Forbidden", message, details(name, group, resource))
            }
            Self::ForbiddenPath { user, verb, path } => {
                let message = format!("forbidden: User \"{user}\" cannot {verb} path \"{path}\"");
                status(403, "Forbidden", message, details("", "", ""))
            }
            Self::NotFound { group, resource, name } => {
                let message = format!("{} \"{name}\" not found", of(group, resource));
                status(404, "NotFound", message, details(name, group, resource))
            }
            Self::AlreadyExists { group, resource, name } => {
                let message = format!("{} \"{name}\" already exists", of(group, resource));
                status(409, "AlreadyExists", message, details(name, group, resource))
            }
            Self::Conflict { group, resource, name } => {
                let message = format!(
                    "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your \
                     changes to the latest version and try again",
                    of(group, resource)
                );
                status(409, "Conflict", message, details(name, group, resource))
            }
            Self::BadRequest { message } => status(400, "BadRequest", message.clone(), None),
            Self::Invalid { message } => status(422, "Invalid", message.clone(), None),
            Self::Expired { message } => status(410, "Expired", message.clone(), None),
            Self::MethodNotAllowed => {
                let message = "the server does not allow this method on the requested resource".to_owned();
                status(405, "MethodNotAllowed", message, details("", "", ""))
            }
            Self::UnsupportedMediaType { message } => status(415, "UnsupportedMediaType", message.clone(), None),
            Self::Kubelet { .. } | Self::UnknownSubprotocol | Self::UnknownPath => {
                status(500, "InternalError", String::new(), None)
            }
        }
    }
}

fn status<'a>(code: u16, reason: &'static str, message: String, details: Option<Details<'a>>) -> Status<'a> {
    Status { kind: "Status", api_version: "v1", metadata: Empty {}, result: "Failure", message, reason, details, code }
}

#[expect(clippy::unnecessary_wraps, reason = "the field is optional, and reads best so at the callers")]
fn details<'a>(name: &'a str, group: &'a str, kind: &'a str) -> Option<Details<'a>> {
    Some(Details { name, group, kind })
}

/// A whole response of one piece.
pub(crate) fn respond(code: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}

/// A JSON answer, ended by a line break as Go does.
pub(crate) fn json(code: StatusCode, value: &impl Serialize) -> Response<Body> {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    respond(code, "application/json", text)
}

/// A response without a body.
pub(crate) fn empty(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new()).boxed_unsync());
    *response.status_mut() = code;
    response
}
