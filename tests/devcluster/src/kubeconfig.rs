//! The file that tells clients where the cluster is and who they are.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Makes a kubeconfig for one user. JSON is YAML, so any client reads it.
pub(crate) fn kubeconfig(url: &str, ca_pem: &str, user: &str, token: &str) -> Value {
    let ca = STANDARD.encode(ca_pem);
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "devcluster", "cluster": {"server": url, "certificate-authority-data": ca}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "devcluster",
            "context": {"cluster": "devcluster", "user": user, "namespace": "default"}}],
        "current-context": "devcluster",
    })
}
