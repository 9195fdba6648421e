//! The UDP proxy between real sockets.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use podlatch_impair::{BytesPerSecond, Cut, Impairment, Probability, Profile, UdpProxy};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Only to end a hanging test.
const DEADLINE: Duration = Duration::from_secs(30);

/// A client, a proxy and an upstream that have already met.
struct Fixture {
    client: UdpSocket,
    proxy: UdpProxy,
    upstream: UdpSocket,
    /// Where the upstream sees the client.
    seen_at: SocketAddr,
}

impl Fixture {
    async fn start(seed: u64) -> Self {
        let upstream = UdpSocket::bind(ANY_PORT).await.expect("binds");
        let target = upstream.local_addr().expect("bound");
        let proxy = UdpProxy::start(ANY_PORT, target, Profile::default(), seed).await.expect("starts");
        let client = UdpSocket::bind(ANY_PORT).await.expect("binds");
        client.connect(proxy.address()).await.expect("connects");
        client.send(b"hello").await.expect("sends");
        let (text, seen_at) = receive_from(&upstream).await;
        assert_eq!(text, "hello");
        Self { client, proxy, upstream, seen_at }
    }

    fn impair_upstream(&self, to_upstream: Impairment) {
        self.proxy.set_profile(Profile { to_upstream, to_client: Impairment::NONE });
    }

    async fn send_numbers(&self, count: usize) {
        for number in 0..count {
            self.client.send(number.to_string().as_bytes()).await.expect("sends");
            // The proxy's sockets are not to overflow in the kernel: what is lost is to be the proxy's doing.
            tokio::task::yield_now().await;
        }
    }

    /// What arrives at the upstream before `end`, which the client sends once nothing is impaired any more.
    async fn arrived_before_the_end(&self) -> Vec<String> {
        self.proxy.set_profile(Profile::default());
        self.client.send(b"end").await.expect("sends");
        let mut arrived = Vec::new();
        loop {
            match receive_from(&self.upstream).await.0 {
                end if end == "end" => return arrived,
                text => arrived.push(text),
            }
        }
    }
}

async fn receive_from(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = [0; 2_048];
    let (length, from) = timeout(DEADLINE, socket.recv_from(&mut buffer)).await.expect("in time").expect("receives");
    (String::from_utf8_lossy(&buffer[..length]).into_owned(), from)
}

async fn receive(socket: &UdpSocket) -> String {
    receive_from(socket).await.0
}

#[tokio::test]
async fn packets_pass_both_ways_with_nothing_done_to_them() {
    let f = Fixture::start(0).await;
    f.upstream.send_to(b"back", f.seen_at).await.expect("sends");
    assert_eq!(receive(&f.client).await, "back");
    let counters = f.proxy.counters();
    assert_eq!((counters.flows, counters.to_upstream.delivered, counters.to_client.delivered), (1, 1, 1));
    f.proxy.shutdown().await;
}

#[tokio::test]
async fn a_delay_delays_one_direction_alone() {
    let f = Fixture::start(0).await;
    let delay = Duration::from_millis(300);
    f.impair_upstream(Impairment { delay, ..Impairment::NONE });
    let began = Instant::now();
    f.client.send(b"there").await.expect("sends");
    f.upstream.send_to(b"back", f.seen_at).await.expect("sends");
    assert_eq!(receive(&f.client).await, "back");
    assert!(f.proxy.counters().to_upstream.delivered == 1, "the way back does not wait for the way there");
    assert_eq!(receive(&f.upstream).await, "there");
    assert!(began.elapsed() >= delay);
}

#[tokio::test]
async fn loss_hits_the_same_packets_in_every_run_of_a_seed() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let f = Fixture::start(seed).await;
        f.impair_upstream(Impairment { loss: Probability::percent(40), ..Impairment::NONE });
        f.send_numbers(100).await;
        runs.push(settled(&f, 100).await);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    assert!((30..90).contains(&runs[0].len()), "{} of 100 arrived", runs[0].len());
}

/// What arrived of `count` packets, once the proxy has seen all of them.
async fn settled(f: &Fixture, count: u64) -> Vec<String> {
    wait_until_entered(f, count).await;
    f.arrived_before_the_end().await
}

/// Waits until the proxy has taken `count` packets behind the first.
async fn wait_until_entered(f: &Fixture, count: u64) {
    let waiting = async {
        while f.proxy.counters().to_upstream.entered < count + 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, waiting).await.expect("the proxy takes everything");
}

#[tokio::test]
async fn every_packet_is_doubled_when_asked() {
    let f = Fixture::start(0).await;
    f.impair_upstream(Impairment { duplicate: Probability::ALWAYS, ..Impairment::NONE });
    f.send_numbers(3).await;
    assert_eq!(settled(&f, 3).await, ["0", "0", "1", "1", "2", "2"]);
    assert_eq!(f.proxy.counters().to_upstream.duplicated, 3);
}

#[tokio::test]
async fn reordered_packets_are_overtaken_and_none_is_missing() {
    let f = Fixture::start(3).await;
    let reorder_by = Duration::from_millis(50);
    f.impair_upstream(Impairment { reorder: Probability::percent(30), reorder_by, ..Impairment::NONE });
    f.send_numbers(50).await;
    let mut arrived = Vec::new();
    for _ in 0..50 {
        arrived.push(receive(&f.upstream).await.parse::<usize>().expect("a number"));
    }
    assert!(!arrived.is_sorted());
    arrived.sort_unstable();
    assert!(arrived.into_iter().eq(0..50));
}

#[tokio::test]
async fn jitter_alone_keeps_the_order() {
    let f = Fixture::start(3).await;
    f.impair_upstream(Impairment { jitter: Duration::from_millis(30), ..Impairment::NONE });
    f.send_numbers(50).await;
    for number in 0..50 {
        assert_eq!(receive(&f.upstream).await, number.to_string());
    }
}

#[tokio::test]
async fn a_rate_slows_and_its_queue_is_bounded() {
    let f = Fixture::start(0).await;
    let rate = BytesPerSecond::new(20_000);
    f.impair_upstream(Impairment { rate, queue_bytes: 5_000, ..Impairment::NONE });
    let began = Instant::now();
    for _ in 0..20 {
        f.client.send(&[b'x'; 1_000]).await.expect("sends");
    }
    wait_until_entered(&f, 20).await;
    let counters = f.proxy.counters().to_upstream;
    assert!(counters.overflowed >= 10, "{counters:?}");
    for _ in 0..20 - counters.overflowed {
        assert_eq!(receive(&f.upstream).await.len(), 1_000);
    }
    assert!(began.elapsed() >= Duration::from_millis(250), "5,000 bytes at 20,000 bytes a second");
}

#[tokio::test]
async fn a_cut_one_way_swallows_that_way_alone_until_it_is_healed() {
    let f = Fixture::start(0).await;
    f.proxy.cut(Cut::ToUpstream);
    f.send_numbers(3).await;
    f.upstream.send_to(b"back", f.seen_at).await.expect("sends");
    assert_eq!(receive(&f.client).await, "back");
    wait_until_entered(&f, 3).await;
    f.proxy.heal();
    assert_eq!(f.arrived_before_the_end().await, [""; 0]);
    assert_eq!(f.proxy.counters().to_upstream.cut, 3);
}

#[tokio::test]
async fn a_cut_both_ways_swallows_what_is_under_way_too() {
    let f = Fixture::start(0).await;
    f.impair_upstream(Impairment { delay: Duration::from_mins(10), ..Impairment::NONE });
    f.send_numbers(3).await;
    wait_until_entered(&f, 3).await;
    f.proxy.cut(Cut::Both);
    f.upstream.send_to(b"lost", f.seen_at).await.expect("sends");
    let waiting = async {
        while f.proxy.counters().to_client.cut == 0 || f.proxy.counters().to_upstream.cut < 3 {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, waiting).await.expect("both ways are cut");
    f.proxy.heal();
    assert_eq!(f.arrived_before_the_end().await, [""; 0]);
    f.upstream.send_to(b"back", f.seen_at).await.expect("sends");
    assert_eq!(receive(&f.client).await, "back");
}

#[tokio::test]
async fn after_an_address_change_the_upstream_sees_a_new_port_and_the_client_sees_nothing() {
    let f = Fixture::start(0).await;
    f.proxy.change_address();
    f.client.send(b"moved").await.expect("sends");
    let (text, now_at) = receive_from(&f.upstream).await;
    assert_eq!(text, "moved");
    assert_ne!(now_at, f.seen_at);
    f.upstream.send_to(b"to nobody", f.seen_at).await.expect("sends");
    f.upstream.send_to(b"back", now_at).await.expect("sends");
    assert_eq!(receive(&f.client).await, "back");
    assert_eq!(f.proxy.counters().address_changes, 1);
}

#[tokio::test]
async fn clients_do_not_mix() {
    let f = Fixture::start(0).await;
    let other = UdpSocket::bind(ANY_PORT).await.expect("binds");
    other.send_to(b"other", f.proxy.address()).await.expect("sends");
    let (text, other_at) = receive_from(&f.upstream).await;
    assert_eq!(text, "other");
    assert_ne!(other_at, f.seen_at);
    f.upstream.send_to(b"for the other", other_at).await.expect("sends");
    f.upstream.send_to(b"for the first", f.seen_at).await.expect("sends");
    assert_eq!(receive(&other).await, "for the other");
    assert_eq!(receive(&f.client).await, "for the first");
}
