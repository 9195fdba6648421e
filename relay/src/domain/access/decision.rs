//! The one function that decides who may open what, and says why. Pure; default deny; a rule that denies wins.

use std::collections::{BTreeMap, BTreeSet};

use podlatch_protocol::id::{AccessRequestId, AccessRuleId, ClusterId, GroupId, OrganisationId, UserId};
use podlatch_protocol::target::{ContainerName, Namespace, PodName};

use super::rule::{AccessAction, AccessRule, Effect, ReasonTerms, Terms};
use crate::clock::UnixMillis;
use crate::domain::cluster::Cluster;
use crate::domain::labels::Labels;
use crate::domain::organisation::Role;
use crate::domain::session_limits::LimitSettings;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The person.
    pub user: UserId,
    /// Where they are a member.
    pub organisation: OrganisationId,
    /// As what.
    pub role: Role,
    /// Their groups there.
    pub groups: BTreeSet<GroupId>,
}

/// What is asked about, as far as it is known. What is `None` is not known yet: it is never taken for something that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Who owns the cluster.
    pub organisation: OrganisationId,
    /// The cluster.
    pub cluster: ClusterId,
    /// Its name.
    pub cluster_name: String,
    /// Its labels.
    pub cluster_labels: Labels,
    /// The namespace.
    pub namespace: Option<Namespace>,
    /// The pod.
    pub pod: Option<PodName>,
    /// The pod's labels, as the cluster says them.
    pub pod_labels: Option<BTreeMap<String, String>>,
    /// The container.
    pub container: Option<ContainerName>,
}

impl Target {
    /// A cluster, of which nothing more is known.
    pub fn cluster(cluster: &Cluster) -> Self {
        Self {
            organisation: cluster.organisation,
            cluster: cluster.id,
            cluster_name: cluster.name.to_string(),
            cluster_labels: cluster.labels.clone(),
            namespace: None,
            pod: None,
            pod_labels: None,
            container: None,
        }
    }
}

/// What another person has allowed somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The request that was approved.
    pub id: AccessRequestId,
    /// In which organisation.
    pub organisation: OrganisationId,
    /// Who may.
    pub user: UserId,
    /// In which cluster.
    pub cluster: ClusterId,
    /// In which namespace; `None`: in any.
    pub namespace: Option<Namespace>,
    /// In which pod; `None`: in any.
    pub pod: Option<PodName>,
    /// What.
    pub action: AccessAction,
    /// For which rules it counts: those whose terms let the approver approve.
    pub rules: BTreeSet<AccessRuleId>,
    /// Until when.
    pub expires_at: UnixMillis,
}

impl Approval {
    fn covers(&self, question: &Question<'_>, rule: AccessRuleId) -> bool {
        let Question { subject, target, action, now, .. } = question;
        let within = |wanted: Option<&str>, found: Option<&str>| wanted.is_none() || wanted == found;
        self.organisation == target.organisation
            && self.user == subject.user
            && self.cluster == target.cluster
            && within(self.namespace.as_ref().map(Namespace::as_str), target.namespace.as_ref().map(Namespace::as_str))
            && within(self.pod.as_ref().map(PodName::as_str), target.pod.as_ref().map(PodName::as_str))
            && self.action == *action
            && self.rules.contains(&rule)
            && *now < self.expires_at
    }
}

/// Whether the person said why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// They did.
    Given,
    /// They did not.
    Missing,
}

/// Everything that a decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who.
    pub subject: &'a Subject,
    /// In what.
    pub target: &'a Target,
    /// What.
    pub action: AccessAction,
    /// Whether they said why.
    pub reason: Reason,
    /// The rules; those of other organisations say nothing.
    pub rules: &'a [AccessRule],
    /// What others have allowed.
    pub approvals: &'a [Approval],
    /// When.
    pub now: UnixMillis,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go on, within limits.
    Allow(Grant),
    /// Stop.
    Deny(Denial),
    /// Ask the person why, then ask again.
    NeedsReason,
    /// Somebody else has to allow it first, by one of these rules.
    NeedsApproval(BTreeSet<AccessRuleId>),
}

/// By what something is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The rules that allow it now.
    pub rules: BTreeSet<AccessRuleId>,
    /// The approvals that some of them needed.
    pub approvals: BTreeSet<AccessRequestId>,
    /// What they say about its length: the shortest of every rule that fits and allows, also of those whose terms are not met.
    pub limits: LimitSettings,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// It belongs to another organisation.
    OtherOrganisation,
    /// The person's role starts no processes, whatever the rules say.
    Role,
    /// No rule allows it.
    NoRule,
    /// This rule denies it.
    Rule(AccessRuleId),
}

impl Denial {
    /// What happened, and what to ask for.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::OtherOrganisation => "This belongs to another organisation.",
            Self::Role => "Auditors see what others did; they open no terminals.",
            Self::NoRule => {
                "No access rule allows you this. Ask an owner or admin of your organisation for a rule that names you, this cluster, namespace and container."
            }
            Self::Rule(_) => {
                "An access rule of your organisation denies this. Ask an owner or admin, who see which rule in the explanation of your access."
            }
        }
    }

    /// The stable name, for APIs.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::OtherOrganisation => "other_organisation",
            Self::Role => "role",
            Self::NoRule => "no_rule",
            Self::Rule(_) => "denied_by_rule",
        }
    }
}

/// Which part of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its actions.
    Action,
    /// Its people, groups and roles.
    Who,
    /// Its clusters.
    Cluster,
    /// Its namespaces.
    Namespace,
    /// Its pods' labels.
    PodLabels,
    /// Its containers.
    Container,
}

impl Part {
    /// The stable name, for APIs.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Who => "who",
            Self::Cluster => "cluster",
            Self::Namespace => "namespace",
            Self::PodLabels => "pod_labels",
            Self::Container => "container",
        }
    }
}

/// Whether a rule fits a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// In every part.
    Fits,
    /// This part is the first that does not.
    Not(Part),
    /// All known parts do; this is the first that is not known.
    Unknown(Part),
}

/// Decides about a target. What is not known of it fits no rule that allows, and every rule that denies.
pub fn decide(question: &Question<'_>) -> Decision {
    let Question { subject, target, action, .. } = *question;
    if subject.organisation != target.organisation {
        return Decision::Deny(Denial::OtherOrganisation);
    }
    if subject.role == Role::Auditor && action.has_terms() {
        return Decision::Deny(Denial::Role);
    }
    let fits: Vec<_> = own_rules(question).map(|rule| (rule, fit(rule, question))).collect();
    let denying = |(rule, fit): &&(&AccessRule, Fit)| {
        rule.settings.effect == Effect::Deny && matches!(fit, Fit::Fits | Fit::Unknown(_))
    };
    // The smallest id, so that the order of the rules does not matter.
    if let Some(rule) = fits.iter().filter(denying).map(|(rule, _)| rule.id).min() {
        return Decision::Deny(Denial::Rule(rule));
    }
    let allowing: Vec<_> = fits
        .iter()
        .filter(|(_, fit)| *fit == Fit::Fits)
        .filter_map(|(rule, _)| Some((*rule, rule.settings.terms()?)))
        .collect();
    weigh(question, &allowing)
}

/// Whether something within a target, of which more may become known, could be allowed: for lists of what leads there.
pub fn could_be_allowed(question: &Question<'_>) -> bool {
    is_possible(question, |effect, fit| match (effect, fit) {
        (Effect::Allow(_), Fit::Fits | Fit::Unknown(_)) => Some(true),
        // One that only could fit leaves something out; what it leaves may be allowed.
        (Effect::Deny, Fit::Fits) => Some(false),
        _ => None,
    })
}

/// Whether something in a pod could be allowed, of which nothing more than the container may become known: for lists of pods.
/// Labels that are not known fit no rule that allows and every rule that denies.
pub fn pod_could_be_allowed(question: &Question<'_>) -> bool {
    is_possible(question, |effect, fit| match (effect, fit) {
        (Effect::Allow(_), Fit::Fits | Fit::Unknown(Part::Container)) => Some(true),
        (Effect::Deny, Fit::Fits | Fit::Unknown(Part::PodLabels)) => Some(false),
        _ => None,
    })
}

/// Whether a namespace is open by a rule that goes by no pod's labels: for lists of workloads, which are no pods.
pub fn workloads_could_be_allowed(question: &Question<'_>) -> bool {
    is_possible(question, |effect, fit| match (effect, fit) {
        (Effect::Allow(_), Fit::Fits | Fit::Unknown(Part::Container)) => Some(true),
        (Effect::Deny, Fit::Fits) => Some(false),
        _ => None,
    })
}

fn is_possible(question: &Question<'_>, verdict: impl Fn(&Effect, Fit) -> Option<bool>) -> bool {
    let Question { subject, target, action, .. } = *question;
    let role = subject.role != Role::Auditor || !action.has_terms();
    let verdicts: Vec<_> =
        own_rules(question).filter_map(|rule| verdict(&rule.settings.effect, fit(rule, question))).collect();
    let same = subject.organisation == target.organisation;
    same && role && verdicts.contains(&true) && !verdicts.contains(&false)
}

/// Whether the decision depends on facts that only the cluster knows: the pod's labels, and the container where none is named.
pub fn needs_pod(question: &Question<'_>) -> bool {
    own_rules(question).any(|rule| matches!(fit(rule, question), Fit::Unknown(_)))
}

/// Whether the decision depends on the pod's labels, and they are not known.
pub fn needs_labels(question: &Question<'_>) -> bool {
    own_rules(question).any(|rule| fit(rule, question) == Fit::Unknown(Part::PodLabels))
}

/// Whether any rule for this place goes by the labels of pods, whomever it is about.
pub fn goes_by_labels(rules: &[AccessRule], target: &Target) -> bool {
    rules.iter().any(|rule| {
        let namespace = target.namespace.as_ref().map(Namespace::as_str);
        rule.organisation == target.organisation
            && !rule.settings.pod_labels.is_empty()
            && is_in_cluster(&rule.settings, target)
            && named(&rule.settings.namespaces, namespace) != Some(false)
    })
}

/// Whether a rule allows it whatever pod it is; others may deny it.
pub fn allowed_in_any_pod(question: &Question<'_>) -> bool {
    own_rules(question).any(|rule| matches!(rule.settings.effect, Effect::Allow(_)) && fit(rule, question) == Fit::Fits)
}

/// Whether a rule allows somebody this in any place; others may deny it.
pub fn allowed_anywhere(subject: &Subject, action: AccessAction, rules: &[AccessRule]) -> bool {
    rules
        .iter()
        .filter(|rule| rule.organisation == subject.organisation)
        .map(|rule| &rule.settings)
        .any(|settings| settings.terms().is_some() && settings.actions.contain(action) && is_about(settings, subject))
}

/// Whether a rule fits.
pub fn fit(rule: &AccessRule, question: &Question<'_>) -> Fit {
    let Question { subject, target, action, .. } = *question;
    let settings = &rule.settings;
    let pod_labels = || {
        if settings.pod_labels.is_empty() {
            return Some(true);
        }
        let labels = target.pod_labels.as_ref()?;
        Some(settings.pod_labels.iter().all(|(name, value)| labels.get(name) == Some(value)))
    };
    let parts = [
        (Part::Action, Some(settings.actions.contain(action))),
        (Part::Who, Some(is_about(settings, subject))),
        (Part::Cluster, Some(is_in_cluster(settings, target))),
        (Part::Namespace, named(&settings.namespaces, target.namespace.as_ref().map(Namespace::as_str))),
        (Part::PodLabels, pod_labels()),
        (Part::Container, named(&settings.containers, target.container.as_ref().map(ContainerName::as_str))),
    ];
    if let Some((part, _)) = parts.iter().find(|(_, fits)| *fits == Some(false)) {
        return Fit::Not(*part);
    }
    parts.iter().find(|(_, fits)| fits.is_none()).map_or(Fit::Fits, |(part, _)| Fit::Unknown(*part))
}

fn named(patterns: &super::rule::Patterns, name: Option<&str>) -> Option<bool> {
    if patterns.match_everything() { Some(true) } else { name.map(|name| patterns.match_any(name)) }
}

fn is_about(settings: &super::rule::RuleSettings, subject: &Subject) -> bool {
    let who = &settings.who;
    who.users.contains(&subject.user) || who.roles.contains(&subject.role) || !who.groups.is_disjoint(&subject.groups)
}

fn is_in_cluster(settings: &super::rule::RuleSettings, target: &Target) -> bool {
    let clusters = &settings.clusters;
    let named = clusters.ids.contains(&target.cluster)
        || clusters.names.iter().any(|pattern| pattern.matches(&target.cluster_name));
    named && clusters.labels.iter().all(|(name, value)| target.cluster_labels.get(name) == Some(value.as_str()))
}

fn own_rules<'a>(question: &Question<'a>) -> impl Iterator<Item = &'a AccessRule> {
    let organisation = question.target.organisation;
    question.rules.iter().filter(move |rule| rule.organisation == organisation)
}

/// The least demanding rule decides; the limits of all hold.
fn weigh(question: &Question<'_>, allowing: &[(&AccessRule, &Terms)]) -> Decision {
    let mut grant = Grant { rules: BTreeSet::new(), approvals: BTreeSet::new(), limits: LimitSettings::default() };
    let (mut reason_missing, mut approval_missing) = (false, BTreeSet::new());
    for (rule, terms) in allowing {
        if !question.action.has_terms() {
            grant.rules.insert(rule.id);
            continue;
        }
        shorten(&mut grant.limits, terms);
        let covering: Vec<_> = question.approvals.iter().filter(|one| one.covers(question, rule.id)).collect();
        if terms.approval.is_some() && covering.is_empty() {
            approval_missing.insert(rule.id);
        } else if terms.reason == ReasonTerms::Required && question.reason == Reason::Missing {
            reason_missing = true;
        } else {
            grant.rules.insert(rule.id);
            if terms.approval.is_some() {
                grant.approvals.extend(covering.iter().map(|approval| approval.id));
            }
        }
    }
    if !grant.rules.is_empty() {
        Decision::Allow(grant)
    } else if reason_missing {
        Decision::NeedsReason
    } else if approval_missing.is_empty() {
        Decision::Deny(Denial::NoRule)
    } else {
        Decision::NeedsApproval(approval_missing)
    }
}

fn shorten(limits: &mut LimitSettings, terms: &Terms) {
    let shorter = |before: Option<_>, new: Option<super::rule::Seconds>| match (
        before,
        new.map(super::rule::Seconds::duration),
    ) {
        (Some(before), Some(new)) => Some(std::cmp::min(before, new)),
        (before, new) => before.or(new),
    };
    limits.session_max = shorter(limits.session_max, terms.max_duration_seconds);
    limits.idle_close = shorter(limits.idle_close, terms.idle_close_seconds);
}

#[cfg(test)]
mod tests;
