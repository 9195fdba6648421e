use podlatch_protocol::close::EndCause;
use podlatch_protocol::request::Program;
use podlatch_protocol::session::{Cleanup, Ended, ExitOutcome, Opened};
use podlatch_relay::domain::audit::Origin;
use podlatch_relay::domain::session::{Session, SessionEnd, SessionState};
use podlatch_relay::store::{PageRequest, SessionFilter, StateFilter, StoreError};

use super::fixture::{EXPIRY, Fixture, SOON};
use super::on_both_engines;

on_both_engines!(
    a_session_moves_from_opening_through_live_to_ended,
    a_session_that_never_ran_ends_too,
    only_the_first_end_counts,
    every_cause_outcome_and_cleanup_comes_back_as_it_was,
    a_command_comes_back_word_by_word,
    a_session_is_found_in_its_own_organisation_only,
    what_is_not_over_is_found_again_after_a_restart,
    sessions_are_listed_newest_first_by_whose_where_and_state,
    no_session_begins_in_a_revoked_cluster,
);

async fn a_session_moves_from_opening_through_live_to_ended(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    let new = at.session(&actor, &agent).await;
    let get = async || at.store.get_session(actor.organisation, new.id).await.expect("answers").expect("is there");
    let session = get().await;
    assert_eq!((&session.request, &session.state), (&new, &SessionState::Opening));
    assert_eq!((session.cluster_name.as_str(), session.user_email.as_str()), ("berlin", "ada@example.org"));

    assert!(at.store.session_opened(actor.organisation, new.id, &opened(), SOON).await.expect("answers"));
    assert_eq!(get().await.state, SessionState::Live(opened()));
    assert!(!at.store.session_opened(actor.organisation, new.id, &opened(), SOON).await.expect("answers"), "only once");

    assert!(at.store.session_ended(actor.organisation, new.id, &end(EndCause::Exited)).await.expect("answers"));
    let ended = SessionState::Ended { opened: Some(opened()), end: end(EndCause::Exited) };
    assert_eq!(get().await.state, ended);
    assert!(
        !at.store.session_opened(actor.organisation, new.id, &opened(), SOON).await.expect("answers"),
        "it is over"
    );
    assert_eq!(get().await.state, ended);
}

async fn a_session_that_never_ran_ends_too(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    let new = at.session(&actor, &agent).await;
    at.store.session_ended(actor.organisation, new.id, &end(EndCause::AgentRestarted)).await.expect("answers");
    let session = at.store.get_session(actor.organisation, new.id).await.expect("answers").expect("is there");
    assert_eq!(session.state, SessionState::Ended { opened: None, end: end(EndCause::AgentRestarted) });
}

async fn only_the_first_end_counts(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    let new = at.session(&actor, &agent).await;
    let causes = [EndCause::Exited, EndCause::Revoked, EndCause::Idle, EndCause::ClosedByUser];
    let enders: Vec<_> = causes
        .into_iter()
        .map(|cause| {
            let store = at.store.clone();
            let (organisation, id) = (actor.organisation, new.id);
            tokio::spawn(
                async move { (cause, store.session_ended(organisation, id, &end(cause)).await.expect("answers")) },
            )
        })
        .collect();
    let mut first = Vec::new();
    for ender in enders {
        let (cause, was_first) = ender.await.expect("joins");
        first.extend(was_first.then_some(cause));
    }
    assert_eq!(first.len(), 1);
    let session = at.store.get_session(actor.organisation, new.id).await.expect("answers").expect("is there");
    assert_eq!(session.state, SessionState::Ended { opened: None, end: end(first[0]) });
}

async fn every_cause_outcome_and_cleanup_comes_back_as_it_was(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    let causes = EndCause::ALL.iter().copied().chain([EndCause::Other(999)]);
    let outcomes =
        [ExitOutcome::Exited(-1), ExitOutcome::Exited(137), ExitOutcome::Failed("no 'x'".into()), ExitOutcome::Unknown];
    let cleanups = [Cleanup::NotWanted, Cleanup::Confirmed, Cleanup::Unconfirmed];
    for (index, cause) in causes.enumerate() {
        let new = at.session(&actor, &agent).await;
        let outcome = outcomes[index % outcomes.len()].clone();
        let ended = Ended { cause, outcome, cleanup: cleanups[index % cleanups.len()], output_length: 1 << 40 };
        let end = SessionEnd { at: SOON, ended };
        at.store.session_ended(actor.organisation, new.id, &end).await.expect("answers");
        let session = at.store.get_session(actor.organisation, new.id).await.expect("answers").expect("is there");
        assert_eq!(session.state, SessionState::Ended { opened: None, end });
    }
}

async fn a_command_comes_back_word_by_word(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    let mut new = at.new_session(&actor, &agent);
    new.program = Program::Command(vec!["sh".into(), "-c".into(), "echo \"$1\" 'ü'\n".into(), String::new()]);
    new.target.container = Some("app".parse().expect("a container"));
    at.store.insert_session(&new).await.expect("inserts");
    let session = at.store.get_session(actor.organisation, new.id).await.expect("answers").expect("is there");
    assert_eq!(session.request, new);
}

async fn a_session_is_found_in_its_own_organisation_only(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    let elsewhere = at.owner("bob@example.org").await.organisation.id;
    let new = at.session(&actor, &agent).await;
    assert!(at.store.get_session(elsewhere, new.id).await.expect("answers").is_none());
    assert!(!at.store.session_opened(elsewhere, new.id, &opened(), SOON).await.expect("answers"));
    assert!(!at.store.session_ended(elsewhere, new.id, &end(EndCause::Exited)).await.expect("answers"));
    let mut foreign = at.new_session(&actor, &agent);
    foreign.organisation = elsewhere;
    assert!(matches!(at.store.insert_session(&foreign).await, Err(StoreError::Missing(_))));
    let session = at.store.get_session(actor.organisation, new.id).await.expect("answers").expect("is there");
    assert_eq!(session.state, SessionState::Opening);
}

async fn what_is_not_over_is_found_again_after_a_restart(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    let cluster = at.store.get_cluster(actor.organisation, agent.cluster).await.expect("answers").expect("is there");
    let other = at.agent(&cluster.cluster).await;
    let opening = at.session(&actor, &agent).await;
    let live = at.session(&actor, &agent).await;
    let over = at.session(&actor, &agent).await;
    let others = at.session(&actor, &other).await;
    at.store.session_opened(actor.organisation, live.id, &opened(), SOON).await.expect("answers");
    at.store.session_ended(actor.organisation, over.id, &end(EndCause::Exited)).await.expect("answers");

    let of_agent =
        at.store.unfinished_sessions_of_agent(actor.organisation, agent.cluster, agent.id).await.expect("lists");
    assert_eq!(sorted(of_agent.iter().map(Session::id)), sorted([opening.id, live.id]));
    let everywhere = at.store.unfinished_sessions().await.expect("lists");
    assert_eq!(sorted(everywhere.iter().map(Session::id)), sorted([opening.id, live.id, others.id]));
}

async fn sessions_are_listed_newest_first_by_whose_where_and_state(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(at.session(&actor, &agent).await.id);
    }
    let over = sorted(ids.iter().copied())[0];
    at.store.session_ended(actor.organisation, over, &end(EndCause::Exited)).await.expect("answers");
    let everything =
        SessionFilter { organisation: actor.organisation, user: None, cluster: None, state: StateFilter::Any };
    let list = async |filter: SessionFilter, page| at.store.list_sessions(&filter, page).await.expect("lists");

    let first = list(everything, PageRequest::new(None, 3)).await;
    let second = list(everything, PageRequest::new(first.next, 3)).await;
    let mut newest_first = sorted(ids.iter().copied());
    newest_first.reverse();
    let listed: Vec<_> = first.items.iter().chain(&second.items).map(Session::id).collect();
    assert_eq!((listed, second.next), (newest_first, None));

    let count = async |filter| list(filter, PageRequest::default()).await.items.len();
    let nobody = podlatch_protocol::id::UserId::new(1, &[0; 10]);
    let nowhere = podlatch_protocol::id::ClusterId::new(1, &[0; 10]);
    let elsewhere = podlatch_protocol::id::OrganisationId::new(1, &[0; 10]);
    assert_eq!(count(SessionFilter { state: StateFilter::Unfinished, ..everything }).await, 4);
    assert_eq!(count(SessionFilter { state: StateFilter::Ended, ..everything }).await, 1);
    assert_eq!(count(SessionFilter { user: Some(actor.user), ..everything }).await, 5);
    assert_eq!(count(SessionFilter { user: Some(nobody), ..everything }).await, 0);
    assert_eq!(count(SessionFilter { cluster: Some(agent.cluster), ..everything }).await, 5);
    assert_eq!(count(SessionFilter { cluster: Some(nowhere), ..everything }).await, 0);
    assert_eq!(count(SessionFilter { organisation: elsewhere, ..everything }).await, 0);
}

async fn no_session_begins_in_a_revoked_cluster(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    at.store.revoke_cluster(actor.organisation, agent.cluster, &Origin::operator(), SOON).await.expect("answers");
    let late = at.store.insert_session(&at.new_session(&actor, &agent)).await;
    assert!(matches!(late, Err(StoreError::Missing(_))), "{late:?}");
}

async fn actor_and_agent(
    at: &Fixture,
) -> (podlatch_relay::domain::access::Actor, podlatch_relay::domain::agent::Agent) {
    let actor = at.actor().await;
    let agent = at.agent(&at.cluster(actor.organisation).await).await;
    (actor, agent)
}

fn opened() -> Opened {
    Opened { container: "app".parse().expect("a container"), pod_uid: "uid-1".to_owned(), process: Some(u32::MAX) }
}

fn end(cause: EndCause) -> SessionEnd {
    let ended = Ended { cause, outcome: ExitOutcome::Exited(0), cleanup: Cleanup::NotWanted, output_length: 3 };
    SessionEnd { at: EXPIRY, ended }
}

fn sorted<I: Ord>(ids: impl IntoIterator<Item = I>) -> Vec<I> {
    let mut ids: Vec<I> = ids.into_iter().collect();
    ids.sort();
    ids
}
