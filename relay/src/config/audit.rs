//! Who gets the audit log without asking.

use clap::Args;
use clap::builder::{StringValueParser, TypedValueParser};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::ConfigError;
use crate::audit::Receivers;
use crate::audit::json_lines::LogTarget;
use crate::audit::webhook::WebhookTarget;

/// The shortest secret that signatures are made with, in bytes.
const MIN_SECRET_BYTES: usize = 16;

/// The flags.
#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    /// Send every audit event of every organisation there, as signed JSON by POST; https, or http on this machine
    #[arg(long, env = "PODLATCH_AUDIT_WEBHOOK_URL", hide_env_values = true, value_name = "URL")]
    pub audit_webhook_url: Option<Url>,

    /// What the webhook's signatures are made with, 16 characters at least; better given by its variable, because every
    /// process of the machine sees flags
    #[arg(long, env = "PODLATCH_AUDIT_WEBHOOK_SECRET", hide_env_values = true, value_parser = secret(), value_name = "TEXT")]
    pub audit_webhook_secret: Option<SecretString>,

    /// A file with that secret
    #[arg(
        long,
        env = "PODLATCH_AUDIT_WEBHOOK_SECRET_FILE",
        value_name = "FILE",
        conflicts_with = "audit_webhook_secret"
    )]
    pub audit_webhook_secret_file: Option<std::path::PathBuf>,

    /// Write every audit event of every organisation there, one JSON object a line: stdout, or a file, which may be rotated
    #[arg(long, env = "PODLATCH_AUDIT_LOG", value_name = "stdout|FILE")]
    pub audit_log: Option<LogTarget>,
}

/// A text that prints nowhere.
fn secret() -> impl TypedValueParser<Value = SecretString> {
    StringValueParser::new().map(SecretString::from)
}

impl TryFrom<AuditArgs> for Receivers {
    type Error = ConfigError;

    fn try_from(args: AuditArgs) -> Result<Self, ConfigError> {
        let secret = match &args.audit_webhook_secret_file {
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|_| ConfigError::WebhookSecretFile(file.clone()))?;
                Some(SecretString::from(text.trim_end().to_owned()))
            }
            None => args.audit_webhook_secret,
        };
        let webhook = match (args.audit_webhook_url, secret) {
            (None, _) => None,
            (Some(url), _) if !is_guarded(&url) => return Err(ConfigError::PlainWebhook),
            (Some(url), Some(secret)) if secret.expose_secret().len() >= MIN_SECRET_BYTES => {
                Some(WebhookTarget { url, secret })
            }
            (Some(_), _) => return Err(ConfigError::WebhookSecret),
        };
        Ok(Self { webhook, log: args.audit_log })
    }
}

/// Nobody can listen in.
fn is_guarded(url: &Url) -> bool {
    let local = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receivers(url: &str, secret: Option<&str>) -> Result<Receivers, ConfigError> {
        Receivers::try_from(AuditArgs {
            audit_webhook_url: Some(url.parse().expect("a URL")),
            audit_webhook_secret: secret.map(SecretString::from),
            audit_webhook_secret_file: None,
            audit_log: None,
        })
    }

    #[test]
    fn events_travel_signed_and_never_in_the_clear() {
        let long = Some("0123456789abcdef");
        for url in ["https://siem.example.org/x", "http://127.0.0.1:8088", "http://[::1]/", "http://localhost/"] {
            assert!(receivers(url, long).expect("consistent").webhook.is_some(), "{url}");
        }
        for url in ["http://siem.example.org/", "ftp://127.0.0.1/", "http://127.0.0.1.example.org/"] {
            assert!(matches!(receivers(url, long), Err(ConfigError::PlainWebhook)), "{url}");
        }
        for secret in [None, Some(""), Some("0123456789abcde")] {
            assert!(matches!(receivers("https://x.example", secret), Err(ConfigError::WebhookSecret)));
        }
    }

    #[test]
    fn the_secret_may_stand_in_a_file_and_prints_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        let args = || AuditArgs {
            audit_webhook_url: "https://x.example/token".parse().ok(),
            audit_webhook_secret: None,
            audit_webhook_secret_file: Some(file.clone()),
            audit_log: None,
        };
        assert!(matches!(Receivers::try_from(args()), Err(ConfigError::WebhookSecretFile(_))));
        std::fs::write(&file, "0123456789abcdef\n").expect("writes");
        let webhook = Receivers::try_from(args()).expect("consistent").webhook.expect("is there");
        assert_eq!(webhook.secret.expose_secret(), "0123456789abcdef");
        let printed = format!("{webhook:?}");
        assert!(!printed.contains("0123") && !printed.contains("token"), "{printed}");
    }
}
