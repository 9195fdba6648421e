//! Takes a request apart: which resource, which verb, which parameters.

use std::collections::HashMap;

use http::Method;

use crate::rbac::{Attributes, ResourceAttributes};

/// A path below `/api` or `/apis`, or any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Resource(ResourcePath),
    Other,
}

/// The parts of a resource's path; empty texts mean "none".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ResourcePath {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: String,
    pub(crate) resource: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
}

/// The query's parameters; the last value wins, except where all are asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(HashMap<String, Vec<String>>);

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        let mut map: HashMap<String, Vec<String>> = HashMap::new();
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            map.entry(key.into_owned()).or_default().push(value.into_owned());
        }
        Self(map)
    }

    /// One value; empty when there is none.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.0.get(key).and_then(|values| values.last()).map_or("", String::as_str)
    }

    pub(crate) fn all(&self, key: &str) -> Vec<String> {
        self.0.get(key).cloned().unwrap_or_default()
    }

    /// Whether a switch is on, as Go reads truth.
    pub(crate) fn is_on(&self, key: &str) -> bool {
        matches!(self.get(key), "1" | "t" | "T" | "true" | "TRUE" | "True")
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.get(key).parse().ok()
    }
}

impl Target {
    pub(crate) fn parse(path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return Self::Other,
        };
        let of = |namespace: &str, resource: &str, name: &str, subresource: &str| {
            Self::Resource(ResourcePath {
                group: group.to_owned(),
                version: version.to_owned(),
                namespace: namespace.to_owned(),
                resource: resource.to_owned(),
                name: name.to_owned(),
                subresource: subresource.to_owned(),
            })
        };
        match rest {
            ["namespaces"] => of("", "namespaces", "", ""),
            ["namespaces", name] => of("", "namespaces", name, ""),
            ["namespaces", name, subresource @ ("status" | "finalize")] => of("", "namespaces", name, subresource),
            ["namespaces", namespace, resource] => of(namespace, resource, "", ""),
            ["namespaces", namespace, resource, name] => of(namespace, resource, name, ""),
            ["namespaces", namespace, resource, name, subresource] => of(namespace, resource, name, subresource),
            [resource] => of("", resource, "", ""),
            [resource, name] => of("", resource, name, ""),
            [resource, name, subresource] => of("", resource, name, subresource),
            _ => Self::Other,
        }
    }
}

/// The verb of a request on a resource.
pub(crate) fn verb_of(method: &Method, path: &ResourcePath, query: &Query) -> &'static str {
    match (method, path.name.is_empty()) {
        (&Method::GET | &Method::HEAD, false) => "get",
        (&Method::GET | &Method::HEAD, true) if query.is_on("watch") => "watch",
        (&Method::GET | &Method::HEAD, true) => "list",
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, false) => "delete",
        (&Method::DELETE, true) => "deletecollection",
        _ => "",
    }
}

/// What RBAC is asked about a request.
pub(crate) fn attributes_of(method: &Method, path: &str, target: &Target, query: &Query) -> Attributes {
    match target {
        Target::Resource(resource) => {
            // A namespace itself counts as being in that namespace.
            let namespace =
                if resource.resource == "namespaces" { resource.name.clone() } else { resource.namespace.clone() };
            Attributes::Resource(ResourceAttributes {
                verb: verb_of(method, resource, query).to_owned(),
                group: resource.group.clone(),
                resource: resource.resource.clone(),
                subresource: resource.subresource.clone(),
                namespace,
                name: resource.name.clone(),
            })
        }
        Target::Other => Attributes::Path { verb: method.as_str().to_ascii_lowercase(), path: path.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(path: &str) -> ResourcePath {
        match Target::parse(path) {
            Target::Resource(resource) => resource,
            Target::Other => panic!("{path} is a resource"),
        }
    }

    #[test]
    fn a_path_names_its_parts() {
        let exec = resource("/api/v1/namespaces/shop/pods/web-1/exec");
        assert_eq!((exec.namespace.as_str(), exec.resource.as_str()), ("shop", "pods"));
        assert_eq!((exec.name.as_str(), exec.subresource.as_str()), ("web-1", "exec"));
        let set = resource("/apis/apps/v1/replicasets");
        assert_eq!((set.group.as_str(), set.resource.as_str(), set.name.as_str()), ("apps", "replicasets", ""));
        assert_eq!(resource("/api/v1/namespaces/shop").name, "shop");
    }

    #[test]
    fn discovery_paths_are_no_resources() {
        for path in ["/", "/api", "/api/v1", "/apis/apps/v1", "/version", "/healthz"] {
            assert_eq!(Target::parse(path), Target::Other, "{path}");
        }
    }

    #[test]
    fn a_list_with_watch_is_another_verb() {
        let pods = resource("/api/v1/pods");
        assert_eq!(verb_of(&Method::GET, &pods, &Query::parse("")), "list");
        assert_eq!(verb_of(&Method::GET, &pods, &Query::parse("watch=1")), "watch");
        let pod = resource("/api/v1/namespaces/a/pods/b");
        assert_eq!(verb_of(&Method::GET, &pod, &Query::parse("")), "get");
        assert_eq!(verb_of(&Method::DELETE, &pod, &Query::parse("")), "delete");
    }
}
