use std::collections::BTreeSet;

use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::{OrganisationId, SessionId};
use podlatch_protocol::session::{Cleanup, Ended, ExitOutcome, Opened};
use podlatch_relay::domain::access::{Actor, AuditScope};
use podlatch_relay::domain::audit::{Action, ActorKind, Event, NewEvent, Origin, Outcome, Place};
use podlatch_relay::domain::organisation::ClientInfo;
use podlatch_relay::domain::session::SessionEnd;
use podlatch_relay::store::{AuditFilter, StoreError, UserFilter};

use super::fixture::{EXPIRY, Fixture, SOON, START};
use super::on_both_engines;

on_both_engines!(
    an_event_in_a_session_knows_everything_about_it,
    a_sessions_life_is_told_in_order_and_its_end_once,
    writers_at_once_leave_no_gap_and_double_nothing,
    an_event_with_a_key_is_appended_once,
    an_event_cannot_be_changed_or_deleted,
    an_event_names_only_what_the_organisation_has,
    text_of_any_length_and_with_any_character_is_taken,
    every_filter_works_alone_and_with_the_others,
    what_is_rare_is_found_behind_any_number_of_others,
    a_receiver_goes_on_where_it_was_and_never_back,
);

async fn an_event_in_a_session_knows_everything_about_it(at: Fixture) {
    let (actor, session) = session(&at).await;
    let event = NewEvent::in_session(Action::CommandExecuted, actor.organisation, session, SOON)
        .command("ls \u{1b}[31m-l")
        .detail("exit_code", 0);
    at.store.append_audit(&event).await.expect("appends");
    let stored = log(&at, actor.organisation).await.pop().expect("an event");
    assert_eq!((stored.action, stored.outcome, stored.at), (Action::CommandExecuted, Outcome::Success, SOON));
    assert_eq!((stored.actor.kind, stored.actor.name.as_str()), (ActorKind::User, "ada@example.org"));
    assert_eq!(stored.actor.id, Some(actor.user.as_uuid()));
    assert_eq!(stored.user, Some((actor.user, "ada@example.org".to_owned())));
    assert_eq!(stored.cluster.map(|(_, name)| name).as_deref(), Some("berlin"));
    assert_eq!((stored.namespace.as_deref(), stored.pod.as_deref()), (Some("shop"), Some("web-1")));
    assert_eq!((stored.session, stored.sequence), (Some(session), Some(2)));
    assert_eq!(stored.command.as_deref(), Some("ls \u{1b}[31m-l"));
    assert_eq!((stored.client_ip.as_deref(), stored.user_agent.as_deref()), (Some("2001:db8::1"), Some("test")));
    assert_eq!(stored.details.get("exit_code"), Some(&0.into()));
    assert_eq!(stored.id.get_version_num(), 7);
}

async fn a_sessions_life_is_told_in_order_and_its_end_once(at: Fixture) {
    let (actor, session) = session(&at).await;
    let opened = Opened { container: "app".parse().expect("a name"), pod_uid: "u".to_owned(), process: Some(7) };
    at.store.session_opened(actor.organisation, session, &opened, SOON).await.expect("answers");
    assert!(at.store.session_ended(actor.organisation, session, &end(EndCause::Expired)).await.expect("answers"));
    assert!(!at.store.session_ended(actor.organisation, session, &end(EndCause::Exited)).await.expect("answers"));
    let refused = another(&at, &actor, session).await;
    at.store.session_ended(actor.organisation, refused, &end(EndCause::NotOpened)).await.expect("answers");

    let told = of_session(&at, actor.organisation, session).await;
    let actions: Vec<_> = told.iter().map(|event| event.action).collect();
    assert_eq!(actions, [Action::SessionOpen, Action::SessionStarted, Action::SessionEnd]);
    assert_eq!(told[1].container.as_deref(), Some("app"));
    let last = &told[2];
    assert_eq!((last.actor.kind, last.outcome), (ActorKind::System, Outcome::Failed), "left something behind");
    assert_eq!(last.details.get("cause"), Some(&"expired".into()));
    assert_eq!(last.details.get("cleanup"), Some(&"unconfirmed".into()));
    assert_eq!(last.client_ip.as_deref(), Some("2001:db8::1"));
}

async fn writers_at_once_leave_no_gap_and_double_nothing(at: Fixture) {
    let (actor, first) = session(&at).await;
    let second = another(&at, &actor, first).await;
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = at.store.clone();
            let session = if writer % 2 == 0 { first } else { second };
            tokio::spawn(async move {
                for number in 0..25 {
                    let event = NewEvent::in_session(Action::Resize, actor.organisation, session, SOON);
                    // Some fail in the middle: what they took must be given back.
                    let event = if number % 5 == 0 { event.at(nowhere()) } else { event };
                    let _refused_on_purpose = store.append_audit(&event).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("joins");
    }
    let events = log(&at, actor.organisation).await;
    let count = u64::try_from(events.len()).expect("fits");
    assert!(events.iter().map(|event| event.position).eq(1..=count), "positions");
    assert_eq!(events.iter().map(|event| event.id).collect::<BTreeSet<_>>().len(), events.len());
    for session in [first, second] {
        let sequences = of_session(&at, actor.organisation, session).await;
        assert!(sequences.iter().map(|event| event.sequence.expect("has one")).eq(1..=81), "sequence");
    }
}

async fn an_event_with_a_key_is_appended_once(at: Fixture) {
    let (actor, session) = session(&at).await;
    let other = another(&at, &actor, session).await;
    let command = |session, key: &str| {
        NewEvent::in_session(Action::CommandExecuted, actor.organisation, session, SOON).command("ls").once(key)
    };
    let tries: Vec<_> = (0..4)
        .map(|_| {
            let (store, event) = (at.store.clone(), command(session, "17"));
            tokio::spawn(async move { store.append_audit(&event).await.expect("appends") })
        })
        .collect();
    let mut fresh = 0;
    let mut ids = BTreeSet::new();
    for tried in tries {
        let appended = tried.await.expect("joins");
        fresh += u32::from(appended.fresh);
        ids.insert((appended.id, appended.position, appended.sequence));
    }
    assert_eq!((fresh, ids.len()), (1, 1));
    assert!(at.store.append_audit(&command(session, "18")).await.expect("appends").fresh);
    assert!(at.store.append_audit(&command(other, "17")).await.expect("appends").fresh, "keys are a session's own");
    let events = log(&at, actor.organisation).await;
    assert!(events.iter().map(|event| event.position).eq(1..=u64::try_from(events.len()).expect("fits")));
}

async fn an_event_cannot_be_changed_or_deleted(at: Fixture) {
    let (actor, _) = session(&at).await;
    at.store.migrate().await.expect("migrates again");
    let before = log(&at, actor.organisation).await;
    for sql in [
        "UPDATE audit_events SET command = 'x'",
        "UPDATE audit_events SET position = position + 1",
        "DELETE FROM audit_events",
        "DELETE FROM audit_positions",
        "INSERT INTO audit_events SELECT * FROM audit_events",
        // SQLite does not know these words; on Postgres a trigger has to refuse them.
        "TRUNCATE audit_events",
        "TRUNCATE audit_events CASCADE",
        "TRUNCATE audit_positions",
    ] {
        assert!(at.execute(sql).await.is_err(), "{sql}");
    }
    assert_eq!(log(&at, actor.organisation).await, before);
}

async fn an_event_names_only_what_the_organisation_has(at: Fixture) {
    let (actor, session) = session(&at).await;
    let elsewhere = at.owner("bob@example.org").await.organisation.id;
    let foreign = NewEvent::in_session(Action::Resize, elsewhere, session, SOON);
    assert!(matches!(at.store.append_audit(&foreign).await, Err(StoreError::Missing(_))));
    let stored = at.store.get_session(actor.organisation, session).await.expect("answers").expect("is there");
    let foreign = NewEvent::new(Action::AgentConnected, elsewhere, Origin::system(), SOON)
        .at(Place::Cluster(stored.request.cluster));
    assert!(matches!(at.store.append_audit(&foreign).await, Err(StoreError::Missing(_))));
}

async fn text_of_any_length_and_with_any_character_is_taken(at: Fixture) {
    let (actor, session) = session(&at).await;
    let command = "é\0\u{1b}]0;x\u{7}".repeat(2 << 20);
    let mut event = NewEvent::in_session(Action::CommandExecuted, actor.organisation, session, SOON)
        .command(&command)
        .detail("reason", command.as_str());
    let client = podlatch_relay::domain::organisation::ClientInfo { ip: command.clone(), user_agent: command.clone() };
    event.origin.client = Some(client);
    at.store.append_audit(&event).await.expect("appends");
    let stored = log(&at, actor.organisation).await.pop().expect("an event");
    let kept = stored.command.expect("a command");
    assert!(kept.len() <= 16 * 1024 && kept.starts_with("é\u{fffd}\u{1b}]0;x\u{7}"));
    assert_eq!(stored.details.get("command_bytes"), Some(&command.len().into()));
    assert!(stored.user_agent.expect("is kept").len() <= 512);
}

async fn session(at: &Fixture) -> (Actor, SessionId) {
    let owner = at.owner("ada@example.org").await;
    let actor = Actor::from(&at.signed_in(&owner).await);
    let agent = at.agent(&at.cluster(actor.organisation).await).await;
    (actor, at.session(&actor, &agent).await.id)
}

/// One more session of the same person in the same cluster.
async fn another(at: &Fixture, actor: &Actor, session: SessionId) -> SessionId {
    let first = at.store.get_session(actor.organisation, session).await.expect("answers").expect("is there").request;
    let agent = at.store.get_agent(actor.organisation, first.cluster, first.agent.expect("has one")).await;
    at.session(actor, &agent.expect("answers").expect("is there")).await.id
}

fn nowhere() -> Place {
    Place::Session(SessionId::new(1, &[1; 10]))
}

fn end(cause: EndCause) -> SessionEnd {
    let ended = Ended { cause, outcome: ExitOutcome::Unknown, cleanup: Cleanup::Unconfirmed, output_length: 9 };
    SessionEnd { at: START, ended }
}

async fn log(at: &Fixture, organisation: OrganisationId) -> Vec<Event> {
    let filter = AuditFilter::everything(organisation, AuditScope::All);
    at.store.audit_run(&filter, 0, 1_000).await.expect("answers").items
}

async fn of_session(at: &Fixture, organisation: OrganisationId, session: SessionId) -> Vec<Event> {
    let filter = AuditFilter { session: Some(session), ..AuditFilter::everything(organisation, AuditScope::All) };
    at.store.audit_run(&filter, 0, 1_000).await.expect("answers").items
}

async fn every_filter_works_alone_and_with_the_others(at: Fixture) {
    let (actor, session) = session(&at).await;
    let other = another(&at, &actor, session).await;
    for (session, command) in [(session, "ls 100%_Sure"), (session, "pwd"), (other, "ls")] {
        let event = NewEvent::in_session(Action::CommandExecuted, actor.organisation, session, SOON).command(command);
        at.store.append_audit(&event).await.expect("appends");
    }
    let everything = AuditFilter::everything(actor.organisation, AuditScope::Of(actor.user));
    let cluster = at.store.get_session(actor.organisation, session).await.expect("answers").expect("is there");
    let narrow = AuditFilter {
        cluster: Some(cluster.request.cluster),
        user: Some(UserFilter::Name("Ada@Example.org".to_owned())),
        namespace: Some("shop".to_owned()),
        pod: Some("web-1".to_owned()),
        session: Some(session),
        action: Some(Action::CommandExecuted),
        text: Some("100%_sure".to_owned()),
        from: Some(SOON),
        to: Some(EXPIRY),
        ..everything.clone()
    };
    let found = async |filter: &AuditFilter| {
        let page = at.store.list_audit(filter, None, 100).await.expect("answers");
        let run = at.store.audit_run(filter, 0, 100).await.expect("answers");
        assert!(page.items.iter().rev().eq(&run.items), "both ways find the same");
        page.items.iter().map(|event| event.command.clone().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(found(&narrow).await, ["ls 100%_Sure"]);
    let in_session = AuditFilter { text: None, ..narrow.clone() };
    assert_eq!(found(&in_session).await, ["pwd", "ls 100%_Sure"]);
    let anywhere = AuditFilter { session: None, text: Some("LS".to_owned()), ..narrow.clone() };
    assert_eq!(found(&anywhere).await, ["ls", "ls 100%_Sure"]);
    for nothing in [
        AuditFilter { pod: Some("web-2".to_owned()), ..narrow.clone() },
        AuditFilter { namespace: Some("web".to_owned()), ..narrow.clone() },
        AuditFilter { action: Some(Action::Resize), ..narrow.clone() },
        AuditFilter { to: Some(SOON), ..narrow.clone() },
        AuditFilter { from: Some(EXPIRY), ..narrow.clone() },
        AuditFilter { text: Some("100__sure".to_owned()), ..narrow.clone() },
        AuditFilter { user: Some(UserFilter::Name("bob@example.org".to_owned())), ..narrow.clone() },
        AuditFilter { organisation: OrganisationId::new(1, &[1; 10]), ..narrow.clone() },
    ] {
        assert!(found(&nothing).await.is_empty(), "{nothing:?}");
    }
}

/// More than any statement looks at, twice.
const MANY: u64 = 41_000;

async fn what_is_rare_is_found_behind_any_number_of_others(at: Fixture) {
    let (actor, session) = session(&at).await;
    let here = actor.organisation;
    let bob = at.owner("bob@example.org").await.user.id;
    let by_ada = |action, when| NewEvent::new(action, here, Origin::user(actor.user, ClientInfo::default()), when);
    at.store.append_audit(&by_ada(Action::MemberSuspended, SOON).about(bob)).await.expect("appends");
    let few = at.store.audit_position(here).await.expect("answers");
    at.append_commands(&actor, MANY).await;
    at.store.append_audit(&by_ada(Action::SignIn, EXPIRY)).await.expect("appends");
    let everything = AuditFilter::everything(here, AuditScope::All);
    let ada = AuditFilter { user: Some(UserFilter::Id(actor.user)), ..everything.clone() };
    let commands = AuditFilter { action: Some(Action::CommandExecuted), ..everything.clone() };

    let with_nines = (1..=MANY).filter(|number| number.to_string().contains("999")).map(|number| few + number);
    let with_nines: Vec<_> = with_nines.collect();
    for wide in [&everything, &ada, &commands] {
        let filter = AuditFilter { text: Some("999".to_owned()), ..wide.clone() };
        assert_eq!(positions(&at, &filter).await, with_nines, "{filter:?}");
    }
    for (rare, expected) in [
        (AuditFilter { session: Some(session), ..ada.clone() }, 1),
        (AuditFilter { user: Some(UserFilter::Id(bob)), ..everything.clone() }, 1),
        (AuditFilter { user: Some(UserFilter::Name("bob@example.org".to_owned())), ..everything.clone() }, 1),
        (AuditFilter::everything(here, AuditScope::Of(bob)), 1),
        (AuditFilter { action: Some(Action::MemberSuspended), ..ada.clone() }, 1),
        (AuditFilter { to: Some(SOON), ..everything.clone() }, usize::try_from(few).expect("a few") - 1),
        (AuditFilter { from: Some(EXPIRY), ..ada.clone() }, 1),
        (AuditFilter { pod: Some("web-2".to_owned()), ..commands.clone() }, 0),
        (AuditFilter { user: Some(UserFilter::Id(bob)), ..commands.clone() }, 0),
        (AuditFilter { user: Some(UserFilter::Name("nobody@example.org".to_owned())), ..commands.clone() }, 0),
    ] {
        let page = at.store.list_audit(&rare, None, 200).await.expect("answers");
        assert_eq!((page.items.len(), page.next), (expected, None), "at once: {rare:?}");
        assert_eq!(positions(&at, &rare).await.len(), expected, "{rare:?}");
    }
}

/// Where what a filter finds is: the same page by page, newest first, as run by run, oldest first.
async fn positions(at: &Fixture, filter: &AuditFilter) -> Vec<u64> {
    let (mut pages, mut before) = (Vec::new(), None);
    loop {
        let page = at.store.list_audit(filter, before, 30).await.expect("answers");
        pages.extend(page.items.iter().map(|event| event.position));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let (mut runs, mut after) = (Vec::new(), 0);
    loop {
        let run = at.store.audit_run(filter, after, 30).await.expect("answers");
        runs.extend(run.items.iter().map(|event| event.position));
        after = run.reached;
        if run.at_end {
            break;
        }
    }
    assert!(pages.iter().rev().eq(&runs), "both ways find the same: {filter:?}");
    runs
}

async fn a_receiver_goes_on_where_it_was_and_never_back(at: Fixture) {
    let here = at.owner("ada@example.org").await.organisation.id;
    let elsewhere = at.owner("bob@example.org").await.organisation.id;
    let pending = async || {
        let pending = at.store.audit_pending("webhook").await.expect("answers");
        pending.into_iter().collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(pending().await, [(here, 0), (elsewhere, 0)].into());
    at.store.audit_delivered("webhook", here, 2).await.expect("notes");
    assert_eq!(pending().await, [(elsewhere, 0)].into());
    at.cluster(here).await;
    assert_eq!(pending().await, [(here, 2), (elsewhere, 0)].into());
    at.store.audit_delivered("webhook", here, 3).await.expect("notes");
    at.store.audit_delivered("webhook", here, 1).await.expect("notes, late");
    at.store.audit_delivered("log", elsewhere, 1).await.expect("notes, for another receiver");
    assert_eq!(pending().await, [(elsewhere, 0)].into());
}
