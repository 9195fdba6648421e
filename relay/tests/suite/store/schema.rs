use podlatch_relay::store::{DatabaseUrl, SchemaState, Store};

use super::fixture::Fixture;
use super::on_both_engines;
use crate::postgres::new_database_url;

on_both_engines!(migrating_again_changes_nothing);

async fn migrating_again_changes_nothing(at: Fixture) {
    at.owner("ada@example.org").await;
    at.store.migrate().await.expect("migrates");
    assert_eq!(at.store.check().await.expect("answers"), SchemaState::Current);
    let page = at.store.list_organisations(podlatch_relay::store::PageRequest::default()).await.expect("lists");
    assert_eq!(page.items.len(), 1);
}

#[tokio::test]
async fn several_processes_may_migrate_sqlite_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    migrate_at_once(&DatabaseUrl::in_folder(folder.path())).await;
}

#[tokio::test]
async fn several_processes_may_migrate_postgres_at_once() {
    migrate_at_once(&new_database_url().await).await;
}

async fn migrate_at_once(url: &DatabaseUrl) {
    let store = Store::open(url).await.expect("opens");
    assert_eq!(store.check().await.expect("answers"), SchemaState::Behind, "an empty database");
    let others: Vec<_> = (0..4)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { Store::open(&url).await.expect("opens").migrate().await })
        })
        .collect();
    for other in others {
        other.await.expect("joins").expect("migrates");
    }
    assert_eq!(store.check().await.expect("answers"), SchemaState::Current);
}
