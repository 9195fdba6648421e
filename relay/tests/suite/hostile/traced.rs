//! The relay's own process, watched by strace while it is given what is hostile: it starts nothing, opens no file that it does
//! not open anyway, and connects to nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::tempdir;

use super::{addresses, kubeconfigs};
use crate::http::request;
use crate::process::admin;

/// A relay below strace.
struct Traced {
    strace: Child,
    trace: PathBuf,
    http: SocketAddr,
    cookie: String,
}

impl Traced {
    fn start(data: &Path, trace: PathBuf) -> Self {
        let made = admin(data, &["create-organisation", "--name", "Shop", "--owner-email", "ada@example.org"]);
        let link = made["sign_in_link"]["url"].as_str().expect("a link");
        let token = link.split_once('#').expect("a token").1.to_owned();
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-ttt", "-s", "300", "-e", "trace=execve,connect,open,openat,openat2", "-o"])
            .arg(&trace)
            .arg(env!("CARGO_BIN_EXE_podlatch-relay"))
            .args(["serve", "--http-listen", "127.0.0.1:0", "--tunnel-listen", "127.0.0.1:0"])
            .env("PODLATCH_DATA", data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("strace runs; tests/tools/setup.sh installs it");
        let mut line = String::new();
        BufReader::new(strace.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let http = line.split("http=http://").nth(1).and_then(|rest| rest.split(' ').next()).expect("is ready");
        let http = http.parse().expect("an address");
        let mut traced = Self { strace, trace, http, cookie: String::new() };
        let answer = traced.post("/login-sessions", &json!({ "token": token }));
        assert!((200..300).contains(&answer.status), "{}", answer.body);
        answer.header("set-cookie").split(';').next().unwrap_or_default().clone_into(&mut traced.cookie);
        traced
    }

    fn post(&self, path: &str, body: &Value) -> crate::http::Answer {
        let origin = format!("http://{}", self.http);
        let headers = [("origin", origin.as_str()), ("cookie", self.cookie.as_str())];
        request(self.http, "POST", &format!("/api/v1{path}"), &headers, &body.to_string())
    }

    fn calls(&self) -> Vec<Call> {
        fs::read_to_string(&self.trace).expect("a trace").lines().filter_map(Call::parse).collect()
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // strace lets go of what it traces when it is killed, so the relay comes first: the first line is its own.
        let relay = fs::read_to_string(&self.trace).ok();
        if let Some(relay) = relay.as_deref().and_then(|trace| trace.split_whitespace().next()) {
            let _gone = Command::new("kill").args(["-KILL", relay]).status();
        }
        let _ended = self.strace.wait();
    }
}

/// What glibc reads by itself when one more thread needs memory at the same time as others.
const COUNT_OF_CPUS: &str = "/sys/devices/system/cpu/online";

/// One system call.
#[derive(Debug, Clone)]
struct Call {
    seconds: f64,
    text: String,
}

impl Call {
    fn parse(line: &str) -> Option<Self> {
        let (_process, rest) = line.trim_start().split_once(' ')?;
        let (seconds, text) = rest.trim_start().split_once(' ')?;
        Some(Self { seconds: seconds.parse().ok()?, text: text.to_owned() })
    }

    /// What it opens.
    fn opened(&self) -> Option<&str> {
        let opens = ["open(", "openat(", "openat2("].iter().any(|name| self.text.starts_with(name));
        self.text.split('"').nth(1).filter(|_| opens)
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

#[test]
fn hostile_kubeconfigs_and_addresses_start_nothing_open_nothing_and_reach_nothing() {
    let folder = tempdir().expect("a folder");
    let data = folder.path().join("data");
    let relay = Traced::start(&data, folder.path().join("trace"));
    // Whatever a first request loads is loaded.
    relay.post("/clusters/connection-tests", &json!({ "server": "https://127.0.0.1", "token": "abc" }));
    relay.post("/clusters", &json!({ "type": "public", "name": "a", "kubeconfig": "" }));

    let begin = now();
    for case in kubeconfigs::all() {
        for (path, body) in [
            ("/clusters", json!({ "type": "public", "name": "a", "kubeconfig": case.text })),
            ("/clusters/connection-tests", json!({ "kubeconfig": case.text })),
        ] {
            let answer = relay.post(path, &body);
            let refused = answer.status == 422 || (answer.status == 413 && case.what == "too long");
            assert!(refused, "{}: {} {}", case.what, answer.status, answer.body);
        }
    }
    assert!(addresses::ALL.len() >= 80);
    for address in addresses::ALL {
        let server = format!("https://{address}");
        let answer = relay.post("/clusters/connection-tests", &json!({ "server": server, "token": "abc" }));
        match answer.status {
            422 => assert!(!answer.json()["detail"].as_str().unwrap_or_default().is_empty(), "{address}"),
            200 => {
                let steps = &answer.json()["steps"];
                assert_eq!((&steps[1]["step"], &steps[1]["state"]), (&json!("allowed"), &json!("failed")), "{address}");
                assert!(steps[1]["sentence"].as_str().is_some_and(|text| text.contains("is not dialled")), "{address}");
                assert_eq!(steps[2]["state"], "not_tried", "{address}");
            }
            status => panic!("{address}: {status} {}", answer.body),
        }
    }
    let end = now();

    let calls = relay.calls();
    let known: BTreeSet<&str> = calls.iter().filter(|call| call.seconds < begin).filter_map(Call::opened).collect();
    assert!(!known.is_empty(), "the trace shows what the relay opened when it started");
    let data = data.to_str().expect("text");
    for call in calls.iter().filter(|call| (begin..=end).contains(&call.seconds)) {
        match call.opened() {
            Some(path) => assert!(
                path.starts_with(data) || path == COUNT_OF_CPUS || known.contains(path),
                "opened {path}: {}",
                call.text
            ),
            None => assert!(
                !call.text.starts_with("execve") && !call.text.starts_with("connect"),
                "started or reached something: {}",
                call.text
            ),
        }
    }
}
