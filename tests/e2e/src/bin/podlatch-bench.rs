//! `podlatch-bench`: measures the whole line against direct exec and prints a table; `make bench` runs it.

use std::io::Write;

use clap::{Parser, ValueEnum};
use podlatch_e2e::bench::report::{Figure, heading};
use podlatch_e2e::bench::{bulk, commands, echo, many, memory, starts};
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
    Commands,
    Many,
    Bulk,
    Memory,
    Starts,
}

// One thread: the echo then wakes the very thread that measures it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // Fails only where a provider is installed already, and this is the first line.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    podlatch_link::descriptors::raise_limit()?;
    let cli = Cli::parse();
    let wanted = |measurement| cli.measurements.is_empty() || cli.measurements.contains(&measurement);
    let mut output = std::io::stdout();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    writeln!(
        output,
        "{cores} cores, everything on this machine, medians of the quiet half of the rounds\n\n{}",
        heading()
    )?;
    for measurement in Measurement::value_variants().iter().copied().filter(|measurement| wanted(*measurement)) {
        for figure in measure(measurement).await? {
            writeln!(output, "{figure}")?;
        }
    }
    Ok(())
}

/// Each measurement begins with fresh processes.
async fn measure(measurement: Measurement) -> anyhow::Result<Vec<Figure>> {
    let stack = Stack::start().await?;
    // The shell that costs the cluster least.
    let shell = target("default", "bb", "");
    match measurement {
        Measurement::Echo => echo::run(&stack, &shell).await,
        Measurement::Commands => commands::run(&stack, &shell).await,
        Measurement::Many => many::run(&stack).await,
        Measurement::Bulk => bulk::run(&stack, &shell).await,
        Measurement::Memory => memory::run(&stack, &shell).await,
        Measurement::Starts => starts::run(&stack, &shell).await,
    }
}
