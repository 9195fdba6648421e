//! The command line and its environment variables, parsed into types.

mod address;
mod audit;
mod commands;
mod grace;
mod proxies;
mod public_url;
mod serve;
mod session_time;
mod sign_in;

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::address::{HostPort, InvalidHostPort};
pub use self::audit::AuditArgs;
pub use self::commands::{CommandArgs, CommandSource};
pub use self::grace::{GraceTime, InvalidGraceTime};
pub use self::proxies::{AddressBlock, InvalidAddressBlock};
pub use self::public_url::{InvalidPublicUrl, PublicUrl, Scheme};
pub use self::serve::{Config, ConfigError, ServeArgs, TlsEnd};
pub use self::session_time::{InvalidSessionTime, SessionTime};
pub use self::sign_in::SignInArgs;
use crate::admin::AdminArgs;
use crate::store::DatabaseUrl;

/// The Podlatch relay: signs people in, carries their terminals to the agents, records every session.
#[derive(Debug, Parser)]
#[command(name = "podlatch-relay", version, about, max_term_width = 120)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve people and agents until told to stop; brings the database's schema up to date first
    Serve(ServeArgs),
    /// Bring the database's schema up to date, and stop
    Migrate(MigrateArgs),
    /// Check what `serve` needs, and say what is wrong and what to do
    Doctor(ServeArgs),
    /// Look after organisations, people, clusters and agents; needs the database, not a running relay
    Admin(AdminArgs),
}

/// Where the relay keeps what it knows.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    /// The folder of the embedded database, the relay's own CA and the recordings; made if it is missing
    #[arg(long, global = true, env = "PODLATCH_DATA", default_value = "./.data/relay", value_name = "FOLDER")]
    pub data: PathBuf,

    /// The database: sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME?sslmode=verify-full; without it a SQLite file in
    /// the data folder
    #[arg(long, global = true, env = "PODLATCH_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<DatabaseUrl>,

    /// The keys that seal the credentials of others (of public clusters, of identity providers): 64 hexadecimal digits a
    /// line; the first seals, all open. Without it, a key that the relay makes in the data folder
    #[arg(long, global = true, env = "PODLATCH_SEALING_KEY_FILE", value_name = "FILE")]
    pub sealing_key_file: Option<PathBuf>,
}

impl DataArgs {
    /// The database that is meant.
    pub fn database(&self) -> DatabaseUrl {
        self.database_url.clone().unwrap_or_else(|| DatabaseUrl::in_folder(&self.data))
    }
}

/// How people and agents reach the relay.
#[derive(Debug, Clone, Args)]
pub struct AddressArgs {
    /// The address that people open in the browser, as scheme://host[:port]; without it http:// and the address that
    /// HTTP is served on
    #[arg(long, global = true, env = "PODLATCH_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<PublicUrl>,

    /// The address that agents dial, as host:port (UDP); printed in join commands. Without it the public URL's host and
    /// the port of the tunnel listener
    #[arg(long, global = true, env = "PODLATCH_TUNNEL_ADDRESS", value_name = "HOST:PORT")]
    pub tunnel_address: Option<HostPort>,
}

/// What to log.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// How much to log, as a tracing filter
    #[arg(long, env = "PODLATCH_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,

    /// How to write log lines
    #[arg(long, env = "PODLATCH_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What `migrate` needs.
#[derive(Debug, Clone, Args)]
pub struct MigrateArgs {
    /// Where the database is.
    #[command(flatten)]
    pub data: DataArgs,
    /// What to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Reads a flag's variable: yes, true, on, 1 and their opposites.
pub(crate) fn switch() -> BoolishValueParser {
    BoolishValueParser::new()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_a_service_has_a_variable_and_a_help_text() {
        let cli = Cli::command();
        for name in ["serve", "migrate", "doctor"] {
            let command = cli.find_subcommand(name).expect("exists");
            for arg in command.get_arguments().filter(|arg| arg.get_id() != "help") {
                let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                assert!(variable.starts_with("PODLATCH_"), "{name} --{}", arg.get_id());
                assert!(arg.get_help().is_some(), "{name} --{}", arg.get_id());
            }
        }
    }
}
