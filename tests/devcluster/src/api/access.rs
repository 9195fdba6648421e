//! Who asks, and may they: bearer tokens, impersonation headers, RBAC.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use http::HeaderMap;

use super::status::Refusal;
use crate::cluster::Cluster;
use crate::rbac::{Attributes, ResourceAttributes, User};

const IMPERSONATE_USER: &str = "impersonate-user";
const IMPERSONATE_GROUP: &str = "impersonate-group";
const IMPERSONATE_UID: &str = "impersonate-uid";
const IMPERSONATE_EXTRA: &str = "impersonate-extra-";

/// The user that a request acts as: its token's, or the impersonated one if the token's user may do that.
pub(crate) fn authenticate(cluster: &Cluster, headers: &HeaderMap) -> Result<User, Refusal> {
    let token = header(headers, http::header::AUTHORIZATION.as_str())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let user = token.and_then(|token| cluster.user_of(token)).ok_or(Refusal::Unauthorized)?;
    impersonate(cluster, user, headers)
}

/// Says whether RBAC allows something.
pub(crate) fn allows(cluster: &Cluster, user: &User, attributes: &Attributes) -> bool {
    cluster.policy.read().unwrap_or_else(PoisonError::into_inner).allows(user, attributes)
}

/// Refuses what RBAC does not allow.
pub(crate) fn authorize(cluster: &Cluster, user: &User, attributes: &Attributes) -> Result<(), Refusal> {
    if allows(cluster, user, attributes) {
        return Ok(());
    }
    Err(match attributes {
        Attributes::Resource(resource) => Refusal::forbidden(resource, user),
        Attributes::Path { verb, path } => {
            Refusal::ForbiddenPath { user: user.name.clone(), verb: verb.clone(), path: path.clone() }
        }
    })
}

fn impersonate(cluster: &Cluster, user: User, headers: &HeaderMap) -> Result<User, Refusal> {
    let groups: Vec<String> = texts(headers, IMPERSONATE_GROUP);
    let extra = extras(headers);
    let Some(name) = header(headers, IMPERSONATE_USER) else {
        if groups.is_empty() && extra.is_empty() && !headers.contains_key(IMPERSONATE_UID) {
            return Ok(user);
        }
        let message = "Internal error occurred: requested [{Group  }] without impersonating a user";
        return Err(Refusal::bad_request(message));
    };
    let mut acting = User::named(name);
    let mut wanted = vec![impersonation_of(name)];
    wanted.extend(groups.iter().map(|group| impersonation("", "groups", "", "", group)));
    for (key, values) in &extra {
        wanted.extend(values.iter().map(|value| impersonation("authentication.k8s.io", "userextras", key, "", value)));
    }
    for attributes in wanted {
        authorize(cluster, &user, &Attributes::Resource(attributes))?;
    }
    if !groups.is_empty() {
        acting.groups = groups;
    }
    acting.extra = extra;
    Ok(acting)
}

fn impersonation_of(name: &str) -> ResourceAttributes {
    match name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, account)) => impersonation("", "serviceaccounts", "", namespace, account),
        None => impersonation("", "users", "", "", name),
    }
}

fn impersonation(group: &str, resource: &str, subresource: &str, namespace: &str, name: &str) -> ResourceAttributes {
    ResourceAttributes {
        verb: "impersonate".to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn extras(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let keys = headers.keys().filter_map(|name| name.as_str().strip_prefix(IMPERSONATE_EXTRA));
    keys.map(|key| (key.to_owned(), texts(headers, &format!("{IMPERSONATE_EXTRA}{key}")))).collect()
}

fn texts(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
