//! The relay's own binary as a process: started on free ports, stopped with the test.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// A command with nothing of this environment's settings.
pub(crate) fn relay(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podlatch-relay"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PODLATCH_")) {
        command.env_remove(name);
    }
    command.env("PODLATCH_DATA", data).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(data: &Path, words: &[&str]) -> Output {
    relay(data).args(words).output().expect("the relay's binary runs")
}

/// Runs a command that must succeed; gives what it printed.
pub(crate) fn succeed(data: &Path, words: &[&str]) -> String {
    let output = run(data, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Runs a command that must fail; gives what it said.
pub(crate) fn fail(data: &Path, words: &[&str]) -> String {
    let output = run(data, words);
    assert!(!output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).expect("text")
}

/// Runs an admin command that must succeed; gives its JSON.
pub(crate) fn admin(data: &Path, words: &[&str]) -> serde_json::Value {
    let words: Vec<&str> = ["admin", "--json"].iter().chain(words).copied().collect();
    serde_json::from_str(&succeed(data, &words)).expect("JSON")
}

/// A process that is killed when this goes, also where a test fails.
pub(crate) struct Killed(Child);

impl Killed {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the relay's binary runs"))
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A relay that serves.
pub(crate) struct Serving {
    child: Killed,
    pub(crate) url: String,
    pub(crate) http: SocketAddr,
    pub(crate) tunnel: SocketAddr,
}

impl Serving {
    /// Starts one on free ports and waits until it is ready.
    pub(crate) fn start(data: &Path, words: &[&str]) -> Self {
        let mut command = relay(data);
        command.args(["serve", "--http-listen", "127.0.0.1:0", "--tunnel-listen", "127.0.0.1:0"]).args(words);
        let mut child = Killed::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let mut parts = line.trim_end().split(' ');
        let (Some("ready"), Some(http), Some(tunnel), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            let _ = child.0.kill();
            let mut said = String::new();
            let _ = child.0.stderr.take().expect("piped").read_to_string(&mut said);
            panic!("not a ready line: {line:?}; {said}");
        };
        let url = http.strip_prefix("http=").expect("the URL").to_owned();
        let http = url.strip_prefix("http://").expect("plain HTTP").parse().expect("an address");
        let tunnel = tunnel.strip_prefix("tunnel=").expect("the tunnel").parse().expect("an address");
        Self { child, url, http, tunnel }
    }

    /// Asks it to stop, and waits until it has; gives whether it ended well and what it logged.
    pub(crate) fn stop(mut self) -> (bool, String) {
        let killed = Command::new("kill").args(["-TERM", &self.child.0.id().to_string()]).status().expect("kill runs");
        assert!(killed.success());
        let mut log = String::new();
        self.child.0.stderr.take().expect("piped").read_to_string(&mut log).expect("text");
        (self.child.0.wait().expect("ends").success(), log)
    }
}
