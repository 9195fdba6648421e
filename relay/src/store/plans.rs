//! The statements that lists are made of find their rows along an index, in the list's order: with a million of them, a page
//! costs what a page costs. Checked by SQLite's own plan, which without statistics depends on nothing but the schema.

use podlatch_protocol::id::{ClusterId, OrganisationId, SessionId, UserId};
use sqlx::AssertSqlSafe;
use tempfile::TempDir;
use uuid::Uuid;

use super::engine::{Engine, Part};
use super::{AuditFilter, DatabaseUrl, SessionFilter, StateFilter, Store, UserFilter, audit, sessions};
use crate::clock::UnixMillis;
use crate::domain::access::AuditScope;
use crate::domain::audit::Action;
use crate::domain::session::SessionStatus;

async fn empty_store() -> (Store, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&DatabaseUrl::in_folder(folder.path())).await.expect("opens");
    store.migrate().await.expect("migrates");
    (store, folder)
}

/// What SQLite would do, a line a step.
async fn plan(store: &Store, sql: &str) -> Vec<String> {
    let Engine::Sqlite(reader) = store.reader() else { panic!("this is SQLite") };
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain).fetch_all(reader).await.expect("explains");
    steps.into_iter().map(|(.., step)| step).collect()
}

/// Fails unless the plan uses each of these indexes, reads no table or index whole, and sorts nothing.
async fn assert_along(store: &Store, table: &str, parts: Vec<Part>, indexes: &[&str]) {
    let sql = store.reader().statement(table, parts).0;
    let plan = plan(store, &sql).await;
    let text = plan.join("\n");
    assert!(plan.iter().all(|step| !step.starts_with("SCAN") && !step.contains("TEMP B-TREE")), "{sql}\n{text}");
    for index in indexes {
        let is_used = plan.iter().any(|step| step.contains(&format!("INDEX {index} ")));
        assert!(is_used, "{index} is not used:\n{text}\n{sql}");
    }
}

/// Whichever condition leads, the others hold as well.
fn assert_holds_every_condition(parts: &[Part]) {
    for part in parts {
        for condition in 7..=16 {
            assert!(part.sql.contains(&format!("${condition}")), "${condition} is not in {}", part.sql);
        }
    }
}

#[tokio::test]
async fn the_audit_log_is_read_along_an_index_whatever_is_asked() {
    use audit::{Lead, Order};
    let (store, _folder) = empty_store().await;
    let (id, here, cluster) = (Uuid::nil(), OrganisationId::new(1, &[1; 10]), ClusterId::new(1, &[2; 10]));
    let (person, now) = (UserId::new(1, &[3; 10]), UnixMillis::new(1));
    let everything = AuditFilter::everything(here, AuditScope::All);
    let all_at_once = AuditFilter {
        cluster: Some(cluster),
        user: Some(UserFilter::Id(person)),
        namespace: Some("shop".to_owned()),
        pod: Some("web-1".to_owned()),
        session: Some(SessionId::new(1, &[4; 10])),
        action: Some(Action::SignIn),
        text: Some("ls".to_owned()),
        from: Some(now),
        to: Some(now),
        ..AuditFilter::everything(here, AuditScope::Of(person))
    };
    // Whatever else were asked would lead.
    let by_time_and_text =
        AuditFilter { text: all_at_once.text.clone(), from: Some(now), to: Some(now), ..everything.clone() };
    let led = [
        (Lead::Session(id), &["audit_events_by_session"][..]),
        (Lead::Person(id), &["audit_events_by_user", "audit_events_by_actor"]),
        (Lead::Pod("web-1"), &["audit_events_by_pod"]),
        (Lead::Namespace("shop"), &["audit_events_by_namespace"]),
        (Lead::Cluster(id), &["audit_events_by_cluster"]),
        (Lead::Action(Action::SignIn), &["audit_events_by_action"]),
    ];
    for order in [Order::NewestFirst, Order::OldestFirst] {
        for (lead, indexes) in led {
            assert_along(&store, "audit_events", lead.events_sql(&everything, order), indexes).await;
            assert_along(&store, "audit_events", lead.events_sql(&all_at_once, order), indexes).await;
            assert_holds_every_condition(&lead.events_sql(&all_at_once, order));
            assert_along(&store, "audit_events", lead.reach_sql(order), indexes).await;
        }
        for filter in [&everything, &by_time_and_text] {
            let parts = Lead::Everything.events_sql(filter, order);
            assert_along(&store, "audit_events", parts, &["sqlite_autoindex_audit_events_2"]).await;
        }
    }
    store.close().await;
}

#[tokio::test]
async fn sessions_are_listed_along_an_index_whatever_is_asked() {
    use sessions::Lead;
    let (store, _folder) = empty_store().await;
    let (now, person) = (UnixMillis::new(1), UserId::new(1, &[3; 10]));
    let everything = SessionFilter::all(OrganisationId::new(1, &[1; 10]), now);
    let all_at_once = SessionFilter {
        user: Some(person),
        ended_of: Some(person),
        cluster: Some(ClusterId::new(1, &[2; 10])),
        state: StateFilter::Ended,
        status: Some(SessionStatus::Expired),
        from: Some(now),
        to: Some(now),
        ..everything
    };
    for (lead, indexes) in [
        (Lead::All, &["sessions_by_organisation"][..]),
        (Lead::Unfinished, &["sessions_unfinished_by_organisation"]),
        (Lead::Expired, &["sessions_expired_by_organisation", "sessions_unfinished_by_organisation"]),
        (Lead::User, &["sessions_by_user"]),
        (Lead::OwnAndUnfinished, &["sessions_by_user", "sessions_unfinished_by_organisation"]),
        (Lead::Cluster, &["sessions_by_cluster"]),
    ] {
        for filter in [&everything, &all_at_once] {
            assert_along(&store, "sessions s", lead.sql(filter), indexes).await;
        }
    }
    store.close().await;
}
