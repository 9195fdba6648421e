//! A stand-in Kubernetes with real shells on real pseudo-terminals, for the demo and the tests.
//!
//! It answers as a recorded cluster did (`tests/recorded`): discovery, objects, watches, logs, RBAC and exec over
//! WebSocket, unpleasant sides included: a client that goes away leaves its process running. Its containers are real
//! processes, each with its own files, PIDs and host name; nothing of them outlives the devcluster, however it ends.

mod api;
mod cluster;
mod container;
mod exec;
mod faults;
mod files;
mod fixtures;
mod kubeconfig;
mod rbac;
mod server;
mod signals;
mod store;
mod tls;

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use container::{Isolation, Prerequisites};
pub use faults::Faults;
pub use rbac::{Grant, GrantScope, Rule, Subject, User};

use cluster::{Cluster, Kubelet};
use container::Host;
use rbac::{Policy, built_in_accounts, built_in_grants};
use store::{Key, Store, kind_of};
use tls::Tls;

/// How long the first pods may take to run.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a pod that runs once is waited for.
const RUN_ONCE_TIMEOUT: Duration = Duration::from_secs(20);
/// The bytes of randomness in a token.
const TOKEN_BYTES: usize = 24;

/// How a devcluster starts.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The port on 127.0.0.1; 0 means any that is free.
    pub port: u16,
    /// Keeps the certificate authority and the tokens, so that kubeconfigs stay valid; none means a new temporary one.
    pub data: Option<PathBuf>,
    /// YAML manifests to start with; none means `tests/fixtures.yaml`.
    pub manifests: Option<String>,
}

/// A running devcluster. It ends when it is shut down or dropped.
#[derive(Debug)]
pub struct Devcluster {
    cluster: Arc<Cluster>,
    url: String,
    ca_pem: String,
    /// Tokens by the short names of their users.
    tokens: BTreeMap<String, String>,
    prerequisites: Prerequisites,
    folder: Folder,
}

/// Where a devcluster keeps its files.
#[derive(Debug)]
enum Folder {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

impl Devcluster {
    /// Starts a cluster and waits until its pods run. Not cancel safe.
    pub async fn start(options: Options) -> Result<Self> {
        let prerequisites = Prerequisites::check();
        if !prerequisites.missing_required.is_empty() {
            bail!(prerequisites.advice().join("; "));
        }
        raise_descriptor_limit();
        let folder = folder_of(options.data)?;
        let tls = Tls::load_or_create(folder.path())?;
        let accounts = Accounts::load_or_create(folder.path())?;
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port)))
            .await
            .with_context(|| format!("listen on port {}; choose another with --port", options.port))?;
        let address = listener.local_addr().context("find out the port")?;
        let isolation = prerequisites.isolation;
        let host = tokio::task::spawn_blocking(move || Host::inspect(isolation)).await?;
        let cluster = Arc::new(new_cluster(host, folder.path(), accounts.by_token, address)?);
        signals::catch_ignored(&cluster.tasks, &cluster.stop);
        fixtures::load(&cluster, options.manifests.as_deref().unwrap_or(fixtures::DEFAULT))?;
        cluster.start_controllers();
        cluster.tasks.spawn(server::run(Arc::clone(&cluster), listener, tls.server));
        let devcluster = Self {
            cluster,
            url: format!("https://{address}"),
            ca_pem: tls.ca_pem,
            tokens: accounts.by_name,
            prerequisites,
            folder,
        };
        tokio::time::timeout(START_TIMEOUT, devcluster.wait_until_settled())
            .await
            .context("the devcluster's pods do not start; look for errors above")?;
        Ok(devcluster)
    }

    /// Where the API is, for example `https://127.0.0.1:6443`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate authority that clients must trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// What the machine lacked at the start.
    pub fn prerequisites(&self) -> &Prerequisites {
        &self.prerequisites
    }

    /// The short names of the built-in users: `admin`, `podlatch-agent`, `podlatch-agent-impersonating`, `alice` (no
    /// rights), `exec-create-only`, `exec-get-only`, `shop-only`.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.tokens.keys().map(String::as_str)
    }

    /// The bearer token of a user.
    ///
    /// # Errors
    /// There is no user of that name.
    pub fn token(&self, user: &str) -> Result<&str> {
        let token = self.tokens.get(user).with_context(|| format!("the devcluster has no user \"{user}\""))?;
        Ok(token)
    }

    /// A kubeconfig for a user, as text.
    ///
    /// # Errors
    /// There is no user of that name.
    pub fn kubeconfig(&self, user: &str) -> Result<String> {
        let config = kubeconfig::kubeconfig(&self.url, &self.ca_pem, user, self.token(user)?);
        serde_json::to_string_pretty(&config).context("write a kubeconfig")
    }

    /// Writes every user's kubeconfig to `users/NAME.kubeconfig` in the data folder, and the administrator's to `path`
    /// besides; gives back where that is.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write_kubeconfigs(&self, path: Option<&Path>) -> Result<PathBuf> {
        let folder = self.folder.path().join("users");
        std::fs::create_dir_all(&folder).with_context(|| format!("make the folder {}", folder.display()))?;
        for user in self.users() {
            let file = folder.join(format!("{user}.kubeconfig"));
            files::write_private(&file, self.kubeconfig(user)?.as_bytes())?;
        }
        let path = path.map_or_else(|| folder.join("admin.kubeconfig"), Path::to_owned);
        files::write_private(&path, self.kubeconfig("admin")?.as_bytes())?;
        std::path::absolute(&path).context("find out where the kubeconfig is")
    }

    /// Adds a user; its token is the answer. It has no rights until it is granted some.
    pub fn add_user(&mut self, user: User) -> String {
        let token = new_token();
        self.tokens.insert(user.name.clone(), token.clone());
        self.cluster.tokens.write().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), user);
        token
    }

    /// Gives rights, at once.
    pub fn grant(&self, grant: Grant) {
        self.cluster.policy.write().unwrap_or_else(PoisonError::into_inner).add(grant);
    }

    /// Takes everything from a subject, at once. Streams that run go on, as on a real cluster.
    pub fn revoke(&self, subject: &Subject) {
        self.cluster.policy.write().unwrap_or_else(PoisonError::into_inner).revoke(subject);
    }

    /// Deletes a pod as the API does, without its grace time.
    pub fn delete_pod(&self, namespace: &str, name: &str) {
        if let Some(pods) = kind_of("", "pods") {
            self.cluster.delete_pod(&Key::new(pods, namespace, name), Some(Duration::ZERO));
        }
    }

    /// Forgets the history of all objects: every running or resumed watch is told that it expired.
    pub fn expire_watches(&self) {
        self.cluster.store.forget_history();
    }

    /// The switches for faults.
    pub fn faults(&self) -> &Faults {
        &self.cluster.faults
    }

    /// Ends everything: connections, containers, files. Not cancel safe.
    pub async fn shutdown(self) {
        self.cluster.stop.cancel();
        self.cluster.kubelet.shutdown().await;
        self.cluster.tasks.close();
        self.cluster.tasks.wait().await;
    }

    /// Resolves when every pod runs, is done, or has no node. Cancel safe.
    async fn wait_until_settled(&self) {
        let mut changes = self.cluster.store.subscribe();
        let mut until = async |settled: fn(&Store) -> bool| {
            while !settled(&self.cluster.store) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        until(is_settled).await;
        // Pods that run once mostly end at once, but need not.
        let _ = tokio::time::timeout(RUN_ONCE_TIMEOUT, until(is_run_once_over)).await;
    }
}

impl Drop for Devcluster {
    fn drop(&mut self) {
        self.cluster.stop.cancel();
        self.cluster.kubelet.stop();
    }
}

/// Users and their tokens, both ways.
struct Accounts {
    by_name: BTreeMap<String, String>,
    by_token: HashMap<String, User>,
}

impl Accounts {
    fn load_or_create(folder: &Path) -> Result<Self> {
        let path = folder.join("tokens.json");
        let stored = std::fs::read(&path).unwrap_or_default();
        let mut by_name: BTreeMap<String, String> = serde_json::from_slice(&stored).unwrap_or_default();
        let mut by_token = HashMap::new();
        for account in built_in_accounts() {
            let token = by_name.entry(account.short_name.to_owned()).or_insert_with(new_token);
            by_token.insert(token.clone(), account.user);
        }
        files::write_private(&path, &serde_json::to_vec_pretty(&by_name)?)?;
        Ok(Self { by_name, by_token })
    }
}

fn new_token() -> String {
    format!("dev_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; TOKEN_BYTES]>()))
}

fn folder_of(data: Option<PathBuf>) -> Result<Folder> {
    let Some(path) = data else {
        let folder = TempDir::with_prefix("podlatch-devcluster-").context("make a temporary folder")?;
        return Ok(Folder::Temporary(folder));
    };
    std::fs::create_dir_all(&path).with_context(|| format!("make the folder {}", path.display()))?;
    Ok(Folder::Kept(path))
}

fn new_cluster(host: Host, folder: &Path, tokens: HashMap<String, User>, address: SocketAddr) -> Result<Cluster> {
    let containers = folder.join("containers");
    std::fs::create_dir_all(&containers).context("make the containers' folder")?;
    let store = Arc::new(Store::new());
    let kubelet = Kubelet::new(Arc::clone(&store), host, containers, base_environment(address));
    Ok(Cluster {
        store,
        kubelet: Arc::new(kubelet),
        policy: RwLock::new(Policy::new(built_in_grants())),
        tokens: RwLock::new(tokens),
        faults: Faults::new(),
        address: address.to_string(),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
    })
}

/// What every container finds in its environment.
fn base_environment(address: SocketAddr) -> Vec<(String, String)> {
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME", "/root".to_owned()),
        ("KUBERNETES_SERVICE_HOST", ip.clone()),
        ("KUBERNETES_SERVICE_PORT", port.clone()),
        ("KUBERNETES_SERVICE_PORT_HTTPS", port.clone()),
        ("KUBERNETES_PORT", format!("tcp://{ip}:{port}")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn is_settled(store: &Store) -> bool {
    let Some(pods) = kind_of("", "pods") else { return true };
    let settled = |pod: &serde_json::Value| {
        matches!(pod["status"]["phase"].as_str(), Some("Running" | "Succeeded" | "Failed"))
            || pod["status"]["conditions"][0]["reason"] == "Unschedulable"
    };
    let sets = kind_of("apps", "replicasets").map(|sets| store.list(sets, None).1).unwrap_or_default();
    let deployments = kind_of("apps", "deployments").map(|kind| store.list(kind, None).1).unwrap_or_default();
    sets.len() >= deployments.len()
        && sets.iter().all(|(_, set)| set["status"]["readyReplicas"].as_u64() >= set["spec"]["replicas"].as_u64())
        && store.list(pods, None).1.iter().all(|(_, pod)| settled(pod))
}

fn is_run_once_over(store: &Store) -> bool {
    let Some(pods) = kind_of("", "pods") else { return true };
    let over =
        |pod: &serde_json::Value| pod["spec"]["restartPolicy"] == "Always" || pod["status"]["phase"] != "Running";
    store.list(pods, None).1.iter().all(|(_, pod)| over(pod))
}

/// Hundreds of sessions need more descriptors than the usual limit.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}
