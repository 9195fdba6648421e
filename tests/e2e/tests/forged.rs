//! A browser that claims to be somebody else, wherever something can be claimed: the rows show who signed in.

use anyhow::{Context, ensure};
use futures_util::{SinkExt, StreamExt};
use podlatch_e2e::api::{Api, OpenedSession, problem};
use podlatch_e2e::cluster::target;
use podlatch_e2e::stack::Stack;
use podlatch_e2e::viewer::{PATIENCE, Socket, Viewer, attach, connect, connect_with};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

const ME: &str = "ada@example.org";
const EVE: &str = "eve@example.net";

/// What a proxy, a gateway or Kubernetes might believe.
const CLAIMS: [(&str, &str); 13] = [
    ("x-forwarded-for", "203.0.113.7"),
    ("forwarded", "for=203.0.113.7;by=203.0.113.8"),
    ("x-real-ip", "203.0.113.7"),
    ("true-client-ip", "203.0.113.7"),
    ("cf-connecting-ip", "203.0.113.7"),
    ("x-forwarded-user", EVE),
    ("x-forwarded-email", EVE),
    ("x-remote-user", EVE),
    ("remote-user", EVE),
    ("x-podlatch-user", EVE),
    ("x-organisation-id", "01890000-0000-7000-8000-000000000000"),
    ("impersonate-user", "system:admin"),
    ("impersonate-group", "system:masters"),
];

#[tokio::test(flavor = "multi_thread")]
async fn headers_claim_nothing() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let (api, bb) = (&stack.api, target("default", "bb", ""));
    let body = json!({
        "cluster": stack.cluster_id, "namespace": "default", "pod": "bb", "columns": 80, "rows": 24,
    });
    let claims = &CLAIMS;
    let opened = api.call_with(Method::POST, "/sessions", Some(body), claims).await?;
    let session = opened["session"]["id"].as_str().context("no id")?.to_owned();
    let ticket = opened["ticket"].as_str().context("no ticket")?;
    let mut socket = connect_with(api, &session, api.base(), claims).await?;
    socket.send(attach(ticket, 1, None)).await?;
    expect_attached(&mut socket).await?;
    api.call_with(Method::DELETE, &format!("/sessions/{session}"), None, claims).await?;
    api.wait_until_ended(&session, PATIENCE).await?;

    let facts = api.session(&session).await?;
    assert_eq!((&facts["user"]["email"], &facts["client_ip"]), (&json!(ME), &json!("127.0.0.1")), "{facts}");
    let events = events_of(api, &session).await?;
    assert!(events.len() >= 4, "opened, connected, disconnected, ended: {events:#?}");
    for event in &events {
        let text = event.to_string();
        assert!(!text.contains("203.0.113") && !text.contains(EVE) && !text.contains("system:"), "{text}");
        ensure!(event["user"]["name"] == ME, "{event}");
    }
    assert_eq!(stack.open(&bb).await?.run("echo well").await?, "well");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_and_frames_claim_nothing() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let (api, bb) = (&stack.api, target("default", "bb", ""));
    let eve = foreigner(&stack).await?;

    // Fields that nobody asked for.
    for (field, value) in [
        ("user", json!(EVE)),
        ("user_id", json!("01890000-0000-7000-8000-000000000000")),
        ("organisation", json!("01890000-0000-7000-8000-000000000000")),
        ("login_session", json!("01890000-0000-7000-8000-000000000000")),
        ("agent", json!("01890000-0000-7000-8000-000000000000")),
        ("client_ip", json!("203.0.113.7")),
        ("id", json!("01890000-0000-7000-8000-000000000000")),
        ("started_at", json!("1970-01-01T00:00:00Z")),
        ("expires_at", json!("2970-01-01T00:00:00Z")),
        ("identity", json!({"user": "system:admin", "groups": ["system:masters"]})),
        ("impersonate", json!("system:admin")),
        ("pod_labels", json!({"app": "allowed"})),
    ] {
        let mut body = json!({
            "cluster": stack.cluster_id, "namespace": "default", "pod": "bb", "columns": 80, "rows": 24,
        });
        body[field] = value;
        let refused = api.call(Method::POST, "/sessions", Some(body)).await.expect_err(field);
        assert_eq!(problem(&refused).status, 422, "{field}: {refused}");
    }

    // A ticket in another's hands, in another session, or beside claims of its own.
    let mine = api.open(&stack.cluster_id, &bb, None).await?;
    let other = api.open(&stack.cluster_id, &bb, None).await?;
    let foreign = eve.ticket(&mine.id).await.expect_err("another organisation's session");
    assert_eq!(problem(&foreign).status, 404, "{foreign}");
    let stolen = api.ticket(&mine.id).await?;
    refused_attach(&eve, &mine.id, attach(&stolen, 1, None)).await?;
    // It was used up by whoever tried it, so the thief learns nothing by trying again.
    refused_attach(api, &mine.id, attach(&stolen, 1, None)).await?;
    let elsewhere = api.ticket(&mine.id).await?;
    refused_attach(api, &other.id, attach(&elsewhere, 1, None)).await?;
    let claims = json!({
        "type": "attach", "ticket": api.ticket(&mine.id).await?, "writer": format!("{:016x}", 1), "have": null,
        "columns": 80, "rows": 24, "user": EVE, "session": other.id, "role": "owner", "client_ip": "203.0.113.7",
    });
    let mut socket = connect(api, &mine.id, api.base()).await?;
    socket.send(Message::text(claims.to_string())).await?;
    // Taken or not: whatever it claims must not stand anywhere.
    let _first = timeout(PATIENCE, socket.next()).await?;
    drop(socket);

    let ticket = api.ticket(&mine.id).await?;
    let mut viewer = Viewer::attach(api.clone(), OpenedSession { id: mine.id.clone(), ticket }).await?;
    assert_eq!(viewer.run("echo mine").await?, "mine");
    for session in [&mine.id, &other.id] {
        for event in events_of(api, session).await? {
            let text = event.to_string();
            // Somebody's try with a stolen ticket is told with their own name.
            let own = event["user"]["name"] == ME || event["actor"]["name"] == EVE;
            assert!(own && !text.contains("203.0.113") && !text.contains("\"role\""), "{text}");
        }
    }
    Ok(())
}

/// The owner of an organisation of their own.
async fn foreigner(stack: &Stack) -> anyhow::Result<Api> {
    let printed = stack.admin(&["create-organisation", "--name", "Other", "--owner-email", EVE]).await?;
    let link = printed.split_whitespace().find(|word| word.contains("/sign-in#")).context("no sign-in link")?;
    Api::sign_in(link).await
}

async fn refused_attach(api: &Api, session: &str, first: Message) -> anyhow::Result<()> {
    let mut socket = match connect(api, session, api.base()).await {
        Ok(socket) => socket,
        // Whose session it is not, does not even get a socket.
        Err(error) => {
            println!("no upgrade: {error:#}");
            return Ok(());
        }
    };
    socket.send(first).await?;
    match timeout(PATIENCE, socket.next()).await?.context("no answer")?? {
        Message::Close(Some(close)) if u16::from(close.code) == 4101 => Ok(()),
        other => anyhow::bail!("attached with a ticket that is not theirs: {other:?}"),
    }
}

async fn expect_attached(socket: &mut Socket) -> anyhow::Result<()> {
    let answer = timeout(PATIENCE, socket.next()).await?.context("no answer")??;
    ensure!(answer.to_text()?.contains("attached"), "{answer:?}");
    Ok(())
}

async fn events_of(api: &Api, session: &str) -> anyhow::Result<Vec<Value>> {
    let page = api.call(Method::GET, &format!("/audit-events?session={session}&limit=200"), None).await?;
    Ok(page["items"].as_array().context("no list")?.clone())
}
