//! `POST /api/v1/access-rules/dry-run`: what a change of the rules would do.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::AccessRuleId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::require_change;
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::access::decision::{
    Approval, Decision, Question, Reason, Subject, Target, could_be_allowed, decide,
};
use crate::domain::access::rule::{AccessAction, AccessRule, RuleSettings};
use crate::http::access::target_of;
use crate::http::context::CallContext;
use crate::http::extract::JsonBody;
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::{Colleague, PageRequest, SessionFilter};

/// People that are looked at.
const MAX_PEOPLE: usize = 500;

/// Changes that are told of.
const MAX_CHANGES: usize = 500;

/// A change of the rules that is not made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DryRunBody {
    /// The rule that is changed or deleted; without it, a new one is made.
    rule: Option<String>,
    /// What it would say; without it, the rule is deleted.
    settings: Option<RuleSettings>,
}

/// What the change would do, as far as clusters and pods are known: every cluster, and the pods of the latest sessions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccessDryRun)]
pub struct OutcomeBody {
    changes: Vec<ChangeBody>,
    /// Whether there are more changes, people or pods than were looked at.
    truncated: bool,
    /// Live sessions that would end, by their ids.
    ending_sessions: Vec<EndingSession>,
}

/// Somebody's access that would change.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeBody {
    user: String,
    email: String,
    cluster: String,
    cluster_name: String,
    /// Null: somewhere in the cluster.
    namespace: Option<String>,
    pod: Option<String>,
    container: Option<String>,
    #[schema(example = "exec")]
    action: &'static str,
    /// `allowed`, `reason_required`, `approval_required` or `denied`; of a whole cluster, `possible` or `denied`.
    before: &'static str,
    after: &'static str,
}

/// A live session that would end.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndingSession {
    id: String,
    user: String,
    /// Why it would end: the stable name of the cause.
    cause: &'static str,
}

/// Says who would gain and lose what, and which live sessions would end. Nothing is changed.
#[utoipa::path(
    post,
    path = "/access-rules/dry-run",
    operation_id = "dryRunAccessRule",
    tag = "access",
    request_body = DryRunBody,
    responses(
        (status = 200, body = OutcomeBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    JsonBody(body): JsonBody<DryRunBody>,
) -> Result<Json<OutcomeBody>, Problem> {
    require_change(&app, &context).await?;
    let organisation = context.actor.organisation;
    let before = app.store.access_rules(organisation).await?;
    let after = changed(&app, &context, &before, body)?;
    let facts = Facts {
        people: app.store.colleagues(organisation, i64::try_from(MAX_PEOPLE).unwrap_or(i64::MAX)).await?,
        targets: targets(&app, &context).await?,
        approvals: app.store.approvals(organisation, None, context.now).await?,
        now: context.now,
    };
    let mut changes = facts.changes(&before, &after);
    let truncated = changes.len() > MAX_CHANGES || facts.people.len() >= MAX_PEOPLE;
    changes.truncate(MAX_CHANGES);
    let ending_sessions = ending(&app, &context, (&before, &after), &facts).await?;
    Ok(Json(OutcomeBody { changes, truncated, ending_sessions }))
}

fn changed(
    app: &App,
    context: &CallContext,
    before: &[AccessRule],
    body: DryRunBody,
) -> Result<Vec<AccessRule>, Problem> {
    let id: Option<AccessRuleId> = body.rule.as_deref().map(str::parse).transpose().map_err(|_| missing())?;
    let old = id.map(|id| before.iter().find(|rule| rule.id == id).ok_or_else(missing)).transpose()?;
    let mut after: Vec<_> = before.iter().filter(|rule| Some(rule.id) != id).cloned().collect();
    if let Some(settings) = body.settings {
        let new = AccessRuleId::new(context.now.since_epoch(), &app.entropy.bytes());
        after.push(AccessRule {
            id: id.unwrap_or(new),
            organisation: context.actor.organisation,
            revision: old.map_or(1, |old| old.revision + 1),
            created_at: context.now,
            updated_at: context.now,
            settings,
        });
    }
    Ok(after)
}

fn missing() -> Problem {
    Problem::not_found("access rule")
}

/// Every cluster, and the places of the latest sessions.
async fn targets(app: &App, context: &CallContext) -> Result<Vec<Target>, Problem> {
    let organisation = context.actor.organisation;
    let page = PageRequest::new(None, PageRequest::MAX_ITEMS);
    let clusters = app.store.list_clusters(organisation, page).await?.items;
    let sessions = app.store.list_sessions(&SessionFilter::all(organisation, context.now), page).await?.items;
    let mut targets: Vec<_> = clusters.iter().map(|overview| Target::cluster(&overview.cluster)).collect();
    let mut seen = BTreeSet::new();
    for session in &sessions {
        let target = target_of(session);
        let name = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let container = target.container.as_ref().map(podlatch_protocol::target::ContainerName::as_str);
        let namespace = target.namespace.as_ref().map(podlatch_protocol::target::Namespace::as_str);
        let pod = target.pod.as_ref().map(podlatch_protocol::target::PodName::as_str);
        if seen.insert((target.cluster, name(namespace), name(pod), name(container))) {
            targets.push(target);
        }
    }
    Ok(targets)
}

struct Facts {
    people: Vec<Colleague>,
    targets: Vec<Target>,
    approvals: Vec<Approval>,
    now: UnixMillis,
}

impl Facts {
    /// At most one more than are told of.
    fn changes(&self, before: &[AccessRule], after: &[AccessRule]) -> Vec<ChangeBody> {
        let mut changes = Vec::new();
        for person in &self.people {
            for target in &self.targets {
                for action in AccessAction::ALL {
                    let (old, new) =
                        (self.verdict(person, target, action, before), self.verdict(person, target, action, after));
                    if old != new {
                        changes.push(change(person, target, action, (old, new)));
                    }
                    if changes.len() > MAX_CHANGES {
                        return changes;
                    }
                }
            }
        }
        changes
    }

    fn verdict(&self, person: &Colleague, target: &Target, action: AccessAction, rules: &[AccessRule]) -> &'static str {
        let subject = Subject {
            user: person.user,
            organisation: target.organisation,
            role: person.role,
            groups: person.groups.clone(),
        };
        let question = Question {
            subject: &subject,
            target,
            action,
            reason: Reason::Missing,
            rules,
            approvals: &self.approvals,
            now: self.now,
        };
        if target.namespace.is_none() {
            return if could_be_allowed(&question) { "possible" } else { "denied" };
        }
        match decide(&question) {
            Decision::Allow(_) => "allowed",
            Decision::NeedsReason => "reason_required",
            Decision::NeedsApproval(_) => "approval_required",
            Decision::Deny(_) => "denied",
        }
    }
}

fn change(
    person: &Colleague,
    target: &Target,
    action: AccessAction,
    (before, after): (&'static str, &'static str),
) -> ChangeBody {
    ChangeBody {
        user: person.user.to_string(),
        email: person.email.clone(),
        cluster: target.cluster.to_string(),
        cluster_name: target.cluster_name.clone(),
        namespace: target.namespace.as_ref().map(ToString::to_string),
        pod: target.pod.as_ref().map(ToString::to_string),
        container: target.container.as_ref().map(ToString::to_string),
        action: action.slug(),
        before,
        after,
    }
}

/// The live sessions whose right stands by the one rules and not by the others.
async fn ending(
    app: &App,
    context: &CallContext,
    (before, after): (&[AccessRule], &[AccessRule]),
    facts: &Facts,
) -> Result<Vec<EndingSession>, Problem> {
    let organisation = context.actor.organisation;
    let groups = app.store.groups_by_person(organisation).await?;
    let nothing = BTreeSet::new();
    let mut ending = Vec::new();
    // What cannot be read freezes, whatever the rules say.
    for rights in app.store.session_rights(context.now).await?.into_iter().flatten() {
        if rights.organisation != organisation {
            continue;
        }
        let own = groups.get(&rights.user).unwrap_or(&nothing);
        let stands = |rules: &[AccessRule]| rights.inputs(own, rules, &facts.approvals).stands(context.now);
        if let (Ok(()), Err(cause)) = (stands(before), stands(after)) {
            let (id, user) = (rights.session.to_string(), rights.user.to_string());
            ending.push(EndingSession { id, user, cause: cause.slug() });
        }
    }
    Ok(ending)
}
