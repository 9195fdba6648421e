//! The TCP proxy between real sockets.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use podlatch_impair::{BytesPerSecond, Cut, Impairment, Probability, Profile, TcpProxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Only to end a hanging test.
const DEADLINE: Duration = Duration::from_secs(30);

/// A connection through a proxy, both its ends.
struct Fixture {
    client: TcpStream,
    proxy: TcpProxy,
    listener: TcpListener,
    upstream: TcpStream,
}

impl Fixture {
    async fn start(profile: Profile) -> Self {
        let listener = TcpListener::bind(ANY_PORT).await.expect("binds");
        let target = listener.local_addr().expect("bound");
        let proxy = TcpProxy::start(ANY_PORT, target, profile, 0).await.expect("starts");
        let client = TcpStream::connect(proxy.address()).await.expect("connects");
        let (upstream, _) = timeout(DEADLINE, listener.accept()).await.expect("in time").expect("accepts");
        Self { client, proxy, listener, upstream }
    }
}

async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    timeout(DEADLINE, stream.read_exact(&mut bytes)).await.expect("in time").expect("reads");
    bytes
}

/// Bytes in which any gap, doubling or exchange shows.
fn numbered(length: u32) -> Vec<u8> {
    (0..length / 4).flat_map(u32::to_be_bytes).collect()
}

#[tokio::test]
async fn a_mebibyte_arrives_intact_through_every_impairment_and_the_end_behind_it() {
    let rough = Impairment {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(20),
        loss: Probability::percent(2),
        duplicate: Probability::percent(50),
        reorder: Probability::percent(50),
        queue_bytes: 64 * 1024,
        ..Impairment::NONE
    };
    let Fixture { client, proxy: _proxy, mut upstream, .. } = Fixture::start(Profile::both(rough)).await;
    let sent = numbered(1 << 20);
    let (mut from_upstream, mut to_upstream) = client.into_split();
    let sending = async {
        to_upstream.write_all(&sent).await.expect("writes");
        to_upstream.shutdown().await.expect("ends");
    };
    let mut received = Vec::new();
    timeout(DEADLINE, async { tokio::join!(sending, upstream.read_to_end(&mut received)).1 })
        .await
        .expect("in time")
        .expect("reads to the end");
    assert!(received == sent, "{} bytes arrived", received.len());
    // The other direction is still open: a half-close passes as one.
    upstream.write_all(b"late").await.expect("writes");
    drop(upstream);
    let mut back = Vec::new();
    timeout(DEADLINE, from_upstream.read_to_end(&mut back)).await.expect("in time").expect("reads");
    assert_eq!(back, b"late");
}

#[tokio::test]
async fn a_delay_delays_one_direction_alone() {
    let delay = Duration::from_millis(300);
    let to_upstream = Impairment { delay, ..Impairment::NONE };
    let mut f = Fixture::start(Profile { to_upstream, to_client: Impairment::NONE }).await;
    let began = Instant::now();
    f.client.write_all(b"there").await.expect("writes");
    f.upstream.write_all(b"back").await.expect("writes");
    assert_eq!(read(&mut f.client, 4).await, b"back");
    assert_eq!(f.proxy.counters().to_upstream.delivered, 0);
    assert_eq!(read(&mut f.upstream, 5).await, b"there");
    assert!(began.elapsed() >= delay);
}

#[tokio::test]
async fn a_rate_slows_and_can_be_lifted_while_bytes_flow() {
    let rate = BytesPerSecond::new(100_000);
    let slow = Impairment { rate, queue_bytes: 8 * 1024, ..Impairment::NONE };
    let mut f = Fixture::start(Profile::both(slow)).await;
    let began = Instant::now();
    let sent = numbered(8 << 20);
    let sending = tokio::spawn(async move {
        f.client.write_all(&sent).await.expect("writes");
        (f.client, sent)
    });
    let mut received = read(&mut f.upstream, 30_000).await;
    assert!(began.elapsed() >= Duration::from_millis(290), "30,000 bytes at 100,000 bytes a second");
    f.proxy.set_profile(Profile::default());
    received.extend(read(&mut f.upstream, (8 << 20) - 30_000).await);
    assert!(received == sending.await.expect("sends").1);
}

#[tokio::test]
async fn a_cut_holds_what_is_sent_and_heals_without_loss() {
    let mut f = Fixture::start(Profile::default()).await;
    f.proxy.cut(Cut::ToUpstream);
    f.client.write_all(b"held").await.expect("the kernel takes it");
    f.upstream.write_all(b"back").await.expect("writes");
    assert_eq!(read(&mut f.client, 4).await, b"back");
    f.proxy.cut(Cut::Both);
    f.upstream.write_all(b"held too").await.expect("the kernel takes it");
    let mut nothing = [0; 1];
    assert_eq!(f.upstream.try_read(&mut nothing).expect_err("nothing passed").kind(), ErrorKind::WouldBlock);
    f.proxy.heal();
    assert_eq!(read(&mut f.upstream, 4).await, b"held");
    assert_eq!(read(&mut f.client, 8).await, b"held too");
}

#[tokio::test]
async fn a_new_connection_waits_while_the_way_is_cut() {
    let f = Fixture::start(Profile::default()).await;
    f.proxy.cut(Cut::Both);
    let mut late = TcpStream::connect(f.proxy.address()).await.expect("the kernel accepts");
    late.write_all(b"late").await.expect("the kernel takes it");
    f.proxy.heal();
    let (mut upstream, _) = timeout(DEADLINE, f.listener.accept()).await.expect("in time").expect("accepts");
    assert_eq!(read(&mut upstream, 4).await, b"late");
}

#[tokio::test]
async fn a_reset_reaches_both_ends_and_new_connections_pass() {
    let mut f = Fixture::start(Profile::default()).await;
    f.client.write_all(b"x").await.expect("writes");
    read(&mut f.upstream, 1).await;
    f.proxy.reset();
    for stream in [&mut f.client, &mut f.upstream] {
        let ended = timeout(DEADLINE, stream.read(&mut [0; 1])).await.expect("in time");
        assert_eq!(ended.expect_err("a reset, no proper end").kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(f.proxy.counters().resets, 1);
    let mut client = TcpStream::connect(f.proxy.address()).await.expect("connects");
    client.write_all(b"again").await.expect("writes");
    let (mut upstream, _) = timeout(DEADLINE, f.listener.accept()).await.expect("in time").expect("accepts");
    assert_eq!(read(&mut upstream, 5).await, b"again");
}

#[tokio::test]
async fn a_reset_by_one_end_is_passed_on_to_the_other() {
    let mut f = Fixture::start(Profile::default()).await;
    f.client.write_all(b"x").await.expect("writes");
    read(&mut f.upstream, 1).await;
    f.client.set_zero_linger().expect("sets");
    drop(f.client);
    let ended = timeout(DEADLINE, f.upstream.read(&mut [0; 1])).await.expect("in time");
    assert_eq!(ended.expect_err("a reset, no proper end").kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn ending_the_proxy_ends_its_connections() {
    let mut f = Fixture::start(Profile::default()).await;
    f.proxy.shutdown().await;
    let ended = timeout(DEADLINE, f.client.read(&mut [0; 1])).await.expect("in time");
    assert!(!matches!(ended, Ok(1..)));
}
