//! The bucket of finished recordings: away for a while, and for good.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use podlatch_e2e::cluster::target;
use podlatch_e2e::replay;
use podlatch_e2e::stack::{Options, Stack};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

/// How long the relay is told to wait for its bucket.
const PATIENCE: &str = "20s";

/// Within this a bucket that stays away has ended a session.
const GIVEN_UP: Duration = Duration::from_mins(2);

/// A server that speaks S3; killed when it is dropped.
struct Server {
    address: SocketAddr,
    task: AbortHandle,
}

impl Server {
    async fn start(root: &Path, address: SocketAddr) -> anyhow::Result<Self> {
        std::fs::create_dir_all(root.join("bucket"))?;
        let files = s3s_fs::FileSystem::new(root).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single("key", "secret"));
        let service = builder.build();
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let serve = async move {
            // Connections end with the server.
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service.clone()));
            }
        };
        Ok(Self { address, task: tokio::spawn(serve).abort_handle() })
    }

    fn environment(&self) -> Vec<(String, String)> {
        let environment = [
            ("AWS_ENDPOINT", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ];
        environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_may_be_away_for_a_while_and_ends_sessions_when_it_stays_away() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(folder.path(), SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let address = server.address;
    let arguments = ["--recordings-store", "s3://bucket/recordings", "--recordings-patience", PATIENCE];
    let stack = Stack::start_with(Options {
        relay: arguments.map(str::to_owned).to_vec(),
        relay_environment: server.environment(),
        ..Options::default()
    })
    .await?;
    let bb = target("default", "bb", "");

    let mut viewer = stack.open(&bb).await?;
    assert_eq!(viewer.run("echo before").await?, "before");
    drop(server);
    assert_eq!(viewer.run("echo meanwhile").await?, "meanwhile");
    let server = Server::start(folder.path(), address).await?;
    assert_eq!(viewer.run("echo after").await?, "after");
    viewer.type_text("exit\r").await;
    viewer.ended().await?;
    ensure!(replay::output(&stack, &viewer.session).await? == *viewer.seen().output, "it is not what was shown");

    let mut viewer = stack.open(&bb).await?;
    drop(server);
    assert_eq!(viewer.run("echo nobody stores it").await?, "nobody stores it");
    let end = stack.api.wait_until_ended(&viewer.session, GIVEN_UP).await?;
    assert_eq!((&end["cause"], &end["cleanup"]), (&json!("recording_failed"), &json!("confirmed")));
    viewer.ended().await?;
    let _server = Server::start(folder.path(), address).await?;
    ensure!(replay::output(&stack, &viewer.session).await? == *viewer.seen().output, "what was kept came late, or not");
    assert_eq!(stack.open(&bb).await?.run("echo new").await?, "new");
    Ok(())
}
