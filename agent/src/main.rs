//! `podlatch-agent`: see `--help`.

use std::process::ExitCode;

use clap::Parser;
use podlatch_agent::config::Cli;

fn main() -> ExitCode {
    // Fails only where a provider is installed already, and this is the first line.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("no threads could be started")),
    };
    match runtime.block_on(podlatch_agent::execute(cli)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("podlatch-agent: {error:#}");
    ExitCode::FAILURE
}
