//! `pods/ephemeralcontainers`: reads a pod, or adds containers to it by a strategic merge patch, as `kubectl debug` does.

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::status::{Body, Refusal};
use super::{Call, json_body, object_response};
use crate::cluster::objects;
use crate::store::Kind;

/// The label by which a namespace asks for pod security.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Answers `get` and `patch`.
pub(crate) async fn answer(
    call: Call,
    kind: &'static Kind,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let key = call.key(kind);
    if call.verb == "get" {
        let pod = call.cluster.store.get(&key).ok_or_else(|| call.not_found())?;
        return Ok(object_response(&call, kind, &pod, StatusCode::OK));
    }
    if call.verb != "patch" {
        return Err(Refusal::MethodNotAllowed);
    }
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.and_then(|value| value.split(';').next()) != Some("application/strategic-merge-patch+json") {
        let message = "the devcluster takes strategic merge patches here".to_owned();
        return Err(Refusal::UnsupportedMediaType { message });
    }
    let patch = json_body(request).await?.unwrap_or_default();
    let wanted = patch["spec"]["ephemeralContainers"].as_array().cloned().unwrap_or_default();
    let pod = call.cluster.store.get(&key).ok_or_else(|| call.not_found())?;
    let added = added(&pod, wanted).map_err(|message| invalid(&call, &message))?;
    for container in &added {
        admit(&call, container)?;
    }
    let stored = call.cluster.store.update(&key, |pod| add(pod, &added)).ok_or_else(|| call.not_found())?;
    for container in added {
        call.cluster.kubelet.add_ephemeral(key.clone(), container);
    }
    Ok(object_response(&call, kind, &stored, StatusCode::OK))
}

fn invalid(call: &Call, message: &str) -> Refusal {
    Refusal::Invalid { message: format!("Pod \"{}\" is invalid: spec.ephemeralContainers{message}", call.path.name) }
}

/// The containers of a patch that are new, complete. What is there stays as it is: a patch that changes it is an error.
fn added(pod: &Value, wanted: Vec<Value>) -> Result<Vec<Value>, String> {
    let spec = &pod["spec"];
    let names = |field: &str| -> Vec<Value> {
        spec[field].as_array().into_iter().flatten().map(|container| container["name"].clone()).collect()
    };
    let mut added = Vec::new();
    for (index, mut container) in wanted.into_iter().enumerate() {
        let name = container["name"].clone();
        let known = spec["ephemeralContainers"].as_array().into_iter().flatten().find(|one| one["name"] == name);
        if let Some(known) = known {
            let changed = container.as_object().into_iter().flatten().any(|(field, value)| known[field] != *value);
            if changed {
                return Err(format!(": Forbidden: existing ephemeral containers {name} may not be changed"));
            }
            continue;
        }
        if name.as_str().is_none_or(str::is_empty) || container["image"].as_str().is_none_or(str::is_empty) {
            return Err(format!("[{index}]: Required value: name and image"));
        }
        if names("containers").contains(&name) || names("initContainers").contains(&name) {
            return Err(format!("[{index}].name: Duplicate value: {name}"));
        }
        let target = container["targetContainerName"].clone();
        if target.is_string() && !names("containers").contains(&target) {
            return Err(format!("[{index}].targetContainerName: Not found: {target}"));
        }
        objects::complete_container(&mut container);
        added.push(container);
    }
    Ok(added)
}

fn add(pod: &mut Value, added: &[Value]) {
    if added.is_empty() {
        return;
    }
    let mut all = pod["spec"]["ephemeralContainers"].as_array().cloned().unwrap_or_default();
    all.extend(added.iter().cloned());
    pod["spec"]["ephemeralContainers"] = json!(all);
    let generation = pod["metadata"]["generation"].as_u64().unwrap_or(1);
    pod["metadata"]["generation"] = json!(generation + 1);
}

/// Pod security at its level "restricted", as far as one of its rules: escalation must be switched off.
fn admit(call: &Call, container: &Value) -> Result<(), Refusal> {
    let namespaces = crate::store::kind_of("", "namespaces").ok_or(Refusal::UnknownPath)?;
    let namespace = call.cluster.store.get(&crate::store::Key::new(namespaces, "", &call.path.namespace));
    let level = namespace.map(|namespace| namespace["metadata"]["labels"][ENFORCE].clone()).unwrap_or_default();
    if level != "restricted" || container["securityContext"]["allowPrivilegeEscalation"] == false {
        return Ok(());
    }
    let name = &container["name"];
    Err(Refusal::Forbidden {
        group: String::new(),
        resource: "pods".to_owned(),
        name: call.path.name.clone(),
        text: format!(
            "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container {name} must set \
             securityContext.allowPrivilegeEscalation=false)"
        ),
    })
}
