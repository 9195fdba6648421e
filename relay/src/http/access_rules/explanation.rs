//! `GET /api/v1/access/explanation`: who can open this, and why.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::{ClusterId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::require_view;
use crate::app::App;
use crate::domain::access::decision::{Decision, Denial, Fit, Part, Question, Reason, Subject, Target, decide, fit};
use crate::domain::access::rule::{AccessAction, Effect};
use crate::domain::access::{self, Action, Administration, authorize};
use crate::domain::session_limits::LimitSettings;
use crate::http::context::CallContext;
use crate::http::extract::QueryOf;
use crate::http::pod_facts;
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};

/// What to explain.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExplanationQuery {
    /// The person's id; without it, the caller. Others' access only those see who see the access rules.
    user: Option<String>,
    /// The cluster's id.
    cluster: String,
    /// The namespace, where it is known.
    namespace: Option<String>,
    /// The pod, where it is known.
    pod: Option<String>,
    /// The pod's labels: `app=web,tier=front`; empty: it has none. Without them the cluster is asked, where the pod is named.
    pod_labels: Option<String>,
    /// The container, where it is known.
    container: Option<String>,
    /// `view`, `exec`, `debug`, `observe` or `replay`.
    action: String,
    /// Whether the person says why.
    reason_given: Option<bool>,
}

/// A decision, and what every rule says to it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccessExplanation)]
pub struct ExplanationBody {
    /// `allowed`, `reason_required`, `approval_required` or `denied`.
    #[schema(example = "allowed")]
    decision: &'static str,
    /// Why, for a person.
    message: &'static str,
    /// The rules that decided, by their ids.
    decided_by: Vec<String>,
    /// A session lives at most this long by the rules, in seconds.
    max_duration_seconds: Option<u64>,
    /// It is closed after this long without human input by the rules, in seconds.
    idle_close_seconds: Option<u64>,
    rules: Vec<ExplainedRule>,
}

/// What one rule says.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainedRule {
    id: String,
    name: String,
    /// `allow` or `deny`.
    effect: &'static str,
    /// `fits`, `does_not_fit`, or `unknown` where not enough is known of the target.
    fit: &'static str,
    /// Which part does not fit, or needs to be known: `action`, `who`, `cluster`, `namespace`, `pod_labels` or `container`.
    part: Option<&'static str>,
}

/// Explains what the access rules say about a person and a target.
#[utoipa::path(
    get,
    path = "/access/explanation",
    operation_id = "explainAccess",
    tag = "access",
    params(ExplanationQuery),
    responses(
        (status = 200, body = ExplanationBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    QueryOf(query): QueryOf<ExplanationQuery>,
) -> Result<Json<ExplanationBody>, Problem> {
    let organisation = context.actor.organisation;
    let user: UserId = match query.user.as_deref() {
        None => context.actor.user,
        Some(text) => text.parse().map_err(|_| Problem::not_found("person"))?,
    };
    let own = user == context.actor.user;
    if !own {
        require_view(&app, &context).await?;
    }
    let cluster: ClusterId = query.cluster.parse().map_err(|_| Problem::not_found("cluster"))?;
    let overview = app.store.get_cluster(organisation, cluster).await?;
    let cluster = overview.ok_or_else(|| Problem::not_found("cluster"))?.cluster;
    let target = target(&query, Target::cluster(&cluster))?;
    let action = AccessAction::from_slug(&query.action).ok_or_else(|| unprocessable("there is no such action"))?;
    let found = app.store.colleague(organisation, user).await?.ok_or_else(|| Problem::not_found("person"))?;
    let subject = Subject { user, organisation, role: found.role, groups: found.groups };
    let rules = app.store.access_rules(organisation).await?;
    let approvals = app.store.approvals(organisation, Some(user), context.now).await?;
    let reason = if query.reason_given == Some(true) { Reason::Given } else { Reason::Missing };
    let question = Question {
        subject: &subject,
        target: &target,
        action,
        reason,
        rules: &rules,
        approvals: &approvals,
        now: context.now,
    };
    // Where nobody can say them they stay unknown, as the explanation then says.
    let learnt = match target.pod_labels {
        None => pod_facts::learn(&app, &question).await.ok(),
        Some(_) => None,
    };
    let pod_labels = target.pod_labels.clone().or_else(|| learnt?.target.pod_labels);
    let target = Target { pod_labels, ..target.clone() };
    let question = Question { target: &target, ..question };
    let mut body = ExplanationBody::of(&question);
    let view = Action::ViewAdministration { organisation, part: Administration::AccessRules };
    if authorize(&context.actor, view) != access::Decision::Allow {
        // Rules about others are none of a member's business.
        body.rules.retain(|rule| rule.part != Some(Part::Who.slug()));
    }
    Ok(Json(body))
}

impl ExplanationBody {
    fn of(question: &Question<'_>) -> Self {
        let ids = |ids: &mut dyn Iterator<Item = String>| ids.collect::<Vec<_>>();
        let (decision, message, decided_by, limits) = match decide(question) {
            Decision::Allow(grant) => {
                let decided_by = ids(&mut grant.rules.iter().map(ToString::to_string));
                ("allowed", "The access rules allow this.", decided_by, grant.limits)
            }
            Decision::NeedsReason => {
                ("reason_required", "It is allowed to whoever says why.", vec![], LimitSettings::default())
            }
            Decision::NeedsApproval(rules) => {
                let decided_by = ids(&mut rules.iter().map(ToString::to_string));
                (
                    "approval_required",
                    "It is allowed once somebody else approves it.",
                    decided_by,
                    LimitSettings::default(),
                )
            }
            Decision::Deny(denial) => {
                let rule = match denial {
                    Denial::Rule(rule) => vec![rule.to_string()],
                    _ => vec![],
                };
                ("denied", denial.sentence(), rule, LimitSettings::default())
            }
        };
        let rules = question.rules.iter().map(|rule| {
            let (fit, part) = match fit(rule, question) {
                Fit::Fits => ("fits", None),
                Fit::Not(part) => ("does_not_fit", Some(part.slug())),
                Fit::Unknown(part) => ("unknown", Some(part.slug())),
            };
            let effect = if rule.settings.effect == Effect::Deny { "deny" } else { "allow" };
            ExplainedRule { id: rule.id.to_string(), name: rule.settings.name.to_string(), effect, fit, part }
        });
        Self {
            decision,
            message,
            decided_by,
            max_duration_seconds: limits.session_max.map(|time| time.as_secs()),
            idle_close_seconds: limits.idle_close.map(|time| time.as_secs()),
            rules: rules.collect(),
        }
    }
}

fn target(query: &ExplanationQuery, cluster: Target) -> Result<Target, Problem> {
    let bad = |error: podlatch_protocol::target::NameError| unprocessable(&error.to_string());
    Ok(Target {
        namespace: query.namespace.as_deref().map(str::parse).transpose().map_err(bad)?,
        pod: query.pod.as_deref().map(str::parse).transpose().map_err(bad)?,
        pod_labels: query.pod_labels.as_deref().map(labels).transpose()?,
        container: query.container.as_deref().map(str::parse).transpose().map_err(bad)?,
        ..cluster
    })
}

fn labels(text: &str) -> Result<BTreeMap<String, String>, Problem> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    let pairs: Option<_> = text.split(',').filter(|part| !part.is_empty()).map(pair).collect();
    pairs.ok_or_else(|| unprocessable("write labels as app=web,tier=front"))
}

fn unprocessable(text: &str) -> Problem {
    Problem::new(ProblemKind::Unprocessable, format!("{text}."))
}
