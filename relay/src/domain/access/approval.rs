//! Who may approve what: never one's own request. Pure.

use std::time::Duration;

use super::decision::{Fit, Question, Subject, fit};
use super::rule::{AccessRule, Approvers};
use crate::domain::organisation::Role;

/// The rules by which what is asked for could be allowed once it is approved. What is not known of the target is decided when
/// it is opened.
pub fn approvable<'a>(question: &'a Question<'a>) -> impl Iterator<Item = &'a AccessRule> {
    question.rules.iter().filter(move |rule| {
        let needs = rule.settings.terms().is_some_and(|terms| terms.approval.is_some());
        needs && rule.organisation == question.target.organisation && !matches!(fit(rule, question), Fit::Not(_))
    })
}

/// Whether a person's approval counts for a rule.
pub fn may_approve(rule: &AccessRule, approver: &Subject) -> bool {
    let terms = rule.settings.terms().and_then(|terms| terms.approval.as_ref());
    let counts = |approvers: Approvers| match approvers {
        Approvers::Administrators => matches!(approver.role, Role::Owner | Role::Admin),
        Approvers::Group(group) => approver.groups.contains(&group),
    };
    approver.organisation == rule.organisation && terms.is_some_and(|terms| counts(terms.approvers))
}

/// How long an approval by these rules lasts where `asked` was asked for: the shortest holds.
pub fn lasts(rules: &[AccessRule], asked: Duration) -> Duration {
    let approvals = rules.iter().filter_map(|rule| rule.settings.terms()?.approval.as_ref());
    approvals.map(|terms| terms.lasts_seconds.duration()).fold(asked, Duration::min)
}
