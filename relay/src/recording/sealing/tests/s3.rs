//! A store that is reached over the network.

use std::net::SocketAddr;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use super::*;
use crate::recording::Outcome;

/// An S3 server; killed when it is dropped.
struct Server {
    address: SocketAddr,
    task: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(root: &Path, address: SocketAddr) -> Self {
        std::fs::create_dir_all(root.join("bucket")).expect("a bucket");
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).expect("a folder"));
        builder.set_auth(SimpleAuth::from_single("key", "secret"));
        let service = builder.build();
        let listener = TcpListener::bind(address).await.expect("listens");
        let address = listener.local_addr().expect("has an address");
        let serve = async move {
            // Connections end with the server.
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service.clone()));
            }
        };
        Self { address, task: tokio::spawn(serve).abort_handle() }
    }

    fn store(&self) -> RecordingsStore {
        let environment = [
            ("AWS_ENDPOINT", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ];
        let location = "s3://bucket/some/prefix".parse().expect("a bucket");
        RecordingsStore::open(&location, environment.map(|(name, value)| (name.to_owned(), value))).expect("opens")
    }
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[tokio::test]
async fn output_is_durable_once_it_is_in_the_bucket() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("s3"), anywhere()).await;
    let mut life = Life::with(folder.path(), server.store(), AT_ONCE, Duration::from_mins(1));
    let recording = life.create().await;
    append(&recording, b"far away", 1).await;
    recording.durable().wait_for(|durable| *durable == 8).await.expect("is stored");
    let archive = life.open().await.expect("opens");
    assert_eq!(output(&play(archive).await), "far away");
    finish(&recording, 0, 2).await;
    let sealed = life.stored(folder.path()).await;
    assert_eq!(sealed.outcome, Outcome::Complete);
    let archive = life.archives.open(organisation(), session(), Some(&sealed.head)).await.expect("opens");
    assert_eq!(output(&play(archive).await), "far away");
    let objects = server.store().remove(organisation(), session()).await.expect("removes");
    assert_eq!(objects, sealed.segments + 1);
    assert!(matches!(life.open().await, Err(ArchiveError::NotFound)));
}

#[tokio::test]
async fn while_the_bucket_is_away_nothing_is_durable_and_it_comes_back_in_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("s3");
    let server = Server::start(&root, anywhere()).await;
    let address = server.address;
    let mut life = Life::with(folder.path(), server.store(), AT_ONCE, Duration::from_mins(1));
    let recording = life.create().await;
    append(&recording, b"before ", 1).await;
    recording.durable().wait_for(|durable| *durable == 7).await.expect("is stored");
    drop(server);
    append(&recording, b"meanwhile", 2).await;
    recording.shared.synced.subscribe().wait_for(|end| end.position.source == 16).await.expect("is synced");
    assert_eq!(*recording.durable().borrow(), 7, "the agent keeps it");
    let _server = Server::start(&root, address).await;
    recording.durable().wait_for(|durable| *durable == 16).await.expect("is stored");
    assert!(recording.failure().borrow().is_none());
    finish(&recording, 0, 3).await;
    life.stored(folder.path()).await;
    assert_eq!(output(&play(life.open().await.expect("opens")).await), "before meanwhile");
}

#[tokio::test]
async fn a_bucket_that_stays_away_ends_the_session_and_gets_the_rest_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("s3");
    let server = Server::start(&root, anywhere()).await;
    let address = server.address;
    let mut life = Life::with(folder.path(), server.store(), AT_ONCE, Duration::from_millis(300));
    drop(server);
    let recording = life.create().await;
    append(&recording, b"nobody takes it", 1).await;
    recording.failure().wait_for(Option::is_some).await.expect("is noticed");
    assert_eq!(*recording.durable().borrow(), 0);
    // The session is ended, and what still comes is recorded.
    append(&recording, b"; over", 2).await;
    finish(&recording, 137, 3).await;
    let _server = Server::start(&root, address).await;
    assert_eq!(life.stored(folder.path()).await.outcome, Outcome::Complete);
    assert_eq!(output(&play(life.open().await.expect("opens")).await), "nobody takes it; over");
}

#[tokio::test]
async fn wrong_credentials_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("s3"), anywhere()).await;
    let location = "s3://another".parse().expect("a bucket");
    let environment = [
        ("AWS_ENDPOINT".to_owned(), format!("http://{}", server.address)),
        ("AWS_ALLOW_HTTP".to_owned(), "true".to_owned()),
        ("AWS_ACCESS_KEY_ID".to_owned(), "key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), "wrong-secret".to_owned()),
    ];
    let store = RecordingsStore::open(&location, environment).expect("opens");
    let error = store.segments(organisation(), session()).await.expect_err("is refused").to_string();
    assert!(error.contains("credentials") && !error.contains("wrong-secret"), "{error}");
}
