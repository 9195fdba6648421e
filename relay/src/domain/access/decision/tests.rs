use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::domain::access::rule::RuleSettings;

const HERE: OrganisationId = OrganisationId::from_uuid(Uuid::from_u128(1));
const ELSEWHERE: OrganisationId = OrganisationId::from_uuid(Uuid::from_u128(2));
const ADA: UserId = UserId::from_uuid(Uuid::from_u128(3));
const BOB: UserId = UserId::from_uuid(Uuid::from_u128(4));
const TEAM: GroupId = GroupId::from_uuid(Uuid::from_u128(5));
const BERLIN: ClusterId = ClusterId::from_uuid(Uuid::from_u128(6));
const NOW: UnixMillis = UnixMillis::new(1_000_000);

fn rule_id(number: u128) -> AccessRuleId {
    AccessRuleId::from_uuid(Uuid::from_u128(number))
}

#[expect(clippy::needless_pass_by_value, reason = "tests read better with the literal in place")]
fn rule(number: u128, change: Value) -> AccessRule {
    let mut settings = json!({
        "name": "R", "effect": {"allow": {}}, "who": {"users": [ADA]}, "clusters": {"names": ["*"]},
        "namespaces": ["*"], "containers": ["*"], "actions": ["exec"],
    });
    for (field, value) in change.as_object().expect("an object") {
        settings[field] = value.clone();
    }
    let settings: RuleSettings = serde_json::from_value(settings).expect("a rule");
    AccessRule { id: rule_id(number), organisation: HERE, revision: 1, created_at: NOW, updated_at: NOW, settings }
}

fn ada() -> Subject {
    Subject { user: ADA, organisation: HERE, role: Role::Member, groups: BTreeSet::from([TEAM]) }
}

fn pod() -> Target {
    Target {
        organisation: HERE,
        cluster: BERLIN,
        cluster_name: "berlin".to_owned(),
        cluster_labels: Labels::new(BTreeMap::from([("env".to_owned(), "prod".to_owned())])).expect("labels"),
        namespace: Some("shop".parse().expect("a namespace")),
        pod: Some("web-1".parse().expect("a pod")),
        pod_labels: Some(BTreeMap::from([("app".to_owned(), "web".to_owned())])),
        container: Some("app".parse().expect("a container")),
    }
}

fn ask<'a>(subject: &'a Subject, target: &'a Target, rules: &'a [AccessRule]) -> Question<'a> {
    Question { subject, target, action: AccessAction::Exec, reason: Reason::Missing, rules, approvals: &[], now: NOW }
}

fn allows(subject: &Subject, target: &Target, rules: &[AccessRule]) -> bool {
    matches!(decide(&ask(subject, target, rules)), Decision::Allow(_))
}

#[test]
fn every_part_of_a_rule_must_fit() {
    for (change, expected) in [
        (json!({}), Fit::Fits),
        (json!({"who": {"groups": [TEAM]}}), Fit::Fits),
        (json!({"who": {"roles": ["member"]}}), Fit::Fits),
        (json!({"who": {"users": [BOB], "roles": ["owner"]}}), Fit::Not(Part::Who)),
        (json!({"clusters": {"ids": [BERLIN]}}), Fit::Fits),
        (json!({"clusters": {"names": ["ber*"], "labels": {"env": "prod"}}}), Fit::Fits),
        (json!({"clusters": {"names": ["*"], "labels": {"env": "test"}}}), Fit::Not(Part::Cluster)),
        (json!({"clusters": {"names": ["paris"]}}), Fit::Not(Part::Cluster)),
        (json!({"namespaces": ["kube-*", "sho*"]}), Fit::Fits),
        (json!({"namespaces": ["kube-*"]}), Fit::Not(Part::Namespace)),
        (json!({"pod_labels": {"app": "web"}}), Fit::Fits),
        (json!({"pod_labels": {"app": "db"}}), Fit::Not(Part::PodLabels)),
        (json!({"pod_labels": {"tier": "web"}}), Fit::Not(Part::PodLabels)),
        (json!({"containers": ["app"]}), Fit::Fits),
        (json!({"containers": ["istio-*"]}), Fit::Not(Part::Container)),
        (json!({"actions": ["view", "replay"]}), Fit::Not(Part::Action)),
    ] {
        let (subject, target) = (ada(), pod());
        let rules = [rule(9, change.clone())];
        assert_eq!(fit(&rules[0], &ask(&subject, &target, &rules)), expected, "{change}");
        assert_eq!(allows(&subject, &target, &rules), expected == Fit::Fits, "{change}");
        let mut denying = rules[0].clone();
        denying.settings.effect = Effect::Deny;
        let both = [rule(8, json!({})), denying];
        assert_eq!(allows(&subject, &target, &both), expected != Fit::Fits, "denying {change}");
    }
}

#[test]
fn nobody_may_do_anything_without_a_rule() {
    for role in Role::ALL {
        for action in AccessAction::ALL {
            let (subject, target) = (Subject { role, ..ada() }, pod());
            let question = Question { action, ..ask(&subject, &target, &[]) };
            assert!(matches!(decide(&question), Decision::Deny(_)), "{role:?} {action:?}");
            assert!(!could_be_allowed(&question));
        }
    }
}

#[test]
fn no_rule_makes_an_auditor_start_a_process() {
    let subject = Subject { role: Role::Auditor, ..ada() };
    let everything = rule(9, json!({"actions": ["view", "exec", "debug", "observe", "replay"]}));
    for action in AccessAction::ALL {
        let target = pod();
        let rules = [everything.clone()];
        let decision = decide(&Question { action, ..ask(&subject, &target, &rules) });
        assert_eq!(matches!(decision, Decision::Allow(_)), !action.has_terms(), "{action:?}");
    }
}

#[test]
fn what_is_not_known_fits_no_rule_that_allows_and_every_rule_that_denies() {
    let (subject, whole) = (ada(), pod());
    let unlabelled = Target { pod_labels: None, ..pod() };
    let unnamed = Target { container: None, ..pod() };
    for (target, change) in
        [(&unlabelled, json!({"pod_labels": {"app": "web"}})), (&unnamed, json!({"containers": ["app"]}))]
    {
        let allowing = [rule(9, change.clone())];
        assert!(allows(&subject, &whole, &allowing) && !allows(&subject, target, &allowing), "{change}");
        assert!(needs_pod(&ask(&subject, target, &allowing)) && could_be_allowed(&ask(&subject, target, &allowing)));
        assert!(!needs_pod(&ask(&subject, &whole, &allowing)));
        let mut denying = allowing[0].clone();
        denying.settings.effect = Effect::Deny;
        let both = [rule(8, json!({})), denying];
        assert_eq!(decide(&ask(&subject, target, &both)), Decision::Deny(Denial::Rule(rule_id(9))), "{change}");
        assert!(could_be_allowed(&ask(&subject, target, &both)), "another pod may be open");
    }
    let cluster = Target { namespace: None, pod: None, pod_labels: None, container: None, ..pod() };
    let elsewhere = [rule(9, json!({"clusters": {"names": ["paris"]}}))];
    assert!(!could_be_allowed(&ask(&subject, &cluster, &elsewhere)));
    let mut closed = rule(7, json!({}));
    closed.settings.effect = Effect::Deny;
    assert!(!could_be_allowed(&ask(&subject, &cluster, &[rule(9, json!({})), closed])));
}

fn approval(rules: &[u128]) -> Approval {
    Approval {
        id: AccessRequestId::from_uuid(Uuid::from_u128(70)),
        organisation: HERE,
        user: ADA,
        cluster: BERLIN,
        namespace: Some("shop".parse().expect("a namespace")),
        pod: None,
        action: AccessAction::Exec,
        rules: rules.iter().map(|number| rule_id(*number)).collect(),
        expires_at: NOW.plus(Duration::from_mins(1)),
    }
}

#[test]
fn the_least_demanding_rule_decides_and_the_shortest_limits_hold() {
    let (subject, target) = (ada(), pod());
    let approved = json!({"effect": {"allow": {"max_duration_seconds": 60, "reason": "required",
        "approval": {"lasts_seconds": 60, "approvers": "administrators"}}}});
    let asked = json!({"effect": {"allow": {"idle_close_seconds": 30, "reason": "required"}}});
    let one = [rule(9, approved.clone())];
    let two = [rule(9, approved.clone()), rule(8, asked.clone())];
    let three = [rule(9, approved), rule(8, asked), rule(7, json!({}))];
    let given = |rules| Question { reason: Reason::Given, ..ask(&subject, &target, rules) };

    assert_eq!(decide(&given(&one)), Decision::NeedsApproval(BTreeSet::from([rule_id(9)])));
    assert_eq!(decide(&ask(&subject, &target, &two)), Decision::NeedsReason);
    let Decision::Allow(grant) = decide(&given(&two)) else { panic!("a reason suffices") };
    assert_eq!(grant.rules, BTreeSet::from([rule_id(8)]));
    let limits = LimitSettings {
        session_max: Some(Duration::from_mins(1)),
        idle_after: None,
        idle_close: Some(Duration::from_secs(30)),
    };
    assert_eq!(grant.limits, limits);
    let Decision::Allow(grant) = decide(&ask(&subject, &target, &three)) else { panic!("nothing is needed") };
    assert_eq!((grant.rules, grant.limits), (BTreeSet::from([rule_id(7)]), limits));
}

#[test]
fn an_approval_counts_for_its_person_place_action_rule_and_time_alone() {
    let (subject, target) = (ada(), pod());
    let rules =
        [rule(9, json!({"effect": {"allow": {"approval": {"lasts_seconds": 60, "approvers": {"group": TEAM}}}}}))];
    let allowed = |approval: &Approval| {
        let approvals = [approval.clone()];
        matches!(decide(&Question { approvals: &approvals, ..ask(&subject, &target, &rules) }), Decision::Allow(_))
    };
    let good = approval(&[9]);
    assert!(allowed(&good));
    assert!(allowed(&Approval { namespace: None, ..good.clone() }));
    for bad in [
        Approval { user: BOB, ..good.clone() },
        Approval { organisation: ELSEWHERE, ..good.clone() },
        Approval { cluster: ClusterId::from_uuid(Uuid::from_u128(60)), ..good.clone() },
        Approval { namespace: Some("other".parse().expect("a namespace")), ..good.clone() },
        Approval { pod: Some("web-2".parse().expect("a pod")), ..good.clone() },
        Approval { action: AccessAction::Debug, ..good.clone() },
        Approval { rules: BTreeSet::from([rule_id(8)]), ..good.clone() },
        Approval { expires_at: NOW, ..good.clone() },
    ] {
        assert!(!allowed(&bad), "{bad:?}");
    }
}

prop_compose! {
    fn any_rule()(
        number in 1_u128..40,
        here in prop::bool::weighted(0.9),
        deny in prop::bool::weighted(0.25),
        who in prop::sample::select(vec![
            json!({"users": [ADA]}), json!({"users": [BOB]}), json!({"groups": [TEAM]}), json!({"roles": ["member", "admin"]}),
        ]),
        clusters in prop::sample::select(vec![json!({"names": ["*"]}), json!({"names": ["b*"]}), json!({"names": ["paris"]})]),
        namespaces in prop::sample::select(vec![json!(["*"]), json!(["shop"]), json!(["kube-*"])]),
        pod_labels in prop::sample::select(vec![json!({}), json!({"app": "web"}), json!({"app": "db"})]),
        containers in prop::sample::select(vec![json!(["*"]), json!(["app"]), json!(["log"])]),
        actions in prop::sample::select(vec![json!(["exec"]), json!(["view", "exec"]), json!(["replay"])]),
        terms in prop::sample::select(vec![
            json!({}), json!({"max_duration_seconds": 60}), json!({"reason": "required"}),
            json!({"approval": {"lasts_seconds": 60, "approvers": "administrators"}}),
        ]),
    ) -> AccessRule {
        let effect = if deny { json!("deny") } else { json!({"allow": terms}) };
        let mut rule = rule(number, json!({
            "effect": effect, "who": who, "clusters": clusters, "namespaces": namespaces, "pod_labels": pod_labels,
            "containers": containers, "actions": actions,
        }));
        if !here {
            rule.organisation = ELSEWHERE;
        }
        rule
    }
}

prop_compose! {
    fn any_target()(
        namespace in prop::option::of(prop::sample::select(vec!["shop", "kube-system"])),
        label in prop::option::of(prop::sample::select(vec!["web", "db"])),
        container in prop::option::of(prop::sample::select(vec!["app", "log"])),
    ) -> Target {
        Target {
            namespace: namespace.map(|name| name.parse().expect("a namespace")),
            pod_labels: label.map(|value| BTreeMap::from([("app".to_owned(), value.to_owned())])),
            container: container.map(|name| name.parse().expect("a container")),
            ..pod()
        }
    }
}

/// How much a decision gives: nothing, after more is done, now.
fn given(decision: &Decision) -> u8 {
    match decision {
        Decision::Deny(_) => 0,
        Decision::NeedsApproval(_) => 1,
        Decision::NeedsReason => 2,
        Decision::Allow(_) => 3,
    }
}

/// What is asked of a pod, where its labels are these.
fn labelled(value: Option<&str>) -> Target {
    let labels = |value: &str| BTreeMap::from([("app".to_owned(), value.to_owned())]);
    Target { pod_labels: value.map(labels), ..pod() }
}

#[test]
fn rules_go_by_the_labels_of_a_pod_and_what_denies_wins() {
    let subject = ada();
    let web = json!({"app": "web"});
    let (allow_all, allow_web) = (rule(1, json!({})), rule(2, json!({"pod_labels": web})));
    let (deny_web, deny_all) =
        (rule(3, json!({"pod_labels": web, "effect": "deny"})), rule(4, json!({"effect": "deny"})));
    let (one, other, unknown) = (labelled(Some("web")), labelled(Some("db")), labelled(None));
    let bare = Target { pod_labels: Some(BTreeMap::new()), ..pod() };
    for (rules, expected) in [
        // The pod with the label, one with another, one without, one of which it is not known.
        (vec![&allow_web], [true, false, false, false]),
        (vec![&allow_all, &deny_web], [false, true, true, false]),
        (vec![&allow_web, &deny_web], [false, false, false, false]),
        (vec![&allow_web, &deny_all], [false, false, false, false]),
        (vec![&allow_all, &allow_web], [true, true, true, true]),
    ] {
        let rules: Vec<_> = rules.into_iter().cloned().collect();
        for (target, expected) in [&one, &other, &bare, &unknown].into_iter().zip(expected) {
            let question = ask(&subject, target, &rules);
            assert_eq!(matches!(decide(&question), Decision::Allow(_)), expected, "{rules:?} {target:?}");
            assert_eq!(pod_could_be_allowed(&question), expected, "a list shows what opens: {rules:?} {target:?}");
        }
    }
}

#[test]
fn a_cluster_is_asked_for_labels_where_they_make_a_difference() {
    let subject = ada();
    let unknown = labelled(None);
    let web = json!({"app": "web"});
    for (change, needed, kept) in [
        (json!({"pod_labels": web}), true, true),
        (json!({"pod_labels": web, "effect": "deny"}), true, true),
        (json!({}), false, false),
        // Others' decisions may go by them later.
        (json!({"pod_labels": web, "who": {"users": [BOB]}}), false, true),
        (json!({"pod_labels": web, "actions": ["replay"]}), false, true),
        (json!({"pod_labels": web, "namespaces": ["kube-*"]}), false, false),
        (json!({"pod_labels": web, "clusters": {"names": ["paris"]}}), false, false),
    ] {
        let rules = [rule(9, change.clone())];
        assert_eq!(needs_labels(&ask(&subject, &unknown, &rules)), needed, "{change}");
        assert_eq!(goes_by_labels(&rules, &unknown), kept, "{change}");
        assert!(!needs_labels(&ask(&subject, &pod(), &rules)), "they are known");
    }
}

#[test]
fn workloads_are_listed_by_rules_that_go_by_no_pods_labels() {
    let subject = ada();
    let namespace = Target { pod: None, pod_labels: None, container: None, ..pod() };
    let web = json!({"app": "web"});
    let shown = |rules: &[AccessRule]| workloads_could_be_allowed(&ask(&subject, &namespace, rules));
    let deny_web = rule(3, json!({"pod_labels": web, "effect": "deny"}));
    assert!(shown(&[rule(1, json!({}))]) && shown(&[rule(1, json!({"containers": ["app"]})), deny_web]));
    assert!(!shown(&[rule(2, json!({"pod_labels": web}))]));
    assert!(!shown(&[rule(1, json!({})), rule(4, json!({"effect": "deny"}))]));
}

proptest! {
    #[test]
    fn a_list_of_pods_hides_nothing_that_could_be_allowed(
        rules in prop::collection::vec(any_rule(), 0..8), target in any_target(),
    ) {
        let subject = ada();
        if given(&decide(&ask(&subject, &target, &rules))) > 0 && target.pod_labels.is_some() {
            let listed = Target { container: None, ..target };
            prop_assert!(pod_could_be_allowed(&ask(&subject, &listed, &rules)));
        }
    }

    #[test]
    fn adding_a_denying_rule_or_removing_an_allowing_one_never_gives_more(
        rules in prop::collection::vec(any_rule(), 1..8), target in any_target(), index in any::<prop::sample::Index>(),
    ) {
        let subject = ada();
        let mut fewer = rules.clone();
        let removed = fewer.remove(index.index(rules.len()));
        let (more, less) = (decide(&ask(&subject, &target, &rules)), decide(&ask(&subject, &target, &fewer)));
        match removed.settings.effect {
            Effect::Allow(_) => prop_assert!(given(&less) <= given(&more), "{less:?} {more:?}"),
            Effect::Deny => prop_assert!(given(&more) <= given(&less), "{less:?} {more:?}"),
        }
    }

    #[test]
    fn the_order_of_rules_never_matters(
        (rules, shuffled) in prop::collection::vec(any_rule(), 0..8)
            .prop_flat_map(|rules| (Just(rules.clone()), Just(rules).prop_shuffle())),
        target in any_target(),
    ) {
        let subject = ada();
        prop_assert_eq!(decide(&ask(&subject, &target, &rules)), decide(&ask(&subject, &target, &shuffled)));
    }

    #[test]
    fn another_organisations_rules_and_targets_never_count(
        rules in prop::collection::vec(any_rule(), 0..8), target in any_target(),
    ) {
        let subject = ada();
        let own: Vec<_> = rules.iter().filter(|rule| rule.organisation == HERE).cloned().collect();
        prop_assert_eq!(decide(&ask(&subject, &target, &rules)), decide(&ask(&subject, &target, &own)));
        let foreign = Target { organisation: ELSEWHERE, ..target };
        prop_assert_eq!(decide(&ask(&subject, &foreign, &rules)), Decision::Deny(Denial::OtherOrganisation));
        prop_assert!(!could_be_allowed(&ask(&subject, &foreign, &rules)));
    }

    #[test]
    fn what_is_allowed_could_have_been_expected_from_less_knowledge(
        rules in prop::collection::vec(any_rule(), 0..8), target in any_target(),
    ) {
        let subject = ada();
        if given(&decide(&ask(&subject, &target, &rules))) > 0 {
            for less in [
                target.clone(),
                Target { pod_labels: None, container: None, ..target.clone() },
                Target { namespace: None, pod: None, pod_labels: None, container: None, ..target },
            ] {
                prop_assert!(could_be_allowed(&ask(&subject, &less, &rules)));
            }
        }
    }

    #[test]
    fn whoever_may_open_has_a_rule_that_fits(rules in prop::collection::vec(any_rule(), 0..8), target in any_target()) {
        let subject = ada();
        let question = ask(&subject, &target, &rules);
        if let Decision::Allow(grant) = decide(&question) {
            let fitting = |id| rules.iter().any(|rule: &AccessRule| rule.id == id && fit(rule, &question) == Fit::Fits);
            prop_assert!(!grant.rules.is_empty() && grant.rules.iter().all(|id| fitting(*id)));
        }
    }
}
