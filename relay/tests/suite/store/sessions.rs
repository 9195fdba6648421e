use std::time::Duration;

use podlatch_protocol::close::EndCause;
use podlatch_protocol::request::Program;
use podlatch_protocol::session::{Cleanup, Ended, ExitOutcome, Opened};
use podlatch_protocol::terminal::TerminalSize;
use podlatch_relay::domain::access::{Actor, AuditScope};
use podlatch_relay::domain::audit::{Action, Event, Origin};
use podlatch_relay::domain::organisation::ClientInfo;
use podlatch_relay::domain::session::{Activity, Purpose, Session, SessionEnd, SessionState, SessionStatus};
use podlatch_relay::domain::session_limits::LimitSettings;
use podlatch_relay::store::{
    ActivityNote, AuditFilter, Departure, NewViewer, PageRequest, SessionFilter, StateFilter, StoreError, ViewerBytes,
};

use super::fixture::{EXPIRY, Fixture, SOON, START};
use super::on_both_engines;

on_both_engines!(
    a_session_moves_from_opening_through_live_to_ended,
    a_session_that_never_ran_ends_too,
    only_the_first_end_counts,
    every_cause_outcome_and_cleanup_comes_back_as_it_was,
    a_command_comes_back_word_by_word,
    a_session_is_found_in_its_own_organisation_only,
    what_is_not_over_is_found_again_after_a_restart,
    a_session_expires_by_time_alone_and_is_listed_so,
    sessions_are_listed_by_when_they_began,
    activity_never_moves_back_and_the_idle_flag_comes_and_goes,
    what_was_not_confirmed_to_be_gone_is_found_until_it_is,
    organisation_and_cluster_say_how_long_sessions_live,
    a_viewer_is_audited_when_it_comes_and_once_when_it_goes,
    who_watches_is_audited_as_such,
    a_size_is_audited_once_however_often_it_is_told,
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
    let everything = SessionFilter::all(actor.organisation, SOON);
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
    assert_eq!(count(SessionFilter { ended_of: Some(actor.user), ..everything }).await, 5);
    assert_eq!(count(SessionFilter { ended_of: Some(nobody), ..everything }).await, 4, "what goes on is anybody's");
    assert_eq!(count(SessionFilter { cluster: Some(agent.cluster), ..everything }).await, 5);
    assert_eq!(count(SessionFilter { cluster: Some(nowhere), ..everything }).await, 0);
    assert_eq!(count(SessionFilter { organisation: elsewhere, ..everything }).await, 0);
}

async fn a_session_expires_by_time_alone_and_is_listed_so(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    let running = at.session(&actor, &agent).await.id;
    let expired = at.session(&actor, &agent).await.id;
    let closed = at.session(&actor, &agent).await.id;
    at.store.session_ended(actor.organisation, expired, &end(EndCause::Expired)).await.expect("answers");
    at.store.session_ended(actor.organisation, closed, &end(EndCause::Idle)).await.expect("answers");
    let (active, gone, over) = (SessionStatus::Active, SessionStatus::Expired, SessionStatus::Closed);
    for (now, status, expected) in [
        (SOON, active, vec![running]),
        (SOON, gone, vec![expired]),
        (SOON, over, vec![closed]),
        (EXPIRY, active, vec![]),
        (EXPIRY, gone, vec![running, expired]),
        (EXPIRY, over, vec![closed]),
    ] {
        let filter = SessionFilter { status: Some(status), ..SessionFilter::all(actor.organisation, now) };
        let listed = at.store.list_sessions(&filter, PageRequest::default()).await.expect("lists").items;
        assert!(listed.iter().all(|session| session.status(now) == status), "{status:?}");
        assert_eq!(sorted(listed.iter().map(Session::id)), sorted(expected), "{status:?} at {now}");
    }
}

async fn sessions_are_listed_by_when_they_began(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    let mut late = at.new_session(&actor, &agent);
    late.started_at = SOON;
    at.store.insert_session(&late).await.expect("inserts");
    let early = at.session(&actor, &agent).await.id;
    let listed = async |from, to| {
        let filter = SessionFilter { from, to, ..SessionFilter::all(actor.organisation, SOON) };
        let page = at.store.list_sessions(&filter, PageRequest::default()).await.expect("lists");
        sorted(page.items.iter().map(Session::id))
    };
    assert_eq!(listed(None, None).await, sorted([early, late.id]));
    assert_eq!(listed(Some(SOON), None).await, [late.id]);
    assert_eq!(listed(None, Some(SOON)).await, [early]);
    assert_eq!(listed(Some(START), Some(START)).await, []);
}

async fn activity_never_moves_back_and_the_idle_flag_comes_and_goes(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    let (one, other) = (at.session(&actor, &agent).await.id, at.session(&actor, &agent).await.id);
    let organisation = actor.organisation;
    let get = async |id| at.store.get_session(organisation, id).await.expect("answers").expect("is there").activity;
    assert_eq!(get(one).await, Activity::begin(START));
    let note = |session, last_at| ActivityNote { organisation, session, last_at };
    at.store.note_activity(&[note(one, EXPIRY), note(other, SOON)]).await.expect("stores");
    at.store.note_activity(&[note(one, SOON)]).await.expect("stores");
    assert_eq!((get(one).await.last_at, get(other).await.last_at), (EXPIRY, SOON));

    assert!(at.store.session_idle(organisation, one, Some(EXPIRY), SOON).await.expect("answers"));
    assert_eq!(get(one).await, Activity { last_at: EXPIRY, idle_since: Some(EXPIRY) });
    assert!(at.store.session_idle(organisation, one, None, SOON).await.expect("answers"));
    assert_eq!(get(one).await.idle_since, None);
    let elsewhere = at.owner("bob@example.org").await.organisation.id;
    assert!(!at.store.session_idle(elsewhere, one, Some(SOON), SOON).await.expect("answers"));
    at.store.session_ended(organisation, one, &end(EndCause::Exited)).await.expect("answers");
    assert!(!at.store.session_idle(organisation, one, Some(SOON), SOON).await.expect("answers"), "it is over");
}

async fn what_was_not_confirmed_to_be_gone_is_found_until_it_is(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    let (doubtful, sure) = (at.session(&actor, &agent).await.id, at.session(&actor, &agent).await.id);
    let mut lost = end(EndCause::AgentLost);
    lost.ended.cleanup = Cleanup::Unconfirmed;
    at.store.session_ended(actor.organisation, doubtful, &lost).await.expect("answers");
    at.store.session_ended(actor.organisation, sure, &end(EndCause::Exited)).await.expect("answers");
    let found = async |since| {
        let found = at.store.unconfirmed_sessions(actor.organisation, agent.cluster, since).await.expect("lists");
        found.iter().map(Session::id).collect::<Vec<_>>()
    };
    assert_eq!((found(START).await, found(EXPIRY.plus(Duration::from_millis(1))).await), (vec![doubtful], vec![]));
    assert!(at.store.cleanup_confirmed(actor.organisation, doubtful, SOON).await.expect("answers"));
    assert!(!at.store.cleanup_confirmed(actor.organisation, doubtful, SOON).await.expect("answers"), "once");
    assert!(found(START).await.is_empty());
}

async fn organisation_and_cluster_say_how_long_sessions_live(at: Fixture) {
    let actor = at.actor().await;
    let cluster = at.cluster(actor.organisation).await.id;
    let by = || (Origin::operator(), SOON);
    let said = async || at.store.limit_settings(actor.organisation, cluster).await.expect("answers");
    assert_eq!(said().await, [LimitSettings::default(); 2]);
    let own = LimitSettings { session_max: Some(Duration::from_hours(2)), ..LimitSettings::default() };
    let short =
        LimitSettings { idle_after: Some(Duration::from_secs(9)), idle_close: Some(Duration::from_mins(1)), ..own };
    at.store.set_organisation_limits(actor.organisation, &own, by()).await.expect("stores");
    at.store.set_cluster_limits(actor.organisation, cluster, &short, by()).await.expect("stores");
    let said = said().await;
    assert!(said.len() == 2 && said.contains(&own) && said.contains(&short), "{said:?}");

    let elsewhere = at.owner("bob@example.org").await.organisation.id;
    assert!(matches!(at.store.set_cluster_limits(elsewhere, cluster, &own, by()).await, Err(StoreError::Missing(_))));
    let foreign = at.store.limit_settings(elsewhere, cluster).await.expect("answers");
    assert_eq!(foreign, [LimitSettings::default()], "another organisation's cluster says nothing");
}

async fn a_viewer_is_audited_when_it_comes_and_once_when_it_goes(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    let session = at.session(&actor, &agent).await.id;
    let client = ClientInfo { ip: "192.0.2.7".to_owned(), user_agent: "another browser".to_owned() };
    let Actor { organisation, user, .. } = actor;
    let viewer = NewViewer { id: u64::MAX, organisation, session, user, client, purpose: Purpose::Attach };
    assert!(at.store.viewer_attached(&viewer, SOON).await.expect("answers"));
    assert_eq!(at.store.attached_viewers().await.expect("lists"), [u64::MAX]);
    let bytes = Some(ViewerBytes { output: 9, input: 4 });
    let departure = Departure { cause: "left", bytes, at: EXPIRY };
    assert!(at.store.viewer_left(u64::MAX, &departure).await.expect("answers"));
    assert!(!at.store.viewer_left(u64::MAX, &departure).await.expect("answers"), "once");
    assert!(at.store.attached_viewers().await.expect("lists").is_empty());

    let told = told(&at, organisation).await;
    let actions: Vec<_> = told.iter().map(|event| (event.action, event.sequence)).collect();
    let expected = [(Action::SessionOpen, Some(1)), (Action::Connect, Some(2)), (Action::Disconnect, Some(3))];
    assert_eq!(actions, expected);
    for event in &told[1..] {
        assert_eq!(event.client_ip.as_deref(), Some("192.0.2.7"), "where the viewer sits, not where the session began");
        assert_eq!(event.details.get("viewer"), Some(&"ffffffffffffffff".into()));
    }
    assert_eq!(told[2].details.get("output_bytes"), Some(&9.into()));
    assert_eq!(told[2].details.get("cause"), Some(&"left".into()));

    at.store.session_ended(organisation, session, &end(EndCause::Expired)).await.expect("answers");
    assert!(!at.store.viewer_attached(&viewer, SOON).await.expect("answers"), "it is over");
}

async fn who_watches_is_audited_as_such(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    let session = at.session(&actor, &agent).await.id;
    let Actor { organisation, user, .. } = actor;
    let client = ClientInfo { ip: "192.0.2.7".to_owned(), user_agent: "another browser".to_owned() };
    let viewer = NewViewer { id: 7, organisation, session, user, client, purpose: Purpose::Observe };
    assert!(at.store.viewer_attached(&viewer, SOON).await.expect("answers"));
    let departure = Departure { cause: "right_withdrawn", bytes: None, at: EXPIRY };
    assert!(at.store.viewer_left(7, &departure).await.expect("answers"));
    let told = told(&at, organisation).await;
    let actions: Vec<_> = told.iter().map(|event| event.action).collect();
    assert_eq!(actions, [Action::SessionOpen, Action::Observe, Action::ObserveEnded]);
    let ips: Vec<_> = told[1..].iter().map(|event| event.client_ip.as_deref()).collect();
    assert_eq!(ips, [Some("192.0.2.7"); 2]);
    assert_eq!(told[2].details.get("cause"), Some(&"right_withdrawn".into()));
}

async fn a_size_is_audited_once_however_often_it_is_told(at: Fixture) {
    let (actor, agent) = actor_and_agent(&at).await;
    let session = at.session(&actor, &agent).await.id;
    let organisation = actor.organisation;
    let resize = async |columns| {
        let size = TerminalSize::clamped(columns, 24);
        at.store.session_resized(organisation, session, size, SOON).await.expect("answers")
    };
    assert!(!resize(80).await, "it began with this size");
    assert!(resize(100).await);
    assert!(!resize(100).await);
    assert!(resize(80).await);
    let sizes: Vec<_> =
        told(&at, organisation).await.iter().map(|event| event.details.get("columns").cloned()).collect();
    assert_eq!(sizes, [80, 100, 80].map(|columns| Some(columns.into())));
    let stored = at.store.get_session(organisation, session).await.expect("answers").expect("is there");
    assert_eq!(stored.request.size, TerminalSize::clamped(80, 24));
}

async fn told(at: &Fixture, organisation: podlatch_protocol::id::OrganisationId) -> Vec<Event> {
    let filter = AuditFilter::everything(organisation, AuditScope::All);
    let mut events = at.store.list_audit(&filter, None, 100).await.expect("lists").items;
    events.retain(|event| event.session.is_some());
    events.reverse();
    events
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
