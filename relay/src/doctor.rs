//! `podlatch-relay doctor`: says what is wrong and what to do, before a person has to find out.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::auth::seal::{self, SealingKeys};
use crate::clock::Clock;
use crate::config::{Config, ServeArgs};
use crate::data_folder::{self, DataFolderLock};
use crate::pki;
use crate::store::{DatabaseUrl, SchemaState, Store};

/// What was found out about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    /// It is as it should be.
    Fine(String),
    /// It will be made when it is needed.
    Later(String),
    /// It is wrong, and what to do.
    Wrong(String),
}

/// Checks what `serve` needs, and prints a line each. Fails if anything is wrong. Not cancel safe.
pub async fn run(args: ServeArgs, out: &mut (dyn Write + Send)) -> anyhow::Result<ExitCode> {
    let findings = match Config::try_from(args) {
        Ok(config) => check(&config).await,
        Err(error) => vec![("settings", Finding::Wrong(error.to_string()))],
    };
    let mut code = ExitCode::SUCCESS;
    for (what, finding) in findings {
        let (mark, text) = match finding {
            Finding::Fine(text) => ("ok   ", text),
            Finding::Later(text) => ("later", text),
            Finding::Wrong(text) => {
                code = ExitCode::FAILURE;
                ("WRONG", text)
            }
        };
        writeln!(out, "{mark}  {what}: {text}").context("the findings could not be printed")?;
    }
    Ok(code)
}

async fn check(config: &Config) -> Vec<(&'static str, Finding)> {
    let running = is_served(&config.data);
    vec![
        ("settings", public_url(config)),
        ("data folder", folder(&config.data, "the data folder")),
        ("database", database(&config.database).await),
        ("certificate authority", authority(&config.data)),
        ("sealing keys", sealing_keys(config)),
        ("recordings", folder(&data_folder::recordings(&config.data), "the folder of the recordings")),
        (
            "people's listener",
            listener(config.http_listen, "--http-listen", running, |at| TcpListener::bind(at).map(drop)),
        ),
        (
            "agents' listener",
            listener(config.tunnel_listen, "--tunnel-listen", running, |at| UdpSocket::bind(at).map(drop)),
        ),
    ]
}

fn public_url(config: &Config) -> Finding {
    match &config.public_url {
        Some(url) => Finding::Fine(format!("people open {url}")),
        None => Finding::Fine(format!("people open http://{}, on this machine only", config.http_listen)),
    }
}

fn folder(folder: &Path, what: &str) -> Finding {
    let shown = folder.display();
    if !folder.exists() {
        return Finding::Later(format!("{shown} does not exist yet; the relay makes it"));
    }
    match tempfile_in(folder) {
        Ok(()) => Finding::Fine(format!("{shown} can be written to")),
        Err(error) => Finding::Wrong(format!("{shown} cannot be written to ({error}): give this user {what}")),
    }
}

fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    std::fs::write(&probe, b"")?;
    std::fs::remove_file(probe)
}

async fn database(url: &DatabaseUrl) -> Finding {
    if let DatabaseUrl::Sqlite(path) = url
        && !path.exists()
    {
        return Finding::Later(format!("{url} does not exist yet; the relay makes it"));
    }
    let state = match Store::open(url).await {
        Ok(store) => store.check().await,
        Err(error) => Err(error),
    };
    match state {
        Ok(SchemaState::Current) => Finding::Fine(format!("{url} answers and is up to date")),
        Ok(SchemaState::Behind) => Finding::Later(format!("{url} answers; `serve` or `migrate` bring it up to date")),
        Ok(SchemaState::Newer) => {
            Finding::Wrong(format!("{url} was migrated by a newer relay: run that version, or a newer one"))
        }
        Err(error) => Finding::Wrong(format!("{url} cannot be used: {:#}", anyhow::Error::from(error))),
    }
}

fn authority(data: &Path) -> Finding {
    let key = data.join(pki::KEY_FILE);
    let Ok(metadata) = key.metadata() else {
        return Finding::Later(format!("{} does not exist yet; the relay makes it", key.display()));
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Finding::Wrong(format!(
            "{0} can be read by others (mode {mode:03o}, owner {1}): run `chmod 600 {0}`, and if others had access, \
             remove it and ca.pem and enrol every agent anew",
            key.display(),
            metadata.uid(),
        ));
    }
    match pki::Ca::load_or_create(data, Clock::system().now()) {
        Ok(ca) => Finding::Fine(format!("agents pin {}", ca.pin())),
        Err(error) => Finding::Wrong(format!("{:#}", anyhow::Error::from(error))),
    }
}

fn sealing_keys(config: &Config) -> Finding {
    let path = seal::key_file(config.sealing_key_file.as_deref(), &config.data);
    let shown = path.display();
    if config.sealing_key_file.is_none() && !path.exists() {
        return Finding::Later(format!("{shown} does not exist yet; the relay makes it"));
    }
    match (SealingKeys::load(&path), &config.sealing_key_file) {
        (Err(error), _) => Finding::Wrong(format!("{:#}", anyhow::Error::from(error))),
        (Ok(_), Some(_)) => {
            Finding::Fine(format!("{shown} can be read; no backup must hold it together with the database"))
        }
        (Ok(_), None) => Finding::Fine(format!(
            "{shown} can be read, but lies beside what it seals: a backup of the data folder opens every credential in it. \
             Leave it out of backups and keep it elsewhere, or name a file outside with --sealing-key-file"
        )),
    }
}

/// Whether a relay serves from this folder now: then it is the one that holds the ports.
fn is_served(data: &Path) -> bool {
    data.exists() && DataFolderLock::take(data).is_err()
}

fn listener(
    address: SocketAddr,
    flag: &str,
    served: bool,
    bind: impl FnOnce(SocketAddr) -> std::io::Result<()>,
) -> Finding {
    match bind(address) {
        Ok(()) => Finding::Fine(format!("{address} is free")),
        Err(error) if served && error.kind() == std::io::ErrorKind::AddrInUse => {
            Finding::Fine(format!("{address} is in use, by the relay that runs"))
        }
        Err(error) => Finding::Wrong(format!("{address} cannot be listened on ({error}): choose another {flag}")),
    }
}
