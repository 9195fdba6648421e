//! The relay's own certificate authority: it signs the relay's tunnel certificate and the agents' certificates, and nothing
//! else. Agents pin its public key ([`CaPin`]), so neither DNS nor the web's authorities have a say.
//!
//! What a certificate says about an agent is written here, from ids that the store gave; from the agent's request comes the
//! public key alone.

mod agent;
mod ca;
mod files;
mod relay;
mod request;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

pub use agent::{AgentCertificate, AgentIdentity, NotAnAgentCertificate};
pub use ca::{Ca, IssuedCertificate, Lifetimes};
pub use relay::RelayCertificate;
pub use request::IssueError;

/// The CA's certificate in the data folder.
pub const CERTIFICATE_FILE: &str = "ca.pem";

/// The CA's key in the data folder; nobody but the relay may read it.
pub const KEY_FILE: &str = "ca-key.pem";

/// The CA could not be loaded or made, or could not sign.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("{} could not be {action}; check that the data folder is writable", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Everybody may read the CA's key.
    #[error("{} can be read by everybody; run: chmod 600 {}", .0.display(), .0.display())]
    KeyIsPublic(PathBuf),
    /// A file does not hold what it should.
    #[error("{} holds no usable {what}; restore it from a backup, or remove both CA files and enrol every agent anew", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The certificate belongs to another key.
    #[error("{CERTIFICATE_FILE} and {KEY_FILE} do not belong together; restore both from the same backup")]
    Mismatch,
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// A key could not be used for TLS.
    #[error("a key could not be used for TLS")]
    Tls(#[from] rustls::Error),
}
