//! What `serve` is told, and what follows from it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use podlatch_protocol::request::AfterExit;

use super::{
    AddressArgs, AddressBlock, AuditArgs, CommandArgs, CommandSource, DataArgs, GraceTime, HostPort, LogArgs,
    PublicUrl, Scheme, SessionTime, SignInArgs, switch,
};
use crate::audit::Receivers;
use crate::auth::sign_in::PasswordSignIn;
use crate::data_folder;
use crate::domain::session_limits::{DEFAULT_IDLE_AFTER, DEFAULT_SESSION_MAX, IdleLimits, SessionLimits};
use crate::outbound::AddressPolicy;
use crate::recording::StoreLocation;
use crate::store::DatabaseUrl;

/// The flags of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Where the relay keeps what it knows.
    #[command(flatten)]
    pub data: DataArgs,

    /// Where people are served, over plain HTTP; only on loopback unless TLS ends in front. Port 0 takes a free one
    #[arg(long, env = "PODLATCH_HTTP_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub http_listen: SocketAddr,

    /// Where agents are served, over QUIC (UDP). Port 0 takes a free one
    #[arg(long, env = "PODLATCH_TUNNEL_LISTEN", default_value = "0.0.0.0:4433", value_name = "ADDRESS:PORT")]
    pub tunnel_listen: SocketAddr,

    /// How people and agents reach the relay.
    #[command(flatten)]
    pub addresses: AddressArgs,

    /// TLS ends in a proxy in front of this relay; the public URL must then be https. Say with --trusted-proxy which one
    #[arg(long, env = "PODLATCH_BEHIND_TLS", action = ArgAction::SetTrue, value_parser = switch())]
    pub behind_tls: bool,

    /// A proxy in front, as an address or a block (10.0.0.0/8), whose X-Forwarded-For is believed; may be given several
    /// times. Without it the audit log names the other end of the connection, which is then the proxy
    #[arg(long, env = "PODLATCH_TRUSTED_PROXY", value_delimiter = ',', value_name = "BLOCK")]
    pub trusted_proxy: Vec<AddressBlock>,

    /// Addresses besides the internet's that public clusters and identity providers may have, as an address or a block
    /// (10.20.0.0/16); may be given several times. Without it what is private, or this machine's own, is not dialled for
    /// anybody
    #[arg(long, env = "PODLATCH_ALLOW_PUBLIC_CLUSTER_ADDRESSES", value_delimiter = ',', value_name = "BLOCK")]
    pub allow_public_cluster_addresses: Vec<AddressBlock>,

    /// How long a session outlives its last viewer
    #[arg(long, env = "PODLATCH_GRACE", default_value_t = GraceTime::default(), value_name = "TIME")]
    pub grace: GraceTime,

    /// Where recordings are kept for good: a folder, or s3://BUCKET/PREFIX with the usual AWS_… variables; unless given, in
    /// the data folder
    #[arg(long, env = "PODLATCH_RECORDINGS_STORE", value_name = "FOLDER|URL")]
    pub recordings_store: Option<StoreLocation>,

    /// How long nothing may reach the recordings store before the sessions that wait for it are ended
    #[arg(long, env = "PODLATCH_RECORDINGS_PATIENCE", default_value = "2m", value_name = "TIME")]
    pub recordings_patience: GraceTime,

    /// How long a session lives at most, unless its organisation or cluster says otherwise
    #[arg(long, env = "PODLATCH_SESSION_MAX", default_value_t = SessionTime::of(DEFAULT_SESSION_MAX), value_name = "TIME")]
    pub session_max: SessionTime,

    /// After how long without anybody typing a session is flagged idle, unless its organisation or cluster says otherwise
    #[arg(long, env = "PODLATCH_IDLE_AFTER", default_value_t = SessionTime::of(DEFAULT_IDLE_AFTER), value_name = "TIME")]
    pub idle_after: SessionTime,

    /// After how long without anybody typing a session is closed, unless its organisation or cluster says otherwise;
    /// without it, never
    #[arg(long, env = "PODLATCH_IDLE_CLOSE", value_name = "TIME")]
    pub idle_close: Option<SessionTime>,

    /// After a person's own exit, end the processes that they detached (nohup, setsid, tmux) too
    #[arg(long, env = "PODLATCH_END_DETACHED_ON_EXIT", action = ArgAction::SetTrue, value_parser = switch())]
    pub end_detached_on_exit: bool,

    /// How commands are found.
    #[command(flatten)]
    pub commands: CommandArgs,

    /// Who gets the audit log without asking.
    #[command(flatten)]
    pub audit: AuditArgs,

    /// How people may sign in.
    #[command(flatten)]
    pub sign_in: SignInArgs,

    /// What to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// What `serve` works by: consistent in itself.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data folder.
    pub data: PathBuf,
    /// The database.
    pub database: DatabaseUrl,
    /// Where the sealing keys are, if not in the data folder.
    pub sealing_key_file: Option<PathBuf>,
    /// Where people are served.
    pub http_listen: SocketAddr,
    /// Where agents are served.
    pub tunnel_listen: SocketAddr,
    /// The address that people open; `None` is the address that HTTP is served on, once it is known.
    pub public_url: Option<PublicUrl>,
    /// The address that agents dial, if it was given.
    pub tunnel_address: Option<HostPort>,
    /// Where TLS ends.
    pub tls: TlsEnd,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<AddressBlock>,
    /// Which addresses that others chose are dialled.
    pub outbound: AddressPolicy,
    /// How long a session outlives its last viewer.
    pub grace: Duration,
    /// How long a session lives where nobody says otherwise.
    pub limits: SessionLimits,
    /// What becomes of detached processes.
    pub after_exit: AfterExit,
    /// Where recordings are kept for good.
    pub recordings_store: StoreLocation,
    /// How long nothing may be stored before a session is ended.
    pub recordings_patience: Duration,
    /// How commands are found.
    pub commands: CommandSource,
    /// Who gets the audit log without asking.
    pub audit: Receivers,
    /// Whether people sign in with passwords.
    pub passwords: PasswordSignIn,
    /// Where identity providers are asked.
    pub issuers: AddressPolicy,
}

/// Where TLS ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsEnd {
    /// There is none: plain HTTP on loopback.
    Nowhere,
    /// In a proxy in front of the relay.
    InFront,
}

/// Flags that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Plain HTTP where others can listen in.
    #[error(
        "plain HTTP on {0} could be listened in on: serve on 127.0.0.1, or let a proxy end TLS in front and say --behind-tls"
    )]
    PlainHttp(SocketAddr),
    /// TLS in front, but no address that says so.
    #[error("--behind-tls needs --public-url https://…, the address that people open")]
    NoPublicUrl,
    /// TLS in front, but a plain public URL.
    #[error("--behind-tls says that TLS ends in front, but the public URL {0} is plain http: one of the two is wrong")]
    PlainPublicUrl(PublicUrl),
    /// No TLS, but an https public URL.
    #[error("the public URL {0} is https, but nothing ends TLS: let a proxy do so and say --behind-tls")]
    NobodyEndsTls(PublicUrl),
    /// Audit events in the clear.
    #[error("the audit webhook's URL must be https, or http on this machine: the events must not be listened in on")]
    PlainWebhook,
    /// No secret for the webhook.
    #[error("the audit webhook needs a secret of 16 characters at least: set PODLATCH_AUDIT_WEBHOOK_SECRET")]
    WebhookSecret,
    /// The webhook's secret cannot be read.
    #[error("the audit webhook's secret cannot be read from {}", .0.display())]
    WebhookSecretFile(PathBuf),
}

impl TryFrom<ServeArgs> for Config {
    type Error = ConfigError;

    fn try_from(args: ServeArgs) -> Result<Self, ConfigError> {
        let limits = args.limits();
        let tls = if args.behind_tls { TlsEnd::InFront } else { TlsEnd::Nowhere };
        match (tls, &args.addresses.public_url) {
            (TlsEnd::Nowhere, _) if !args.http_listen.ip().is_loopback() => {
                return Err(ConfigError::PlainHttp(args.http_listen));
            }
            (TlsEnd::Nowhere, Some(url)) if url.scheme() == Scheme::Https => {
                return Err(ConfigError::NobodyEndsTls(url.clone()));
            }
            (TlsEnd::InFront, None) => return Err(ConfigError::NoPublicUrl),
            (TlsEnd::InFront, Some(url)) if url.scheme() == Scheme::Http => {
                return Err(ConfigError::PlainPublicUrl(url.clone()));
            }
            (TlsEnd::Nowhere | TlsEnd::InFront, _) => {}
        }
        let recordings = data_folder::recordings(&args.data.data);
        Ok(Self {
            recordings_store: args.recordings_store.unwrap_or(StoreLocation::Folder(recordings)),
            recordings_patience: args.recordings_patience.get(),
            database: args.data.database(),
            sealing_key_file: args.data.sealing_key_file,
            data: args.data.data,
            http_listen: args.http_listen,
            tunnel_listen: args.tunnel_listen,
            public_url: args.addresses.public_url,
            tunnel_address: args.addresses.tunnel_address,
            tls,
            trusted_proxies: args.trusted_proxy,
            outbound: AddressPolicy::allowing(args.allow_public_cluster_addresses),
            grace: args.grace.get(),
            limits,
            after_exit: if args.end_detached_on_exit { AfterExit::EndAll } else { AfterExit::Leave },
            commands: args.commands.into(),
            passwords: args.sign_in.passwords(),
            issuers: args.sign_in.issuers(),
            audit: args.audit.try_into()?,
        })
    }
}

impl ServeArgs {
    fn limits(&self) -> SessionLimits {
        let said = SessionLimits {
            session_max: self.session_max.get(),
            idle: IdleLimits { after: self.idle_after.get(), close: self.idle_close.map(SessionTime::get) },
        };
        SessionLimits::strictest(said, &[])
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::{Cli, Command};

    fn config(flags: &[&str]) -> Result<Config, ConfigError> {
        let words = ["podlatch-relay", "serve"].iter().chain(flags);
        match Cli::try_parse_from(words).expect("parses").command {
            Command::Serve(args) => Config::try_from(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn with_no_settings_it_is_sqlite_and_plain_http_on_loopback() {
        let config = config(&[]).expect("consistent");
        assert_eq!(config.database.to_string(), "sqlite:./.data/relay/podlatch.db");
        assert_eq!((config.http_listen.to_string().as_str(), config.tls), ("127.0.0.1:8080", TlsEnd::Nowhere));
        assert_eq!((config.grace, config.after_exit), (Duration::from_mins(5), AfterExit::Leave));
        assert_eq!(config.limits, SessionLimits::default());
    }

    #[test]
    fn commands_can_be_looked_for_less() {
        let source = |flags: &[&str]| config(flags).expect("consistent").commands;
        assert_eq!(source(&[]), CommandSource::MarksAndScreen);
        assert_eq!(source(&["--no-shell-marks"]), CommandSource::Screen);
        assert_eq!(source(&["--no-commands"]), CommandSource::Nowhere);
    }

    #[test]
    fn plain_http_elsewhere_needs_tls_in_front() {
        let open = config(&["--http-listen", "0.0.0.0:8080"]);
        assert!(matches!(open, Err(ConfigError::PlainHttp(_))), "{open:?}");
        let behind = ["--http-listen", "0.0.0.0:8080", "--behind-tls", "--public-url", "https://relay.example.org"];
        assert_eq!(config(&behind).expect("consistent").tls, TlsEnd::InFront);
    }

    #[test]
    fn tls_and_the_public_url_must_agree() {
        let https = config(&["--public-url", "https://relay.example.org"]);
        assert!(matches!(https, Err(ConfigError::NobodyEndsTls(_))), "{https:?}");
        assert!(matches!(config(&["--behind-tls"]), Err(ConfigError::NoPublicUrl)));
        let plain = config(&["--behind-tls", "--public-url", "http://127.0.0.1:8080"]);
        assert!(matches!(plain, Err(ConfigError::PlainPublicUrl(_))), "{plain:?}");
    }
}
