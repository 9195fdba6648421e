//! The whole line as processes: cluster, relay, agent, and a person who is signed in.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use podlatch_impair::{Profile, UdpProxy};
use podlatch_protocol::target::PodTarget;
use reqwest::Method;
use tempfile::TempDir;
use tokio::process::Command;

use crate::api::Api;
use crate::cluster::Cluster;
use crate::poll;
use crate::process::{Process, program};
use crate::viewer::Viewer;

/// How long the agent may take to connect.
const CONNECT: Duration = Duration::from_secs(90);

/// What a stack is started with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// More arguments for `podlatch-relay serve`.
    pub relay: Vec<String>,
    /// More arguments for `podlatch-agent run`.
    pub agent: Vec<String>,
    /// More environment for the relay.
    pub relay_environment: Vec<(String, String)>,
    /// What the relay is started through: a program that becomes the relay, and its arguments.
    pub relay_under: Vec<String>,
}

/// The whole line. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Stack {
    /// The cluster.
    pub cluster: Cluster,
    /// The relay's process.
    pub relay: Process,
    /// The agent's process.
    pub agent: Process,
    /// The person.
    pub api: Api,
    /// The cluster's id at the relay.
    pub cluster_id: String,
    /// Where the relay listens for agents.
    pub tunnel: String,
    /// The relay's HTTP address, as host:port.
    pub http: String,
    options: Options,
    pin: String,
    folder: TempDir,
}

impl Stack {
    /// Starts everything and waits until the agent is connected.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Options::default()).await
    }

    /// The same, with more arguments.
    pub async fn start_with(options: Options) -> anyhow::Result<Self> {
        Self::start_through(options, |tunnel| async { Ok(tunnel) }).await
    }

    /// The same; the agent dials what `route` makes of the relay's tunnel address.
    pub async fn start_through<F>(options: Options, route: impl FnOnce(String) -> F) -> anyhow::Result<Self>
    where
        F: Future<Output = anyhow::Result<String>>,
    {
        let folder = tempfile::Builder::new().prefix("podlatch-e2e").tempdir()?;
        let cluster = Cluster::start(folder.path()).await?;
        let (relay, http, listening) = start_relay(&folder, "127.0.0.1:0", "127.0.0.1:0", &options).await?;
        let tunnel = route(listening.clone()).await?;
        let admin = Admin { data: folder.path().join("relay"), url: format!("http://{http}"), tunnel: tunnel.clone() };
        let link = admin.run(&["create-organisation", "--name", "Test", "--owner-email", "ada@example.org"]).await?;
        let link = word(&link, |word| word.contains("/sign-in#")).context("no sign-in link")?;
        let join = admin.run(&["create-cluster", "--organisation", "Test", "--name", "test"]).await?;
        let pin = word(&join, |word| word.starts_with("sha256:")).context("no pin")?;
        let token = word(&join, |word| word.starts_with("plj_")).context("no join token")?;
        let api = Api::sign_in(&link).await?;
        let cluster_id = api.cluster().await?;
        let mut options = options;
        options.agent.push(format!("--relay={tunnel}"));
        let agent = start_agent(&folder, &cluster, &pin, Some(&token), &options)?;
        let stack = Self { cluster, relay, agent, api, cluster_id, tunnel: listening, http, options, pin, folder };
        stack.wait_until_online().await?;
        Ok(stack)
    }

    /// The same; the agent's path to the relay goes through a proxy that can be cut.
    pub async fn start_behind_proxy(options: Options) -> anyhow::Result<(Self, UdpProxy)> {
        let mut proxy = None;
        let started = &mut proxy;
        let stack = Self::start_through(options, |tunnel| async move {
            let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let proxy = started.insert(UdpProxy::start(listen, tunnel.parse()?, Profile::default(), 7).await?);
            Ok(proxy.address().to_string())
        })
        .await?;
        Ok((stack, proxy.context("the route was not asked for")?))
    }

    /// Waits until the relay sees the agent.
    pub async fn wait_until_online(&self) -> anyhow::Result<()> {
        self.wait_until_cluster_online(&self.cluster_id).await
    }

    /// Waits until the relay sees an agent of this cluster.
    pub async fn wait_until_cluster_online(&self, cluster_id: &str) -> anyhow::Result<()> {
        let path = format!("/clusters/{cluster_id}");
        poll::until("the agent connects", CONNECT, || async {
            let cluster = self.api.call(Method::GET, &path, None).await;
            let online = cluster.is_ok_and(|cluster| cluster["state"] == "online");
            Ok(if online { Ok(()) } else { Err(format!("agent:\n{}\nrelay:\n{}", self.agent.log(), self.relay.log())) })
        })
        .await
    }

    /// `kill -9` of the relay.
    pub async fn kill_relay(&mut self) -> anyhow::Result<()> {
        self.relay.kill().await
    }

    /// Starts the relay again on the same data and addresses.
    pub async fn restart_relay(&mut self) -> anyhow::Result<()> {
        let (relay, http, tunnel) = start_relay(&self.folder, &self.http, &self.tunnel, &self.options).await?;
        ensure!((&http, &tunnel) == (&self.http, &self.tunnel), "the relay came back on other addresses");
        self.relay = relay;
        Ok(())
    }

    /// `kill -9` of the agent.
    pub async fn kill_agent(&mut self) -> anyhow::Result<()> {
        self.agent.kill().await
    }

    /// Starts the agent again with its identity.
    pub fn restart_agent(&mut self) -> anyhow::Result<()> {
        self.agent = start_agent(&self.folder, &self.cluster, &self.pin, None, &self.options)?;
        Ok(())
    }

    /// Where the relay keeps its data.
    pub fn relay_data(&self) -> PathBuf {
        self.folder.path().join("relay")
    }

    /// Where recordings are kept for good.
    pub fn recordings(&self) -> PathBuf {
        self.relay_data().join("recordings")
    }

    /// Where live sessions are recorded.
    pub fn hot_logs(&self) -> PathBuf {
        self.relay_data().join("hot")
    }

    /// A folder of this test's own.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The CA pin that agents are given.
    pub fn pin(&self) -> &str {
        &self.pin
    }

    /// Runs `podlatch-relay admin` and returns what it printed.
    pub async fn admin(&self, arguments: &[&str]) -> anyhow::Result<String> {
        Admin { data: self.relay_data(), url: format!("http://{}", self.http), tunnel: self.tunnel.clone() }
            .run(arguments)
            .await
    }

    /// Makes a second cluster; returns its id and a join token for it.
    pub async fn create_cluster(&self, name: &str) -> anyhow::Result<(String, String)> {
        let join = self.admin(&["create-cluster", "--organisation", "Test", "--name", name]).await?;
        let token = word(&join, |word| word.starts_with("plj_")).context("no join token")?;
        Ok((self.api.cluster_named(name).await?, token))
    }

    /// A new join token for the first cluster.
    pub async fn join_token(&self) -> anyhow::Result<String> {
        let join = self.admin(&["join-token", "--cluster", "test"]).await?;
        word(&join, |word| word.starts_with("plj_")).context("no join token")
    }

    /// Opens a session and attaches to it.
    pub async fn open(&self, target: &PodTarget) -> anyhow::Result<Viewer> {
        self.open_command(target, None).await
    }

    /// Opens a session with a command and attaches to it.
    pub async fn open_command(&self, target: &PodTarget, command: Option<&[&str]>) -> anyhow::Result<Viewer> {
        let opened = self.api.open(&self.cluster_id, target, command).await?;
        Viewer::attach(self.api.clone(), opened).await
    }
}

struct Admin {
    data: PathBuf,
    url: String,
    tunnel: String,
}

impl Admin {
    async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(program("podlatch-relay")?)
            .arg("admin")
            .args(arguments)
            .env("PODLATCH_DATA", &self.data)
            .env("PODLATCH_PUBLIC_URL", &self.url)
            .env("PODLATCH_TUNNEL_ADDRESS", &self.tunnel)
            .output()
            .await?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}

async fn start_relay(
    folder: &TempDir,
    http: &str,
    tunnel: &str,
    options: &Options,
) -> anyhow::Result<(Process, String, String)> {
    let data = folder.path().join("relay");
    let data = data.to_str().context("the test's folder is not UTF-8")?;
    let mut arguments = vec!["serve", "--data", data, "--http-listen", http, "--tunnel-listen", tunnel];
    arguments.extend(options.relay.iter().map(String::as_str));
    let under: Vec<_> = options.relay_under.iter().map(String::as_str).collect();
    let environment: Vec<_> =
        options.relay_environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut relay = Process::start_under(&under, "podlatch-relay", &arguments, &environment)?;
    let ready = relay.line("ready ").await?;
    let field = |name: &str| word(&ready, |word| word.starts_with(name)).map(|word| word[name.len()..].to_owned());
    let http = field("http=http://").context("no HTTP address")?;
    let tunnel = field("tunnel=").context("no tunnel address")?;
    Ok((relay, http, tunnel))
}

fn start_agent(
    folder: &TempDir,
    cluster: &Cluster,
    pin: &str,
    token: Option<&str>,
    options: &Options,
) -> anyhow::Result<Process> {
    let identity = format!("file:{}", folder.path().join("agent").display());
    let kubeconfig = cluster.agent_kubeconfig().to_str().context("the kubeconfig's path is not UTF-8")?;
    let mut arguments = vec!["run", "--ca-pin", pin, "--identity", &identity, "--kubeconfig", kubeconfig];
    if let Some(token) = token {
        arguments.extend(["--join-token", token]);
    }
    arguments.extend(options.agent.iter().map(String::as_str));
    Process::start("podlatch-agent", &arguments, &[])
}

fn word(text: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
    let trimmed = text.split_whitespace().map(|word| word.trim_matches(|c| matches!(c, '"' | '\'' | '\\' | ',')));
    trimmed.flat_map(|word| word.split('=').chain([word])).find(|word| wanted(word)).map(str::to_owned)
}
