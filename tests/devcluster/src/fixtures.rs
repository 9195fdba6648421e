//! Loads manifests: the objects that the cluster starts with.

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::{Cluster, objects};
use crate::store::{Key, Kind, Scope, kinds};

/// The pods of the end-to-end suite; the same file is applied to real clusters.
pub(crate) const DEFAULT: &str = include_str!("../../fixtures.yaml");
/// Namespaces that every cluster has.
const BUILT_IN_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Creates the built-in objects and those of the manifests.
pub(crate) fn load(cluster: &Cluster, manifests: &str) -> Result<()> {
    let now = Timestamp::now();
    for name in BUILT_IN_NAMESPACES {
        create(cluster, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}), now)?;
    }
    create(cluster, &node(now), now)?;
    for document in serde_yaml::Deserializer::from_str(manifests) {
        let manifest = Value::deserialize(document).context("read a manifest")?;
        if !manifest.is_null() {
            create(cluster, &manifest, now)?;
        }
    }
    Ok(())
}

/// Stores one object as the API server would and starts what it describes; none if it is there already.
pub(crate) fn create_object(
    cluster: &Cluster,
    key: &Key,
    mut object: Value,
    now: Timestamp,
) -> Option<std::sync::Arc<Value>> {
    match key.kind.name {
        "Pod" => return cluster.create_pod(key, object),
        "Namespace" => complete_namespace(&mut object, &key.name),
        "Deployment" => complete_deployment(&mut object),
        _ => (),
    }
    objects::complete_metadata(&mut object, &key.namespace, now);
    cluster.store.create(key.clone(), object)
}

fn create(cluster: &Cluster, manifest: &Value, now: Timestamp) -> Result<()> {
    let kind = kind_of_manifest(manifest)?;
    let name = manifest["metadata"]["name"].as_str().context("a manifest without metadata.name")?;
    let namespace = match kind.scope {
        Scope::Cluster => "",
        Scope::Namespaced => manifest["metadata"]["namespace"].as_str().unwrap_or("default"),
    };
    if create_object(cluster, &Key::new(kind, namespace, name), manifest.clone(), now).is_none() {
        bail!("{} \"{name}\" is there twice; remove one from the manifests", kind.name);
    }
    Ok(())
}

fn kind_of_manifest(manifest: &Value) -> Result<&'static Kind> {
    let (version, name) = (&manifest["apiVersion"], &manifest["kind"]);
    kinds()
        .iter()
        .find(|kind| *name == kind.name && *version == kind.api_version().as_str())
        .with_context(|| format!("the devcluster does not know {version} {name}"))
}

fn complete_namespace(object: &mut Value, name: &str) {
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
    object["spec"] = json!({"finalizers": ["kubernetes"]});
    object["status"] = json!({"phase": "Active"});
}

fn complete_deployment(object: &mut Value) {
    object["metadata"]["generation"] = json!(1);
    object["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!("1");
    let spec = &mut object["spec"];
    objects::set_default(spec, "replicas", json!(1));
    objects::set_default(
        spec,
        "strategy",
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}),
    );
    objects::set_default(spec, "revisionHistoryLimit", json!(10));
    objects::set_default(spec, "progressDeadlineSeconds", json!(600));
    objects::complete_pod_spec(&mut spec["template"]["spec"]);
    object["status"] = json!({});
}

fn node(now: Timestamp) -> Value {
    let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady",
        "message": "kubelet is posting ready status", "lastHeartbeatTime": objects::time(now),
        "lastTransitionTime": objects::time(now)});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": objects::NODE, "labels": {"kubernetes.io/hostname": objects::NODE,
            "kubernetes.io/os": "linux", "node-role.kubernetes.io/control-plane": ""}},
        "spec": {},
        "status": {"conditions": [ready], "nodeInfo": {"kubeletVersion": "v1.36.2", "operatingSystem": "linux",
            "architecture": "amd64", "osImage": "devcluster", "containerRuntimeVersion": "containerd://1.6.20"}},
    })
}
