//! Audit events for an HTTP receiver: batches of JSON, signed.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, bail};
use aws_lc_rs::hmac;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};

use super::outbox::Sink;
use crate::clock::Clock;

/// How long the receiver may take, its answer included.
const DEADLINE: Duration = Duration::from_secs(20);

/// The header with the signature: `t=<unix seconds>,v1=<hex>`, where `v1` is HMAC-SHA256 over `<t>.<body>`.
const SIGNATURE: &str = "podlatch-signature";

/// Where to send, and what to sign with.
#[derive(Clone)]
pub struct WebhookTarget {
    /// The receiver.
    pub url: Url,
    /// What both sides know.
    pub secret: SecretString,
}

impl fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Many receivers have a token in the address.
        f.debug_struct("WebhookTarget").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// The receiver.
pub struct Webhook {
    client: Client,
    url: Url,
    key: hmac::Key,
    clock: Clock,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl Webhook {
    /// A client for the receiver.
    pub fn new(target: &WebhookTarget, clock: Clock) -> anyhow::Result<Self> {
        let client = Client::builder()
            .timeout(DEADLINE)
            .redirect(Policy::none())
            .user_agent(concat!("podlatch-relay/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("the audit webhook's HTTP client could not be set up")?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, target.secret.expose_secret().as_bytes());
        Ok(Self { client, url: target.url.clone(), key, clock })
    }

    fn signature(&self, body: &str) -> String {
        let seconds = self.clock.now().get() / 1_000;
        let tag = hmac::sign(&self.key, format!("{seconds}.{body}").as_bytes());
        format!("t={seconds},v1={}", hex::encode(tag))
    }
}

impl Sink for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    async fn deliver(&mut self, lines: &[String]) -> anyhow::Result<()> {
        let body = format!("{{\"events\":[{}]}}", lines.join(","));
        let signature = self.signature(&body);
        let request = self.client.post(self.url.clone()).header(SIGNATURE, signature);
        let sent = request.header("content-type", "application/json").body(body).send().await;
        // The address may hold a token.
        let status = sent.map_err(reqwest::Error::without_url).context("the audit webhook was not reached")?.status();
        if !status.is_success() {
            bail!("the audit webhook answered {status}; it must answer 2xx once it has the events for good");
        }
        Ok(())
    }
}
