//! What is kept of shells that mark their commands.

use podlatch_protocol::id::SessionId;
use podlatch_protocol::request::MarkNonce;
use podlatch_relay::domain::audit::{Action, NewEvent};
use podlatch_relay::store::StoreError;

use super::fixture::{Fixture, START};
use super::on_both_engines;

on_both_engines!(
    a_nonce_is_kept_for_its_session_alone,
    a_nonce_is_never_replaced,
    the_last_audited_command_is_known_by_its_key,
);

async fn a_nonce_is_kept_for_its_session_alone(at: Fixture) {
    let (actor, stranger) = (at.actor().await, at.owner("eve@example.com").await);
    let agent = at.agent(&at.cluster(actor.organisation).await).await;
    let (marking, silent) = (at.session(&actor, &agent).await, at.session(&actor, &agent).await);
    let nonce = MarkNonce([7; 16]);
    at.store.keep_mark_nonce(actor.organisation, marking.id, nonce).await.expect("is kept");
    assert_eq!(at.store.mark_nonce(actor.organisation, marking.id).await.expect("answers"), Some(nonce));
    assert_eq!(at.store.mark_nonce(actor.organisation, silent.id).await.expect("answers"), None);
    let elsewhere = stranger.organisation.id;
    assert_eq!(at.store.mark_nonce(elsewhere, marking.id).await.expect("answers"), None);
    for (organisation, session) in [(elsewhere, silent.id), (actor.organisation, SessionId::new(9, &[9; 10]))] {
        let refused = at.store.keep_mark_nonce(organisation, session, nonce).await;
        assert!(matches!(refused, Err(StoreError::Missing(_))), "{refused:?}");
    }
}

async fn a_nonce_is_never_replaced(at: Fixture) {
    let actor = at.actor().await;
    let agent = at.agent(&at.cluster(actor.organisation).await).await;
    let session = at.session(&actor, &agent).await.id;
    at.store.keep_mark_nonce(actor.organisation, session, MarkNonce([1; 16])).await.expect("is kept");
    assert!(at.store.keep_mark_nonce(actor.organisation, session, MarkNonce([2; 16])).await.is_err());
    let kept = at.store.mark_nonce(actor.organisation, session).await.expect("answers");
    assert_eq!(kept, Some(MarkNonce([1; 16])));
}

async fn the_last_audited_command_is_known_by_its_key(at: Fixture) {
    let actor = at.actor().await;
    let agent = at.agent(&at.cluster(actor.organisation).await).await;
    let (session, other) = (at.session(&actor, &agent).await.id, at.session(&actor, &agent).await.id);
    let last = async |session| at.store.last_command_key(actor.organisation, session).await.expect("answers");
    assert_eq!(last(session).await, None);
    for (session, key) in [(session, 9_u64), (session, 1_000), (session, 10), (other, 70_000)] {
        let event = NewEvent::in_session(Action::CommandExecuted, actor.organisation, session, START).command("ls");
        at.store.append_audit(&event.once(format!("command:{key:020}"))).await.expect("is appended");
    }
    let finished = NewEvent::in_session(Action::CommandFinished, actor.organisation, session, START);
    at.store.append_audit(&finished.once(format!("finished:{:020}", 5_000))).await.expect("is appended");
    let shown = NewEvent::in_session(Action::CommandExecuted, actor.organisation, session, START).command("ls");
    at.store.append_audit(&shown.once(format!("screen:{:020}", 90_000))).await.expect("is appended");
    assert_eq!((last(session).await, last(other).await), (Some(1_000), Some(70_000)));
    let shown = async |session| at.store.last_screen_key(actor.organisation, session).await.expect("answers");
    assert_eq!((shown(session).await, shown(other).await), (Some(90_000), None));
}
