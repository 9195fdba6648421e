//! Questions to a running relay that make no sense, or whose answer would be huge; and text that would like to be executed.

use anyhow::{Context, ensure};
use memchr::memmem;
use podlatch_e2e::api::{Api, problem};
use podlatch_e2e::audit::wait_for_commands;
use podlatch_e2e::cluster::target;
use podlatch_e2e::replay;
use podlatch_e2e::stack::Stack;
use podlatch_e2e::viewer::PATIENCE;
use reqwest::Method;

/// How often a recording shows what is looked for.
const HITS: usize = 1_000_000;

/// A command that is longer than any line.
const LONG_COMMAND_BYTES: usize = 10 * 1024 * 1024;

/// A line that a shell is made to read; bash takes five seconds for each mebibyte.
const LONG_LINE_BYTES: usize = 2 * 1024 * 1024;

/// What a spreadsheet would calculate, and what a terminal would obey.
const AGENT: &str = "=HYPERLINK(\"https://evil.example\")";

async fn expect(api: &Api, path: &str, (status, says): (u16, &str)) -> anyhow::Result<()> {
    let error = api.call(Method::GET, path, None).await.err().with_context(|| format!("{path} was answered"))?;
    let refusal = problem(&error);
    ensure!(refusal.status == status && refusal.detail.contains(says), "{path}: {refusal}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_refuse_times_that_run_backwards_and_cursors_of_other_lists() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let (api, bb) = (&stack.api, target("default", "bb", ""));
    for _ in 0..2 {
        let mut viewer = stack.open(&bb).await?;
        viewer.run("echo here").await?;
    }
    let backwards = "from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z";
    for list in ["/sessions", "/audit-events"] {
        expect(api, &format!("{list}?{backwards}"), (422, "runs backwards")).await?;
        expect(api, &format!("{list}?from=yesterday"), (422, "must be a time like")).await?;
    }
    let sessions = api.call(Method::GET, "/sessions?limit=1", None).await?;
    let events = api.call(Method::GET, "/audit-events?limit=1", None).await?;
    let cursor = |page: &serde_json::Value| page["next_cursor"].as_str().map(str::to_owned).context("there is more");
    expect(api, &format!("/audit-events?limit=1&cursor={}", cursor(&sessions)?), (422, "cursor")).await?;
    expect(api, &format!("/sessions?limit=1&cursor={}", cursor(&events)?), (422, "cursor")).await?;
    expect(api, "/sessions?cursor=%1b%5b2J", (422, "cursor")).await?;
    let all = api.call(Method::GET, "/sessions", None).await?;
    ensure!(all["items"].as_array().is_some_and(|items| items.len() == 2), "{all}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_with_a_million_hits_gives_as_many_as_it_was_asked_for() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut viewer = stack.open(&target("default", "bb", "")).await?;
    viewer.type_text(&format!("yes needle | head -n {HITS}; echo all-\"\"there\r")).await;
    let end = b"all-there\r\n";
    for _ in 0..4 {
        // Slow machines draw slowly, too.
        let over = |seen: &podlatch_e2e::viewer::Seen| {
            let tail = seen.output.len().saturating_sub(4096);
            memmem::find(&seen.output[tail..], end).is_some()
        };
        if viewer.wait("all of it", over).await.is_ok() {
            break;
        }
    }
    viewer.type_text("exit\r").await;
    viewer.ended().await?;
    let output = replay::output(&stack, &viewer.session).await?;
    ensure!(memmem::find_iter(&output, b"needle\r\n").count() == HITS, "the recording lacks some of them");

    let session = &viewer.session;
    let opened = stack.api.call(Method::POST, &format!("/sessions/{session}/replays"), None).await?;
    let token = opened["token"].as_str().context("no token")?;
    let client = reqwest::Client::new();
    let search = |query: &str| {
        let address = format!("{}/api/v1/sessions/{session}/recording/search?{query}", stack.api.base());
        client.get(address).header("cookie", stack.api.cookie()).header("podlatch-replay", token).send()
    };
    for (limit, most) in [("", 200), ("&limit=1000000", 1_000)] {
        let found: serde_json::Value = search(&format!("q=needle{limit}")).await?.error_for_status()?.json().await?;
        let hits = found["hits"].as_array().context("no hits")?;
        ensure!(!hits.is_empty() && hits.len() <= most, "{} hits", hits.len());
        ensure!(found["truncated"] == true, "there are more");
    }
    let nothing = search("q=").await?;
    ensure!(nothing.status() == 422, "{}", nothing.status());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_two_mebibytes_is_entered_whole_and_audited_in_part() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut viewer = stack.open(&target("default", "tools", "")).await?;
    viewer.run("stty cols 1000").await?;
    let line = format!("echo {} | wc -c", "x".repeat(LONG_LINE_BYTES));
    viewer.type_text(&format!("\x1b[200~{line}\x1b[201~\r")).await;
    let answer = format!("{}\r\n", LONG_LINE_BYTES + 1);
    let begin = std::time::Instant::now();
    let over = |seen: &podlatch_e2e::viewer::Seen| {
        let tail = seen.output.len().saturating_sub(4096);
        seen.output[tail..].windows(answer.len()).any(|window| window == answer.as_bytes())
    };
    while viewer.wait("the length of the line", over).await.is_err() {
        ensure!(begin.elapsed() < 6 * PATIENCE, "the line does not end");
    }
    // Nothing of it is in the way of what follows.
    viewer.run("echo next").await?;
    viewer.type_text("exit\r").await;
    viewer.ended().await?;
    let commands = podlatch_e2e::audit::commands_of(&stack.api, &viewer.session).await?;
    let long = commands.iter().find(|event| event["details"]["cut"] == true).context("no command was cut")?;
    let text = long["command"].as_str().context("no command")?;
    ensure!(line.starts_with(text), "it is not the beginning of the line: {} bytes", text.len());
    ensure!((1_000..=64 * 1024).contains(&text.len()), "{} bytes are kept", text.len());
    ensure!(commands.iter().filter(|event| event["details"]["cut"].is_null()).count() == commands.len() - 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_ten_mebibytes_and_one_that_would_like_to_be_executed_harm_nobody() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let (api, tools) = (&stack.api, target("default", "tools", ""));
    let long = "x".repeat(LONG_COMMAND_BYTES);
    let refused = api.open(&stack.cluster_id, &tools, Some(&["echo", &long])).await.expect_err("it is too long");
    let refused = problem(&refused);
    ensure!((400..500).contains(&refused.status) && refused.detail.ends_with('.'), "{refused}");

    let mut viewer = stack.open(&tools).await?;
    // Ctrl-V makes the shell take the next key as it is: here Escape, then the rest of what clears a screen.
    viewer.type_text("printf %s '\u{16}\u{1b}[2J\u{16}\u{1b}]0;evil\u{16}\u{7}' | cksum\r").await;
    viewer.type_text("=cmd\r").await;
    viewer.type_text("echo aft\"\"er\r").await;
    viewer.wait_for("after").await?;
    let commands = wait_for_commands(api, &viewer.session, 3, PATIENCE).await?;
    let texts: Vec<_> = commands.iter().filter_map(|event| event["command"].as_str()).collect();
    ensure!(texts.len() == 3 && texts[0].contains("evil") && texts[1] == "=cmd", "{texts:?}");

    let client = reqwest::Client::builder().user_agent(AGENT).build()?;
    for format in ["csv", "jsonl"] {
        let address = format!("{}/api/v1/audit-events/export?format={format}", api.base());
        let copy = client.get(&address).header("cookie", api.cookie()).send().await?.error_for_status()?;
        let copy = copy.text().await?;
        ensure!(copy.contains("evil"), "the command is not in the export");
        let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r');
        ensure!(!copy.contains(control), "a control character stands in the {format} export");
    }
    let address = format!("{}/api/v1/audit-events/export?format=csv", api.base());
    let copy = client.get(&address).header("cookie", api.cookie()).send().await?.error_for_status()?.text().await?;
    ensure!(copy.contains("'=cmd") && copy.contains("'=HYPERLINK"), "a formula stands in the export: {copy}");
    Ok(())
}
