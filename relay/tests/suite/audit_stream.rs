//! Where the audit log goes without being asked for: a webhook, a file, standard output. Real processes, sockets, files.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use serde_json::Value;
use tempfile::tempdir;

use crate::process::{Killed, Serving, admin, relay};

const SECRET: &str = "a secret of the test";

/// Longest wait for what should take a second.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a receiver does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It does not take it.
    Fail,
    /// It takes it, and loses the line before it says so.
    TakeAndDrop,
    /// It neither takes it nor answers.
    Hang,
}

/// An HTTP receiver; it takes what it has no other manners for.
struct Receiver {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    manners: VecDeque<Manner>,
    requests: usize,
    events: Vec<Value>,
    /// Kept open.
    hanging: Vec<TcpStream>,
}

impl Receiver {
    fn start(manners: &[Manner]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Seen { manners: manners.iter().copied().collect(), ..Seen::default() }));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                converse(stream, &shared);
            }
        });
        Self { address, seen }
    }

    fn url(&self) -> String {
        format!("http://{}/events?token=of-the-receiver", self.address)
    }

    fn wait(&self, what: &str, met: impl Fn(&Seen) -> bool) {
        wait(what, || met(&self.seen.lock().expect("whole")));
    }
}

fn converse(mut stream: TcpStream, seen: &Mutex<Seen>) {
    let mut reader = BufReader::new(stream.try_clone().expect("clones"));
    let (mut length, mut signature) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("reads");
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap_or_default();
        match name {
            "content-length" => length = value.parse().expect("a length"),
            "podlatch-signature" => value.clone_into(&mut signature),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a whole body");
    assert_signed(&signature, &body);
    let mut seen = seen.lock().expect("whole");
    seen.requests += 1;
    let manner = seen.manners.pop_front();
    if matches!(manner, None | Some(Manner::TakeAndDrop)) {
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        seen.events.extend(body["events"].as_array().expect("events").clone());
    }
    match manner {
        None => answer(&mut stream, "204 No Content"),
        Some(Manner::Fail) => answer(&mut stream, "503 Service Unavailable"),
        Some(Manner::TakeAndDrop) => {}
        Some(Manner::Hang) => seen.hanging.push(stream),
    }
}

fn answer(stream: &mut TcpStream, status: &str) {
    let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).expect("answers");
}

fn assert_signed(signature: &str, body: &[u8]) {
    let (time, tag) = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).expect("a signature");
    let signed = [time.as_bytes(), b".", body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, &signed, &hex::decode(tag).expect("hex")).expect("the signature fits");
}

/// Nothing tells when a file of another process grows.
#[expect(clippy::disallowed_methods, reason = "no session is on a test's own thread")]
fn wait(what: &str, met: impl Fn() -> bool) {
    let started = Instant::now();
    while !met() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Two events.
fn create_organisation(data: &Path) {
    let words = ["create-organisation", "--name", "Shop", "--owner-email", "ada@example.org"];
    admin(data, &[&words[..], &["--public-url", "http://127.0.0.1:8080"]].concat());
}

/// Two events.
fn create_cluster(data: &Path, name: &str) {
    let words = ["create-cluster", "--organisation", "Shop", "--name", name];
    admin(data, &[&words[..], &["--tunnel-address", "127.0.0.1:4433"]].concat());
}

fn positions<'a>(events: impl IntoIterator<Item = &'a Value>) -> Vec<u64> {
    events.into_iter().map(|event| event["position"].as_u64().expect("a position")).collect()
}

#[test]
fn a_webhook_gets_every_event_through_failures_lost_answers_and_kills() {
    let data = tempdir().expect("a folder");
    create_organisation(data.path());
    let receiver = Receiver::start(&[Manner::Fail, Manner::TakeAndDrop, Manner::Hang]);
    let url = receiver.url();
    let flags = ["--audit-webhook-url", url.as_str(), "--audit-webhook-secret", SECRET];

    let serving = Serving::start(data.path(), &flags);
    receiver.wait("it hangs", |seen| seen.requests == 3);
    create_cluster(data.path(), "berlin");
    // Its end is a kill -9, with a delivery under way.
    drop(serving);
    let serving = Serving::start(data.path(), &flags);
    create_cluster(data.path(), "paris");
    let all: BTreeSet<u64> = (1..=7).collect();
    receiver.wait("everything has arrived", |seen| {
        positions(&seen.events).into_iter().collect::<BTreeSet<_>>().is_superset(&all)
    });
    let (well, log) = serving.stop();
    assert!(well, "{log}");
    assert!(!log.contains("of-the-receiver") && !log.contains(SECRET), "{log}");

    let seen = receiver.seen.lock().expect("whole");
    let mut first_seen = Vec::new();
    let mut ids = BTreeSet::new();
    for event in &seen.events {
        if ids.insert(event["id"].as_str().expect("an id")) {
            first_seen.extend(event["position"].as_u64());
        }
    }
    assert!(first_seen.iter().copied().eq(1..=7), "in order, none twice but with its id: {first_seen:?}");
    assert_eq!(seen.events[0]["action"], "organisation_created");
    assert_eq!(seen.events[0]["actor"]["kind"], "operator");
    assert!(seen.events[0]["organisation"].is_string());
}

#[test]
fn a_file_gets_every_event_through_rotation_kills_and_a_place_that_takes_nothing() {
    let data = tempdir().expect("a folder");
    let (log, rotated) = (data.path().join("audit.jsonl"), data.path().join("audit.jsonl.1"));
    let flags = ["--audit-log", log.to_str().expect("text")];
    std::os::unix::fs::symlink("/dev/full", &log).expect("links");
    create_organisation(data.path());
    let serving = Serving::start(data.path(), &flags);
    create_cluster(data.path(), "berlin");
    fs::remove_file(&log).expect("removes");
    // The reader may meet a line that is being written.
    let told = |path: &Path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let events: Vec<Value> = text.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
        positions(&events)
    };
    wait("the file takes lines", || told(&log).contains(&5));

    fs::rename(&log, &rotated).expect("rotates");
    create_cluster(data.path(), "paris");
    wait("the new file takes lines", || told(&log).contains(&7));
    // A kill -9, maybe before it has noted what it wrote: that is then written again.
    drop(serving);
    create_cluster(data.path(), "rome");
    let serving = Serving::start(data.path(), &flags);
    wait("the rest is there", || told(&log).contains(&9));
    assert!(serving.stop().0);

    let all = [told(&rotated), told(&log)].concat();
    let mut once = all.clone();
    once.sort_unstable();
    once.dedup();
    assert!(once.into_iter().eq(1..=9), "{all:?}");
}

#[test]
fn standard_output_gets_events_behind_the_line_that_says_ready() {
    let data = tempdir().expect("a folder");
    create_organisation(data.path());
    let out = data.path().join("out");
    let mut command = relay(data.path());
    command.args(["serve", "--http-listen", "127.0.0.1:0", "--tunnel-listen", "127.0.0.1:0", "--audit-log", "stdout"]);
    let running = Killed::start(command.stdout(File::create(&out).expect("creates")).stderr(Stdio::null()));
    wait("the events are there", || fs::read_to_string(&out).expect("reads").lines().count() == 4);
    drop(running);
    let text = fs::read_to_string(&out).expect("reads");
    let (ready, events) = text.split_once('\n').expect("lines");
    assert!(ready.starts_with("ready http="), "{text}");
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(positions(&events), [1, 2, 3]);
}
