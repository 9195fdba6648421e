//! People of the organisation, and what lets them in: as an owner sets it up through the API.

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;

/// A member of the organisation, signed in by a browser of their own.
#[derive(Debug, Clone)]
pub struct Member {
    /// Their id.
    pub id: String,
    /// Their address.
    pub email: String,
    /// Their browser.
    pub api: Api,
}

/// An access rule as it was made.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// What it says.
    pub settings: Value,
}

impl Rule {
    /// What says which revision is changed.
    const FIRST: [(&'static str, &'static str); 1] = [("If-Match", "\"1\"")];
}

impl Api {
    /// Invites somebody who is new here, and accepts in their place.
    pub async fn invite(&self, name: &str, role: &str) -> anyhow::Result<Member> {
        let email = format!("{name}@example.org");
        let body = json!({"email": email, "role": role});
        let invited = self.call(Method::POST, "/invitations", Some(body)).await?;
        let api = Self::accept_invitation(invited["url"].as_str().context("no link")?, name).await?;
        let me = api.call(Method::GET, "/me", None).await?;
        Ok(Member { id: text(&me["user"]["id"])?, email, api })
    }

    /// Makes a group of one; returns its id.
    pub async fn group_of(&self, name: &str, member: &str) -> anyhow::Result<String> {
        let group = text(&self.call(Method::POST, "/groups", Some(json!({"name": name}))).await?["id"])?;
        self.call(Method::PUT, &format!("/groups/{group}/members/{member}"), None).await?;
        Ok(group)
    }

    /// Makes a rule about terminals in every cluster. `effect` and `who` are as the API has them.
    pub async fn rule(&self, name: &str, effect: Value, who: Value) -> anyhow::Result<Rule> {
        let settings = json!({
            "name": name, "effect": effect, "who": who, "clusters": {"names": ["*"]}, "namespaces": ["*"],
            "containers": ["*"], "actions": ["view", "exec"],
        });
        let made = self.call(Method::POST, "/access-rules", Some(settings.clone())).await?;
        Ok(Rule { id: text(&made["id"])?, settings })
    }

    /// Changes a rule that was not changed before.
    pub async fn change_rule(&self, rule: &Rule, settings: Value) -> anyhow::Result<()> {
        let path = format!("/access-rules/{}", rule.id);
        self.call_with(Method::PUT, &path, Some(settings), &Rule::FIRST).await.map(drop)
    }

    /// Deletes a rule that was not changed before.
    pub async fn delete_rule(&self, rule: &Rule) -> anyhow::Result<()> {
        let path = format!("/access-rules/{}", rule.id);
        self.call_with(Method::DELETE, &path, None, &Rule::FIRST).await.map(drop)
    }

    /// Asks for terminals in a cluster; returns the request's id.
    pub async fn request_access(&self, cluster: &str) -> anyhow::Result<String> {
        let body = json!({"cluster": cluster, "action": "exec", "reason": "To mend it", "duration_seconds": 3_600});
        text(&self.call(Method::POST, "/access-requests", Some(body)).await?["id"])
    }

    /// Decides about a request: `approve`, `deny` or `withdraw`.
    pub async fn decide(&self, request: &str, decision: &str) -> anyhow::Result<()> {
        let path = format!("/access-requests/{request}/decision");
        self.call(Method::POST, &path, Some(json!({"decision": decision}))).await.map(drop)
    }

    /// Makes an API token for terminals; returns its id and what uses it.
    pub async fn api_token(&self) -> anyhow::Result<(String, Self)> {
        let body = json!({"name": "Robot", "scopes": ["sessions"], "expires_in_days": 1});
        let made = self.call(Method::POST, "/api-tokens", Some(body)).await?;
        Ok((text(&made["api_token"]["id"])?, self.with_token(&text(&made["token"])?)))
    }
}

fn text(value: &Value) -> anyhow::Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("not what was promised: {value}"))
}
