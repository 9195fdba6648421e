//! The inventory as a browser gets it: Server-Sent Events through the whole line.

use std::time::Duration;

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;
use podlatch_e2e::stack::Stack;
use reqwest::header::COOKIE;
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::time::timeout;

/// Whatever takes longer than this does not happen.
const PATIENCE: Duration = Duration::from_secs(90);

/// A stream of events.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    async fn open(stack: &Stack, path: &str) -> anyhow::Result<Self> {
        let response = request(stack, path).await?;
        ensure!(response.status() == 200, "{}", response.text().await?);
        ensure!(response.headers()["content-type"] == "text/event-stream");
        Ok(Self { response, text: String::new() })
    }

    /// The next event's name and data; `None` at the stream's end.
    async fn next(&mut self) -> anyhow::Result<Option<(String, Value)>> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                let parsed = field("event:").zip(field("data:")).map(|(name, data)| (name.to_owned(), data.to_owned()));
                self.text = String::from(rest);
                if let Some((name, data)) = parsed {
                    return Ok(Some((name, serde_json::from_str(&data)?)));
                }
                continue;
            }
            match timeout(PATIENCE, self.response.chunk()).await.context("nothing happens")? {
                Ok(Some(bytes)) => self.text.push_str(std::str::from_utf8(&bytes)?),
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }

    /// Everything up to and including the first event that `wanted` accepts.
    async fn until(&mut self, wanted: impl Fn(&str, &Value) -> bool) -> anyhow::Result<Vec<(String, Value)>> {
        let mut seen = Vec::new();
        loop {
            let (name, data) = self.next().await?.context("the stream ended")?;
            let found = wanted(&name, &data);
            seen.push((name, data));
            if found {
                return Ok(seen);
            }
        }
    }

    async fn end(&mut self) -> anyhow::Result<()> {
        while self.next().await?.is_some() {}
        Ok(())
    }
}

async fn request(stack: &Stack, path: &str) -> anyhow::Result<Response> {
    let url = format!("{}/api/v1/clusters/{}/{path}", stack.api.base(), stack.cluster_id);
    let client = reqwest::Client::builder().no_proxy().build()?;
    Ok(client.get(url).header(COOKIE, stack.api.cookie()).send().await?)
}

fn named(seen: &[(String, Value)], kind: &str) -> Vec<String> {
    let items = seen.iter().filter(|(event, data)| event == "applied" && data["type"] == kind);
    items.map(|(_, data)| data["name"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_browser_follows_namespaces_and_what_is_in_them() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut namespaces = Events::open(&stack, "namespaces/watch").await?;
    let seen = namespaces.until(|name, _| name == "synced").await?;
    ensure!(["default", "shop"].iter().all(|name| named(&seen, "namespace").contains(&(*name).to_owned())), "{seen:?}");
    let mut shop = Events::open(&stack, "namespaces/shop/watch").await?;
    let seen = shop.until(|name, _| name == "synced").await?;
    assert_eq!(named(&seen, "workload"), ["web"]);
    let web = named(&seen, "pod").into_iter().find(|name| name.starts_with("web-")).context("no pod of web")?;
    let (_, pod) = seen.iter().find(|(_, data)| data["name"] == web.as_str()).context("no such event")?;
    assert_eq!(pod["workload"], serde_json::json!({ "kind": "deployment", "name": "web" }));
    assert_eq!(pod["containers"][0]["state"], "running");
    ensure!(pod["created_at"].as_str().is_some_and(|time| time.ends_with('Z')));
    let pods: Api<Pod> = Api::namespaced(stack.cluster.client().await?, "shop");
    pods.delete(&web, &DeleteParams::default().grace_period(0)).await?;
    shop.until(|name, data| name == "deleted" && data["type"] == "pod" && data["name"] == web.as_str()).await?;
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_with_the_login() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut events = Events::open(&stack, "namespaces/watch").await?;
    events.until(|name, _| name == "synced").await?;
    stack.api.call(Method::DELETE, "/login-sessions/current", None).await?;
    events.end().await?;
    assert_eq!(request(&stack, "namespaces/watch").await?.status(), 401);
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_when_its_agent_dies_and_another_agent_serves_again() -> anyhow::Result<()> {
    let mut stack = Stack::start().await?;
    let mut events = Events::open(&stack, "namespaces/watch").await?;
    events.until(|name, _| name == "synced").await?;
    stack.kill_agent().await?;
    events.end().await?;
    let problem = request(&stack, "namespaces/watch").await?;
    ensure!(matches!(problem.status().as_u16(), 503 | 504), "{}", problem.status());
    stack.restart_agent()?;
    stack.wait_until_online().await?;
    Events::open(&stack, "namespaces/watch").await?.until(|name, _| name == "synced").await?;
    Ok(())
}
