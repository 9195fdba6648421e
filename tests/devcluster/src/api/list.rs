//! `get` and `list`, in pages when asked for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::status::{self, Body, Refusal};
use super::{Call, object_response, table};
use crate::store::{Key, Kind, Selector, Version};

/// Where the next page begins, as an opaque token for clients.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    v: String,
    rv: u64,
    start: String,
}

const CONTINUE_FORMAT: &str = "meta.k8s.io/v1";

/// One object.
pub(crate) fn get(call: &Call, kind: &'static Kind) -> Result<Response<Body>, Refusal> {
    let object = call.cluster.store.get(&call.key(kind)).ok_or_else(|| call.not_found())?;
    Ok(object_response(call, kind, &object, StatusCode::OK))
}

/// The objects that the selectors match, or one page of them.
pub(crate) fn list(call: &Call, kind: &'static Kind) -> Result<Response<Body>, Refusal> {
    let selector = selector_of(call)?;
    let (mut version, items) = call.cluster.store.list(kind, call.namespace());
    let mut items: Vec<_> = items.into_iter().filter(|(_, object)| selector.matches(object)).collect();
    let token = call.query.get("continue");
    if !token.is_empty() {
        let page = parse_token(token)?;
        version = Version(page.rv);
        items.retain(|(key, _)| position(key) > page.start);
    }
    let mut metadata = json!({"resourceVersion": version.0.to_string()});
    let limit = call.query.number("limit").and_then(|limit| usize::try_from(limit).ok()).filter(|&limit| limit > 0);
    if let Some(limit) = limit
        && items.len() > limit
    {
        let rest = items.split_off(limit);
        let start = items.last().map_or_else(String::new, |(key, _)| position(key));
        metadata["continue"] = json!(token_of(version, start));
        if selector.is_empty() {
            metadata["remainingItemCount"] = json!(rest.len());
        }
    }
    let objects: Vec<Value> = items.into_iter().map(|(_, object)| Value::clone(&object)).collect();
    if table::is_wanted(&call.accept) {
        let mut table = table::of_objects(kind, &version.0.to_string(), &objects);
        table["metadata"] = metadata;
        return Ok(status::json(StatusCode::OK, &table));
    }
    let list = json!({"kind": format!("{}List", kind.name), "apiVersion": kind.api_version(),
        "metadata": metadata, "items": objects});
    Ok(status::json(StatusCode::OK, &list))
}

/// The selectors of a list or watch, its name included when the path has one.
pub(crate) fn selector_of(call: &Call) -> Result<Selector, Refusal> {
    Selector::parse(call.query.get("labelSelector"), call.query.get("fieldSelector"))
        .map_err(|error| Refusal::bad_request(error.to_string()))
}

/// Sorts as the keys do, and stays valid when objects come and go.
fn position(key: &Key) -> String {
    format!("/{}/{}\0", key.namespace, key.name)
}

fn token_of(version: Version, start: String) -> String {
    let token = Continue { v: CONTINUE_FORMAT.to_owned(), rv: version.0, start };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
}

fn parse_token(token: &str) -> Result<Continue, Refusal> {
    let invalid = || Refusal::bad_request("continue key is not valid");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    serde_json::from_slice::<Continue>(&bytes).ok().filter(|page| page.v == CONTINUE_FORMAT).ok_or_else(invalid)
}
