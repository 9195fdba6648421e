//! The relay's HTTP API, as a signed-in browser uses it.

use std::time::Duration;

use anyhow::{Context, bail};
use podlatch_protocol::target::{ContainerName, PodTarget};
use reqwest::header::{AUTHORIZATION, COOKIE, HeaderName, ORIGIN, SET_COOKIE};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use crate::poll;

/// A signed-in person.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    base: String,
    origin: String,
    credential: Credential,
}

/// How a request says whose it is.
#[derive(Debug, Clone)]
enum Credential {
    /// As `name=value`.
    Cookie(String),
    /// An API token.
    Token(String),
}

/// A refusal by the relay.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{status} {slug}: {detail}")]
pub struct ApiProblem {
    /// HTTP status.
    pub status: u16,
    /// The kind's stable name.
    pub slug: String,
    /// The sentence for people.
    pub detail: String,
}

/// A session that was opened.
#[derive(Debug, Clone)]
pub struct OpenedSession {
    /// Its id.
    pub id: String,
    /// The first ticket.
    pub ticket: String,
}

impl Api {
    /// Signs in with a one-time link, as the console does.
    pub async fn sign_in(link: &str) -> anyhow::Result<Self> {
        let (address, token) = link.split_once("/sign-in#").context("not a sign-in link")?;
        let client = Client::builder().no_proxy().build()?;
        Self::log_in(client, address, "login-sessions", &json!({"token": token})).await
    }

    /// Accepts an invitation as somebody who is new, as the console does.
    pub async fn accept_invitation(link: &str, name: &str) -> anyhow::Result<Self> {
        let (address, token) = link.split_once("/join#").context("not an invitation's link")?;
        let client = Client::builder().no_proxy().build()?;
        Self::log_in(client, address, "invitations/acceptances", &json!({"token": token, "name": name})).await
    }

    async fn log_in(client: Client, address: &str, path: &str, body: &Value) -> anyhow::Result<Self> {
        let request = client.post(format!("{address}/api/v1/{path}")).header(ORIGIN, address).json(body);
        let response = request.send().await?.error_for_status()?;
        let cookie = response.headers().get(SET_COOKIE).context("no cookie")?.to_str()?;
        let credential = Credential::Cookie(cookie.split(';').next().unwrap_or_default().to_owned());
        Ok(Self { client, base: address.to_owned(), origin: address.to_owned(), credential })
    }

    /// The relay's address, which is also its origin.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The login cookie, as `name=value`; empty for an API token.
    pub fn cookie(&self) -> &str {
        match &self.credential {
            Credential::Cookie(cookie) => cookie,
            Credential::Token(_) => "",
        }
    }

    /// The header that says whose a request is.
    pub fn credential(&self) -> (HeaderName, String) {
        match &self.credential {
            Credential::Cookie(cookie) => (COOKIE, cookie.clone()),
            Credential::Token(token) => (AUTHORIZATION, format!("Bearer {token}")),
        }
    }

    /// A machine with an API token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { credential: Credential::Token(token.to_owned()), ..self.clone() }
    }

    /// One request under `/api/v1`.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        self.call_with(method, path, body, &[]).await
    }

    /// The same with more headers.
    pub async fn call_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Value> {
        let (name, credential) = self.credential();
        let mut request = self
            .client
            .request(method, format!("{}/api/v1{path}", self.base))
            .header(name, credential)
            .header(ORIGIN, &self.origin);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        parse(request.send().await?).await
    }

    /// The id of the only cluster.
    pub async fn cluster(&self) -> anyhow::Result<String> {
        let page = self.call(Method::GET, "/clusters", None).await?;
        Ok(page["items"][0]["id"].as_str().context("no cluster")?.to_owned())
    }

    /// The id of a cluster.
    pub async fn cluster_named(&self, name: &str) -> anyhow::Result<String> {
        let page = self.call(Method::GET, "/clusters", None).await?;
        let clusters = page["items"].as_array().context("no list")?;
        let found = clusters.iter().find(|cluster| cluster["name"] == name).context("no such cluster")?;
        Ok(found["id"].as_str().context("no id")?.to_owned())
    }

    /// The same browser after its cookie was deleted.
    #[must_use]
    pub fn without_cookie(&self) -> Self {
        Self { credential: Credential::Cookie(String::new()), ..self.clone() }
    }

    /// The same requests, sent by a page of another site.
    #[must_use]
    pub fn from_origin(&self, origin: &str) -> Self {
        Self { origin: origin.to_owned(), ..self.clone() }
    }

    /// Opens a session; without a command, the best shell.
    pub async fn open(
        &self,
        cluster: &str,
        target: &PodTarget,
        command: Option<&[&str]>,
    ) -> anyhow::Result<OpenedSession> {
        let body = json!({
            "cluster": cluster,
            "namespace": target.namespace.as_str(),
            "pod": target.pod.as_str(),
            "container": target.container.as_ref().map(ContainerName::as_str),
            "command": command,
            "columns": 80,
            "rows": 24,
        });
        let opened = self.call(Method::POST, "/sessions", Some(body)).await?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("not what was promised");
        Ok(OpenedSession { id: text(&opened["session"]["id"])?, ticket: text(&opened["ticket"])? })
    }

    /// A ticket for a session.
    pub async fn ticket(&self, session: &str) -> anyhow::Result<String> {
        let issued = self.call(Method::POST, &format!("/sessions/{session}/tickets"), None).await?;
        issued["ticket"].as_str().map(str::to_owned).context("no ticket")
    }

    /// A session's facts.
    pub async fn session(&self, session: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, &format!("/sessions/{session}"), None).await
    }

    /// Waits until a session has ended, without looking at it; returns its end.
    pub async fn wait_until_ended(&self, session: &str, limit: Duration) -> anyhow::Result<Value> {
        poll::until("the session has ended", limit, || async {
            let facts = self.session(session).await?;
            Ok(if facts["state"] == "ended" { Ok(facts["end"].clone()) } else { Err(facts) })
        })
        .await
    }

    /// Ends a session for good.
    pub async fn end(&self, session: &str) -> anyhow::Result<()> {
        self.call(Method::DELETE, &format!("/sessions/{session}"), None).await.map(drop)
    }
}

async fn parse(response: Response) -> anyhow::Result<Value> {
    let status = response.status();
    let text = response.text().await?;
    if status.is_success() {
        return if text.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) };
    }
    let Ok(problem) = serde_json::from_str::<Value>(&text) else {
        bail!("{status} without a problem document: {text}");
    };
    let word = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    let slug = word("type").trim_start_matches("urn:podlatch:problem:").to_owned();
    Err(ApiProblem { status: status.as_u16(), slug, detail: word("detail") }.into())
}

/// The problem behind an error.
pub fn problem(error: &anyhow::Error) -> &ApiProblem {
    error.downcast_ref().unwrap_or_else(|| panic!("not a problem of the relay: {error:#}"))
}
