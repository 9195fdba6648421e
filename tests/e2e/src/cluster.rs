//! A direct way into the cluster's pods, past Podlatch: what the tests check Podlatch against.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use podlatch_podexec::exec::{self, ExecRequest, ProcessEnd, ReadEvent, Streams};
use podlatch_podexec::pod;
use podlatch_protocol::target::PodTarget;
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::poll;
use crate::process::Process;

/// How long a command in a pod may take.
const COMMAND: Duration = Duration::from_secs(90);

/// The cluster that the suite runs against.
#[derive(Debug)]
pub struct Cluster {
    /// The devcluster's process, unless the cluster is somebody else's.
    pub process: Option<Process>,
    admin: PathBuf,
    agent: PathBuf,
}

/// A target from its three names; an empty container means none.
pub fn target(namespace: &str, pod: &str, container: &str) -> PodTarget {
    PodTarget {
        namespace: namespace.parse().expect("a namespace"),
        pod: pod.parse().expect("a pod"),
        container: (!container.is_empty()).then(|| container.parse().expect("a container")),
    }
}

impl Cluster {
    /// The cluster of `KUBECONFIG`, or a devcluster of this test's own, which keeps its files in `folder`.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        if let Some(path) = std::env::var_os("KUBECONFIG").filter(|path| !path.is_empty()) {
            let path = PathBuf::from(path);
            return Ok(Self { process: None, admin: path.clone(), agent: path });
        }
        let data = folder.join("cluster");
        let data = data.to_str().context("the test's folder is not UTF-8")?;
        let mut process = Process::start("podlatch-devcluster", &["--data", data], &[])?;
        let ready = process.line("ready ").await?;
        let admin = ready.split("kubeconfig=").nth(1).context("no kubeconfig in the ready line")?;
        let admin = PathBuf::from(admin);
        let agent = admin.with_file_name("podlatch-agent.kubeconfig");
        ensure!(agent.is_file(), "the devcluster wrote no {}", agent.display());
        Ok(Self { process: Some(process), admin, agent })
    }

    /// The kubeconfig with the rights of the agent's chart.
    pub fn agent_kubeconfig(&self) -> &Path {
        &self.agent
    }

    /// The administrator's kubeconfig.
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.admin
    }

    /// The kubeconfig of one of a devcluster's other users.
    pub fn kubeconfig_of(&self, user: &str) -> PathBuf {
        self.admin.with_file_name(format!("{user}.kubeconfig"))
    }

    /// A pod with this label.
    pub async fn pod_with_label(&self, namespace: &str, label: &str) -> anyhow::Result<String> {
        let api: kube::Api<Pod> = kube::Api::namespaced(self.client().await?, namespace);
        let pods = api.list(&ListParams::default().labels(label)).await?;
        pods.items.into_iter().find_map(|pod| pod.metadata.name).context("no such pod")
    }

    /// A client with the administrator's rights.
    pub async fn client(&self) -> anyhow::Result<Client> {
        let kubeconfig = Kubeconfig::read_from(&self.admin)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }

    /// Runs a command in a pod and returns its standard output; an error if it fails.
    pub async fn run(&self, target: &PodTarget, command: &[&str]) -> anyhow::Result<String> {
        let client = self.client().await?;
        let resolved = pod::resolve(&client, target).await?;
        let request = ExecRequest {
            namespace: target.namespace.clone(),
            pod: target.pod.clone(),
            container: resolved.container,
            command: command.iter().map(ToString::to_string).collect(),
            streams: Streams::OutputOnly,
        };
        let run = async {
            let (mut reader, _writer) = exec::start(&client, &request).await?;
            let (mut output, mut errors) = (Vec::new(), Vec::new());
            loop {
                match reader.next().await {
                    ReadEvent::Output(bytes) => output.extend_from_slice(&bytes),
                    ReadEvent::Errors(bytes) => errors.extend_from_slice(&bytes),
                    ReadEvent::End(ProcessEnd::Exited(0)) => return Ok(String::from_utf8_lossy(&output).into_owned()),
                    ReadEvent::End(end) => {
                        bail!("{command:?} in {target}: {end:?}: {}", String::from_utf8_lossy(&errors))
                    }
                }
            }
        };
        timeout(COMMAND, run).await.with_context(|| format!("{command:?} in {target} does not end"))?
    }

    /// Switches a fault of the devcluster on or off (its `api/admin.rs` lists them).
    pub async fn fault(&self, action: &str, body: &serde_json::Value) -> anyhow::Result<()> {
        ensure!(self.process.is_some(), "only a devcluster has faults on demand");
        let request = http::Request::post(format!("/devcluster/{action}"))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(body)?)?;
        self.client().await?.request_text(request).await?;
        Ok(())
    }

    /// Process ids of live processes (no zombies) in the container whose command line contains `mark`.
    pub async fn processes(&self, target: &PodTarget, mark: &str) -> anyhow::Result<Vec<u32>> {
        let output = self.run(target, &["sh", "-c", PROCESSES, "sh", mark]).await?;
        Ok(output.split_whitespace().filter_map(|word| word.parse().ok()).collect())
    }

    /// Waits until there are so many live processes with `mark` in their command line.
    pub async fn wait_for_processes(&self, target: &PodTarget, mark: &str, count: usize) -> anyhow::Result<()> {
        let what = format!("there are {count} processes with {mark:?}");
        poll::until(&what, COMMAND, || async {
            let there = self.processes(target, mark).await?.len();
            Ok(if there == count { Ok(()) } else { Err(there) })
        })
        .await
    }

    /// Waits until no live process with `mark` in its command line is left; returns how long that took.
    pub async fn wait_until_gone(&self, target: &PodTarget, mark: &str, limit: Duration) -> anyhow::Result<Duration> {
        let start = Instant::now();
        poll::until(&format!("nothing with {mark:?} is left"), limit, || async {
            let left = self.processes(target, mark).await?;
            Ok(if left.is_empty() { Ok(start.elapsed()) } else { Err(format!("{left:?}")) })
        })
        .await
    }
}

/// A pod of a test's own; deleted by the test.
#[derive(Debug)]
pub struct OwnPod {
    /// Where to open sessions.
    pub target: PodTarget,
    api: kube::Api<Pod>,
}

impl OwnPod {
    /// Creates it and waits until it runs.
    pub async fn start(cluster: &Cluster, name: &str) -> anyhow::Result<Self> {
        let name = format!("{name}-{:08x}", rand::random::<u32>());
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "main", "image": "docker.io/library/busybox:1.36", "command": ["sleep", "1000000"],
                }],
            },
        }))?;
        let api: kube::Api<Pod> = kube::Api::namespaced(cluster.client().await?, "default");
        api.create(&PostParams::default(), &pod).await?;
        poll::holds(&format!("the pod {name} runs"), COMMAND, || async {
            let status = api.get(&name).await?.status;
            Ok(status.and_then(|status| status.phase).as_deref() == Some("Running"))
        })
        .await?;
        Ok(Self { target: target("default", &name, ""), api })
    }

    /// Deletes it without a grace time.
    pub async fn delete(&self) -> anyhow::Result<()> {
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.api.delete(self.target.pod.as_str(), &at_once).await?;
        Ok(())
    }
}

/// Looks at every command line; its own, which contains the mark too, is left out by its process id and its parent's.
const PROCESSES: &str = r#"for d in /proc/[0-9]*; do p=${d#/proc/}
[ $p = $$ ] && continue
st=; { IFS= read -r st < $d/stat; } 2>/dev/null || continue
line=$(tr '\0' ' ' < $d/cmdline 2>/dev/null) || continue
set -- "$1" ${st##*) }
[ "$2" = Z ] && continue
[ "$3" = $$ ] && continue
case $line in *"$1"*) echo $p;; esac
done; true"#;
