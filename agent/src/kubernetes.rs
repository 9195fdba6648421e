//! The client for the cluster's API server.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use http::HeaderValue;
use http::header::USER_AGENT;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::time::timeout;
use tower::{BoxError, ServiceBuilder};

/// What the API server's audit log shows for this agent.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("podlatch-agent/", env!("CARGO_PKG_VERSION")));

/// What an error is about when no client can be made.
const UNUSABLE: &str = "no client for Kubernetes could be made of its settings";

/// The version is asked for people only; nobody waits long for it.
const VERSION: Duration = Duration::from_secs(5);

/// Output that the kernel may hold for one connection, in bytes. It counts against Ctrl-C: what is under way when a flood is
/// interrupted still has to be rendered, and left alone the kernel lets it grow to tens of megabytes.
const RECEIVE_BUFFER_BYTES: usize = 128 * 1024;

/// A client from a kubeconfig, or from the cluster around this process, or from the default kubeconfig. Connects to nothing
/// yet. Cancel safe.
pub async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    Client::try_from(config(kubeconfig).await?).context(UNUSABLE)
}

/// The same for terminals: keystrokes are not gathered, and little output is under way. Through a proxy it is an ordinary
/// client. Cancel safe.
pub async fn terminal_client(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    let config = config(kubeconfig).await?;
    if config.proxy_url.is_some() {
        return Client::try_from(config).context(UNUSABLE);
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_recv_buffer_size(Some(RECEIVE_BUFFER_BYTES));
    connector.set_connect_timeout(config.connect_timeout);
    let connector = config.rustls_https_connector_with_connector(connector).context(UNUSABLE)?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().context(UNUSABLE)?)
        .layer(config.extra_headers_layer().context(UNUSABLE)?)
        .map_err(BoxError::from)
        .service(legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(connector));
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}

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
