//! What the access rules say to the caller of a request. Endpoints ask here, never a rule by themselves.

use super::context::CallContext;
use super::pod_facts;
use super::problem::{Problem, ProblemKind};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::access::decision::{
    Approval, Decision, Denial, Grant, Question, Reason, Subject, Target, allowed_anywhere, could_be_allowed, decide,
};
use crate::domain::access::rule::{AccessAction, AccessRule};
use crate::domain::access::{Action, Actor, Decision as Permission, SessionOwner, authorize};
use crate::domain::audit::{self, Outcome, Place};
use crate::domain::session::{Session, SessionState};
use crate::store::{Store, StoreError};

/// Everything about a person and their organisation that the rules' decision depends on, as it stood at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) subject: Subject,
    pub(crate) rules: Vec<AccessRule>,
    pub(crate) approvals: Vec<Approval>,
}

impl Access {
    /// Of the caller. Cancel safe.
    pub(super) async fn of(app: &App, context: &CallContext) -> Result<Self, Problem> {
        Ok(Self::load(&app.store, &context.actor, context.now).await?)
    }

    /// Of a principal. Cancel safe.
    pub(super) async fn load(store: &Store, actor: &Actor, now: UnixMillis) -> Result<Self, StoreError> {
        let Actor { organisation, user, role, .. } = *actor;
        let groups = store.group_ids_of(organisation, user).await?;
        Ok(Self {
            subject: Subject { user, organisation, role, groups },
            rules: store.access_rules(organisation).await?,
            approvals: store.approvals(organisation, Some(user), now).await?,
        })
    }

    /// A question to the rules.
    pub(super) fn question<'a>(
        &'a self,
        target: &'a Target,
        (action, reason): (AccessAction, Reason),
        now: UnixMillis,
    ) -> Question<'a> {
        let Self { subject, rules, approvals } = self;
        Question { subject, target, action, reason, rules, approvals, now }
    }

    /// Whether something in a target could be seen.
    pub(super) fn may_view(&self, target: &Target, now: UnixMillis) -> bool {
        could_be_allowed(&self.question(target, (AccessAction::View, Reason::Missing), now))
    }

    /// Whether a session's facts may be listed: one's own, or one in a pod that one may see.
    pub(super) fn may_list(&self, session: &Session, now: UnixMillis) -> bool {
        session.request.user == self.subject.user || self.may_view(&target_of(session), now)
    }

    /// Whether a session goes on that the person could watch.
    pub(super) fn may_observe(&self, session: &Session, now: UnixMillis) -> bool {
        let watched = (AccessAction::Observe, Reason::Missing);
        session.over_because(now).is_none() && could_be_allowed(&self.question(&target_of(session), watched, now))
    }

    /// Whether some rule lets the person watch something: only then others' sessions have to be looked through for it.
    pub(super) fn watches_something(&self) -> bool {
        allowed_anywhere(&self.subject, AccessAction::Observe, &self.rules)
    }
}

/// In what a session runs.
pub(crate) fn target_of(session: &Session) -> Target {
    let request = &session.request;
    let container = match &session.state {
        // Rules name the container that a debug container looks into.
        _ if request.access.action == AccessAction::Debug => request.target.container.clone(),
        SessionState::Live(opened) | SessionState::Ended { opened: Some(opened), .. } => Some(opened.container.clone()),
        SessionState::Opening | SessionState::Ended { opened: None, .. } => request.target.container.clone(),
    };
    Target {
        organisation: request.organisation,
        cluster: request.cluster,
        cluster_name: session.cluster_name.to_string(),
        cluster_labels: session.cluster_labels.clone(),
        namespace: Some(request.target.namespace.clone()),
        pod: Some(request.target.pod.clone()),
        pod_labels: request.access.pod_labels.clone(),
        container,
    }
}

impl CallContext {
    /// Goes on only if the rules allow it now. A refusal is audited, at this place, before the caller learns of it, with a
    /// sentence that says what to ask for. Cancel safe.
    pub(super) async fn require_rule(
        &self,
        app: &App,
        question: &Question<'_>,
        place: Place,
    ) -> Result<Grant, Problem> {
        let (problem, why, rule) = match decide(question) {
            Decision::Allow(grant) => return Ok(grant),
            Decision::Deny(denial) => {
                let rule = match denial {
                    Denial::Rule(rule) => Some(rule.to_string()),
                    Denial::OtherOrganisation | Denial::Role | Denial::NoRule => None,
                };
                (Problem::new(ProblemKind::Forbidden, denial.sentence()), denial.slug(), rule)
            }
            Decision::NeedsReason => {
                let detail = "Say why you need this: an access rule asks for a reason.";
                (Problem::new(ProblemKind::ReasonRequired, detail), "reason_required", None)
            }
            Decision::NeedsApproval(_) => {
                let detail = "Somebody else has to approve this first. Request access, and say why and for how long.";
                (Problem::new(ProblemKind::ApprovalRequired, detail), "approval_required", None)
            }
        };
        let event = self.event(audit::Action::AccessRefused).at(place).outcome(Outcome::Refused);
        let event = event.detail("asked", question.action.slug()).detail("reason", why).detail("rule", rule);
        app.store.append_audit(&event).await?;
        Err(problem)
    }

    /// The same about a session: its person needs `action` in its pod.
    pub(super) async fn require_in_session(
        &self,
        app: &App,
        session: &Session,
        action: AccessAction,
    ) -> Result<(), Problem> {
        let access = Access::of(app, self).await?;
        let reason = if session.request.reason.is_some() { Reason::Given } else { Reason::Missing };
        let target = target_of(session);
        let question = access.question(&target, (action, reason), self.now);
        self.require_rule(app, &question, Place::Session(session.id())).await.map(drop)
    }

    /// Goes on only if the caller may watch the session now, by the labels that its pod has now. To a member whom it
    /// is no business of, it looks like none. Cancel safe.
    pub(super) async fn require_observed(
        &self,
        app: &App,
        session: &Session,
        owner: SessionOwner,
    ) -> Result<(), Problem> {
        let watched = (AccessAction::Observe, Reason::Missing);
        let access = Access::of(app, self).await?;
        let target = Target { pod_labels: None, ..target_of(session) };
        let learnt = pod_facts::learn(app, &access.question(&target, watched, self.now)).await;
        let target = learnt.map_err(|refusal| Problem::from(&refusal))?.target;
        let question = access.question(&target, watched, self.now);
        let seen = authorize(&self.actor, Action::ViewSession(owner)) == Permission::Allow;
        match self.require_rule(app, &question, Place::Session(session.id())).await {
            Ok(_) => Ok(()),
            Err(problem) if seen => Err(problem),
            Err(problem) if problem.kind() != ProblemKind::Forbidden => Err(problem),
            Err(_) => Err(Problem::not_found("session")),
        }
    }

    /// A session that the caller may list; another looks like none.
    pub(super) async fn require_listed(&self, app: &App, session: &Session) -> Result<(), Problem> {
        let own = session.request.user == self.actor.user;
        if own || Access::of(app, self).await?.may_list(session, self.now) {
            return Ok(());
        }
        Err(Problem::not_found("session"))
    }
}
