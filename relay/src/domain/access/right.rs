//! The right to a live session ages: what it depends on ([`RightInputs`]) is looked at again and again, and [`RightInputs::stands`]
//! says whether it still holds, and if not, because of what. Pure.

use std::collections::{BTreeMap, BTreeSet};

use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::{AccessRequestId, AccessRuleId, GroupId, OrganisationId, UserId};
use serde::{Deserialize, Serialize};

use super::decision::{Approval, Decision, Grant, Question, Reason, Subject, Target, decide, needs_labels};
use super::rule::{AccessAction, AccessRule};
use crate::clock::UnixMillis;
use crate::domain::organisation::Role;

/// Whether something is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is.
    Good,
    /// It is suspended.
    Suspended,
}

/// What a login is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginKind {
    /// A browser.
    Browser,
    /// An API token.
    Token,
}

/// Whether a login stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginStanding {
    /// It does.
    Good,
    /// It was signed out or revoked.
    Revoked(LoginKind),
    /// Its time is over.
    Expired(LoginKind),
}

/// Whether a cluster, or the agent that holds the session, was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// It was not.
    Registered,
    /// It was.
    Revoked,
}

/// Every input of a live session's right, as it stands now.
#[derive(Debug, Clone)]
pub struct RightInputs<'a> {
    /// The organisation.
    pub organisation: OrganisationId,
    /// The person.
    pub user: UserId,
    /// The person's account.
    pub account: Standing,
    /// The organisation's own standing.
    pub organisation_standing: Standing,
    /// What the person is in the organisation; `None`: no member.
    pub membership: Option<(Role, Standing)>,
    /// The login by which it was opened.
    pub login: LoginStanding,
    /// The person's groups.
    pub groups: &'a BTreeSet<GroupId>,
    /// The organisation's rules.
    pub rules: &'a [AccessRule],
    /// What others have allowed.
    pub approvals: &'a [Approval],
    /// The cluster.
    pub cluster: Registration,
    /// The agent that holds it.
    pub agent: Registration,
    /// In what it runs: the cluster as it is called now, the pod as it was when it was opened.
    pub target: &'a Target,
    /// As what it was opened.
    pub action: AccessAction,
    /// Whether a reason was given.
    pub reason: Reason,
    /// On what it stood when it was opened.
    pub basis: &'a Basis,
    /// The labels that its pod had then, where they were asked for.
    pub labels_then: Option<&'a BTreeMap<String, String>>,
}

/// On what a right stood when a session was opened: what tells why it does not any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// What the person was.
    pub role: Option<Role>,
    /// Their groups.
    pub groups: BTreeSet<GroupId>,
    /// The rules that allowed it, with their revisions.
    pub rules: BTreeMap<AccessRuleId, u64>,
    /// The approvals that these needed.
    pub approvals: BTreeSet<AccessRequestId>,
}

impl Basis {
    /// What a grant stands on.
    pub fn new(subject: &Subject, rules: &[AccessRule], grant: &Grant) -> Self {
        let granting = rules.iter().filter(|rule| grant.rules.contains(&rule.id));
        Self {
            role: Some(subject.role),
            groups: subject.groups.clone(),
            rules: granting.map(|rule| (rule.id, rule.revision)).collect(),
            approvals: grant.approvals.clone(),
        }
    }
}

impl RightInputs<'_> {
    /// Whether the right stands at `now`; otherwise the cause for which the session ends.
    pub fn stands(&self, now: UnixMillis) -> Result<(), EndCause> {
        self.granted(now).map(drop)
    }

    /// On what the right stands at `now`, where it does.
    pub fn stands_on(&self, now: UnixMillis) -> Result<Basis, EndCause> {
        self.granted(now).map(|(subject, grant)| Basis::new(&subject, self.rules, &grant))
    }

    fn granted(&self, now: UnixMillis) -> Result<(Subject, Grant), EndCause> {
        let role = self.standing()?;
        let subject = Subject { user: self.user, organisation: self.organisation, role, groups: self.groups.clone() };
        let question = self.question(&subject, self.target, now);
        match decide(&question) {
            Decision::Allow(grant) => Ok((subject, grant)),
            Decision::Deny(_) | Decision::NeedsReason | Decision::NeedsApproval(_) => Err(self.lost(role, &question)),
        }
    }

    /// Whether the rules' decision depends on the labels of the pod.
    pub fn goes_by_labels(&self, now: UnixMillis) -> bool {
        let Some((role, _)) = self.membership else {
            return false;
        };
        if self.rules.iter().all(|rule| rule.settings.pod_labels.is_empty()) {
            return false;
        }
        let subject = Subject { user: self.user, organisation: self.organisation, role, groups: self.groups.clone() };
        let target = Target { pod_labels: None, ..self.target.clone() };
        needs_labels(&self.question(&subject, &target, now))
    }

    fn question<'a>(&'a self, subject: &'a Subject, target: &'a Target, now: UnixMillis) -> Question<'a> {
        let Self { action, reason, rules, approvals, .. } = self;
        let (action, reason) = (*action, *reason);
        Question { subject, target, action, reason, rules, approvals, now }
    }

    /// What the person is, by a login, in an organisation and in a cluster that all stand.
    fn standing(&self) -> Result<Role, EndCause> {
        if self.cluster == Registration::Revoked {
            return Err(EndCause::ClusterRevoked);
        }
        if self.agent == Registration::Revoked {
            return Err(EndCause::AgentRevoked);
        }
        if self.account == Standing::Suspended {
            return Err(EndCause::AccountSuspended);
        }
        if self.organisation_standing == Standing::Suspended {
            return Err(EndCause::OrganisationSuspended);
        }
        let role = match self.membership {
            None => return Err(EndCause::MembershipRemoved),
            Some((_, Standing::Suspended)) => return Err(EndCause::MembershipSuspended),
            Some((role, Standing::Good)) => role,
        };
        match self.login {
            LoginStanding::Good => Ok(role),
            LoginStanding::Revoked(LoginKind::Browser) => Err(EndCause::SignedOut),
            LoginStanding::Revoked(LoginKind::Token) => Err(EndCause::TokenRevoked),
            LoginStanding::Expired(LoginKind::Browser) => Err(EndCause::LoginExpired),
            LoginStanding::Expired(LoginKind::Token) => Err(EndCause::TokenExpired),
        }
    }

    /// Which input of the rules' decision has changed since it was opened.
    fn lost(&self, role: Role, question: &Question<'_>) -> EndCause {
        let now = question.now;
        let stands = |approval: &&Approval| self.basis.approvals.contains(&approval.id) && now < approval.expires_at;
        let same = |(id, revision): (&AccessRuleId, &u64)| {
            self.rules.iter().any(|rule| rule.id == *id && rule.revision == *revision)
        };
        if self.stood_by_other_labels(question) {
            EndCause::PodLabelsChanged
        } else if self.basis.role != Some(role) {
            EndCause::RoleChanged
        } else if !self.basis.groups.is_subset(self.groups) {
            EndCause::GroupLeft
        } else if self.basis.rules.iter().all(same)
            && self.approvals.iter().filter(stands).count() < self.basis.approvals.len()
        {
            EndCause::ApprovalOver
        } else {
            EndCause::RuleChanged
        }
    }

    /// Whether it would still stand if the pod had the labels that it had.
    fn stood_by_other_labels(&self, question: &Question<'_>) -> bool {
        let Some(then) = self.labels_then.filter(|then| self.target.pod_labels.as_ref() != Some(*then)) else {
            return false;
        };
        let target = Target { pod_labels: Some(then.clone()), ..self.target.clone() };
        matches!(decide(&Question { target: &target, ..*question }), Decision::Allow(_))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::domain::access::rule::RuleSettings;
    use crate::domain::labels::Labels;
    use podlatch_protocol::id::ClusterId;

    const NOW: UnixMillis = UnixMillis::new(1_000_000);
    const LATER: UnixMillis = UnixMillis::new(2_000_000);

    fn id<T>(make: fn(Uuid) -> T, number: u128) -> T {
        make(Uuid::from_u128(number))
    }

    fn rule(who: &Value, terms: &Value) -> AccessRule {
        let settings: RuleSettings = serde_json::from_value(json!({
            "name": "R", "effect": {"allow": terms}, "who": who, "clusters": {"names": ["*"]}, "namespaces": ["*"],
            "containers": ["*"], "actions": ["exec"],
        }))
        .expect("a rule");
        let (id, organisation) = (id(AccessRuleId::from_uuid, 9), id(OrganisationId::from_uuid, 1));
        AccessRule { id, organisation, revision: 1, created_at: NOW, updated_at: NOW, settings }
    }

    struct Facts {
        groups: BTreeSet<GroupId>,
        rules: Vec<AccessRule>,
        approvals: Vec<Approval>,
        target: Target,
        basis: Basis,
    }

    fn facts() -> Facts {
        let organisation = id(OrganisationId::from_uuid, 1);
        let group = id(GroupId::from_uuid, 5);
        let rule = rule(
            &json!({"groups": [group]}),
            &json!({"approval": {"lasts_seconds": 60, "approvers": "administrators"}}),
        );
        let approval = Approval {
            id: id(AccessRequestId::from_uuid, 7),
            organisation,
            user: id(UserId::from_uuid, 2),
            cluster: id(ClusterId::from_uuid, 3),
            namespace: None,
            pod: None,
            action: AccessAction::Exec,
            rules: BTreeSet::from([rule.id]),
            expires_at: LATER,
        };
        let target = Target {
            organisation,
            cluster: id(ClusterId::from_uuid, 3),
            cluster_name: "berlin".to_owned(),
            cluster_labels: Labels::default(),
            namespace: Some("shop".parse().expect("a namespace")),
            pod: Some("web".parse().expect("a pod")),
            pod_labels: Some(BTreeMap::new()),
            container: Some("app".parse().expect("a container")),
        };
        let basis = Basis {
            role: Some(Role::Member),
            groups: BTreeSet::from([group]),
            rules: BTreeMap::from([(rule.id, 1)]),
            approvals: BTreeSet::from([approval.id]),
        };
        Facts { groups: BTreeSet::from([group]), rules: vec![rule], approvals: vec![approval], target, basis }
    }

    fn inputs(facts: &Facts) -> RightInputs<'_> {
        RightInputs {
            organisation: id(OrganisationId::from_uuid, 1),
            user: id(UserId::from_uuid, 2),
            account: Standing::Good,
            organisation_standing: Standing::Good,
            membership: Some((Role::Member, Standing::Good)),
            login: LoginStanding::Good,
            groups: &facts.groups,
            rules: &facts.rules,
            approvals: &facts.approvals,
            cluster: Registration::Registered,
            agent: Registration::Registered,
            target: &facts.target,
            action: AccessAction::Exec,
            reason: Reason::Missing,
            basis: &facts.basis,
            labels_then: None,
        }
    }

    #[test]
    fn each_input_that_is_withdrawn_ends_the_session_for_its_own_cause() {
        let facts = facts();
        let good = || inputs(&facts);
        assert_eq!(good().stands(NOW), Ok(()));
        for (inputs, cause) in [
            (RightInputs { account: Standing::Suspended, ..good() }, EndCause::AccountSuspended),
            (RightInputs { organisation_standing: Standing::Suspended, ..good() }, EndCause::OrganisationSuspended),
            (RightInputs { membership: None, ..good() }, EndCause::MembershipRemoved),
            (
                RightInputs { membership: Some((Role::Member, Standing::Suspended)), ..good() },
                EndCause::MembershipSuspended,
            ),
            (RightInputs { membership: Some((Role::Auditor, Standing::Good)), ..good() }, EndCause::RoleChanged),
            (RightInputs { login: LoginStanding::Revoked(LoginKind::Browser), ..good() }, EndCause::SignedOut),
            (RightInputs { login: LoginStanding::Expired(LoginKind::Browser), ..good() }, EndCause::LoginExpired),
            (RightInputs { login: LoginStanding::Revoked(LoginKind::Token), ..good() }, EndCause::TokenRevoked),
            (RightInputs { login: LoginStanding::Expired(LoginKind::Token), ..good() }, EndCause::TokenExpired),
            (RightInputs { groups: &BTreeSet::new(), ..good() }, EndCause::GroupLeft),
            (RightInputs { rules: &[], ..good() }, EndCause::RuleChanged),
            (RightInputs { approvals: &[], ..good() }, EndCause::ApprovalOver),
            (RightInputs { cluster: Registration::Revoked, ..good() }, EndCause::ClusterRevoked),
            (RightInputs { agent: Registration::Revoked, ..good() }, EndCause::AgentRevoked),
        ] {
            assert_eq!(inputs.stands(NOW), Err(cause));
        }
        assert_eq!(good().stands(LATER), Err(EndCause::ApprovalOver));
    }

    #[test]
    fn labels_that_change_end_a_right_that_went_by_them() {
        let mut facts = facts();
        let labels = |value: &str| BTreeMap::from([("app".to_owned(), value.to_owned())]);
        facts.rules = vec![rule(&json!({"roles": ["member"]}), &json!({}))];
        facts.rules[0].settings.pod_labels = Labels::new(labels("web")).expect("labels");
        facts.basis.approvals.clear();
        let then = labels("web");
        for (now, expected) in [
            (Some(labels("web")), Ok(())),
            (Some(labels("db")), Err(EndCause::PodLabelsChanged)),
            (Some(BTreeMap::new()), Err(EndCause::PodLabelsChanged)),
            (None, Err(EndCause::PodLabelsChanged)),
        ] {
            facts.target.pod_labels = now;
            let inputs = RightInputs { labels_then: Some(&then), ..inputs(&facts) };
            assert_eq!(inputs.stands(NOW), expected);
        }
        facts.rules[0].settings.pod_labels = Labels::new(labels("cache")).expect("labels");
        let inputs = RightInputs { labels_then: Some(&then), ..inputs(&facts) };
        assert_eq!(inputs.stands(NOW), Err(EndCause::RuleChanged), "it would not stand by the old ones either");
    }

    #[test]
    fn a_right_stands_also_on_another_rule_than_at_first() {
        let mut facts = facts();
        facts.rules.insert(0, rule(&json!({"roles": ["member"]}), &json!({})));
        assert_eq!(RightInputs { approvals: &[], ..inputs(&facts) }.stands(LATER), Ok(()));
    }
}
