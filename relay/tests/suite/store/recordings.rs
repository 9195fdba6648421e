use std::time::Duration;

use podlatch_protocol::id::OrganisationId;
use podlatch_relay::domain::access::AuditScope;
use podlatch_relay::domain::audit::{Action, Origin};
use podlatch_relay::domain::recording::{RetentionDays, StoredRecording};
use podlatch_relay::store::{AuditFilter, StoreError};

use super::fixture::{Fixture, START};
use super::on_both_engines;

on_both_engines!(a_stored_recording_is_noted_once, recordings_are_deleted_when_they_were_kept_long_enough);

const DAY: Duration = Duration::from_hours(24);

fn recording() -> StoredRecording {
    StoredRecording {
        truncation: Some("the end is missing".to_owned()),
        segments: 3,
        bytes: 1 << 40,
        duration_ms: 1_234,
        head: "abc".to_owned(),
        sealed_at: START,
        deleted_at: None,
    }
}

async fn a_stored_recording_is_noted_once(at: Fixture) {
    let actor = at.actor().await;
    let agent = at.agent(&at.cluster(actor.organisation).await).await;
    let session = at.new_session(&actor, &agent);
    at.store.insert_session(&session).await.expect("inserts");
    let get = || at.store.get_recording(actor.organisation, session.id);
    assert_eq!(get().await.expect("answers"), None);
    at.store.recording_sealed(actor.organisation, session.id, &recording()).await.expect("notes");
    let again = StoredRecording { segments: 9, ..recording() };
    at.store.recording_sealed(actor.organisation, session.id, &again).await.expect("changes nothing");
    assert_eq!(get().await.expect("answers"), Some(recording()));
    let other = at.owner("eve@example.org").await.organisation.id;
    assert_eq!(at.store.get_recording(other, session.id).await.expect("answers"), None, "an id alone is never a right");
}

async fn recordings_are_deleted_when_they_were_kept_long_enough(at: Fixture) {
    let actor = at.actor().await;
    let agent = at.agent(&at.cluster(actor.organisation).await).await;
    let session = at.new_session(&actor, &agent);
    at.store.insert_session(&session).await.expect("inserts");
    at.store.recording_sealed(actor.organisation, session.id, &recording()).await.expect("notes");
    assert_eq!(at.store.delete_old_recordings(START.plus(DAY * 9_999)).await.expect("answers"), 0, "kept for ever");

    let days = RetentionDays::new(30);
    let by = (Origin::operator(), START);
    at.store.set_recording_retention(actor.organisation, days, by.clone()).await.expect("sets");
    assert_eq!(at.store.recording_retention(actor.organisation).await.expect("answers"), days);
    let nowhere = at.store.set_recording_retention(OrganisationId::new(9, &[9; 10]), days, by);
    assert!(matches!(nowhere.await, Err(StoreError::Missing(_))));

    let almost = START.plus((DAY * 30).saturating_sub(Duration::from_millis(1)));
    assert_eq!(at.store.delete_old_recordings(almost).await.expect("answers"), 0);
    let now = START.plus(DAY * 30);
    assert_eq!(at.store.delete_old_recordings(now).await.expect("answers"), 1);
    assert_eq!(at.store.delete_old_recordings(now).await.expect("answers"), 0);
    let found = at.store.get_recording(actor.organisation, session.id).await.expect("answers").expect("is known");
    assert_eq!(found.deleted_at, Some(now));
    let due = [(actor.organisation, session.id)];
    assert_eq!(at.store.recordings_to_remove().await.expect("answers"), due);
    at.store.recording_removed(actor.organisation, session.id, now).await.expect("notes");
    assert_eq!(at.store.recordings_to_remove().await.expect("answers"), []);

    let everything = AuditFilter::everything(actor.organisation, AuditScope::All);
    let page = at.store.list_audit(&everything, None, 2).await.expect("lists");
    let actions: Vec<_> = page.items.iter().map(|event| event.action).collect();
    assert_eq!(actions, [Action::RecordingDeleted, Action::RecordingRetentionSet], "newest first");
}
