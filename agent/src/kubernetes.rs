//! The client for the cluster's API server.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use http::HeaderValue;
use http::header::USER_AGENT;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::time::timeout;

use podlatch_cluster::rights::Rights;

/// What the API server's audit log shows for this agent.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("podlatch-agent/", env!("CARGO_PKG_VERSION")));

/// The version is asked for people only; nobody waits long for it.
const VERSION: Duration = Duration::from_secs(5);

/// A client from a kubeconfig, or from the cluster around this process, or from the default kubeconfig. Connects to nothing
/// yet. Cancel safe.
pub async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    Client::try_from(config(kubeconfig).await?).context(UNUSABLE)
}

/// The same, for execs. Cancel safe.
pub async fn exec_client(kubeconfig: Option<&Path>, rights: &Rights) -> anyhow::Result<Client> {
    let config = config(kubeconfig).await?;
    let auth = &config.auth_info;
    let impersonates = auth.impersonate.is_some() || auth.impersonate_groups.is_some();
    if impersonates && matches!(rights, Rights::Impersonate(_)) {
        // Kubernetes would take the two for one person, with the groups of both.
        bail!(
            "the kubeconfig impersonates somebody itself (\"as\"); remove that, or set the Kubernetes identity to \"agent\""
        );
    }
    podlatch_podexec::client::for_execs(config).context(UNUSABLE)
}

const UNUSABLE: &str = "no client for Kubernetes could be made of its settings";

async fn config(kubeconfig: Option<&Path>) -> anyhow::Result<Config> {
    let mut config = match kubeconfig {
        Some(path) => {
            let parsed = Kubeconfig::read_from(path)
                .with_context(|| format!("the kubeconfig {} could not be read", path.display()))?;
            Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("the kubeconfig {} is not usable", path.display()))?
        }
        None => Config::infer()
            .await
            .context("there is no cluster around this process and no kubeconfig; give one with --kubeconfig")?,
    };
    config.headers.push((USER_AGENT, AGENT));
    Ok(config)
}

/// The cluster's version, or nothing where it does not answer. Cancel safe.
pub async fn version(client: &Client) -> String {
    match timeout(VERSION, client.apiserver_version()).await {
        Ok(Ok(version)) => version.git_version,
        Ok(Err(error)) => {
            tracing::warn!("Kubernetes does not tell its version: {error}");
            String::new()
        }
        Err(_) => {
            tracing::warn!("Kubernetes does not answer");
            String::new()
        }
    }
}
