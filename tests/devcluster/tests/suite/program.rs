//! The devcluster as a program: its one line, its files, and that nothing outlives it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, pod_manifest};

struct Program {
    child: Child,
    url: String,
    kubeconfig: PathBuf,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the program with one pod that sleeps for a number of seconds that nobody else sleeps.
fn start(folder: &Path, marker: &str) -> Program {
    let manifests = folder.join("manifests.yaml");
    fs::write(&manifests, pod_manifest("bb", &["sleep", marker])).expect("the folder takes files");
    let mut child = Command::new(env!("CARGO_BIN_EXE_podlatch-devcluster"))
        .args(["--port", "0", "--data"])
        .arg(folder.join("data"))
        .arg("--manifests")
        .arg(&manifests)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut line).expect("the program says that it is ready");
    let words: Vec<_> = line.split_whitespace().collect();
    let ["ready", url, kubeconfig] = words.as_slice() else { panic!("not the line: {line}") };
    let kubeconfig = PathBuf::from(kubeconfig.trim_start_matches("kubeconfig="));
    Program { child, url: (*url).to_owned(), kubeconfig }
}

fn is_alive(marker: &str) -> bool {
    let wanted = format!("sleep\0{marker}\0");
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    processes
        .flatten()
        .any(|process| fs::read(process.path().join("cmdline")).is_ok_and(|line| line == wanted.as_bytes()))
}

/// The devcluster is ready before the last of its pods has become the program that it runs.
async fn wait_until_alive(marker: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !is_alive(marker) {
        assert!(Instant::now() < deadline, "the pod does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn wait_until_gone(marker: &str) {
    let deadline = Instant::now() + PATIENCE;
    while is_alive(marker) {
        assert!(Instant::now() < deadline, "the pod outlives the devcluster");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn signal(program: &Program, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(program.child.id().cast_signed()).expect("is a PID");
    rustix::process::kill_process(pid, signal).expect("the program is there");
}

#[tokio::test]
async fn a_terminated_program_takes_its_pods_and_folders_along_and_keeps_its_keys() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut first = start(folder.path(), "900001");
    assert!(first.url.starts_with("https://127.0.0.1:"));
    wait_until_alive("900001").await;
    let kubeconfig = fs::read_to_string(&first.kubeconfig).expect("the kubeconfig is there");
    assert!(kubeconfig.contains(&first.url));
    let mode = fs::metadata(&first.kubeconfig).expect("the kubeconfig is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let alice = folder.path().join("data/users/alice.kubeconfig");
    assert!(alice.exists(), "each user has a kubeconfig");
    let ca = fs::read(folder.path().join("data/ca.pem")).expect("the CA is there");
    let tokens = fs::read(folder.path().join("data/tokens.json")).expect("the tokens are there");
    signal(&first, rustix::process::Signal::TERM);
    assert!(first.child.wait().expect("the program ends").success());
    wait_until_gone("900001").await;
    let second = start(folder.path(), "900002");
    wait_until_alive("900002").await;
    assert_eq!(fs::read(folder.path().join("data/ca.pem")).expect("the CA is there"), ca);
    assert_eq!(fs::read(folder.path().join("data/tokens.json")).expect("the tokens are there"), tokens);
    drop(second);
    wait_until_gone("900002").await;
}

#[tokio::test]
async fn a_killed_program_takes_its_pods_along() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut program = start(folder.path(), "900003");
    wait_until_alive("900003").await;
    program.child.kill().expect("the program is there");
    program.child.wait().expect("the program ends");
    wait_until_gone("900003").await;
}
