//! Commands in the audit log: exact where the shell tells, from the screen where it cannot, and never a secret.

use std::time::Duration;

use anyhow::{Context, ensure};
use podlatch_e2e::audit::commands_of;
use podlatch_e2e::cluster::target;
use podlatch_e2e::stack::{Options, Stack};
use podlatch_e2e::viewer::Viewer;
use serde_json::Value;

/// What the shells of these tests prompt with.
const PROMPT: &str = "ready> ";

/// A command as it is to be audited: text, exit code, working folder.
type Told = (String, Option<i64>, Option<String>);

fn told(event: &Value) -> Told {
    let details = &event["details"];
    let text = event["command"].as_str().unwrap_or_default().to_owned();
    (text, details["exit_code"].as_i64(), details["cwd"].as_str().map(str::to_owned))
}

fn expected(text: &str, exit_code: i64, cwd: &str) -> Told {
    (text.to_owned(), Some(exit_code), Some(cwd.to_owned()))
}

/// Types each line when the prompt for it is there, and waits for the prompt behind the last.
async fn type_lines(viewer: &mut Viewer, lines: &[&str]) -> anyhow::Result<()> {
    let prompts = |output: &[u8]| output.windows(PROMPT.len()).filter(|window| *window == PROMPT.as_bytes()).count();
    viewer.wait("the first prompt", |seen| prompts(&seen.output) > 0).await?;
    for line in lines {
        let before = prompts(&viewer.seen().output);
        viewer.type_text(line).await;
        viewer.wait(line, |seen| prompts(&seen.output) > before).await?;
    }
    Ok(())
}

/// Everything below a folder, as one run of bytes.
fn all_bytes(folder: &std::path::Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            bytes.extend(all_bytes(&entry.path())?);
        } else if entry.file_type()?.is_file() {
            bytes.extend(std::fs::read(entry.path())?);
        }
    }
    Ok(bytes)
}

fn contains(bytes: &[u8], wanted: &str) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}

/// No mark is in what the viewer saw or in what was recorded.
fn assert_unseen(stack: &Stack, viewer: &Viewer) -> anyhow::Result<()> {
    assert!(!contains(&viewer.seen().output, "\x1b]7717;"), "a viewer saw a mark: {:?}", viewer.seen().text());
    for folder in [stack.hot_logs(), stack.recordings()] {
        assert!(!contains(&all_bytes(&folder)?, "]7717;"), "a mark was recorded");
    }
    Ok(())
}

const BASHRC: &str = r#"cat > /root/.bashrc <<'END'
HISTCONTROL=ignoreboth
PS1='ready> '
PROMPT_COMMAND='echo "hook $?"'
trap 'debugged=$BASH_COMMAND' DEBUG
alias greet='echo greetings'
END"#;

/// Whether the nonce is in any process' environment or command line; it does not stand in this line.
const LOOK_FOR_NONCE: &str = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n' | \
                              grep -c -F -f <(printf '%s\\n' \"$__podlatch_n\")\r";

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_bash_is_told_exactly() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let tools = target("default", "tools", "");
    stack.cluster.run(&tools, &["sh", "-c", BASHRC]).await?;
    let mut viewer = stack.open(&tools).await?;
    let lines = [
        "echo one\r",
        "echo one\r",
        " echo spaced\r",
        "greet\r",
        "false\r",
        "\r",
        "not run\x03",
        "cd /tmp\r",
        "echo 'a;b' \"c  d\" \\\\ | tr a-z A-Z\r",
        "echo \u{fc}n\u{ef} \u{20ac} \u{1f600}\r",
        "for i in 1 2\rdo echo $i\rdone\r",
        "!!\r",
        "cat <<X\rtext; of \\ it\rX\r",
        "echo ab\x7f\x7fxy\r",
        "\x1b[A\x1b[D\x1b[DAB\r",
        "\x12greet\x05 again\r",
        "if then\r",
        "# only a comment\r",
        "(exit 3)\r",
        "sleep 0.1 && true\r",
        LOOK_FOR_NONCE,
        "set -x\r",
        "echo traced\r",
        "set +x\r",
    ];
    type_lines(&mut viewer, &lines).await?;
    viewer.type_text("exit 7\r").await;
    viewer.ended().await?;

    let events = commands_of(&stack.api, &viewer.session).await?;
    let (root, tmp) = ("/", "/tmp");
    let found: Vec<Told> = events.iter().map(told).collect();
    let wanted = [
        expected("echo one", 0, root),
        expected("echo one", 0, root),
        expected(" echo spaced", 0, root),
        expected("greet", 0, root),
        expected("false", 1, root),
        expected("cd /tmp", 0, root),
        expected("echo 'a;b' \"c  d\" \\\\ | tr a-z A-Z", 0, tmp),
        expected("echo \u{fc}n\u{ef} \u{20ac} \u{1f600}", 0, tmp),
        expected("for i in 1 2; do echo $i; done", 0, tmp),
        expected("for i in 1 2; do echo $i; done", 0, tmp),
        expected("cat <<X\ntext; of \\ it\nX", 0, tmp),
        expected("echo xy", 0, tmp),
        expected("echo ABxy", 0, tmp),
        expected("greet again", 0, tmp),
        expected("(exit 3)", 3, tmp),
        expected("sleep 0.1 && true", 0, tmp),
        expected(LOOK_FOR_NONCE.trim_end(), 1, tmp),
        expected("set -x", 0, tmp),
        expected("echo traced", 0, tmp),
        expected("set +x", 0, tmp),
        ("exit 7".to_owned(), None, Some(tmp.to_owned())),
    ];
    assert_eq!(found, wanted, "{}", viewer.seen().text());
    for event in &events {
        assert_eq!((&event["details"]["source"], &event["outcome"]), (&"marks".into(), &"success".into()), "{event}");
        assert_eq!((&event["pod"], &event["container"]), (&"tools".into(), &"main".into()), "{event}");
    }
    // The person's own configuration ran, before and after each command.
    let text = viewer.seen().text();
    assert!(text.contains("hook 1") && text.contains("hook 130") && text.contains("greetings"), "{text}");
    assert!(text.contains("+ echo traced") && !text.contains("__podlatch_c"), "{text}");
    assert_unseen(&stack, &viewer)
}

const ZSHRC: &str = r#"cat > /root/.zshrc <<'END'
setopt hist_ignore_space hist_ignore_dups interactive_comments
HISTSIZE=100 SAVEHIST=100 HISTFILE=/root/.zsh_history
PS1='ready> ' RPROMPT='right'
precmd() { echo "hook $?" }
alias greet='echo greetings'
END
echo 'own=env' > /root/.zshenv"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_zsh_is_told_exactly() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let tools = target("default", "tools", "");
    stack.cluster.run(&tools, &["sh", "-c", ZSHRC]).await?;
    let mut viewer = stack.open_command(&tools, Some(&["zsh"])).await?;
    let lines = [
        "echo one\r",
        "echo one\r",
        " echo spaced\r",
        "greet\r",
        "false\r",
        "\r",
        "not run\x03",
        "cd /tmp\r",
        "echo 'a;b' \"c  d\" | tr a-z A-Z\r",
        "echo \u{fc}n\u{ef} \u{20ac}\r",
        "for i in 1 2\rdo echo $i\rdone\r",
        "(exit 3)\r",
        "echo $own ${ZDOTDIR-unset} ${PODLATCH_ZDOTDIR-unset}\r",
        "ls -a /dev/shm\r",
    ];
    type_lines(&mut viewer, &lines).await?;
    viewer.type_text("exit 7\r").await;
    viewer.ended().await?;
    let (root, tmp) = ("/", "/tmp");
    let wanted = [
        expected("echo one", 0, root),
        expected("echo one", 0, root),
        expected(" echo spaced", 0, root),
        expected("greet", 0, root),
        expected("false", 1, root),
        expected("cd /tmp", 0, root),
        expected("echo 'a;b' \"c  d\" | tr a-z A-Z", 0, tmp),
        expected("echo \u{fc}n\u{ef} \u{20ac}", 0, tmp),
        expected("for i in 1 2\ndo echo $i\ndone", 0, tmp),
        expected("(exit 3)", 3, tmp),
        expected("echo $own ${ZDOTDIR-unset} ${PODLATCH_ZDOTDIR-unset}", 0, tmp),
        expected("ls -a /dev/shm", 0, tmp),
        ("exit 7".to_owned(), None, Some(tmp.to_owned())),
    ];
    let events = commands_of(&stack.api, &viewer.session).await?;
    assert_eq!(events.iter().map(told).collect::<Vec<_>>(), wanted, "{}", viewer.seen().text());
    let text = viewer.seen().text();
    assert!(text.contains("env unset unset"), "the person's own configuration is where it was: {text}");
    assert!(text.contains("hook 130") && text.contains("greetings") && !text.contains(".podlatch-"), "{text}");
    assert_unseen(&stack, &viewer)
}

const FISH_CONFIG: &str = r"mkdir -p /root/.config/fish; cat > /root/.config/fish/config.fish <<'END'
set -g fish_greeting
function fish_prompt; echo -n 'ready> '; end
function greet; echo greetings $argv; end
END";

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_fish_is_told_exactly() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let tools = target("default", "tools", "");
    stack.cluster.run(&tools, &["sh", "-c", FISH_CONFIG]).await?;
    let mut viewer = stack.open_command(&tools, Some(&["fish"])).await?;
    // fish draws its prompt more than once for a line, so what the commands print is waited for.
    viewer.wait_for(PROMPT).await?;
    let lines = [
        ("echo o(echo n)e", "one"),
        ("echo o(echo n)e; echo tw(echo o)", "two"),
        (" echo spa(echo c)ed", "spaced"),
        ("greet th(echo e)re", "greetings there"),
        ("false; or cd /tmp; and echo mo(echo v)ed", "moved"),
        ("echo 'a;b' \"c  d\" | tr a-z A-Z", "A;B C  D"),
        ("echo \u{fc}n\u{ef} \u{20ac}(echo u)ro", "\u{20ac}uro"),
        ("for i in 1 2\recho $i-num(echo b)er\rend", "2-number"),
        ("echo st(echo a)tus; false", "status"),
        ("echo la(echo s)t", "last"),
    ];
    for (line, answer) in lines {
        viewer.type_text(&format!("{line}\r")).await;
        viewer.wait_for(answer).await?;
    }
    viewer.type_text("exit 7\r").await;
    viewer.ended().await?;
    let (root, tmp) = ("/", "/tmp");
    let wanted = [
        expected("echo o(echo n)e", 0, root),
        expected("echo o(echo n)e; echo tw(echo o)", 0, root),
        expected(" echo spa(echo c)ed", 0, root),
        expected("greet th(echo e)re", 0, root),
        expected("false; or cd /tmp; and echo mo(echo v)ed", 0, root),
        expected("echo 'a;b' \"c  d\" | tr a-z A-Z", 0, tmp),
        expected("echo \u{fc}n\u{ef} \u{20ac}(echo u)ro", 0, tmp),
        expected("for i in 1 2\necho $i-num(echo b)er\nend", 0, tmp),
        expected("echo st(echo a)tus; false", 1, tmp),
        expected("echo la(echo s)t", 0, tmp),
        ("exit 7".to_owned(), None, Some(tmp.to_owned())),
    ];
    let events = commands_of(&stack.api, &viewer.session).await?;
    assert_eq!(events.iter().map(told).collect::<Vec<_>>(), wanted, "{}", viewer.seen().text());
    assert_unseen(&stack, &viewer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_mark_is_output_and_nothing_else() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let tools = target("default", "tools", "");
    let mut viewer = stack.open(&tools).await?;
    let zeros = "0".repeat(32);
    viewer.run(&format!("printf '\\033]7717;{zeros};C;f;forged-command\\007' > /tmp/forged; cat /tmp/forged")).await?;
    // A nested shell knows no nonce.
    viewer.run("bash --norc -c 'printf \"\\033]7717;$__podlatch_n;C;f;nested-command\\007\"'").await?;
    viewer.type_text("exit\r").await;
    viewer.ended().await?;
    let events = commands_of(&stack.api, &viewer.session).await?;
    assert_eq!(events.len(), 3, "{events:?}");
    for event in &events {
        let text = event["command"].as_str().context("no command")?;
        ensure!(text != "forged-command" && text != "nested-command", "a forged mark was believed: {event}");
    }
    assert!(contains(&viewer.seen().output, &format!("\x1b]7717;{zeros};C;f;forged-command\x07")), "it is only output");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_cannot_tell_is_read_off_the_screen() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut viewer = stack.open(&target("default", "bb", "")).await?;
    for line in ["echo first", "echo second | tr a-z A-Z", "cd /tmp"] {
        viewer.run(line).await?;
    }
    viewer.type_text("exit\r").await;
    viewer.ended().await?;
    let events = commands_of(&stack.api, &viewer.session).await?;
    let texts: Vec<&str> = events.iter().filter_map(|event| event["command"].as_str()).collect();
    for line in ["echo first; echo end-", "echo second | tr a-z A-Z; echo end-", "cd /tmp; echo end-", "exit"] {
        assert!(texts.iter().any(|text| text.starts_with(line)), "{line}: {texts:?}");
    }
    assert!(events.iter().all(|event| event["details"]["source"] == "screen"), "{events:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_can_be_switched_off() -> anyhow::Result<()> {
    let options = Options { relay: vec!["--no-shell-marks".into()], ..Options::default() };
    let stack = Stack::start_with(options).await?;
    let mut viewer = stack.open(&target("default", "tools", "")).await?;
    let nonce = viewer.run("echo nonce=${__podlatch_n-none}").await?;
    assert!(nonce.contains("nonce=none"), "{nonce}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_marks_with_nothing_to_write_to_and_no_home() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let tools = target("default", "tools", "");
    // As in a container with a read-only root whose user is any number: nowhere to write, nobody's home.
    let mut viewer = stack.open_command(&tools, Some(&["bash"])).await?;
    viewer.run("unset HOME TMPDIR; cd /; ls >/dev/null").await?;
    viewer.type_text("exit\r").await;
    viewer.ended().await?;
    let events = commands_of(&stack.api, &viewer.session).await?;
    assert!(events.iter().all(|event| event["details"]["source"] == "marks"), "{events:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_command_is_told_of_while_it_runs() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut viewer = stack.open(&target("default", "tools", "")).await?;
    let line = "echo now-\"\"running; cat; (exit 5)";
    viewer.type_text(&format!("{line}\r")).await;
    viewer.wait_for("now-running").await?;
    let events =
        podlatch_e2e::audit::wait_for_commands(&stack.api, &viewer.session, 1, Duration::from_secs(90)).await?;
    assert_eq!(events[0]["command"], line);
    assert_eq!((&events[0]["details"]["running"], &events[0]["details"]["exit_code"]), (&true.into(), &Value::Null));
    viewer.type_text("\x04").await;
    viewer.type_text("exit\r").await;
    viewer.ended().await?;
    let ends = podlatch_e2e::audit::events(&stack.api, &[("session", &viewer.session), ("action", "command_finished")])
        .await?;
    assert_eq!(ends.len(), 1, "{ends:?}");
    assert_eq!((&ends[0]["command"], &ends[0]["details"]["exit_code"]), (&Value::from(line), &5.into()));
    Ok(())
}
