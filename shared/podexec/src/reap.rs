//! Finds and kills what a session left in its container, by a second exec.
//!
//! Sessions' processes are known by the marker in their environment, or by the process session that the prelude reported
//! (`/proc/PID/stat` field 6): `setsid` leaves the session but keeps the environment, `su` hides the environment but stays
//! in the session. The script uses nothing but POSIX sh built-ins, because containers have little else. A zombie counts as
//! gone: most containers' PID 1 never reaps.

use std::time::Duration;

use kube::Client;
use podlatch_protocol::close::RefusalCode;
use podlatch_protocol::id::SessionId;
use podlatch_protocol::session::Cleanup;
use podlatch_protocol::target::{ContainerName, Namespace, PodName};
use tokio::time::{Instant, sleep, timeout_at};

use crate::exec::{self, ExecRequest, ProcessEnd, ReadEvent, Streams};

/// Within this everything must be gone (promise: 5 s), or it is reported as unconfirmed.
const DEADLINE: Duration = Duration::from_millis(4_500);

/// What shells get between HUP and KILL to write their history and pass the signal on.
const HUP_TO_KILL: Duration = Duration::from_millis(300);

/// Between two rounds of KILL.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(100);

/// Before another try after a round that failed: a container that ends takes the script with it, and a kubelet needs a moment
/// to say that it has ended.
const AFTER_FAILURE: Duration = Duration::from_millis(400);

/// `$1` session, `$2` process session or 0, `$3` signal. First the marked processes and their process sessions are
/// collected, then every live process that is marked or in one of those sessions gets the signal and is counted.
const SCRIPT: &str = r#"want=$1 sids=" $2 " sig=$3 marked=" " n=0
for d in /proc/[0-9]*; do p=${d#/proc/}
[ $p = $$ ] && continue
m=; { while IFS= read -r l || [ -n "$l" ]; do case $l in *"PODLATCH_SESSION=$want"*) m=1; break;; esac; l=; done < $d/environ; } 2>/dev/null
[ "$m" ] || continue
marked="$marked$p "
st=; { IFS= read -r st < $d/stat; } 2>/dev/null
set -- ${st##*) }
[ "$4" ] && sids="$sids$4 "
done
for d in /proc/[0-9]*; do p=${d#/proc/}
[ $p = $$ ] && continue
st=; { IFS= read -r st < $d/stat; } 2>/dev/null || continue
set -- ${st##*) }
case $1 in Z|X|'') continue;; esac
case $marked in *" $p "*) ;; *) [ "$4" = 0 ] && continue; case $sids in *" $4 "*) ;; *) continue;; esac;; esac
n=$((n+1)); kill -s $sig $p 2>/dev/null; [ $sig = HUP ] && kill -s CONT $p 2>/dev/null
done
echo "podlatch-found $n""#;

/// Whose processes, and where.
#[derive(Debug, Clone)]
pub struct Remains {
    /// The session in the processes' marker.
    pub session: SessionId,
    /// The process session that the prelude reported. Only to be given while it is known to be this exec's: the kernel
    /// reuses numbers.
    pub process: Option<u32>,
    /// Namespace of the pod.
    pub namespace: Namespace,
    /// The pod.
    pub pod: PodName,
    /// The container.
    pub container: ContainerName,
}

/// Kills all of it: HUP, then KILL until nothing is found. Takes at most five seconds. Cancel safe in that cancelling
/// leaves processes alive but harms nothing.
pub async fn kill(client: &Client, remains: &Remains) -> Cleanup {
    let deadline = Instant::now() + DEADLINE;
    let mut signal = Signal::Hangup;
    loop {
        let pause = match timeout_at(deadline, round(client, remains, signal)).await {
            Ok(Round::Found(0) | Round::ContainerGone) => return Cleanup::Confirmed,
            Ok(Round::Found(_)) => std::mem::replace(&mut signal, Signal::Kill).takes(),
            Ok(Round::Failed) => AFTER_FAILURE,
            Err(_) => return Cleanup::Unconfirmed,
        };
        if timeout_at(deadline, sleep(pause)).await.is_err() {
            return Cleanup::Unconfirmed;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Hangup,
    Kill,
}

impl Signal {
    /// How long those who got it are left alone.
    const fn takes(self) -> Duration {
        match self {
            Self::Hangup => HUP_TO_KILL,
            Self::Kill => BETWEEN_ROUNDS,
        }
    }
}

/// What one exec of the script found.
enum Round {
    /// So many live processes; each got the signal.
    Found(u32),
    /// There is no such container any more, and so no process of it.
    ContainerGone,
    /// The script could not run.
    Failed,
}

async fn round(client: &Client, remains: &Remains, signal: Signal) -> Round {
    let signal = match signal {
        Signal::Hangup => "HUP",
        Signal::Kill => "KILL",
    };
    let words = ["sh", "-c", SCRIPT, "podlatch"].map(String::from);
    let arguments = [remains.session.to_string(), remains.process.unwrap_or(0).to_string(), signal.to_owned()];
    let request = ExecRequest {
        namespace: remains.namespace.clone(),
        pod: remains.pod.clone(),
        container: remains.container.clone(),
        command: words.into_iter().chain(arguments).collect(),
        streams: Streams::OutputOnly,
    };
    let (mut reader, _writer) = match exec::start(client, &request).await {
        Ok(halves) => halves,
        Err(refusal) if matches!(refusal.code, RefusalCode::PodNotFound | RefusalCode::PodEnded) => {
            return Round::ContainerGone;
        }
        Err(_) => return Round::Failed,
    };
    let mut output = Vec::new();
    loop {
        match reader.next().await {
            ReadEvent::Output(bytes) if output.len() < 4096 => output.extend_from_slice(&bytes),
            ReadEvent::Output(_) | ReadEvent::Errors(_) => {}
            ReadEvent::End(ProcessEnd::Exited(0)) => return parse(&output).map_or(Round::Failed, Round::Found),
            ReadEvent::End(_) => return Round::Failed,
        }
    }
}

fn parse(output: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(output).ok()?;
    text.lines().find_map(|line| line.trim().strip_prefix("podlatch-found "))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn run(shell: &[&str], session: &str, process: &str, signal: &str) -> Option<u32> {
        let output = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", SCRIPT, "podlatch", session, process, signal])
            .output()
            .expect("the shell runs");
        parse(&output.stdout)
    }

    /// A process with the marker. It gets a process session of its own, as every exec has: the script kills whole ones.
    fn marked(session: &str) -> std::process::Child {
        Command::new("setsid")
            .args(["sleep", "600"])
            .env("PODLATCH_SESSION", session)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("sleep runs")
    }

    #[test]
    fn finds_marked_processes_and_nothing_else_in_every_shell() {
        for shell in [&["bash"][..], &["dash"], &["busybox", "sh"]] {
            let session =
                SessionId::new(7, shell[0].repeat(10).as_bytes().first_chunk().expect("long enough")).to_string();
            let mut child = marked(&session);
            let mut bystander = marked("another");
            assert_eq!(run(shell, &session, "0", "KILL"), Some(1), "{shell:?}");
            child.wait().expect("it is dead");
            assert_eq!(run(shell, &session, "0", "KILL"), Some(0), "{shell:?}");
            assert!(bystander.try_wait().expect("waitable").is_none(), "a process of another session was killed");
            bystander.kill().expect("kills");
            bystander.wait().expect("reaps");
        }
    }

    #[test]
    fn a_zombie_counts_as_gone() {
        let session = SessionId::new(8, &[8; 10]).to_string();
        let mut child = marked(&session);
        assert_eq!(run(&["sh"], &session, "0", "KILL"), Some(1));
        // Not reaped on purpose: it must be seen as a zombie, or be gone already.
        while !std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("exists").contains(") Z ") {
            std::thread::yield_now();
        }
        assert_eq!(run(&["sh"], &session, "0", "KILL"), Some(0));
        child.wait().expect("reaps");
    }

    #[test]
    fn only_a_clean_answer_counts() {
        assert_eq!(parse(b"noise\npodlatch-found 3\n"), Some(3));
        assert_eq!(parse(b"podlatch-found x\n"), None);
        assert_eq!(parse(b""), None);
    }
}
