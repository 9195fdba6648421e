//! `podlatch-bench`: measures the whole line against direct exec and prints a table; `make bench` runs it.

use std::io::Write;

use clap::{Parser, ValueEnum};
use podlatch_e2e::bench::report::Report;
use podlatch_e2e::bench::{bulk, echo, memory, starts};
use podlatch_e2e::cluster::target;
use podlatch_e2e::stack::Stack;

/// Measures the whole line against direct exec, on this machine
#[derive(Debug, Parser)]
struct Cli {
    /// Only these measurements; all of them if none is named
    measurements: Vec<Measurement>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measurement {
    Echo,
    Bulk,
    Memory,
    Starts,
}

// One thread: the echo then wakes the very thread that measures it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // Fails only where a provider is installed already, and this is the first line.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    raise_descriptor_limit();
    let cli = Cli::parse();
    let wanted = |measurement| cli.measurements.is_empty() || cli.measurements.contains(&measurement);
    let mut report = Report::default();
    // The shell that costs the cluster least; each measurement begins with fresh processes.
    let shell = target("default", "bb", "");
    if wanted(Measurement::Echo) {
        report.figures.extend(echo::run(&Stack::start().await?, &shell).await?);
    }
    if wanted(Measurement::Bulk) {
        report.figures.extend(bulk::run(&Stack::start().await?, &shell).await?);
    }
    if wanted(Measurement::Memory) {
        report.figures.extend(memory::run(&Stack::start().await?, &shell).await?);
    }
    if wanted(Measurement::Starts) {
        report.figures.extend(starts::run(&Stack::start().await?, &shell).await?);
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut output = std::io::stdout();
    writeln!(output, "{cores} cores, everything on this machine, medians of the quiet half of the rounds\n\n{report}")?;
    Ok(())
}

/// A thousand viewers need more descriptors than the usual limit.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it cannot be raised, the opening of sessions says so.
    let _ = setrlimit(Resource::Nofile, limit);
}
