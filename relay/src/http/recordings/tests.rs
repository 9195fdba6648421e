use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::{OrganisationId, SessionId};
use podlatch_protocol::request::Program;
use podlatch_protocol::session::{Cleanup, Ended, ExitOutcome};
use podlatch_protocol::target::PodTarget;
use podlatch_protocol::terminal::TerminalSize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::data_folder;
use crate::domain::access::{Actor, AuditScope};
use crate::domain::audit::{Action, Origin};
use crate::domain::organisation::ClientInfo;
use crate::domain::recording::StoredRecording;
use crate::domain::session::{NewSession, SessionAccess, SessionEnd};
use crate::domain::session_limits::SessionLimits;
use crate::http::testing::{SignedIn, TestRelay, TestResponse};
use crate::recording::{NewRecording, OutputEnd, Piece, Recorder, RecorderParts, RecordingsStore, Sealed};
use crate::store::AuditFilter;

const BEGAN: i64 = 1_700_000_000_000;

/// A relay with one ended session of one person.
struct Recorded {
    relay: TestRelay,
    ada: SignedIn,
    session: SessionId,
    head: String,
}

/// A recording of three segments and a bit: a command, a flood, and another command.
async fn recorded() -> Recorded {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let session = session(&relay, &ada).await;
    let head = record(&relay, organisation(&ada), session).await;
    Recorded { relay, ada, session, head }
}

fn organisation(person: &SignedIn) -> OrganisationId {
    person.membership.organisation.id
}

pub(in crate::http) async fn session(relay: &TestRelay, person: &SignedIn) -> SessionId {
    let name = format!("berlin-{}", hex::encode(relay.app.entropy.bytes::<4>()));
    let cluster = relay.cluster(person, &name).await;
    let agent = relay.agent(&cluster).await;
    let app = &relay.app;
    let hash = crate::http::cookie::login_session(&app.public_url, &cookie_of(person)).expect("a login");
    let login = app.store.login_session_by_cookie(&hash, app.clock.now()).await.expect("answers").expect("is good");
    let actor = Actor::from(&login);
    let id = SessionId::new(app.clock.now().since_epoch(), &app.entropy.bytes());
    let new = NewSession {
        id,
        organisation: actor.organisation,
        cluster: cluster.id,
        agent: Some(agent),
        user: actor.user,
        login_session: actor.login_session,
        target: PodTarget {
            namespace: "shop".parse().expect("a name"),
            pod: "web-1".parse().expect("a name"),
            container: None,
        },
        program: Program::Shell,
        client: ClientInfo::default(),
        started_at: app.clock.now(),
        expires_at: app.clock.now().plus(Duration::from_hours(8)),
        idle: SessionLimits::default().idle,
        size: TerminalSize::DEFAULT,
        reason: None,
        access: SessionAccess::default(),
    };
    app.store.insert_session(&new).await.expect("inserts");
    let end = SessionEnd { at: app.clock.now(), ended: ended(0) };
    app.store.session_ended(actor.organisation, id, &end).await.expect("ends");
    id
}

fn cookie_of(person: &SignedIn) -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    headers.insert("cookie", person.cookie.parse().expect("a value"));
    headers
}

fn ended(output_length: u64) -> Ended {
    let (cause, outcome, cleanup) = (EndCause::Exited, ExitOutcome::Exited(0), Cleanup::NotWanted);
    Ended { cause, outcome, cleanup, output_length }
}

pub(in crate::http) async fn record(relay: &TestRelay, organisation: OrganisationId, session: SessionId) -> String {
    record_from(relay, organisation, session, BEGAN).await
}

/// Records, and returns the hash of the manifest's last entry.
async fn record_from(relay: &TestRelay, organisation: OrganisationId, session: SessionId, began: i64) -> String {
    let (sealed, mut whole) = mpsc::channel::<Sealed>(1);
    let data = &relay.app.config.data;
    let store = RecordingsStore::open(&relay.app.config.recordings_store, []).expect("opens");
    let hot = data_folder::create_hot_logs(data).expect("a folder");
    let parts = RecorderParts { hot, store, patience: Duration::from_mins(1), sealed };
    let recorder = Recorder::start(parts).expect("starts");
    let at = |seconds: u64| crate::clock::UnixMillis::new(began).plus(Duration::from_secs(seconds));
    let size = TerminalSize::clamped(100, 30);
    let recording = recorder.create(NewRecording { organisation, session, size, at: at(0) }).await.expect("begins");
    let mut source_end = 0;
    let flood = "a line of the flood\r\n".repeat(2_000);
    let begin = ["$ echo first\r\nfirst\r\n".to_owned()];
    let floods = std::iter::repeat_n(flood, 80);
    let end = ["$ echo la\u{20ac}st\r\nla\u{20ac}st\r\n".to_owned()];
    for (second, text) in (1..).zip(begin.into_iter().chain(floods).chain(end)) {
        source_end += text.len() as u64;
        let label = text.lines().next().and_then(|line| line.strip_prefix("$ "));
        if let Some(label) = label {
            recording.marker(label.to_owned(), at(second)).await.expect("notes");
        }
        let piece = Piece { bytes: Bytes::from(text), source_end, at: at(second) };
        recording.append(piece).await.expect("appends");
        // What comes in one go is recorded as one event.
        recording.written().wait_for(|written| *written == source_end).await.expect("is written");
    }
    let end = OutputEnd::At(source_end);
    recording.finish(&ended(source_end), end, at(100)).await.expect("ends");
    recording.seal();
    let sealed = whole.recv().await.expect("is sealed");
    sealed.noted.send(()).expect("is waited for");
    sealed.head.as_str().to_owned()
}

impl Recorded {
    fn path(&self, rest: &str) -> String {
        format!("/api/v1/sessions/{}{rest}", self.session)
    }

    async fn get(&self, rest: &str, token: &str) -> TestResponse {
        self.relay.get(&self.path(rest)).cookie(&self.ada.cookie).header("podlatch-replay", token).send().await
    }

    async fn facts(&self) -> Value {
        let response = self.get("/recording", "").await;
        assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
        response.json()
    }

    /// Opens a replay; the token.
    async fn open(&self) -> String {
        let response = self.relay.post(&self.path("/replays")).cookie(&self.ada.cookie).send().await;
        assert_eq!(response.status, 201, "{}", String::from_utf8_lossy(&response.body));
        response.json()["token"].as_str().expect("a token").to_owned()
    }

    async fn audited(&self, action: Action) -> usize {
        let everything = AuditFilter::everything(organisation(&self.ada), AuditScope::All);
        let filter = AuditFilter { action: Some(action), session: Some(self.session), ..everything };
        self.relay.app.store.audit_run(&filter, 0, 100).await.expect("answers").items.len()
    }

    /// A stored object of the recording.
    fn object(&self, session: SessionId, name: &str) -> PathBuf {
        let folder = data_folder::recordings(&self.relay.app.config.data);
        folder.join(organisation(&self.ada).to_string()).join(session.to_string()).join(name)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.object(self.session, name);
        let mut bytes = std::fs::read(&path).expect("exists");
        change(&mut bytes);
        std::fs::write(&path, bytes).expect("writes");
    }

    /// Changes one byte of the output in a segment.
    fn tamper(&self, index: u64) {
        self.change(&format!("{index:08}.cast"), |bytes| {
            let place = bytes.windows(5).rposition(|window| window == b"flood").expect("has it");
            bytes[place] = b'F';
        });
    }
}

fn lines(response: &TestResponse) -> Vec<Value> {
    let text = std::str::from_utf8(&response.body).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn a_recording_is_described_opened_and_read() {
    let at = recorded().await;
    let facts = at.facts().await;
    assert_eq!((&facts["state"], &facts["columns"], &facts["rows"]), (&"complete".into(), &100.into(), &30.into()));
    assert_eq!((&facts["duration_ms"], &facts["message"]), (&100_000.into(), &Value::Null));
    assert_eq!(facts["markers"][0], serde_json::json!({"at_ms": 1_000, "label": "echo first"}));
    assert_eq!(facts["markers"][1]["label"], "echo la\u{20ac}st");
    let segments = facts["segments"].as_array().expect("a list");
    assert!(segments.len() > 2, "{}", segments.len());
    assert_eq!(at.audited(Action::Replay).await, 0, "facts are no replay");

    let token = at.open().await;
    assert_eq!(at.audited(Action::Replay).await, 1);
    let first = lines(&at.get("/recording/segments/1", &token).await);
    assert!(first.contains(&serde_json::json!([1.0, "o", "$ echo first\r\nfirst\r\n"])));
    let last = segments[segments.len() - 1]["index"].as_u64().expect("a number");
    let last = lines(&at.get(&format!("/recording/segments/{last}"), &token).await);
    assert_eq!(
        last[last.len() - 1],
        serde_json::json!([100.0, "x", "0"]),
        "times count from the recording's beginning"
    );
}

#[tokio::test]
async fn the_screen_at_a_moment_is_drawn_with_where_to_go_on() {
    let at = recorded().await;
    let token = at.open().await;
    let screen = at.get("/recording/screen?at_ms=1500", &token).await.json();
    assert_eq!((&screen["columns"], &screen["rows"], &screen["next_segment"]), (&100.into(), &30.into(), &1.into()));
    let drawn = STANDARD.decode(screen["data"].as_str().expect("text")).expect("base64");
    let drawn = String::from_utf8(drawn).expect("text");
    assert!(drawn.contains("echo first") && !drawn.contains("flood"));
    let events = lines(&at.get("/recording/segments/1", &token).await);
    let next = usize::try_from(screen["next_event"].as_u64().expect("a number")).expect("small");
    assert_eq!((events[next - 1][0].as_f64(), events[next][0].as_f64()), (Some(1.0), Some(2.0)));
    let end = at.get("/recording/screen?at_ms=99999999", &token).await.json();
    let drawn = STANDARD.decode(end["data"].as_str().expect("text")).expect("base64");
    assert!(String::from_utf8(drawn).expect("text").contains("la\u{20ac}st"));
}

#[tokio::test]
async fn a_search_finds_what_was_on_the_screen() {
    let at = recorded().await;
    let token = at.open().await;
    let found = at.get("/recording/search?q=LA%E2%82%ACST", &token).await.json();
    let hits: Vec<_> = found["hits"].as_array().expect("a list").iter().map(|hit| hit["text"].as_str()).collect();
    assert_eq!(hits, [Some("$ echo la\u{20ac}st"), Some("la\u{20ac}st")]);
    assert_eq!((&found["hits"][0]["start"], &found["hits"][0]["end"]), (&7.into(), &12.into()));
    assert_eq!(found["truncated"], false);
    let flood = at.get("/recording/search?q=flood&limit=7", &token).await.json();
    assert_eq!((flood["hits"].as_array().map(Vec::len), &flood["truncated"]), (Some(7), &true.into()));
    for query in ["q=", "q=%20%20", "q=a%0Ab", &format!("q={}", "x".repeat(201))] {
        at.get(&format!("/recording/search?{query}"), &token).await.assert_problem(422, "unprocessable");
    }
    for rest in
        ["/recording/search", "/recording/search?q=x&limit=-1", "/recording/screen?at_ms=-1", "/recording/screen"]
    {
        at.get(rest, &token).await.assert_problem(400, "bad_request");
    }
}

#[tokio::test]
async fn a_download_is_an_asciicast_and_audited_first() {
    let at = recorded().await;
    let response = at.get("/recording/cast", "").await;
    assert_eq!(response.status, 200);
    assert!(response.header("content-disposition").ends_with(".cast\""));
    let text = std::str::from_utf8(&response.body).expect("text");
    let events = text.lines().filter(|line| !line.starts_with('#'));
    let events: Vec<Value> = events.map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&events[0]["version"], &events[0]["term"]["cols"]), (&3.into(), &100.into()));
    let seconds: f64 = events[1..].iter().map(|event| event[0].as_f64().expect("an interval")).sum();
    assert!((seconds - 100.0).abs() < 0.001, "{seconds}");
    assert_eq!((at.audited(Action::RecordingDownload).await, at.audited(Action::Replay).await), (1, 0));
}

#[tokio::test]
async fn content_needs_an_open_replay_of_this_person_and_session() {
    let at = recorded().await;
    let token = at.open().await;
    let rests = ["/recording/segments/1", "/recording/screen?at_ms=0", "/recording/search?q=x"];
    let (begin, last) = token.split_at(token.len() - 1);
    let changed = format!("{begin}{}", if last == "A" { "E" } else { "A" });
    for rest in rests {
        assert_eq!(at.get(rest, &token).await.status, 200, "{rest}");
        for wrong in ["", "x", &token.replace("plr_", "plk_"), &changed] {
            at.get(rest, wrong).await.assert_problem(403, "replay_over");
        }
        let without = at.relay.get(&at.path(rest)).cookie(&at.ada.cookie).send().await;
        without.assert_problem(403, "replay_over");
        let signed_out = at.relay.get(&at.path(rest)).header("podlatch-replay", &token).send().await;
        signed_out.assert_problem(401, "unauthenticated");
    }
    let other = session(&at.relay, &at.ada).await;
    let of_other = at.relay.get(&format!("/api/v1/sessions/{other}/recording/segments/1"));
    let of_other = of_other.cookie(&at.ada.cookie).header("podlatch-replay", &token).send().await;
    of_other.assert_problem(403, "replay_over");
    at.relay.hand.advance(Duration::from_hours(5));
    at.get(rests[0], &token).await.assert_problem(403, "replay_over");
}

#[tokio::test]
async fn whoever_may_not_see_a_recording_learns_nothing_of_it() {
    let at = recorded().await;
    let token = at.open().await;
    let bob = at.relay.sign_in("bob@example.org").await;
    for rest in ["/recording", "/recording/cast", "/recording/segments/1", "/recording/screen?at_ms=0"] {
        let response = at.relay.get(&at.path(rest)).cookie(&bob.cookie).header("podlatch-replay", &token).send().await;
        response.assert_problem(404, "not_found");
    }
    at.relay.post(&at.path("/replays")).cookie(&bob.cookie).send().await.assert_problem(404, "not_found");
    assert_eq!((at.audited(Action::Replay).await, at.audited(Action::RecordingDownload).await), (1, 0));
}

#[tokio::test]
async fn a_tampered_segment_is_refused_and_the_rest_is_shown() {
    let at = recorded().await;
    at.tamper(2);
    let token = at.open().await;
    at.get("/recording/segments/2", &token).await.assert_problem(409, "recording_damaged");
    assert_eq!(at.get("/recording/segments/1", &token).await.status, 200);
    assert_eq!(at.get("/recording/segments/3", &token).await.status, 200);
    assert_eq!(at.get("/recording/screen?at_ms=99000", &token).await.status, 200);
    let found = at.get("/recording/search?q=la%E2%82%ACst", &token).await.json();
    assert_eq!((found["hits"].as_array().map(Vec::len), &found["truncated"]), (Some(2), &true.into()));
    let cast = at.get("/recording/cast", "").await;
    let text = std::str::from_utf8(&cast.body).expect("text");
    assert!(text.starts_with("{\"version\":3"));
    assert!(
        text.lines().last().expect("a line").starts_with("# Segment 2 is not what was recorded"),
        "told at the end"
    );
}

#[tokio::test]
async fn truncated_foreign_missing_and_deleted_recordings_say_what_they_are() {
    let at = recorded().await;
    let manifest = at.object(at.session, "manifest.jsonl");
    let whole = std::fs::read(&manifest).expect("exists");

    at.change("manifest.jsonl", |bytes| bytes.truncate(bytes.len() / 2));
    let facts = at.facts().await;
    assert_eq!(facts["state"], "damaged");
    assert!(facts["message"].as_str().expect("a message").ends_with('.'));

    std::fs::write(&manifest, [0xff, 0, b'\n', b'{']).expect("writes");
    assert_eq!(at.facts().await["state"], "damaged");

    std::fs::remove_file(&manifest).expect("is there");
    let facts = at.facts().await;
    assert_eq!(facts["state"], "truncated");
    assert!(facts["message"].is_string() && facts["segments"].as_array().is_some_and(|all| all.len() > 2));

    let foreign = session(&at.relay, &at.ada).await;
    record(&at.relay, organisation(&at.ada), foreign).await;
    std::fs::copy(at.object(foreign, "manifest.jsonl"), &manifest).expect("copies");
    let facts = at.facts().await;
    assert_eq!((&facts["state"], facts["segments"].as_array().map(Vec::len)), (&"damaged".into(), Some(0)));
    let token = at.open().await;
    assert_eq!(at.get("/recording/screen?at_ms=5", &token).await.status, 200);
    at.get("/recording/segments/1", &token).await.assert_problem(404, "not_found");
    assert!(at.get("/recording/cast", "").await.body.starts_with(b"{\"version\":3"));

    std::fs::write(&manifest, whole).expect("writes");
    std::fs::remove_file(at.object(at.session, "00000001.cast")).expect("is there");
    at.get("/recording/segments/1", &token).await.assert_problem(409, "recording_damaged");

    std::fs::remove_dir_all(manifest.parent().expect("a folder")).expect("is there");
    at.get("/recording", "").await.assert_problem(410, "recording_gone");
    let again = at.relay.post(&at.path("/replays")).cookie(&at.ada.cookie).send().await;
    again.assert_problem(410, "recording_gone");
    at.get("/recording/cast", "").await.assert_problem(410, "recording_gone");
    at.get("/recording/segments/1", &token).await.assert_problem(410, "recording_gone");
}

#[tokio::test]
async fn what_the_database_noted_of_a_recording_is_believed_against_the_storage() {
    let at = recorded().await;
    let store = &at.relay.app.store;
    let noted = StoredRecording {
        truncation: None,
        segments: 4,
        bytes: 1,
        duration_ms: 100_000,
        head: at.head.clone(),
        sealed_at: at.relay.app.clock.now(),
        deleted_at: None,
    };
    store.recording_sealed(organisation(&at.ada), at.session, &noted).await.expect("notes");
    assert_eq!(at.facts().await["state"], "complete");

    // Somebody who can write to the storage makes another whole recording in its place.
    let manifest = at.object(at.session, "manifest.jsonl");
    std::fs::remove_dir_all(manifest.parent().expect("a folder")).expect("is there");
    let forged = record_from(&at.relay, organisation(&at.ada), at.session, BEGAN + 1_000).await;
    assert_ne!(forged, at.head);
    assert_eq!(at.facts().await["state"], "damaged");

    std::fs::remove_file(manifest).expect("is there");
    assert_eq!(at.facts().await["state"], "damaged", "and is no recording that was only cut off");

    let days = "1".parse().expect("a number of days");
    let by = (Origin::operator(), at.relay.app.clock.now());
    store.set_recording_retention(organisation(&at.ada), Some(days), by).await.expect("sets");
    at.relay.hand.advance(Duration::from_hours(49));
    store.delete_old_recordings(at.relay.app.clock.now()).await.expect("deletes");
    let ada = at.relay.sign_in("ada@example.org").await;
    let facts = at.relay.get(&at.path("/recording")).cookie(&ada.cookie).send().await.json();
    assert_eq!(facts["state"], "deleted");
    assert!(facts["message"].as_str().expect("a message").contains("deleted"));
    let open = at.relay.post(&at.path("/replays")).cookie(&ada.cookie).send().await;
    open.assert_problem(410, "recording_gone");
}
