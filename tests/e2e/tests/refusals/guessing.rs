//! Guessing at secrets, through the running relay: whoever goes on is told to wait, the log says so once, and whoever has the
//! right secret gets through from the same address all the while.

use anyhow::Context;
use futures_util::StreamExt;
use podlatch_agent::enrolment::Enrolment;
use podlatch_agent::identity::FileStore;
use podlatch_e2e::api::{Api, OpenedSession};
use podlatch_e2e::cluster::target;
use podlatch_e2e::stack::Stack;
use podlatch_e2e::viewer::{PATIENCE, Socket, Viewer, attach};
use podlatch_relay::http::guesses::{BY_ACCOUNT, BY_ADDRESS};
use reqwest::header::{AUTHORIZATION, ORIGIN, RETRY_AFTER};
use reqwest::{Client, Method, Response};
use secrecy::SecretString;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::rogue::Rogue;
use super::send;

/// How many more than there are: some come back while the test runs, on a machine that is busy.
const MANY: u32 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn guessers_have_to_wait_and_the_right_secret_passes_beside_them() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    links(&stack).await?;
    api_tokens(&stack).await?;
    tickets(&stack).await?;
    join_tokens(&stack).await?;
    for secret in ["sign_in_link", "api_token", "ticket", "join_token"] {
        assert_eq!(noted(&stack, secret).await?, 1, "{secret}: one row for a burst");
    }
    Ok(())
}

async fn links(stack: &Stack) -> anyhow::Result<()> {
    let client = Client::builder().no_proxy().build()?;
    let guess = json!({"token": format!("pll_{}", "A".repeat(43))});
    let path = format!("{}/api/v1/login-sessions", stack.api.base());
    let tried =
        until_limited(async || Ok(client.post(&path).header(ORIGIN, stack.api.base()).json(&guess).send().await?));
    assert!(tried.await? >= BY_ADDRESS.burst);
    let printed = stack.admin(&["sign-in-link", "--email", "ada@example.org"]).await?;
    let link = printed.split_whitespace().find(|word| word.contains("/sign-in#")).context("no link")?;
    Api::sign_in(link).await.context("a good link beside a guesser")?;
    Ok(())
}

async fn api_tokens(stack: &Stack) -> anyhow::Result<()> {
    let client = Client::builder().no_proxy().build()?;
    let (path, guess) = (format!("{}/api/v1/me", stack.api.base()), format!("Bearer plt_{}", "A".repeat(43)));
    let tried = until_limited(async || Ok(client.get(&path).header(AUTHORIZATION, &guess).send().await?));
    assert!(tried.await? >= BY_ADDRESS.burst);
    let (_, program) = stack.api.api_token().await?;
    program.call(Method::GET, "/me", None).await.context("a good token beside a guesser")?;
    Ok(())
}

/// Tries until it is refused for that; how often that was.
async fn until_limited(guess: impl AsyncFn() -> anyhow::Result<Response>) -> anyhow::Result<u32> {
    for tried in 0..MANY {
        let response = guess().await?;
        if response.status() == 401 {
            continue;
        }
        assert_eq!(response.status(), 429);
        let wait: u64 = response.headers().get(RETRY_AFTER).context("no Retry-After")?.to_str()?.parse()?;
        assert!((1..=3).contains(&wait), "{wait}");
        let told = response.text().await?;
        assert!(told.contains("Too many tries") && told.contains(&format!("Try again in {wait} seconds")), "{told}");
        return Ok(tried);
    }
    anyhow::bail!("nobody is told to wait")
}

async fn tickets(stack: &Stack) -> anyhow::Result<()> {
    let (api, bb) = (&stack.api, target("default", "bb", ""));
    let opened = api.open(&stack.cluster_id, &bb, None).await?;
    let guess = format!("plk_{}", "A".repeat(43));
    let mut tried = 0;
    let told = loop {
        let close = closed(send(api, &opened.id, &[attach(&guess, 1, None)]).await?).await?;
        if u16::from(close.code) != 4101 {
            break close;
        }
        tried += 1;
        assert!(tried < MANY, "nobody is told to wait");
    };
    assert!(tried >= BY_ACCOUNT.burst, "{tried}");
    assert_eq!((u16::from(told.code), told.reason.contains("Wait 3 seconds")), (4105, true), "{told:?}");
    let ticket = api.ticket(&opened.id).await?;
    let mut viewer = Viewer::attach(api.clone(), OpenedSession { id: opened.id, ticket }).await?;
    assert_eq!(viewer.run("echo well").await?, "well", "a good ticket beside a guesser");
    Ok(())
}

/// How the relay closes a socket.
async fn closed(mut socket: Socket) -> anyhow::Result<CloseFrame> {
    let closed = async {
        while let Some(message) = socket.next().await {
            if let Message::Close(close) = message? {
                return close.context("a close without a code");
            }
        }
        anyhow::bail!("no close")
    };
    timeout(PATIENCE, closed).await?
}

async fn join_tokens(stack: &Stack) -> anyhow::Result<()> {
    // Another test of this process finds the provider installed.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir()?;
    let store = FileStore::new(folder.path());
    let token = Some(SecretString::from(format!("plj_{}", "A".repeat(43))));
    let enrolment = Enrolment { relay: stack.tunnel.parse()?, pin: stack.pin().parse()?, token };
    let mut tried = 0;
    loop {
        let refused = enrolment.obtain(&store).await.err().context("enrolled by guessing")?.to_string();
        if refused.contains("Too many bad join tokens") {
            assert!(refused.contains("Try again in"), "{refused}");
            break;
        }
        assert!(refused.contains("does not know this join token"), "{refused}");
        tried += 1;
        assert!(tried < MANY, "nobody is told to wait");
    }
    assert!(tried >= BY_ADDRESS.burst, "{tried}");
    let _agent =
        Rogue::connect(stack, &stack.join_token().await?, vec![]).await.context("a good token beside a guesser")?;
    Ok(())
}

/// How many audit events say that somebody guessed at this; they belong to no organisation, so no API shows them all.
async fn noted(stack: &Stack, secret: &str) -> anyhow::Result<i64> {
    let database = SqliteConnectOptions::new().filename(stack.relay_data().join("podlatch.db"));
    let mut database = database.read_only(true).connect().await?;
    let sql = "SELECT COUNT(*) FROM audit_events WHERE action = 'too_many_tries' AND details LIKE $1";
    let like = format!("%\"{secret}\"%");
    let (count,) = sqlx::query_as::<_, (i64,)>(sql).bind(like).fetch_one(&mut database).await?;
    database.close().await?;
    Ok(count)
}
