//! Every verb of the terminal's WebSocket × everybody who may try it. The verbs are the relay's own list, so one that has no
//! message here does not compile.

use anyhow::{Context, ensure};
use futures_util::{SinkExt, StreamExt};
use podlatch_e2e::api::Api;
use podlatch_e2e::audit;
use podlatch_e2e::cluster::target;
use podlatch_e2e::stack::Stack;
use podlatch_e2e::viewer::{PATIENCE, Socket, Viewer, attach, connect, frame};
use podlatch_relay::terminal::Verb;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};

/// What nobody but the right one may bring into the session.
const HOSTILE: &[u8] = b"echo intru\"\"der\r";

/// A size that nobody else asks for.
const COLUMNS: u16 = 101;

/// Who tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Anonymous,
    Expired,
    Suspended,
    SignedOut,
    RevokedToken,
    OtherUser,
    OtherRole,
    OtherOrganisation,
}

impl Who {
    const ALL: [Self; 8] = [
        Self::Anonymous,
        Self::Expired,
        Self::Suspended,
        Self::SignedOut,
        Self::RevokedToken,
        Self::OtherUser,
        Self::OtherRole,
        Self::OtherOrganisation,
    ];

    /// Whether somebody stands behind the credential, who gets a socket but nothing on it.
    const fn is_signed_in(self) -> bool {
        matches!(self, Self::OtherUser | Self::OtherRole | Self::OtherOrganisation)
    }

    /// Their browser or program.
    async fn api(self, stack: &Stack) -> anyhow::Result<Api> {
        let name = format!("{self:?}").to_lowercase();
        let invite = async |role| stack.api.invite(&name, role).await;
        Ok(match self {
            Self::Anonymous => stack.api.without_cookie(),
            Self::OtherUser => invite("member").await?.api,
            Self::OtherRole => invite("auditor").await?.api,
            Self::Suspended => {
                let member = invite("owner").await?;
                stack.admin(&["suspend", "person", &member.email]).await?;
                member.api
            }
            Self::SignedOut => {
                let member = invite("owner").await?;
                member.api.call(Method::DELETE, "/login-sessions/current", None).await?;
                member.api
            }
            Self::Expired => {
                let member = invite("owner").await?;
                expire_logins(stack, &member.email).await?;
                member.api
            }
            Self::RevokedToken => {
                let member = invite("owner").await?;
                let (id, program) = member.api.api_token().await?;
                member.api.call(Method::DELETE, &format!("/api-tokens/{id}"), None).await?;
                program
            }
            Self::OtherOrganisation => {
                let words = ["create-organisation", "--name", "Other", "--owner-email", "eve@example.net"];
                let printed = stack.admin(&words).await?;
                let link = printed.split_whitespace().find(|word| word.contains("/sign-in#")).context("no link")?;
                Api::sign_in(link).await?
            }
        })
    }
}

/// Nothing in the relay makes time pass: the database is told.
async fn expire_logins(stack: &Stack, email: &str) -> anyhow::Result<()> {
    let database = SqliteConnectOptions::new().filename(stack.relay_data().join("podlatch.db"));
    let mut database = database.connect().await?;
    let sql = "UPDATE login_sessions SET expires_at = 1 WHERE user_id = (SELECT id FROM users WHERE email = $1)";
    sqlx::query(sql).bind(email).execute(&mut database).await?;
    database.close().await?;
    Ok(())
}

/// A message of each kind, good for whoever may send it.
fn message(verb: Verb, ticket: &str) -> Message {
    let text = |value: Value| Message::text(value.to_string());
    match verb {
        Verb::Attach => attach(ticket, 7, None),
        Verb::Input => frame(0x01, 0, HOSTILE),
        Verb::Rendered => frame(0x02, 0, &[]),
        Verb::Resize => text(json!({"type": "resize", "columns": COLUMNS, "rows": 33})),
        Verb::Window => text(json!({"type": "window", "bytes": 1})),
        Verb::Close => text(json!({"type": "close"})),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_of_the_terminal_is_for_whoever_may_and_for_nobody_else() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let mut own = stack.open(&target("default", "bb", "")).await?;
    own.run("echo can\"\"ary").await?;
    for who in Who::ALL {
        let api = who.api(&stack).await?;
        for verb in Verb::ALL {
            try_in_vain(&stack.api, &api, &own.session, (who, *verb))
                .await
                .with_context(|| format!("{who:?} {verb:?}"))?;
        }
    }
    check_untouched(&stack, &mut own).await?;
    the_right_one_may_all_of_it(&stack.api, &mut own).await
}

/// Sends one verb first and all others behind it, with a good ticket of somebody else at hand.
async fn try_in_vain(owner: &Api, api: &Api, session: &str, (who, verb): (Who, Verb)) -> anyhow::Result<()> {
    let stolen = owner.ticket(session).await?;
    let mut socket = match connect(api, session, api.base()).await {
        Ok(socket) => socket,
        Err(error) => {
            let Some(Error::Http(response)) = error.downcast_ref::<Error>() else { return Err(error) };
            ensure!(!who.is_signed_in() && response.status() == 401, "{response:?}");
            return Ok(());
        }
    };
    ensure!(who.is_signed_in(), "a socket was opened");
    for sent in [verb].iter().chain(Verb::ALL) {
        // The relay closes in the middle of it.
        let _closed = socket.send(message(*sent, &stolen)).await;
    }
    let expected = if verb == Verb::Attach { 4101 } else { 4001 };
    loop {
        match timeout(PATIENCE, socket.next()).await?.context("no close")?? {
            Message::Close(Some(close)) => {
                ensure!(u16::from(close.code) == expected, "{close:?}");
                return Ok(());
            }
            Message::Ping(_) | Message::Pong(_) => {}
            other => anyhow::bail!("something was told: {other:?}"),
        }
    }
}

/// Nothing of it reached the session.
async fn check_untouched(stack: &Stack, own: &mut Viewer) -> anyhow::Result<()> {
    assert_eq!(own.run("stty size").await?, "24 80");
    let seen = own.seen();
    assert!(seen.ended.is_none() && !seen.text().contains("intru"), "{}", seen.text());
    let events = audit::events(&stack.api, &[("session", own.session.as_str())]).await?;
    let count = |action: &str| events.iter().filter(|event| event["action"] == action).count();
    assert_eq!((count("connect"), count("resize"), count("session_end_requested")), (1, 0, 0), "{events:#?}");
    Ok(())
}

async fn the_right_one_may_all_of_it(api: &Api, own: &mut Viewer) -> anyhow::Result<()> {
    let ticket = api.ticket(&own.session).await?;
    let mut socket = connect(api, &own.session, api.base()).await?;
    for verb in Verb::ALL {
        socket.send(message(*verb, &ticket)).await?;
        match verb {
            Verb::Attach => until(&mut socket, |it| is_text(it, "attached")).await?,
            // Its end was applied.
            Verb::Input => until(&mut socket, |it| is_binary(it, 0x12, HOSTILE.len() as u64)).await?,
            Verb::Resize => {
                let size = own.run("stty size").await?;
                ensure!(size == format!("33 {COLUMNS}"), "{size}");
            }
            // Nothing is answered, and nothing closed.
            Verb::Rendered | Verb::Window => {}
            Verb::Close => until(&mut socket, |it| is_text(it, "ended")).await?,
        }
    }
    let ended = own.ended().await?;
    assert_eq!(ended["cause"], "closed_by_user", "{ended}");
    assert!(own.seen().text().contains("intruder"), "what the right one typed has its effect");
    Ok(())
}

async fn until(socket: &mut Socket, wanted: impl Fn(&Message) -> bool) -> anyhow::Result<()> {
    let found = async {
        while let Some(message) = socket.next().await {
            let message = message?;
            if wanted(&message) {
                return Ok(());
            }
            ensure!(!message.is_close(), "{message:?}");
        }
        anyhow::bail!("the connection was lost")
    };
    timeout(PATIENCE, found).await?
}

fn is_text(message: &Message, kind: &str) -> bool {
    let text = message.to_text().ok().filter(|_| message.is_text());
    text.and_then(|text| serde_json::from_str::<Value>(text).ok()).is_some_and(|value| value["type"] == kind)
}

fn is_binary(message: &Message, kind: u8, offset: u64) -> bool {
    let Message::Binary(bytes) = message else { return false };
    bytes.first() == Some(&kind) && bytes.get(1..9) == Some(&offset.to_be_bytes())
}
