use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use podlatch_protocol::id::{AccessRequestId, AccessRuleId, OrganisationId};
use podlatch_relay::domain::access::right::{Basis, LoginKind, LoginStanding, Registration, Standing};
use podlatch_relay::domain::access::rule::{AccessAction, RuleSettings};
use podlatch_relay::domain::audit::Origin;
use podlatch_relay::domain::session::SessionAccess;
use podlatch_relay::store::{
    DatabaseUrl, NewAccessRequest, NewAccessRule, PageRequest, RequestFilter, RequestState, RuleChange, Ruling,
};
use tempfile::TempDir;

use super::fixture::{EXPIRY, Fixture, SOON, START};
use super::on_both_engines;
use crate::postgres::new_database_url;

on_both_engines!(
    a_rule_is_changed_only_by_who_has_seen_it,
    a_request_is_approved_by_somebody_else_once,
    what_a_right_depends_on_is_read_as_it_stands,
    what_is_broken_of_one_session_hides_no_other,
);

fn settings(name: &str) -> RuleSettings {
    let text = format!(
        r#"{{"name": "{name}", "effect": "deny", "who": {{"roles": ["member"]}}, "clusters": {{"names": ["*"]}},
            "namespaces": ["*"], "containers": ["*"], "actions": ["exec"]}}"#
    );
    serde_json::from_str(&text).expect("a rule")
}

async fn a_rule_is_changed_only_by_who_has_seen_it(at: Fixture) {
    let organisation = at.owner("ada@example.org").await.organisation.id;
    let foreign = at.owner("bob@example.org").await.organisation.id;
    let first = at.store.access_rules(organisation).await.expect("answers");
    assert_eq!(first.len(), 1);
    assert_eq!(Ok(&first[0].settings), RuleSettings::owners_open_everything().as_ref());
    let by = Origin::operator();
    let new = NewAccessRule { id: AccessRuleId::new(9, &[1; 10]), organisation, settings: settings("One") };
    let rule = at.store.create_access_rule(&new, &by, START).await.expect("creates");
    assert_eq!(at.store.get_access_rule(organisation, rule.id).await.expect("answers"), Some(rule.clone()));
    assert_eq!(at.store.get_access_rule(foreign, rule.id).await.expect("answers"), None);

    let change = async |organisation: OrganisationId, revision, name| {
        let which = (organisation, rule.id, revision);
        at.store.change_access_rule(which, &settings(name), &Origin::operator(), SOON).await.expect("answers")
    };
    assert_eq!(change(foreign, 1, "Foreign").await, RuleChange::Missing);
    let RuleChange::Done(changed) = change(organisation, 1, "Two").await else { panic!("the revision is right") };
    assert_eq!((changed.revision, changed.settings.name.as_str()), (2, "Two"));
    assert_eq!((changed.created_at, changed.updated_at), (START, SOON));
    assert_eq!(change(organisation, 1, "Late").await, RuleChange::Conflict(2));
    let delete = async |revision| {
        at.store.delete_access_rule((organisation, rule.id, revision), &by, SOON).await.expect("answers")
    };
    assert_eq!(delete(1).await, RuleChange::Conflict(2));
    assert_eq!(delete(2).await, RuleChange::Done(changed));
    assert_eq!(delete(2).await, RuleChange::Missing);
    let page = at.store.list_access_rules(organisation, PageRequest::default()).await.expect("answers");
    assert_eq!(page.items.len(), 1);
}

async fn a_request_is_approved_by_somebody_else_once(at: Fixture) {
    let ada = at.actor().await;
    let bob = at.owner("bob@example.org").await;
    let cluster = at.cluster(ada.organisation).await;
    let new = NewAccessRequest {
        id: AccessRequestId::new(9, &[1; 10]),
        organisation: ada.organisation,
        user: ada.user,
        cluster: cluster.id,
        namespace: Some("shop".parse().expect("a namespace")),
        pod: None,
        action: AccessAction::Exec,
        reason: "ticket 7".parse().expect("a reason"),
        duration: Duration::from_mins(1),
    };
    let by = Origin::operator();
    at.store.create_access_request(&new, &by, START).await.expect("creates");
    assert_eq!(at.store.get_access_request(bob.organisation.id, new.id).await.expect("answers"), None);
    let request = at.store.get_access_request(ada.organisation, new.id).await.expect("answers").expect("is there");
    assert_eq!((&request.request, &request.state), (&new, &RequestState::Pending));
    let rules = BTreeSet::from([AccessRuleId::new(1, &[0; 10])]);
    let approve = Ruling::Approve { rules: rules.clone(), expires_at: EXPIRY };
    let decide =
        async |user| at.store.decide_access_request(&request, &approve, (user, &by, SOON)).await.expect("answers");
    assert!(!decide(ada.user).await, "never one's own");
    assert!(decide(bob.user.id).await);
    assert!(!decide(bob.user.id).await, "once");
    let in_force = async |user, now| at.store.approvals(ada.organisation, user, now).await.expect("answers");
    let approvals = in_force(Some(ada.user), SOON).await;
    assert_eq!((approvals.len(), &approvals[0].rules, approvals[0].expires_at), (1, &rules, EXPIRY));
    assert!(in_force(None, EXPIRY).await.is_empty() && in_force(Some(bob.user.id), SOON).await.is_empty());
    assert!(at.store.withdraw_access_request(&request, &by, SOON).await.expect("answers"));
    assert!(in_force(None, SOON).await.is_empty());
    let all = RequestFilter { user: None };
    let page = at.store.list_access_requests(ada.organisation, all, PageRequest::default()).await.expect("answers");
    assert_eq!(page.items.iter().map(|item| &item.state).collect::<Vec<_>>(), [&RequestState::Withdrawn]);
}

async fn what_a_right_depends_on_is_read_as_it_stands(at: Fixture) {
    let ada = at.actor().await;
    let cluster = at.cluster(ada.organisation).await;
    let agent = at.agent(&cluster).await;
    let mut new = at.new_session(&ada, &agent);
    new.reason = Some("ticket 7".parse().expect("a reason"));
    new.access = SessionAccess {
        action: AccessAction::Exec,
        pod_labels: Some(BTreeMap::from([("app".to_owned(), "web".to_owned())])),
        basis: Basis { role: Some(ada.role), ..Basis::default() },
    };
    at.store.insert_session(&new).await.expect("inserts");
    let stored = at.store.get_session(ada.organisation, new.id).await.expect("answers").expect("is there");
    assert_eq!((&stored.request.reason, &stored.request.access), (&new.reason, &new.access));
    let read = async |now| {
        at.store.session_rights(now).await.expect("answers").pop().expect("is not over").expect("is readable")
    };
    let rights = read(START).await;
    assert_eq!((rights.session, rights.account, rights.login), (new.id, Standing::Good, LoginStanding::Good));
    assert_eq!(rights.membership, Some((ada.role, Standing::Good)));
    assert_eq!((rights.cluster, rights.agent), (Registration::Registered, Registration::Registered));
    assert_eq!((&rights.access, &rights.target.pod_labels), (&new.access, &new.access.pod_labels));
    assert_eq!(read(EXPIRY).await.login, LoginStanding::Expired(LoginKind::Browser));

    for statement in [
        "UPDATE users SET suspended_at = 1",
        "UPDATE organisations SET suspended_at = 1",
        "UPDATE memberships SET suspended_at = 1",
        "UPDATE login_sessions SET revoked_at = 1",
        "UPDATE clusters SET revoked_at = 1",
        "UPDATE agents SET status = 'revoked'",
    ] {
        at.execute(statement).await.expect("updates");
    }
    let rights = read(START).await;
    assert_eq!((rights.account, rights.organisation_standing), (Standing::Suspended, Standing::Suspended));
    assert_eq!(rights.membership, Some((ada.role, Standing::Suspended)));
    assert_eq!(rights.login, LoginStanding::Revoked(LoginKind::Browser));
    assert_eq!((rights.cluster, rights.agent), (Registration::Revoked, Registration::Revoked));
    at.execute("DELETE FROM memberships").await.expect("deletes");
    assert_eq!(read(START).await.membership, None);
}

async fn what_is_broken_of_one_session_hides_no_other(at: Fixture) {
    let ada = at.actor().await;
    let agent = at.agent(&at.cluster(ada.organisation).await).await;
    let (one, other) = (at.session(&ada, &agent).await, at.session(&ada, &agent).await);
    let mut new = at.new_session(&ada, &agent);
    new.reason = Some("broken".parse().expect("a reason"));
    at.store.insert_session(&new).await.expect("inserts");
    at.execute("UPDATE sessions SET access = '{' WHERE reason IS NOT NULL").await.expect("updates");
    let read = at.store.session_rights(START).await.expect("answers");
    let (good, bad): (Vec<_>, Vec<_>) = read.into_iter().partition(Result::is_ok);
    let good: BTreeSet<_> = good.into_iter().flatten().map(|rights| rights.session).collect();
    assert_eq!(good, BTreeSet::from([one.id, other.id]));
    let [Err(bad)] = bad.as_slice() else { panic!("one is broken") };
    assert!(bad.session == Some(new.id) && bad.error.is_unreadable(), "{bad:?}");
}

#[tokio::test]
async fn an_organisation_that_is_older_than_rules_gets_its_first_one_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    older_than_rules(&DatabaseUrl::in_folder(folder.path()), folder).await;
}

#[tokio::test]
async fn an_organisation_that_is_older_than_rules_gets_its_first_one_on_postgres() {
    older_than_rules(&new_database_url().await, tempfile::tempdir().expect("a folder")).await;
}

async fn older_than_rules(url: &DatabaseUrl, folder: TempDir) {
    // Rules came with migration 10.
    let old = OrganisationId::new(5, &[7; 10]);
    let at = Fixture::updated(url, folder, 9, old).await;
    let young = at.owner("ada@example.org").await.organisation.id;
    let careful = at.owner("bob@example.org").await.organisation.id;
    for rule in at.store.access_rules(careful).await.expect("answers") {
        let which = (careful, rule.id, rule.revision);
        at.store.delete_access_rule(which, &Origin::operator(), START).await.expect("deletes");
    }
    assert!(at.store.access_rules(old).await.expect("answers").is_empty());

    assert_eq!(at.store.give_first_rules(SOON).await.expect("gives"), 1);
    let given = at.store.access_rules(old).await.expect("answers");
    assert_eq!(given.len(), 1);
    assert_eq!(Ok(&given[0].settings), RuleSettings::owners_open_everything().as_ref());
    assert_eq!(at.store.access_rules(young).await.expect("answers").len(), 1);
    assert!(at.store.access_rules(careful).await.expect("answers").is_empty(), "whoever deleted it keeps none");

    assert_eq!(at.store.give_first_rules(SOON).await.expect("gives"), 0);
    let which = (old, given[0].id, 1);
    at.store.delete_access_rule(which, &Origin::operator(), SOON).await.expect("deletes");
    assert_eq!(at.store.give_first_rules(SOON).await.expect("gives"), 0, "it was given, and is known to have been");
}
