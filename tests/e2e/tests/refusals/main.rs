//! Bad input: each gets its own clear sentence, and an honest session beside it goes on.

mod guessing;
mod questions;
mod rogue;
mod upgrade;
mod verbs;

use std::time::Duration;

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use podlatch_e2e::api::{Api, OpenedSession, problem};
use podlatch_e2e::cluster::target;
use podlatch_e2e::process::Process;
use podlatch_e2e::stack::Stack;
use podlatch_e2e::viewer::{PATIENCE, Socket, Viewer, attach, connect, frame};
use podlatch_e2e::witness::Witness;
use podlatch_protocol::frame::FrameKind;
use podlatch_protocol::id::SessionId;
use podlatch_protocol::limits::MAX_CHUNK_BYTES;
use podlatch_protocol::target::PodTarget;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::{Error, Message};

use rogue::{Rogue, any_frame, opened};

/// Within this a program that cannot work has said so and ended.
const GIVES_UP: Duration = Duration::from_secs(90);

/// The largest offset that a client may name: what a browser's numbers hold exactly.
const LARGEST_OFFSET: u64 = (1 << 53) - 1;

/// How long a ticket is good, and a little more.
const TICKET_OVER: Duration = Duration::from_secs(31);

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_opened_is_refused_with_its_own_sentence() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let web = stack.cluster.pod_with_label("shop", "app=web").await?;
    for (pod, command, status, slug, says) in [
        (target("default", "no-such-pod", ""), None, 404, "pod_not_found", "no such pod"),
        (target("no-such-namespace", "bb", ""), None, 404, "pod_not_found", "no such pod"),
        (target("shop", &web, ""), None, 409, "container_required", "app, sidecar"),
        (target("shop", &web, "third"), None, 404, "container_not_found", "app, sidecar"),
        (target("default", "distroless", ""), None, 422, "no_shell", "no shell"),
        (target("default", "distroless", ""), Some(&["nope"][..]), 422, "command_not_found", "nope"),
        (target("default", "bb", ""), Some(&["nope"][..]), 422, "command_not_found", "nope"),
        (target("shop", "pending", ""), None, 409, "pod_pending", "has not started"),
        (target("shop", "done", ""), None, 409, "pod_ended", "has ended"),
    ] {
        expect_refusal(&stack, &stack.cluster_id, &pod, command, (status, slug, says)).await?;
    }
    let sidecar = stack.open(&target("shop", &web, "sidecar")).await?.run("echo $((6 * 7))").await?;
    assert_eq!(sidecar, "42", "a named container opens");

    if stack.cluster.process.is_none() {
        println!("left out: only a devcluster has users with other rights");
        return Ok(());
    }
    let (cluster, token) = stack.create_cluster("few-rights").await?;
    let kubeconfig = stack.cluster.kubeconfig_of("exec-create-only");
    let _agent =
        agent(&stack, "few-rights", &kubeconfig, stack.pin(), &["--join-token", &token, "--namespaces", "default"])?;
    stack.wait_until_cluster_online(&cluster).await?;
    let forbidden = (403, "forbidden", "pods/exec");
    expect_refusal(&stack, &cluster, &target("default", "bb", ""), None, forbidden).await?;
    let outside = (403, "not_allowed_by_agent", "shop");
    expect_refusal(&stack, &cluster, &target("shop", &web, "app"), None, outside).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_kept_waiting_before_an_agent_that_has_stopped_answering() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let bb = target("default", "bb", "");
    signal_agent(&stack, "-STOP").await?;
    // The relay calls it silent after ten seconds; waiting for an answer takes 35.
    let refused = expect_refusal(&stack, &stack.cluster_id, &bb, None, (504, "agent_timeout", "did not answer"));
    timeout(Duration::from_secs(25), refused).await.context("still waiting for an agent that is gone")??;
    signal_agent(&stack, "-CONT").await?;
    stack.wait_until_cluster_online(&stack.cluster_id).await?;
    assert_eq!(stack.open(&bb).await?.run("echo $((6 * 7))").await?, "42");
    Ok(())
}

async fn signal_agent(stack: &Stack, signal: &str) -> anyhow::Result<()> {
    let id = stack.agent.id().context("the agent has ended")?.to_string();
    let sent = tokio::process::Command::new("kill").args([signal, &id]).status().await?;
    anyhow::ensure!(sent.success(), "the agent cannot be signalled");
    Ok(())
}

async fn expect_refusal(
    stack: &Stack,
    cluster: &str,
    pod: &PodTarget,
    command: Option<&[&str]>,
    (status, slug, says): (u16, &str, &str),
) -> anyhow::Result<()> {
    let error = stack.api.open(cluster, pod, command).await.err().with_context(|| format!("{pod} opened"))?;
    let refusal = problem(&error);
    assert_eq!((refusal.status, refusal.slug.as_str()), (status, slug), "{pod}: {refusal}");
    assert!(refusal.detail.contains(says), "{pod}: {refusal}");
    Ok(())
}

fn agent(stack: &Stack, name: &str, kubeconfig: &std::path::Path, pin: &str, more: &[&str]) -> anyhow::Result<Process> {
    let identity = format!("file:{}", stack.folder().join(name).display());
    let kubeconfig = kubeconfig.to_str().context("not UTF-8")?;
    let mut arguments = vec!["run", "--relay", &stack.tunnel, "--ca-pin", pin];
    arguments.extend(["--identity", &identity, "--kubeconfig", kubeconfig]);
    arguments.extend(more);
    Process::start("podlatch-agent", &arguments, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_may_not_join_say_why_and_end() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let honest = Witness::begin(&stack, &target("default", "bb", ""), "honest").await?;
    let used = stack.join_token().await?;
    let _user = Rogue::connect(&stack, &used, vec![]).await?;
    let good = stack.join_token().await?;
    let unknown = format!("plj_{}", "A".repeat(43));
    let other_pin = format!("sha256:{}", "0".repeat(64));
    for (name, pin, token, says) in [
        ("used", stack.pin(), used.as_str(), "used"),
        ("unknown", stack.pin(), unknown.as_str(), "token"),
        ("malformed", stack.pin(), "nonsense", "token"),
        ("other-ca", other_pin.as_str(), good.as_str(), "not the relay of the pinned CA"),
    ] {
        let mut agent = agent(&stack, name, stack.cluster.agent_kubeconfig(), pin, &["--join-token", token])?;
        let status = agent.ended(GIVES_UP).await?;
        assert!(!status.success(), "{name}: {status}");
        agent.logged(says, GIVES_UP).await?;
        println!("{name}: {}", agent.log().lines().last().unwrap_or_default());
        assert!(!agent.log().contains(token), "{name}: a token stands in the log");
    }
    honest.check(&stack.cluster, &stack.hot_logs()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_that_may_not_attach_or_make_no_sense_are_told_and_nobody_else_is_harmed() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let (api, bb) = (&stack.api, target("default", "bb", ""));
    let mut honest = Witness::begin(&stack, &bb, "honest").await?;
    let mine = api.open(&stack.cluster_id, &bb, None).await?;
    let (session, early) = (mine.id.as_str(), api.ticket(&mine.id).await?);
    let expiring = tokio::spawn(sleep(TICKET_OVER));

    let foreign_page = api.from_origin("https://evil.example");
    let refused = foreign_page.ticket(session).await.expect_err("a foreign page asks");
    assert_eq!((problem(&refused).status, problem(&refused).slug.as_str()), (403, "foreign_origin"));
    let refused = api.without_cookie().ticket(session).await.expect_err("nobody is signed in");
    assert_eq!((problem(&refused).status, problem(&refused).slug.as_str()), (401, "unauthenticated"));
    expect_no_upgrade(api, session, "https://evil.example", StatusCode::FORBIDDEN, "foreign_origin").await?;
    expect_no_upgrade(api, session, "null", StatusCode::FORBIDDEN, "foreign_origin").await?;
    expect_no_upgrade(&api.without_cookie(), session, api.base(), StatusCode::UNAUTHORIZED, "unauthenticated").await?;

    // Tickets: unknown, of another session, used.
    let unknown = format!("plk_{}", "A".repeat(43));
    let foreign = api.ticket(&honest.viewer.session).await?;
    for ticket in ["nonsense", &unknown, &foreign, &mine.ticket] {
        let first = attach(ticket, 1, None);
        if ticket == mine.ticket {
            let mut socket = send(api, session, std::slice::from_ref(&first)).await?;
            let answer = timeout(PATIENCE, socket.next()).await?.context("an answer")??;
            assert!(answer.to_text()?.contains("attached"), "{answer:?}");
        }
        expect_close(send(api, session, &[first]).await?, 4101, "ticket").await?;
    }

    // First messages that make no sense, and none at all.
    for first in [Message::text("{"), Message::text("x".repeat(100_000)), Message::binary(vec![1; 20])] {
        expect_close(send(api, session, &[first]).await?, 4001, "first message").await?;
    }
    expect_close(connect(api, session, api.base()).await?, 4001, "five seconds").await?;

    // Later ones.
    for nonsense in [
        Message::text("{"),
        Message::text(json!({"type": "resize", "columns": -1, "rows": 1}).to_string()),
        Message::binary(vec![0x01; 3]),
        frame(0x63, 0, b"unknown"),
        frame(0x01, 0, &vec![b'x'; MAX_CHUNK_BYTES + 1]),
        frame(0x01, 0, &vec![b'x'; 1024 * 1024]),
        frame(0x02, LARGEST_OFFSET + 1, &[]),
    ] {
        let first = attach(&api.ticket(session).await?, 1, None);
        expect_close(send(api, session, &[first, nonsense]).await?, 4004, "makes no sense").await?;
        honest.type_lines(3).await?;
    }

    // Offsets beyond everything that there is: ignored, not believed.
    let first = attach(&api.ticket(session).await?, 2, Some(u64::MAX));
    let mut socket = send(api, session, &[first, frame(0x02, LARGEST_OFFSET, &[]), frame(0x01, 1 << 50, b"x")]).await?;
    for answer in ["attached", "resend"] {
        next_text(&mut socket, answer).await?;
    }

    expiring.await?;
    expect_close(send(api, session, &[attach(&early, 1, None)]).await?, 4101, "expired").await?;

    // Whatever happened to its viewers, the session itself is well.
    let ticket = api.ticket(session).await?;
    let mut viewer = Viewer::attach(api.clone(), OpenedSession { id: mine.id.clone(), ticket }).await?;
    assert_eq!(viewer.run("echo well").await?, "well");
    honest.check(&stack.cluster, &stack.hot_logs()).await
}

/// Opens a terminal WebSocket and sends messages, as far as the relay takes them.
async fn send(api: &Api, session: &str, messages: &[Message]) -> anyhow::Result<Socket> {
    let mut socket = connect(api, session, api.base()).await?;
    for message in messages {
        // The relay may close in the middle of it.
        let _closed = socket.send(message.clone()).await;
    }
    Ok(socket)
}

/// Waits for a text message of this type.
async fn next_text(socket: &mut Socket, kind: &str) -> anyhow::Result<()> {
    let found = async {
        while let Some(message) = socket.next().await {
            match message? {
                Message::Text(text) if serde_json::from_str::<Value>(&text)?["type"] == kind => return Ok(()),
                Message::Close(close) => anyhow::bail!("closed: {close:?}"),
                _ => {}
            }
        }
        anyhow::bail!("the connection was lost")
    };
    timeout(PATIENCE, found).await?.with_context(|| format!("in place of {kind:?}"))
}

async fn expect_close(mut socket: Socket, code: u16, says: &str) -> anyhow::Result<()> {
    let closed = async {
        while let Some(message) = socket.next().await {
            if let Message::Close(close) = message? {
                return close.context("a close without a code");
            }
        }
        anyhow::bail!("no close")
    };
    let close = timeout(PATIENCE, closed).await?.with_context(|| format!("in place of {code} {says:?}"))?;
    assert_eq!(u16::from(close.code), code, "{close:?}");
    assert!(close.reason.contains(says), "{close:?}");
    Ok(())
}

async fn expect_no_upgrade(
    api: &Api,
    session: &str,
    origin: &str,
    status: StatusCode,
    slug: &str,
) -> anyhow::Result<()> {
    let error = connect(api, session, origin).await.err().context("the socket opened")?;
    let Some(Error::Http(response)) = error.downcast_ref::<Error>() else { return Err(error) };
    let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned();
    assert_eq!(response.status(), status, "{body}");
    assert!(body.contains(slug), "{body}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rogue_agent_that_claims_what_others_hold_gets_none_of_it() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut honest = Witness::begin(&stack, &target("default", "bb", ""), "honest").await?;
    let over = stack.open(&target("default", "bb", "")).await?.session.clone();
    stack.api.end(&over).await?;
    stack.api.wait_until_ended(&over, PATIENCE).await?;
    let claimed: Vec<SessionId> = vec![honest.viewer.session.parse()?, over.parse()?];
    let agents = async |cluster: &str| {
        let listed = stack.api.call(Method::GET, &format!("/clusters/{cluster}/agents"), None).await?;
        Ok::<_, anyhow::Error>(listed["items"].as_array().context("no list")?.clone())
    };
    let of_honest = agents(&stack.cluster_id).await?;

    // One of another organisation, one of another cluster, and a replica of the very agent.
    stack.admin(&["create-organisation", "--name", "Other", "--owner-email", "eve@example.net"]).await?;
    let join = stack.admin(&["create-cluster", "--organisation", "Other", "--name", "elsewhere"]).await?;
    let foreign = Rogue::connect(&stack, &join_token_in(&join)?, claimed.clone()).await?;
    let (cluster, token) = stack.create_cluster("rogue").await?;
    let neighbour = Rogue::connect(&stack, &token, claimed.clone()).await?;
    stack.wait_until_cluster_online(&cluster).await?;
    let replica = Rogue::connect(&stack, &stack.join_token().await?, claimed).await?;
    let output = [&0_u64.to_be_bytes()[..], b"forged"].concat();
    let forged = [opened(), any_frame(FrameKind::OUTPUT, &output)].concat();
    for rogue in [&foreign, &neighbour, &replica] {
        honest.type_lines(3).await?;
        rogue.force_streams(&forged).await;
        honest.counts_on(20).await?;
        let asked = rogue.asked();
        assert!(asked.is_empty(), "asked about what another one holds: {asked:?}");
    }

    // What is known of the agents is what their certificates say.
    let own = agents(&cluster).await?;
    assert_eq!((own.len(), &own[0]["version"]), (1, &json!("rogue")), "{own:?}");
    let beside = agents(&stack.cluster_id).await?;
    assert_eq!(beside.len(), of_honest.len() + 1, "{beside:?}");
    let same = beside.iter().find(|agent| agent["id"] == of_honest[0]["id"]).context("the honest one is gone")?;
    assert_eq!(same["version"], of_honest[0]["version"], "{same}");
    for session in [&honest.viewer.session, &over] {
        for event in podlatch_e2e::audit::gapless(&stack.api, session).await? {
            let text = event.to_string();
            let rogues = own.iter().chain(beside.iter().filter(|agent| agent["id"] != of_honest[0]["id"]));
            for rogue in rogues {
                assert!(!text.contains(rogue["id"].as_str().context("no id")?), "{text}");
            }
        }
    }
    let facts = stack.api.session(&honest.viewer.session).await?;
    assert_eq!((&facts["state"], &facts["cluster"]["id"]), (&json!("live"), &json!(stack.cluster_id)), "{facts}");
    honest.check(&stack.cluster, &stack.hot_logs()).await
}

fn join_token_in(printed: &str) -> anyhow::Result<String> {
    let start = printed.find("plj_").context("no join token")?;
    Ok(printed[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rogue_agent_ends_its_own_sessions_and_no_others() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut honest = Witness::begin(&stack, &target("default", "bb", ""), "honest").await?;
    let (cluster, token) = stack.create_cluster("rogue").await?;
    // It claims what another agent holds.
    let rogue = Rogue::connect(&stack, &token, vec![honest.viewer.session.parse()?]).await?;
    stack.wait_until_cluster_online(&cluster).await?;
    let pod = target("default", "any", "main");

    let oversized = vec![0x02, 0x01, 0xff, 0xff, 0xff, 0xff];
    let output = |offset: u64, length: usize| {
        let body = [&offset.to_be_bytes()[..], &vec![b'x'; length]].concat();
        any_frame(FrameKind::OUTPUT, &body)
    };
    for (what, answer) in [
        ("garbage", any_frame(FrameKind::OPENED, &[0xff; 40])),
        ("an oversized frame", oversized.clone()),
        ("output", output(0, 10)),
    ] {
        rogue.will_answer(answer);
        expect_refusal(&stack, &cluster, &pod, None, (502, "agent_protocol_error", "makes no sense"))
            .await
            .with_context(|| what.to_owned())?;
        honest.type_lines(3).await?;
    }

    for (what, misdeed, cause) in [
        ("a short body", any_frame(FrameKind::OUTPUT, b"x"), "protocol_error"),
        ("a chunk that is too long", output(0, MAX_CHUNK_BYTES + 1), "protocol_error"),
        ("an oversized frame", oversized, "protocol_error"),
        ("a malformed end", any_frame(FrameKind::ENDED, &[0xff; 40]), "protocol_error"),
        ("a second opening", opened(), "protocol_error"),
        ("an impossible offset", output(u64::MAX, 10), "protocol_error"),
        ("a gap in the output", [output(0, 10), output(11, 10)].concat(), "output_lost"),
    ] {
        rogue.will_answer([opened(), misdeed].concat());
        let session = stack.api.open(&cluster, &pod, None).await.with_context(|| what.to_owned())?.id;
        let end = stack.api.wait_until_ended(&session, PATIENCE).await.with_context(|| what.to_owned())?;
        assert_eq!(end["cause"], cause, "{what}");
        assert!(end["message"].as_str().is_some_and(|sentence| sentence.len() > 20), "{what}: {end}");
        honest.type_lines(3).await?;
    }
    assert!(rogue.is_connected(), "its connection itself kept to the protocol");
    honest.check(&stack.cluster, &stack.hot_logs()).await?;
    let live = stack.api.call(Method::GET, "/sessions?state=live", None).await?;
    assert_eq!(live["items"].as_array().map(Vec::len), Some(1), "{live}");
    Ok(())
}
