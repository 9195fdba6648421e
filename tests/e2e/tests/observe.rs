//! Watching somebody's terminal: who may, what they see, that they are heard in nothing, and how it ends.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::{Buf, Bytes};
use futures_util::{SinkExt, StreamExt};
use podlatch_e2e::api::{Api, problem};
use podlatch_e2e::audit;
use podlatch_e2e::cluster::target;
use podlatch_e2e::people::Member;
use podlatch_e2e::stack::Stack;
use podlatch_e2e::viewer::{PATIENCE, Seen, Socket, attach, connect, frame};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

/// What is promised of a withdrawal, and what a busy machine may add.
const WITHDRAWN: Duration = Duration::from_secs(15 + 5);

/// Far more than may be under way to a viewer, in bytes.
const FLOOD_BYTES: u64 = 4 * 1024 * 1024;

/// Every wait has a time limit; a slow machine reaches this much within one.
const STEP_BYTES: u64 = 512 * 1024;

/// The WebSocket's close codes.
const ENDED: u16 = 4000;
const BAD_TICKET: u16 = 4101;
const READ_ONLY: u16 = 4005;
const WITHDRAWN_CODE: u16 = 4006;

/// Somebody who watches.
struct Observer {
    socket: Socket,
    /// What is shown, from the snapshot on.
    shown: Vec<u8>,
    /// Where that ends in the output.
    end: u64,
    texts: Vec<Value>,
}

async fn observer_ticket(api: &Api, session: &str) -> anyhow::Result<String> {
    let issued = api.call(Method::POST, &format!("/sessions/{session}/observer-tickets"), None).await?;
    issued["ticket"].as_str().map(str::to_owned).context("no ticket")
}

impl Observer {
    async fn attach(api: &Api, session: &str) -> anyhow::Result<Self> {
        let ticket = observer_ticket(api, session).await?;
        let mut socket = connect(api, session, api.base()).await?;
        socket.send(attach(&ticket, 7, None)).await?;
        Ok(Self { socket, shown: Vec::new(), end: 0, texts: Vec::new() })
    }

    /// Takes the next message, and says that it is drawn; the close, once it comes.
    async fn next(&mut self) -> anyhow::Result<Option<(u16, String)>> {
        let message = timeout(PATIENCE, self.socket.next()).await.context("nothing comes")?;
        match message.context("the socket ended without a word")?? {
            Message::Text(text) => self.texts.push(serde_json::from_str(&text)?),
            Message::Binary(bytes) => {
                self.draw(bytes)?;
                self.socket.send(frame(0x02, self.end, &[])).await?;
            }
            Message::Close(close) => {
                let close = close.context("no close frame")?;
                return Ok(Some((close.code.into(), close.reason.to_string())));
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
        Ok(None)
    }

    fn draw(&mut self, mut message: Bytes) -> anyhow::Result<()> {
        let (kind, offset) = (message.get_u8(), message.get_u64());
        match kind {
            0x13 => (self.shown, self.end) = (message.to_vec(), offset),
            0x11 => {
                ensure!(offset == self.end, "output goes on at {offset} after {}", self.end);
                self.shown.extend_from_slice(&message);
                self.end += message.len() as u64;
            }
            other => bail!("an observer gets a message of kind {other}"),
        }
        Ok(())
    }

    /// Watches until a text is shown.
    async fn until(&mut self, wanted: &str) -> anyhow::Result<()> {
        let mut from = 0;
        loop {
            let unseen = self.shown.get(from..).unwrap_or(&self.shown);
            if unseen.windows(wanted.len()).any(|window| window == wanted.as_bytes()) {
                return Ok(());
            }
            from = self.shown.len().saturating_sub(wanted.len());
            if let Some(close) = self.next().await? {
                bail!("closed with {close:?} before {wanted} was shown");
            }
        }
    }

    /// Watches until the socket is closed; returns with what.
    async fn closed(&mut self) -> anyhow::Result<(u16, String)> {
        loop {
            if let Some(close) = self.next().await? {
                return Ok(close);
            }
        }
    }

    fn text(&self, kind: &str) -> Option<&Value> {
        self.texts.iter().find(|text| text["type"] == kind)
    }
}

/// A rule that lets somebody watch everything, and nothing else.
async fn may_watch(stack: &Stack, member: &Member) -> anyhow::Result<String> {
    let settings = json!({
        "name": "Watch", "effect": {"allow": {}}, "who": {"users": [member.id]}, "clusters": {"names": ["*"]},
        "namespaces": ["default"], "containers": ["*"], "actions": ["observe"],
    });
    let made = stack.api.call(Method::POST, "/access-rules", Some(settings)).await?;
    made["id"].as_str().map(str::to_owned).context("no id")
}

async fn refused(api: &Api, session: &str) -> anyhow::Result<(u16, String)> {
    let Err(error) = observer_ticket(api, session).await else {
        bail!("a ticket is given");
    };
    let problem = problem(&error);
    Ok((problem.status, problem.slug.clone()))
}

async fn listed(api: &Api) -> anyhow::Result<Vec<Value>> {
    let page = api.call(Method::GET, "/sessions?state=live", None).await?;
    Ok(page["items"].as_array().context("no list")?.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_watch_sees_the_screen_then_what_happens_and_is_heard_in_nothing() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut viewer = stack.open(&target("default", "tools", "")).await?;
    let session = viewer.session.clone();
    assert_eq!(viewer.run("echo before-$((40 + 2))").await?, "before-42");

    // Nobody watches without a rule, whatever they are.
    let olga = stack.api.invite("olga", "member").await?;
    let auditor = stack.api.invite("audrey", "auditor").await?;
    assert_eq!(refused(&olga.api, &session).await?, (404, "not_found".to_owned()));
    assert_eq!(refused(&auditor.api, &session).await?, (403, "forbidden".to_owned()));
    ensure!(listed(&olga.api).await?.is_empty());

    may_watch(&stack, &olga).await?;
    let sessions = listed(&olga.api).await?;
    ensure!(sessions.len() == 1 && sessions[0]["may_observe"] == true, "{sessions:?}");
    ensure!(olga.api.ticket(&session).await.is_err(), "who may watch may not type");

    // The ticket is its login's alone, and what is another's does not use it up.
    let ticket = observer_ticket(&olga.api, &session).await?;
    let mut posing = connect(&auditor.api, &session, auditor.api.base()).await?;
    posing.send(attach(&ticket, 7, None)).await?;
    let mut posing = Observer { socket: posing, shown: Vec::new(), end: 0, texts: Vec::new() };
    assert_eq!(posing.closed().await?.0, BAD_TICKET);
    assert_eq!(viewer.seen().observers, 0);

    // Whoever works there is told, also when they come back.
    let mut observer = Observer::attach(&olga.api, &session).await?;
    observer.until("before-42").await?;
    viewer.wait("somebody to watch", |seen| seen.observers == 1).await?;
    ensure!(observer.text("observers").is_none(), "who else watches is not for an observer");
    let size = observer.text("size").context("no size")?;
    assert_eq!((&size["columns"], &size["rows"]), (&json!(80), &json!(24)));
    assert_eq!(viewer.run("echo live-$((40 + 3))").await?, "live-43");
    observer.until("live-43").await?;

    // Sizes are passed over; what is typed, or an end that is asked for, ends the watching and not the session.
    let resize = json!({"type": "resize", "columns": 33, "rows": 11});
    observer.socket.send(Message::text(resize.to_string())).await?;
    observer.socket.send(frame(0x01, 0, b"echo typed-$((40 + 4))\r")).await?;
    let (code, reason) = observer.closed().await?;
    ensure!(code == READ_ONLY && reason.contains("watching"), "{code} {reason}");
    viewer.wait("nobody to watch", |seen| seen.observers == 0).await?;
    let mut observer = Observer::attach(&olga.api, &session).await?;
    observer.until("live-43").await?;
    observer.socket.send(Message::text(json!({"type": "close"}).to_string())).await?;
    assert_eq!(observer.closed().await?.0, READ_ONLY);
    assert_eq!(viewer.run("stty size").await?, "24 80");
    ensure!(!viewer.seen().text().contains("typed-"), "an observer typed");

    // The session's end is told like any viewer's.
    let mut observer = Observer::attach(&olga.api, &session).await?;
    observer.until("live-43").await?;
    viewer.type_text("exit 3\r").await;
    assert_eq!(viewer.ended().await?["cause"], "exited");
    assert_eq!(observer.closed().await?.0, ENDED);
    assert_eq!(observer.text("ended").context("not told")?["exit_code"], 3);
    assert_eq!(refused(&olga.api, &session).await?, (410, "session_ended".to_owned()));
    ensure!(
        listed(&olga.api).await?.is_empty() && olga.api.session(&session).await.is_err(),
        "it is not theirs to see"
    );

    let watched = audit::events(&stack.api, &[("session", &session), ("action", "observe")]).await?;
    ensure!(watched.len() == 3 && watched.iter().all(|event| event["actor"]["id"] == json!(olga.id)), "{watched:?}");
    ensure!(watched.iter().all(|event| event["client_ip"].is_string() && event["pod"] == "tools"), "{watched:?}");
    let left = audit::events(&stack.api, &[("session", &session), ("action", "observe_ended")]).await?;
    let causes: Vec<_> = left.iter().map(|event| event["details"]["cause"].clone()).collect();
    ensure!(causes == ["read_only", "read_only", "session_ended"], "{causes:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_to_watch_that_is_withdrawn_ends_the_watching_and_not_the_session() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut viewer = stack.open(&target("default", "tools", "")).await?;
    assert_eq!(viewer.run("echo begun").await?, "begun");
    let (olga, oleg) = (stack.api.invite("olga", "member").await?, stack.api.invite("oleg", "member").await?);
    let rule = may_watch(&stack, &olga).await?;
    may_watch(&stack, &oleg).await?;
    let mut by_rule = Observer::attach(&olga.api, &viewer.session).await?;
    let mut by_login = Observer::attach(&oleg.api, &viewer.session).await?;
    by_rule.until("begun").await?;
    by_login.until("begun").await?;

    let since = Instant::now();
    stack.api.call_with(Method::DELETE, &format!("/access-rules/{rule}"), None, &[("If-Match", "\"1\"")]).await?;
    oleg.api.call(Method::DELETE, "/login-sessions/current", None).await?;
    for observer in [&mut by_rule, &mut by_login] {
        let (code, reason) = observer.closed().await?;
        ensure!(code == WITHDRAWN_CODE && reason.contains("no longer watch"), "{code} {reason}");
        ensure!(since.elapsed() < WITHDRAWN, "after {:?}", since.elapsed());
        ensure!(observer.text("ended").is_none(), "the session is not over");
    }
    assert_eq!(viewer.run("echo goes-$((40 + 2))").await?, "goes-42");
    let left = audit::events(&stack.api, &[("action", "observe_ended")]).await?;
    ensure!(left.len() == 2 && left.iter().all(|event| event["details"]["cause"] == "right_withdrawn"), "{left:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_that_reads_nothing_holds_nobody_up_and_misses_nothing() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut viewer = stack.open(&target("default", "tools", "")).await?;
    viewer.run("true").await?;
    let olga = stack.api.invite("olga", "member").await?;
    may_watch(&stack, &olga).await?;
    let mut observer = Observer::attach(&olga.api, &viewer.session).await?;
    while observer.end == 0 {
        ensure!(observer.next().await?.is_none(), "closed");
    }

    let begin = viewer.seen().end();
    viewer.type_text(&format!("yes 0123456789 | head -c {FLOOD_BYTES}; echo end-$((6 * 7))\r")).await;
    let mut wanted = begin;
    while wanted < begin + FLOOD_BYTES {
        wanted = viewer.wait("the flood to go on", |seen| seen.end() >= wanted + STEP_BYTES || ends(seen)).await?.end();
    }
    viewer.wait("its end", ends).await?;
    observer.until("end-42").await?;
    Ok(())
}

fn ends(seen: &Seen) -> bool {
    let tail = &seen.output[seen.output.len().saturating_sub(200)..];
    tail.windows(6).any(|window| window == b"end-42")
}
