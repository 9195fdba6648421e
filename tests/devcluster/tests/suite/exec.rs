//! What is true of execs beyond the transcripts: sessions, survivors, pressure.

use std::time::Duration;

use futures_util::SinkExt;
use podlatch_devcluster::{Devcluster, Isolation};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Ask, Exec, Received, cluster, exec_path, run, small_cluster, until_holds, within};

/// Lists every live process as `PID SESSION COMMAND`; zombies count as gone.
const LIVE: &str = r#"for s in /proc/[0-9]*/stat; do
  read -r line < "$s" || continue; rest=${line##*) }; set -- $rest
  [ "$1" = Z ] && continue; pid=${s#/proc/}; pid=${pid%/stat}
  echo "$pid $4 $(tr '\0' ' ' < /proc/$pid/cmdline)"; done 2>/dev/null"#;

async fn live(cluster: &Devcluster, pod: &str) -> Vec<(u32, u32, String)> {
    let listed = run(cluster, pod, &["sh", "-c", LIVE]).await;
    let parse = |line: &str| -> Option<(u32, u32, String)> {
        let mut words = line.splitn(3, ' ');
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.trim().to_owned()))
    };
    listed.lines().filter_map(parse).collect()
}

async fn until_live(cluster: &Devcluster, pod: &str, holds: impl Fn(&[(u32, u32, String)]) -> bool) {
    until_holds("the processes", async || holds(&live(cluster, pod).await)).await;
}

fn runs(processes: &[(u32, u32, String)], command: &str) -> bool {
    processes.iter().any(|(_, _, one)| one == command)
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_processes_running() {
    let cluster = small_cluster().await;
    let mut closed = Exec::terminal(&cluster, "bb", &["sh"]).await;
    closed.until("# ").await;
    closed.type_text("sleep 777\r").await;
    closed.until("sleep 777\r\n").await;
    let bare = Exec::terminal(&cluster, "bb", &["sleep", "888"]).await;
    let piped = Exec::pipes(&cluster, "bb", &["sleep", "999"]).await;
    let all = |processes: &[(u32, u32, String)]| {
        ["sleep 777", "sleep 888", "sleep 999"].iter().all(|command| runs(processes, command))
    };
    until_live(&cluster, "bb", all).await;
    closed.socket.close(None).await.expect("the closing is sent");
    drop((closed, bare, piped));
    // A real lapse of time: nothing happens, and that nothing happens has no event.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let processes = live(&cluster, "bb").await;
    assert!(all(&processes), "{processes:?}");
    assert!(runs(&processes, "sh"), "{processes:?}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_cut_connection_leaves_its_processes_running_too() {
    let cluster = small_cluster().await;
    let mut exec = Exec::terminal(&cluster, "bb", &["sh", "-c", "echo here; sleep 777"]).await;
    exec.until("here").await;
    cluster.faults().drop_connections();
    assert_eq!(exec.receive().await, Received::Closed(None));
    assert!(runs(&live(&cluster, "bb").await, "sleep 777"));
    cluster.shutdown().await;
}

#[tokio::test]
async fn the_shells_pid_is_the_session_of_all_its_jobs_and_signals_to_it_end_them() {
    let cluster = cluster().await;
    let prelude = r#"printf 'pid=%s\n' "$$"; exec "$@""#;
    let mut exec = Exec::terminal(&cluster, "tools", &["sh", "-c", prelude, "-", "bash", "--norc"]).await;
    let greeting = exec.until("\r\n").await;
    let session: u32 = greeting.trim().trim_start_matches("pid=").parse().expect("is a PID");
    exec.until("# ").await;
    exec.type_text("sleep 101 & nohup sleep 102 >/dev/null 2>&1 & setsid sleep 103 & (sleep 104)\r").await;
    let own = |processes: &[(u32, u32, String)], command: &str| {
        processes.iter().any(|(_, sid, one)| one == command && *sid == session)
    };
    until_live(&cluster, "tools", |processes| {
        ["sleep 101", "sleep 102", "sleep 104"].iter().all(|command| own(processes, command))
            && runs(processes, "sleep 103")
            && !own(processes, "sleep 103")
            && own(processes, "bash --norc")
    })
    .await;
    let signal = |name: &str| {
        let script = format!(
            "for s in /proc/[0-9]*/stat; do read -r line < \"$s\" || continue; rest=${{line##*) }}; set -- $rest; \
             [ \"$4\" = {session} ] || continue; pid=${{s#/proc/}}; kill -{name} \"${{pid%/stat}}\"; done 2>/dev/null"
        );
        let cluster = &cluster;
        async move { run(cluster, "tools", &["sh", "-c", &script]).await }
    };
    signal("HUP").await;
    until_live(&cluster, "tools", |processes| {
        !own(processes, "bash --norc") && !own(processes, "sleep 101") && !own(processes, "sleep 104")
    })
    .await;
    assert!(runs(&live(&cluster, "tools").await, "sleep 102"), "nohup outlives HUP");
    signal("KILL").await;
    until_live(&cluster, "tools", |processes| !runs(processes, "sleep 102")).await;
    assert!(runs(&live(&cluster, "tools").await, "sleep 103"), "another session outlives both");
    let states = run(&cluster, "tools", &["sh", "-c", "cat /proc/[0-9]*/stat"]).await;
    assert!(states.contains("(sleep) Z 1 "), "PID 1 reaps nobody: {states}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn the_environment_of_an_exec_can_be_found_in_proc() {
    let cluster = small_cluster().await;
    let _exec = Exec::terminal(&cluster, "bb", &["env", "PODLATCH_SESSION=s1", "sleep", "555"]).await;
    until_live(&cluster, "bb", |processes| runs(processes, "sleep 555")).await;
    let found = run(&cluster, "bb", &["sh", "-c", "grep -l PODLATCH_SESSION=s1 /proc/[0-9]*/environ"]).await;
    assert!(found.contains("/environ"), "{found}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn input_passes_while_output_floods_and_nobody_reads() {
    let cluster = small_cluster().await;
    let mut exec = Exec::terminal(&cluster, "bb", &["sh"]).await;
    exec.until("# ").await;
    exec.type_text("yes\r").await;
    exec.until("y\r\ny\r\n").await;
    // A real lapse of time: the client reads nothing for a while. The flood stops at full buffers, and the Ctrl-C still arrives.
    tokio::time::sleep(Duration::from_millis(500)).await;
    exec.send(0, &[3]).await;
    until_live(&cluster, "bb", |processes| !runs(processes, "yes")).await;
    exec.type_text("echo do''ne\r").await;
    exec.until("done").await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_process_that_does_not_read_never_stops_its_own_output() {
    let cluster = small_cluster().await;
    let script = "while true; do echo tick; sleep 0.1; done";
    let mut exec = Exec::pipes(&cluster, "bb", &["sh", "-c", script]).await;
    exec.until("tick").await;
    for _ in 0..64 {
        exec.send(0, &[b'x'; 16 * 1024]).await;
    }
    for _ in 0..5 {
        exec.until("tick").await;
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_paste_of_one_mebibyte_arrives_whole() {
    let cluster = small_cluster().await;
    let data: Vec<u8> = (0..1024 * 1024_u32).map(|n| u8::try_from(n % 251).unwrap_or(0)).collect();
    let mut exec =
        Exec::pipes(&cluster, "bb", &["sh", "-c", "cat > /tmp/paste; wc -c < /tmp/paste; cat /tmp/paste"]).await;
    for chunk in data.chunks(16 * 1024) {
        exec.send(0, chunk).await;
    }
    exec.send(255, &[0]).await;
    let (stdout, _, status) = exec.finish().await;
    assert_eq!(status["status"], "Success");
    assert!(stdout == [b"1048576\n".as_slice(), &data].concat(), "{} bytes came back", stdout.len());
    cluster.shutdown().await;
}

#[tokio::test]
async fn ten_mebibytes_of_output_arrive_whole_on_a_terminal() {
    let cluster = small_cluster().await;
    let script = "seq 1 1500000 > /tmp/numbers; stty -opost; cat /tmp/numbers";
    let (stdout, _, status) = Exec::terminal(&cluster, "bb", &["sh", "-c", script]).await.finish().await;
    assert_eq!(status["status"], "Success");
    let expected = (1..=1_500_000).fold(String::new(), |text, n| text + &n.to_string() + "\n");
    assert!(expected.len() > 10 * 1024 * 1024);
    assert!(stdout == expected.as_bytes(), "{} bytes came", stdout.len());
    cluster.shutdown().await;
}

#[tokio::test]
async fn pings_are_answered() {
    use futures_util::StreamExt;
    let cluster = small_cluster().await;
    let mut exec = Exec::terminal(&cluster, "bb", &["sleep", "60"]).await;
    assert_eq!(exec.receive().await, Received::Data(1, bytes::Bytes::new()));
    exec.socket.send(Message::Ping("there?".into())).await.expect("the ping is sent");
    let answer = within("the pong", exec.socket.next()).await.expect("the stream goes on").expect("is a message");
    assert_eq!(answer, Message::Pong("there?".into()));
    cluster.shutdown().await;
}

#[tokio::test]
async fn each_container_has_its_own_processes_files_and_terminals() {
    let cluster = cluster().await;
    if cluster.prerequisites().isolation == Isolation::None {
        return;
    }
    assert_eq!(run(&cluster, "bb", &["hostname"]).await, "bb\n");
    assert_eq!(run(&cluster, "tools", &["cat", "/proc/1/comm"]).await, "sleep\n");
    run(&cluster, "bb", &["sh", "-c", "echo mine > /tmp/file; echo mine > /root/file"]).await;
    assert_eq!(run(&cluster, "bb", &["cat", "/root/file"]).await, "mine\n");
    assert_eq!(
        run(&cluster, "tools", &["sh", "-c", "ls /tmp/file /root/file 2>/dev/null; touch /usr/x 2>&1"]).await,
        "touch: cannot touch '/usr/x': Read-only file system\n"
    );
    let mut exec = Exec::terminal(&cluster, "tools", &["sh", "-c", "tty; stty size; echo $TERM"]).await;
    exec.until("/dev/pts/0\r\n0 0\r\nxterm\r\n").await;
    let names = run(&cluster, "tools", &["sh", "-c", "echo $0; readlink /proc/$$/exe"]).await;
    assert_eq!(names, "sh\n/usr/bin/dash\n", "no stand-in for the container's own shell");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_deleted_pod_takes_its_execs_along() {
    let cluster = small_cluster().await;
    let mut exec = Exec::terminal(&cluster, "bb", &["sh", "-c", "echo here; sleep 777"]).await;
    exec.until("here").await;
    let deleted = Ask::of(&cluster, "admin").send("DELETE", "/api/v1/namespaces/default/pods/bb", "").await;
    assert_eq!(deleted.status, 200);
    let (_, _, status) = exec.finish().await;
    assert_eq!(status["details"]["causes"], json!([{"reason": "ExitCode", "message": "137"}]));
    cluster.shutdown().await;
}

#[tokio::test]
async fn requests_that_are_no_upgrade_or_ask_for_nonsense_are_refused() {
    let cluster = small_cluster().await;
    let admin = Ask::of(&cluster, "admin");
    let plain = admin.get(&exec_path("bb", &["sh"], "stdout=true")).await;
    assert_eq!((plain.status, &plain.json()["message"]), (400, &json!("Upgrade request required")));
    let both = admin.get(&exec_path("bb", &["sh"], "stdout=true&stderr=true&tty=true")).await;
    assert_eq!(both.status, 400);
    let none = admin.get(&exec_path("bb", &["sh"], "")).await;
    assert_eq!(
        (none.status, &none.json()["message"]),
        (400, &json!("you must specify at least 1 of stdin, stdout, stderr"))
    );
    cluster.shutdown().await;
}

#[tokio::test]
async fn two_hundred_shells_run_at_once() {
    let cluster = small_cluster().await;
    let mut shells = Vec::new();
    for _ in 0..200 {
        shells.push(Exec::terminal(&cluster, "bb", &["sh"]).await);
    }
    for (number, shell) in shells.iter_mut().enumerate() {
        shell.type_text(&format!("echo shell-$(({number} + 1000))\r")).await;
    }
    for (number, shell) in shells.iter_mut().enumerate() {
        shell.until(&format!("shell-{}", number + 1000)).await;
    }
    cluster.shutdown().await;
}
