//! The devcluster as a program.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use podlatch_devcluster::{Devcluster, Options};
use tokio::signal::unix::{SignalKind, signal};

/// Says that this process already runs in its own user namespace.
const IN_USER_NAMESPACE: &str = "PODLATCH_DEVCLUSTER_IN_USER_NAMESPACE";

/// A stand-in Kubernetes with real shells. It prints one line when it is ready:
/// `ready https://127.0.0.1:PORT kubeconfig=PATH`
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The port on 127.0.0.1; 0 means any that is free
    #[arg(long, env = "PODLATCH_DEVCLUSTER_PORT", default_value_t = 0)]
    port: u16,
    /// Where to keep the certificate authority, tokens and users' kubeconfigs; a temporary folder if not given
    #[arg(long, env = "PODLATCH_DEVCLUSTER_DATA")]
    data: Option<PathBuf>,
    /// Where to write the administrator's kubeconfig; beside the data if not given
    #[arg(long, env = "PODLATCH_DEVCLUSTER_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Manifests to start with, instead of the built-in fixtures
    #[arg(long, env = "PODLATCH_DEVCLUSTER_MANIFESTS")]
    manifests: Option<PathBuf>,
}

fn main() -> ExitCode {
    enter_user_namespace();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("podlatch-devcluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// An ordinary user becomes root of a new user namespace, where containers can be made. Where that is not allowed, the
/// program goes on as it is and says what that means.
fn enter_user_namespace() {
    if rustix::process::geteuid().is_root() || std::env::var_os(IN_USER_NAMESPACE).is_some() {
        return;
    }
    let unshare = ["--user", "--map-root-user", "--"];
    let possible = Command::new("unshare").args(unshare).arg("true").status().is_ok_and(|status| status.success());
    if possible && let Ok(program) = std::env::current_exe() {
        let error = Command::new("unshare")
            .args(unshare)
            .arg(program)
            .args(std::env::args_os().skip(1))
            .env(IN_USER_NAMESPACE, "1")
            .exec();
        eprintln!("podlatch-devcluster: cannot start unshare: {error}");
    }
}

#[tokio::main]
async fn run(arguments: &Arguments) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let manifests = arguments
        .manifests
        .as_ref()
        .map(|path| std::fs::read_to_string(path).with_context(|| format!("read the manifests {}", path.display())));
    let options = Options { port: arguments.port, data: arguments.data.clone(), manifests: manifests.transpose()? };
    let devcluster = Devcluster::start(options).await?;
    for advice in devcluster.prerequisites().advice() {
        eprintln!("podlatch-devcluster: {advice}");
    }
    let kubeconfig = devcluster.write_kubeconfigs(arguments.kubeconfig.as_deref())?;
    println!("ready {} kubeconfig={}", devcluster.url(), kubeconfig.display());
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
    devcluster.shutdown().await;
    Ok(())
}
