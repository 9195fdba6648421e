//! Real `kubectl`.

use std::path::{Path, PathBuf};
use std::process::Output;

use podlatch_devcluster::Devcluster;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{cluster, web_pod, within};

pub(crate) struct Kubectl {
    program: PathBuf,
    home: TempDir,
}

impl Kubectl {
    pub(crate) fn of(cluster: &Devcluster, user: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder can be made");
        let config = cluster.kubeconfig(user).expect("the user exists");
        std::fs::write(home.path().join("config"), config).expect("the folder takes files");
        Self { program: find(), home }
    }

    fn config(&self) -> PathBuf {
        self.home.path().join("config")
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(arguments).env("KUBECONFIG", self.config()).env("HOME", self.home.path());
        within("kubectl", command.kill_on_drop(true).output()).await.expect("kubectl runs")
    }

    pub(crate) async fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) async fn fail(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments).await;
        assert!(!output.status.success(), "kubectl {arguments:?} does not fail");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// `$PODLATCH_KUBECTL`, else the fetched one, else the one in the path.
fn find() -> PathBuf {
    if let Some(named) = std::env::var_os("PODLATCH_KUBECTL") {
        return named.into();
    }
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/kubectl");
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&folders).map(|folder| folder.join("kubectl"));
    [fetched]
        .into_iter()
        .chain(in_path)
        .find(|path| path.exists())
        .expect("there is no kubectl: set PODLATCH_KUBECTL, or run tests/tools/fetch-kubectl-helm.sh")
}

#[tokio::test]
async fn get_prints_the_familiar_tables() {
    let cluster = cluster().await;
    let kubectl = Kubectl::of(&cluster, "admin");
    let pods = kubectl.succeed(&["get", "pods", "-A"]).await;
    let rows: Vec<Vec<&str>> = pods.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE"]);
    assert_eq!(rows[1][..5], ["default", "bb", "1/1", "Running", "0"]);
    assert!(rows.iter().any(|row| row[..4] == ["shop", "done", "0/1", "Completed"]), "{pods}");
    assert!(rows.iter().any(|row| row[..4] == ["shop", "pending", "0/1", "Pending"]), "{pods}");
    let names = kubectl.succeed(&["get", "ns,deploy,rs,sts,ds,jobs,cronjobs", "-n", "shop", "-o", "name"]).await;
    assert!(names.contains("namespace/shop\n") && names.contains("deployment.apps/web\n"), "{names}");
    let yaml = kubectl.succeed(&["get", "pod", "bb", "-o", "jsonpath={.spec.containers[0].name}"]).await;
    assert_eq!(yaml, "main");
    let (_, refused) = Kubectl::of(&cluster, "alice").fail(&["get", "pods"]).await;
    assert!(refused.contains("Forbidden"), "{refused}");
    assert_eq!(kubectl.succeed(&["auth", "can-i", "create", "pods/exec"]).await.trim(), "yes");
    cluster.shutdown().await;
}

#[tokio::test]
async fn exec_gives_output_exit_codes_and_clear_refusals() {
    let cluster = cluster().await;
    let kubectl = Kubectl::of(&cluster, "podlatch-agent");
    let pod = web_pod(&cluster).await;
    assert_eq!(kubectl.succeed(&["exec", "bb", "--", "echo", "hi"]).await, "hi\n");
    let (code, _) = kubectl.fail(&["exec", "bb", "--", "sh", "-c", "exit 7"]).await;
    assert_eq!(code, Some(7));
    let host = kubectl.succeed(&["exec", "-n", "shop", &pod, "-c", "sidecar", "--", "hostname"]).await;
    assert_eq!(host.trim(), pod);
    let (_, no_shell) = kubectl.fail(&["exec", "distroless", "--", "sh"]).await;
    assert!(no_shell.contains("executable file not found in $PATH"), "{no_shell}");
    let (_, pending) = kubectl.fail(&["exec", "-n", "shop", "pending", "--", "sh"]).await;
    assert!(pending.contains("pod pending does not have a host assigned"), "{pending}");
    let (_, refused) = Kubectl::of(&cluster, "exec-create-only").fail(&["exec", "bb", "--", "sh"]).await;
    assert!(refused.to_lowercase().contains("forbidden") || refused.contains("pgrade"), "{refused}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn exec_it_is_a_terminal() {
    let cluster = cluster().await;
    let kubectl = Kubectl::of(&cluster, "admin");
    let (pty, pts) = pty_process::open().expect("a terminal can be made");
    pty.resize(pty_process::Size::new(33, 77)).expect("the terminal takes a size");
    let mut child = pty_process::Command::new(&kubectl.program)
        .args(["exec", "-it", "tools", "--", "bash", "--norc"])
        .env("KUBECONFIG", kubectl.config())
        .env("HOME", kubectl.home.path())
        .kill_on_drop(true)
        .spawn(pts)
        .expect("kubectl starts");
    let (mut output, mut input) = pty.into_split();
    let mut seen = String::new();
    let mut until = async |text: &str| {
        let mut buffer = [0; 4096];
        while !seen.contains(text) {
            let count = within(text, output.read(&mut buffer)).await.expect("kubectl goes on");
            seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        let (_, rest) = seen.split_once(text).expect("it was seen");
        seen = rest.to_owned();
    };
    until("# ").await;
    input.write_all(b"stty size\r").await.expect("kubectl takes input");
    until("33 77").await;
    input.write_all(b"sh -c 'echo g\"\"o; exec sleep 1000'\r").await.expect("kubectl takes input");
    until("go\r\n").await;
    input.write_all(b"\x03").await.expect("kubectl takes input");
    until("^C").await;
    until("# ").await;
    input.write_all(b"exit 5\r").await.expect("kubectl takes input");
    let status = within("kubectl ends", child.wait()).await.expect("kubectl ends");
    assert_eq!(status.code(), Some(5));
    cluster.shutdown().await;
}

#[tokio::test]
async fn cp_carries_files_both_ways() {
    let cluster = cluster().await;
    let kubectl = Kubectl::of(&cluster, "admin");
    let here = kubectl.home.path().join("file");
    let back = kubectl.home.path().join("back");
    let data: Vec<u8> = (0..3_000_000_u32).map(|n| u8::try_from(n % 253).unwrap_or(0)).collect();
    std::fs::write(&here, &data).expect("the folder takes files");
    let (here, back) = (here.display().to_string(), back.display().to_string());
    for pod in ["bb", "tools"] {
        kubectl.succeed(&["cp", &here, &format!("{pod}:/tmp/file")]).await;
        kubectl.succeed(&["cp", &format!("{pod}:/tmp/file"), &back]).await;
        assert!(std::fs::read(&back).expect("the copy is there") == data, "the copy through {pod} differs");
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn logs_and_delete_work() {
    let cluster = cluster().await;
    let kubectl = Kubectl::of(&cluster, "admin");
    let pod = web_pod(&cluster).await;
    let log = kubectl.succeed(&["logs", "-n", "shop", &pod, "-c", "sidecar", "--tail=1", "--timestamps"]).await;
    assert_eq!(log.lines().count(), 1, "{log}");
    let (_, unnamed) = kubectl.fail(&["logs", "-n", "shop", &pod, "-c", "nope"]).await;
    assert!(unnamed.contains("nope"), "{unnamed}");
    let deleted = kubectl.succeed(&["delete", "pod", "bb"]).await;
    assert!(deleted.contains("pod \"bb\" deleted"), "{deleted}");
    let (_, gone) = kubectl.fail(&["get", "pod", "bb"]).await;
    assert!(gone.contains("pods \"bb\" not found"), "{gone}");
    cluster.shutdown().await;
}
