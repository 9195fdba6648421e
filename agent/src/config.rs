//! The command line and its environment variables, parsed into types.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use podlatch_cluster::guard::{Guard, LabelConditions, NamespacePatterns};
use podlatch_cluster::rights::{DebugImages, GroupList, Impersonation, Rights, user_prefix};
use podlatch_link::pin::CaPin;
use podlatch_protocol::target::Namespace;
use secrecy::{ExposeSecret, SecretString};

/// The Podlatch agent: dials out of a private cluster and opens terminals in its pods.
#[derive(Debug, Parser)]
#[command(name = "podlatch-agent", version, about, max_term_width = 120)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Enrol where that is not done yet, connect to the relay and serve, until told to stop
    Run(RunArgs),
    /// Check relay, identity and Kubernetes, and say what is wrong and what to do
    Doctor(CommonArgs),
}

/// What every command needs.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// The relay's tunnel address (UDP), as host:port
    #[arg(long, env = "PODLATCH_RELAY", value_name = "HOST:PORT")]
    pub relay: RelayAddress,

    /// The pin of the relay's CA, as printed with the join command
    #[arg(long, env = "PODLATCH_CA_PIN", value_name = "sha256:HEX")]
    pub ca_pin: CaPin,

    /// Where this agent's identity is kept: file:FOLDER or secret:NAMESPACE/NAME
    #[arg(long, env = "PODLATCH_IDENTITY", default_value = "file:./podlatch-agent", value_name = "PLACE")]
    pub identity: IdentityPlace,

    /// The kubeconfig to use; without it the cluster that the agent runs in, else the default kubeconfig
    #[arg(long, env = "PODLATCH_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The namespaces that may be seen and entered, separated by commas, * for any characters; without it all that
    /// Kubernetes allows
    #[arg(long, env = "PODLATCH_NAMESPACES", default_value = "", hide_default_value = true, value_name = "PATTERNS")]
    pub namespaces: NamespacePatterns,

    /// What the labels of a pod must be for it to be seen and entered, separated by commas: name=value, name!=value, name
    /// or !name; without it every pod that Kubernetes allows
    #[arg(long, env = "PODLATCH_POD_LABELS", default_value = "", hide_default_value = true, value_name = "CONDITIONS")]
    pub pod_labels: LabelConditions,

    /// By whose rights terminals are opened: the agent's own, or those of the signed-in person
    #[arg(long, env = "PODLATCH_KUBERNETES_IDENTITY", default_value = "agent", value_name = "WHOSE")]
    pub kubernetes_identity: KubernetesIdentity,

    /// What the user name of an impersonated person must begin with
    #[arg(long, env = "PODLATCH_IMPERSONATE_USER_PREFIX", default_value = "podlatch:", value_parser = user_prefix, value_name = "TEXT")]
    pub impersonate_user_prefix: String,

    /// The groups that an impersonated person may have, separated by commas; others are left out
    #[arg(
        long,
        env = "PODLATCH_IMPERSONATE_GROUPS",
        default_value = "",
        hide_default_value = true,
        value_name = "NAMES"
    )]
    pub impersonate_groups: GroupList,

    /// The images of debug containers, separated by commas; * for all that the organisation allows. Without it there are none
    #[arg(long, env = "PODLATCH_DEBUG_IMAGES", default_value = "", hide_default_value = true, value_name = "IMAGES")]
    pub debug_images: DebugImages,

    /// How much to log, as a tracing filter
    #[arg(long, env = "PODLATCH_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,

    /// How to write log lines
    #[arg(long, env = "PODLATCH_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

impl CommonArgs {
    /// Where the agent may go.
    pub fn guard(&self) -> Guard {
        Guard::new(self.namespaces.clone(), self.pod_labels.clone())
    }

    /// By whose rights the agent opens terminals.
    pub fn rights(&self) -> Rights {
        match self.kubernetes_identity {
            KubernetesIdentity::Agent => Rights::Agent,
            KubernetesIdentity::Impersonate => Rights::Impersonate(Impersonation {
                user_prefix: self.impersonate_user_prefix.clone(),
                groups: self.impersonate_groups.0.clone(),
            }),
        }
    }
}

/// What `run` needs besides.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// What every command needs.
    #[command(flatten)]
    pub common: CommonArgs,

    /// The one-use join token; needed only while there is no identity yet
    #[arg(long, env = "PODLATCH_JOIN_TOKEN", hide_env_values = true, conflicts_with = "join_token_file")]
    pub join_token: Option<SecretString>,

    /// A file that holds the join token
    #[arg(long, env = "PODLATCH_JOIN_TOKEN_FILE", value_name = "FILE")]
    pub join_token_file: Option<PathBuf>,

    /// What this replica is called, to be shown: the name of its pod or machine
    #[arg(long, env = "PODLATCH_REPLICA", default_value = "", hide_default_value = true, value_name = "NAME")]
    pub replica: String,

    /// Where /livez and /readyz are served; port 0 takes a free one. Without it they are not served
    #[arg(long, env = "PODLATCH_HEALTH_LISTEN", value_name = "ADDRESS:PORT")]
    pub health_listen: Option<SocketAddr>,

    /// The most sessions that may be open at once
    #[arg(long, env = "PODLATCH_MAX_SESSIONS", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_sessions: u32,

    /// How long live sessions may go on after a request to stop, in seconds
    #[arg(long, env = "PODLATCH_DRAIN_TIMEOUT", default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    pub drain_timeout: Duration,
}

impl RunArgs {
    /// The join token, from wherever it was given. A file that does not exist holds none: once the agent has enrolled, its
    /// token may be removed.
    ///
    /// Blocking: file I/O.
    pub fn join_token(&self) -> anyhow::Result<Option<SecretString>> {
        let text = match (&self.join_token, &self.join_token_file) {
            (Some(token), _) => token.expose_secret().to_owned(),
            (None, Some(path)) => match fs::read_to_string(path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("the join token file {} could not be read", path.display()));
                }
            },
            (None, None) => return Ok(None),
        };
        let token = text.trim();
        Ok(if token.is_empty() { None } else { Some(SecretString::from(token)) })
    }
}

/// By whose rights terminals are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KubernetesIdentity {
    /// The agent's own.
    Agent,
    /// The signed-in person's, by impersonation.
    Impersonate,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where the relay listens. The name is resolved at every attempt to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayAddress {
    /// Host name or IP address; an IPv6 address without its brackets.
    pub host: String,
    /// UDP port.
    pub port: u16,
}

impl std::fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for RelayAddress {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (host, port) = text.rsplit_once(':').context("the relay address is written host:port")?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if bare.is_empty() || bare.contains(['/', '@', ' ']) || (bare.contains(':') && bare == host) {
            bail!("the relay address is written host:port, an IPv6 address in brackets");
        }
        let port =
            port.parse().ok().filter(|port| *port != 0).context("the relay's port is a number from 1 to 65535")?;
        Ok(Self { host: bare.to_owned(), port })
    }
}

/// Where an identity is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityPlace {
    /// A file in this folder.
    File(PathBuf),
    /// A Kubernetes Secret.
    Secret {
        /// Its namespace.
        namespace: Namespace,
        /// Its name.
        name: String,
    },
}

impl FromStr for IdentityPlace {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        const FORM: &str = "an identity place is file:FOLDER or secret:NAMESPACE/NAME";
        match text.split_once(':').context(FORM)? {
            ("file", folder) if !folder.is_empty() => Ok(Self::File(folder.into())),
            ("secret", place) => {
                let (namespace, name) = place.split_once('/').context(FORM)?;
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
                if name.is_empty() || name.len() > 253 || !name.chars().all(plain) {
                    bail!("{name:?} is not a Secret's name");
                }
                Ok(Self::Secret { namespace: namespace.parse()?, name: name.to_owned() })
            }
            _ => bail!(FORM),
        }
    }
}

/// Seconds, or what the chart writes for a duration: `30`, `30s`, `5m`.
fn seconds(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(number) => (number, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u32 = number.parse().map_err(|_| "a duration is a number of seconds, as 30, 30s or 5m".to_owned())?;
    Ok(Duration::from_secs(u64::from(number) * unit))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_flag_has_a_variable_and_a_help_text() {
        let cli = Cli::command();
        cli.clone().debug_assert();
        for command in cli.get_subcommands() {
            for arg in command.get_arguments().filter(|arg| arg.get_id() != "help") {
                let variable = arg.get_env().expect("has a variable").to_string_lossy().into_owned();
                assert!(variable.starts_with("PODLATCH_"), "{variable}");
                assert!(arg.get_help().is_some(), "{variable}");
            }
        }
    }

    #[test]
    fn a_join_token_comes_from_its_file_which_may_be_gone() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let file = folder.path().join("token");
        let token = || {
            let path = file.to_str().expect("is text");
            let line = ["podlatch-agent", "run", "--relay=r:1", "--join-token-file", path];
            let pin = format!("--ca-pin=sha256:{}", "0".repeat(64));
            match Cli::try_parse_from(line.into_iter().chain([pin.as_str()])).expect("is a command line").command {
                Command::Run(args) => args.join_token().expect("reads").map(|token| token.expose_secret().to_owned()),
                Command::Doctor(_) => unreachable!("asked for run"),
            }
        };
        assert_eq!(token(), None);
        fs::write(&file, "plj_x\n").expect("writes");
        assert_eq!(token().as_deref(), Some("plj_x"));
        fs::write(&file, "\n").expect("writes");
        assert_eq!(token(), None);
    }

    #[test]
    fn relay_addresses_are_host_and_port() {
        for (text, host, port) in
            [("relay.example.com:443", "relay.example.com", 443), ("10.0.0.1:1", "10.0.0.1", 1), ("[::1]:9", "::1", 9)]
        {
            let address: RelayAddress = text.parse().expect("is an address");
            assert_eq!((address.host.as_str(), address.port), (host, port));
            assert_eq!(address.to_string(), text);
        }
        for bad in ["", "relay", "relay:", "relay:0", "relay:65536", "::1:9", "https://relay:443", ":443", "a b:1"] {
            assert!(bad.parse::<RelayAddress>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn identity_places_are_files_or_secrets() {
        assert_eq!("file:/var/lib".parse::<IdentityPlace>().expect("parses"), IdentityPlace::File("/var/lib".into()));
        assert!("secret:ns/name".parse::<IdentityPlace>().is_ok());
        for bad in ["", "file:", "secret:", "secret:ns", "secret:NS/name", "secret:ns/", "secret:ns/a/b", "/var/lib"] {
            assert!(bad.parse::<IdentityPlace>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn durations_are_seconds_or_minutes() {
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        assert_eq!(seconds("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(seconds("5m"), Ok(Duration::from_mins(5)));
        assert!(seconds("").is_err() && seconds("-1").is_err() && seconds("1h").is_err());
    }
}
