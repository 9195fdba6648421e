//! What is typed without echo is stored nowhere: twenty programs that ask for secrets, four ways to type them, and a search
//! through every byte that was kept.

use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use memchr::memmem;
use podlatch_e2e::cluster::target;
use podlatch_e2e::stack::{Options, Stack};
use podlatch_e2e::viewer::Viewer;
use podlatch_protocol::target::PodTarget;
use rand::Rng;
use tokio::time::sleep;

/// How many of the programs the container must have for the test to mean something: it need not have Node and systemd.
const ENOUGH: usize = 25;

/// A program that asks for secrets: its command, and what it asks with, once for each time that it asks.
type Program = (&'static str, &'static [&'static str]);

/// Real programs where Debian has them; the others do to the terminal what the real ones do.
const PROGRAMS: [Program; 29] = [
    ("read -s -p 'Secret: ' s", &["Secret: "]),
    ("read -rs -n 40 -t 20 -p 'Token: ' s", &["Token: "]),
    ("zsh -fc 'read -s \"s?Zsh secret: \"'", &["Zsh secret: "]),
    ("fish --no-config -c 'read -s -P \"Fish secret: \" s'", &["Fish secret: "]),
    ("python3 -c 'import getpass; getpass.getpass()'", &["Password: "]),
    ("passwd you", &["New password: ", "Retype new password: "]),
    ("setpriv --ruid=1000 passwd", &["Current password: "]),
    ("setpriv --ruid=1000 su root -c true", &["Password: "]),
    ("setpriv --ruid=1000 sudo true", &["password for you: "]),
    (SSH, &["you@here's password: "]),
    (GPG, &["Enter passphrase: "]),
    (PINENTRY, &["Passphrase: ", "re-enter this passphrase"]),
    ("mysql -h 127.0.0.1 -P 1 -u you -p", &["Enter password: "]),
    ("openssl enc -aes-256-cbc -pbkdf2 -in /etc/hosts -out /dev/null", &["password:", "Verifying"]),
    ("openssl genrsa -aes256 -out /dev/null 1024", &["pass phrase:", "Verifying"]),
    ("openssl passwd -6 > /dev/null", &["Password: ", "Verifying - Password: "]),
    ("ssh-keygen -q -t ed25519 -f /tmp/key-$RANDOM$RANDOM", &["passphrase (empty", "same passphrase"]),
    ("psql -W -h 127.0.0.1 -p 1 postgres", &["Password"]),
    ("pg_dump -W -h 127.0.0.1 -p 1 -U you postgres", &["Password"]),
    ("createuser -W -h 127.0.0.1 -p 1 -U you somebody", &["Password: ", "Password: "]),
    ("zip -e /tmp/$RANDOM.zip /etc/hosts", &["Enter password: ", "Verify password: "]),
    ("curl -s -u you http://127.0.0.1:1/", &["Enter host password for user 'you':"]),
    ("wget -q --tries=1 --user=you --ask-password http://127.0.0.1:1/", &["Password for user"]),
    ("systemd-ask-password --timeout=30 'Ask:' > /dev/null", &["Ask:"]),
    ("(stty -echo; printf 'Key for you: '; read -r s < /dev/tty; stty echo)", &["Key for you: "]),
    (MASKED_PYTHON, &["Masked: "]),
    (MASKED_PERL, &["Stars: "]),
    (NODE, &["Hidden: "]),
    (CURSES, &["Key: "]),
];

/// A container's own people, and what sudo lets them do. Programs that ask by their set-user-ID bit, which containers ignore,
/// are started with the IDs that the bit would give.
const PEOPLE: &str = "set -e
[ -e /etc/shadow ] || (umask 077; echo 'root:*:19000:0:99999:7:::' > /etc/shadow)
grep -q ^you: /etc/passwd || echo 'you:x:1000:1000::/tmp:/bin/sh' >> /etc/passwd
grep -q ^you: /etc/shadow || echo 'you:*:19000:0:99999:7:::' >> /etc/shadow
printf 'Defaults passwd_tries=1\nyou ALL=(ALL) ALL\n' > /etc/sudoers
chmod 440 /etc/sudoers
cat > /tmp/server.py <<'END'
import os, socket, subprocess, threading
listener = socket.create_server(('127.0.0.1', 0))
near = socket.create_connection(listener.getsockname())
far = listener.accept()[0]
key = '/tmp/host-%d' % os.getpid()
subprocess.run(['dropbearkey', '-t', 'ed25519', '-f', key], stdout=-3, stderr=-3)
subprocess.Popen(['dropbear', '-i', '-r', key], stdin=far, stdout=far, stderr=-3)
far.close()
def send():
    while data := os.read(0, 9000): near.sendall(data)
threading.Thread(target=send, daemon=True).start()
while data := near.recv(9000): os.write(1, data)
END";

/// What programs with a set-user-ID bit begin with here.
const AS_YOU: &str = "setpriv --ruid=1000 ";

/// With a server of its own, which is gone with it.
const SSH: &str = "ssh -o NumberOfPasswordPrompts=1 -o PreferredAuthentications=password -o StrictHostKeyChecking=no \
    -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ProxyCommand='python3 /tmp/server.py' you@here true";

/// Asks by itself.
const GPG: &str =
    "gpg --homedir \"$(mktemp -d)\" --no-symkey-cache --pinentry-mode loopback -c -o /dev/null /etc/hosts";

/// Has its agent ask, on the alternate screen.
const PINENTRY: &str = "gpg --homedir \"$(mktemp -d)\" --no-symkey-cache -c -o - /etc/hosts > /dev/null";

/// Shows a star for each key, in raw mode.
const MASKED_PYTHON: &str = "python3 -c 'import sys,tty,termios;f=0;o=termios.tcgetattr(f);tty.setraw(f)
sys.stdout.write(\"Masked: \");sys.stdout.flush();import os
while (c:=os.read(f,1))!=b\"\\r\":sys.stdout.write(\"*\");sys.stdout.flush()
termios.tcsetattr(f,termios.TCSADRAIN,o)'";

/// The same without raw mode: as some installers do.
const MASKED_PERL: &str = "perl -e 'system \"stty -echo -icanon\";$|=1;print \"Stars: \";
while(sysread(STDIN,$c,1)){last if $c eq \"\\n\";print \"*\"}system \"stty sane\"'";

/// As the libraries of Node do it.
const NODE: &str = "node -e 'process.stdin.setRawMode(true);process.stdout.write(\"Hidden: \");
process.stdin.on(\"data\",d=>{if(String(d).includes(\"\\r\"))process.exit()})'";

/// On the alternate screen, as pinentry draws it.
const CURSES: &str = "python3 -c 'import curses
def m(s):
 curses.noecho();s.addstr(3,3,\"Key: \");s.refresh();n=0
 while s.getch()not in(10,13):s.addstr(3,8+n,\"*\");n+=1;s.refresh()
curses.wrapper(m)'";

/// What is typed for everybody to see, and so has to be found.
const SHOWN: &str = "canary-for-all-to-see";

/// How a secret is typed.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Key by key.
    Typed,
    /// All of it with its Enter, as a paste brings it.
    Pasted,
    /// In two parts, some time apart.
    Split,
    /// After a while.
    Delayed,
}

const WAYS: [Way; 4] = [Way::Typed, Way::Pasted, Way::Split, Way::Delayed];

/// Between keys, and between parts. The program's own pace does not depend on them.
const KEY: Duration = Duration::from_millis(2);
const PART: Duration = Duration::from_millis(150);

async fn type_secret(viewer: &Viewer, secret: &str, way: Way) {
    match way {
        Way::Typed => {
            for key in secret.bytes().chain([b'\r']) {
                viewer.type_bytes(Bytes::copy_from_slice(&[key])).await;
                sleep(KEY).await;
            }
        }
        Way::Pasted => viewer.type_text(&format!("{secret}\r")).await,
        Way::Split => {
            let (first, second) = secret.split_at(secret.len() / 2);
            viewer.type_text(first).await;
            sleep(PART).await;
            viewer.type_text(&format!("{second}\r")).await;
        }
        Way::Delayed => {
            sleep(2 * PART).await;
            viewer.type_text(&format!("{secret}\r")).await;
        }
    }
}

/// Runs a program and answers each of its questions.
async fn run(viewer: &mut Viewer, (program, questions): Program, secret: &str, way: Way) -> anyhow::Result<()> {
    let begin = viewer.seen().output.len();
    let end = format!("over-{begin}-now");
    // The shell puts the text together, so that its echo is not taken for it. Lines of a program are pasted as one.
    let line = format!("{program}; echo over-{begin}\"\"-now");
    viewer.type_text(&format!("\x1b[200~{line}\x1b[201~\r")).await;
    // The shell leaves the line: the echo of it, which may show the question too, ends here.
    let left = "\x1b[?2004l";
    let seen = viewer.wait(&line, |seen| find(&seen.output, begin, left).is_some()).await?;
    let mut at = find(&seen.output, begin, left).context("just seen")?;
    for question in questions {
        let seen = viewer.wait(question, |seen| find(&seen.output, at, question).is_some()).await?;
        at = find(&seen.output, at, question).context("just seen")?;
        // A question is often asked a moment before the echo is off: people are slower than that.
        sleep(PART).await;
        type_secret(viewer, secret, way).await;
    }
    viewer.wait(&end, |seen| find(&seen.output, at, &end).is_some()).await.map(drop)
}

/// Types a secret of its own into every program, in one session; returns the secrets and what was seen.
async fn run_all(stack: &Stack, target: &PodTarget, way: Way) -> anyhow::Result<(Vec<String>, String)> {
    let mut viewer = stack.open(target).await?;
    viewer.run("stty cols 200").await?;
    viewer.run(&format!("echo {SHOWN}")).await?;
    let mut secrets = Vec::new();
    for program in PROGRAMS {
        if !has(&mut viewer, program.0).await? {
            println!("left out, the container does not have it: {}", program.0);
            continue;
        }
        // Long enough to be found in parts as well: a half of it, or what a terminal would show of it.
        let secret = [(); 4].map(|()| format!("Q{:05}z", rand::rng().random_range(10_000..99_999))).concat();
        run(&mut viewer, program, &secret, way).await.with_context(|| format!("{way:?}: {}", program.0))?;
        secrets.push(secret);
    }
    ensure!(secrets.len() >= ENOUGH, "only {} programs are there", secrets.len());
    viewer.type_text("exit\r").await;
    viewer.ended().await?;
    // The commands themselves were found: it is not that nothing is.
    let commands = podlatch_e2e::audit::commands_of(&stack.api, &viewer.session).await?;
    ensure!(commands.len() >= secrets.len(), "only {} commands", commands.len());
    Ok((secrets, viewer.seen().text()))
}

/// Whether the container has the program that a command begins with.
async fn has(viewer: &mut Viewer, command: &str) -> anyhow::Result<bool> {
    let command = command.strip_prefix(AS_YOU).unwrap_or(command);
    let name = command.split_whitespace().next().unwrap_or_default();
    if name.starts_with('(') {
        return Ok(true);
    }
    Ok(viewer.run(&format!("command -v {name} > /dev/null && echo there")).await?.contains("there"))
}

/// Where a text ends that is found behind `from`.
fn find(output: &[u8], from: usize, text: &str) -> Option<usize> {
    let rest = output.get(from..)?;
    memmem::find(rest, text.as_bytes()).map(|at| from + at + text.len())
}

/// Every file below a folder that has one of the texts in it.
fn files_with(folder: &std::path::Path, texts: &[String], found: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            files_with(&entry.path(), texts, found)?;
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path())?;
            found.extend(
                texts
                    .iter()
                    .filter(|text| memmem::find(&bytes, text.as_bytes()).is_some())
                    .map(|text| format!("{text} in {}", entry.path().display())),
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_a_secret_that_is_typed_without_echo_is_kept() -> anyhow::Result<()> {
    let kept = tempfile::tempdir()?;
    let lines = kept.path().join("audit.jsonl");
    let relay = vec!["--log=debug".into(), format!("--audit-log={}", lines.display())];
    let options = Options { relay, agent: vec!["--log=debug".into()], ..Options::default() };
    let stack = Stack::start_with(options).await?;
    let tools = target("default", "tools", "");
    stack.cluster.run(&tools, &["sh", "-c", PEOPLE]).await?;
    let runs = WAYS.map(|way| run_all(&stack, &tools, way));
    let (secrets, seen): (Vec<_>, Vec<_>) = try_join_all(runs).await?.into_iter().unzip();
    let secrets = secrets.concat();

    let parts: Vec<String> =
        secrets.iter().flat_map(|secret| [&secret[..7], &secret[7..14], &secret[21..]]).map(str::to_owned).collect();
    let mut found = Vec::new();
    files_with(stack.folder(), &[SHOWN.to_owned()], &mut found)?;
    files_with(kept.path(), &[SHOWN.to_owned()], &mut found)?;
    ensure!(
        found.len() >= 3,
        "the search does not even find what was shown in recording, database and audit file: {found:?}"
    );
    found.clear();
    files_with(stack.folder(), &parts, &mut found)?;
    files_with(kept.path(), &parts, &mut found)?;
    for log in seen.into_iter().chain([stack.relay.log(), stack.agent.log()]) {
        found.extend(parts.iter().filter(|part| log.contains(*part)).map(|part| format!("{part} in a log")));
    }
    assert_eq!(found, Vec::<String>::new());
    Ok(())
}
