//! Logs: structured, on standard error, never with a terminal byte or a secret.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{CommonArgs, LogFormat};

/// Sets up logging for the whole process.
pub fn init(args: &CommonArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&args.log).map_err(|error| {
        anyhow::anyhow!("--log {:?} is not a filter ({error}); try \"info\" or \"podlatch_agent=debug\"", args.log)
    })?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => logs.finish().try_init()?,
        LogFormat::Json => logs.json().finish().try_init()?,
    }
    Ok(())
}
