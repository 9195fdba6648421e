//! `podlatch-relay`: see `--help`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use podlatch_relay::clock::Clock;
use podlatch_relay::config::{Cli, Command, Config, MigrateArgs, ServeArgs};
use podlatch_relay::lifecycle::Signals;
use podlatch_relay::store::Store;
use podlatch_relay::{admin, doctor, serve, telemetry};

fn main() -> ExitCode {
    // Several crypto providers could end up in the build; rustls must not have to guess.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return fail(&anyhow::anyhow!("the cryptography provider could not be installed"));
    }
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new().context("the runtime could not be started") {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(args) => run_serve(args).await.map(|()| ExitCode::SUCCESS),
        Command::Migrate(args) => run_migrate(args).await.map(|()| ExitCode::SUCCESS),
        Command::Doctor(args) => doctor::run(args, &mut std::io::stdout()).await,
        Command::Admin(args) => admin::run(args, &mut std::io::stdout()).await.map(|()| ExitCode::SUCCESS),
    }
}

async fn run_serve(args: ServeArgs) -> anyhow::Result<()> {
    telemetry::init(&args.log)?;
    if let Err(error) = podlatch_link::descriptors::raise_limit() {
        tracing::warn!(%error, "the limit of open files cannot be raised; it bounds the number of sessions");
    }
    // Before anyone is told that the relay is ready: a signal must find it listening.
    let signals = Signals::catch().context("signals cannot be caught")?;
    let serving = serve::start(Config::try_from(args)?).await?;
    tracing::info!(public_url = %serving.app.public_url, http = %serving.http, tunnel = %serving.tunnel, "ready");
    // Whoever started the relay may not read this; serving goes on all the same.
    let _ = writeln!(std::io::stdout(), "{}", serving.ready_line());
    serving.until(signals).await;
    Ok(())
}

async fn run_migrate(args: MigrateArgs) -> anyhow::Result<()> {
    telemetry::init(&args.log)?;
    podlatch_relay::data_folder::create(&args.data.data)?;
    let database = args.data.database();
    let store = Store::open(&database).await.with_context(|| format!("cannot open {database}"))?;
    store.migrate().await?;
    store.give_first_rules(Clock::system().now()).await?;
    store.close().await;
    tracing::info!(%database, "the schema is up to date");
    Ok(())
}

fn fail(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::FAILURE
}
