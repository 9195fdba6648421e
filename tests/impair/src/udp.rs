//! The UDP proxy: one task that listens, and one per client address with a socket of its own towards the upstream.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::MAX_FLOWS;
use crate::control::{Cut, Direction, Owner, Shared, Wanted};
use crate::counters::Counters;
use crate::decide::{Carries, derive_seed};
use crate::line::{Line, sleep_until};
use crate::profile::Profile;

/// Largest UDP packet.
const MAX_PACKET_BYTES: usize = 65_535;

/// Packets that wait for a flow's task; more are dropped, as a full socket buffer would.
const FLOW_BACKLOG: usize = 256;

/// A proxy between UDP clients and one upstream. Ends when it is dropped.
#[derive(Debug)]
pub struct UdpProxy {
    address: SocketAddr,
    owner: Owner,
}

impl UdpProxy {
    /// Listens on `listen` (port 0 takes any) and sends on to `upstream`. Cancel safe.
    pub async fn start(listen: SocketAddr, upstream: SocketAddr, profile: Profile, seed: u64) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind(listen).await?);
        let address = socket.local_addr()?;
        let (owner, shared) = Owner::new(profile, seed);
        let listener = Listener { socket, upstream, flows: HashMap::new(), shared: shared.clone() };
        shared.tasks.spawn(listener.run());
        Ok(Self { address, owner })
    }

    /// Where clients send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Treats what comes from now on by another profile; what is under way keeps its time.
    pub fn set_profile(&self, profile: Profile) {
        self.owner.change(|wanted| wanted.profile = profile);
    }

    /// Swallows everything in these directions, what is under way included. [`Cut::Healed`] heals.
    pub fn cut(&self, cut: Cut) {
        self.owner.change(|wanted| wanted.cut = cut);
    }

    /// Lets everything pass again.
    pub fn heal(&self) {
        self.cut(Cut::Healed);
    }

    /// From now on the upstream sees every client at a new source port; what it sends to the old one is lost. Clients see
    /// nothing of it.
    pub fn change_address(&self) {
        self.owner.change(|wanted| wanted.address += 1);
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.owner.counters()
    }

    /// Ends the proxy and waits until its sockets are closed. Cancel safe: it ends in any case.
    pub async fn shutdown(self) {
        self.owner.shutdown().await;
    }
}

/// Hands what clients send to the tasks of their flows.
struct Listener {
    socket: Arc<UdpSocket>,
    upstream: SocketAddr,
    flows: HashMap<SocketAddr, mpsc::Sender<Bytes>>,
    shared: Shared,
}

impl Listener {
    async fn run(mut self) {
        let stop = self.shared.stop.clone();
        let mut buffer = vec![0; MAX_PACKET_BYTES];
        loop {
            let received = tokio::select! {
                () = stop.cancelled() => return,
                received = self.socket.recv_from(&mut buffer) => received,
            };
            match received {
                Ok((length, client)) => {
                    let packet = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                    self.dispatch(client, packet).await;
                }
                // Linux reports a client's closed port here; the others are not concerned.
                Err(error) => tracing::debug!(%error, "a client could not be reached"),
            }
        }
    }

    async fn dispatch(&mut self, client: SocketAddr, packet: Bytes) {
        if !self.flows.contains_key(&client) {
            self.flows.retain(|_, flow| !flow.is_closed());
            if self.flows.len() >= MAX_FLOWS {
                return self.shared.tallies.to_upstream.overflowed.add(1);
            }
            match self.begin(client).await {
                Ok(flow) => drop(self.flows.insert(client, flow)),
                Err(error) => return tracing::warn!(%error, "no socket towards the upstream"),
            }
        }
        if self.flows.get(&client).is_some_and(|flow| flow.try_send(packet).is_err()) {
            self.shared.tallies.to_upstream.overflowed.add(1);
        }
    }

    async fn begin(&self, client: SocketAddr) -> io::Result<mpsc::Sender<Bytes>> {
        let number = self.shared.tallies.flows.get();
        self.shared.tallies.flows.add(1);
        let mut shared = self.shared.clone();
        let wanted = *shared.wanted.borrow_and_update();
        let line = |direction: Direction| {
            let seed = derive_seed(self.shared.seed, number, direction as u64);
            Line::new(wanted.impairment(direction), Carries::Datagrams, seed)
        };
        let (sender, receiver) = mpsc::channel(FLOW_BACKLOG);
        let flow = Flow {
            client,
            clients: Arc::clone(&self.socket),
            upstream: open_towards(self.upstream).await?,
            upstream_address: self.upstream,
            from_client: receiver,
            to_upstream: line(Direction::ToUpstream),
            to_client: line(Direction::ToClient),
            wanted,
            shared,
        };
        self.shared.tasks.spawn(flow.run());
        Ok(sender)
    }
}

/// One client's way to the upstream and back.
struct Flow {
    client: SocketAddr,
    clients: Arc<UdpSocket>,
    upstream: UdpSocket,
    upstream_address: SocketAddr,
    from_client: mpsc::Receiver<Bytes>,
    to_upstream: Line,
    to_client: Line,
    wanted: Wanted,
    shared: Shared,
}

enum Event {
    Stop,
    Wanted,
    FromClient(Bytes),
    FromUpstream(io::Result<usize>),
    Time,
}

impl Flow {
    async fn run(mut self) {
        let mut buffer = vec![0; MAX_PACKET_BYTES];
        loop {
            match self.next_event(&mut buffer).await {
                Event::Stop => return,
                Event::Wanted => self.change().await,
                Event::FromClient(packet) => self.enter(Direction::ToUpstream, packet),
                Event::FromUpstream(Ok(length)) => {
                    let packet = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                    self.enter(Direction::ToClient, packet);
                }
                // A refused packet of the upstream's host; the upstream may come back.
                Event::FromUpstream(Err(error)) => tracing::debug!(%error, "the upstream cannot be reached"),
                Event::Time => {}
            }
            self.send_due().await;
        }
    }

    async fn next_event(&mut self, buffer: &mut [u8]) -> Event {
        let next_at = [self.to_upstream.next_at(), self.to_client.next_at()].into_iter().flatten().min();
        // Wishes come first: what is sent after a change was asked for is treated by it.
        tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => Event::Stop,
            changed = self.shared.wanted.changed() => if changed.is_ok() { Event::Wanted } else { Event::Stop },
            () = sleep_until(next_at) => Event::Time,
            event = async {
                tokio::select! {
                    packet = self.from_client.recv() => packet.map_or(Event::Stop, Event::FromClient),
                    received = self.upstream.recv(buffer) => Event::FromUpstream(received),
                }
            } => event,
        }
    }

    async fn change(&mut self) {
        let wanted = *self.shared.wanted.borrow_and_update();
        let rebind = wanted.address != self.wanted.address;
        self.wanted = wanted;
        self.to_upstream.set_impairment(wanted.profile.to_upstream);
        self.to_client.set_impairment(wanted.profile.to_client);
        if wanted.is_cut(Direction::ToUpstream) {
            self.shared.tallies.to_upstream.cut.add(self.to_upstream.clear());
        }
        if wanted.is_cut(Direction::ToClient) {
            self.shared.tallies.to_client.cut.add(self.to_client.clear());
        }
        if rebind {
            match open_towards(self.upstream_address).await {
                Ok(socket) => {
                    self.upstream = socket;
                    self.shared.tallies.address_changes.add(1);
                }
                Err(error) => tracing::warn!(%error, "no new socket towards the upstream"),
            }
        }
    }

    fn enter(&mut self, direction: Direction, packet: Bytes) {
        let (line, tally) = match direction {
            Direction::ToUpstream => (&mut self.to_upstream, &self.shared.tallies.to_upstream),
            Direction::ToClient => (&mut self.to_client, &self.shared.tallies.to_client),
        };
        if self.wanted.is_cut(direction) {
            tally.entered.add(1);
            tally.cut.add(1);
        } else {
            line.enter(Instant::now(), packet, tally);
        }
    }

    async fn send_due(&mut self) {
        let now = Instant::now();
        while let Some(packet) = self.to_upstream.leave(now) {
            match self.upstream.send(&packet).await {
                Ok(_) => self.shared.tallies.to_upstream.delivered.add(1),
                Err(error) => tracing::debug!(%error, "the upstream cannot be reached"),
            }
        }
        while let Some(packet) = self.to_client.leave(now) {
            match self.clients.send_to(&packet, self.client).await {
                Ok(_) => self.shared.tallies.to_client.delivered.add(1),
                Err(error) => tracing::debug!(%error, "the client cannot be reached"),
            }
        }
    }
}

/// A socket on any port that talks to this address alone.
async fn open_towards(upstream: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if upstream.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(upstream).await?;
    Ok(socket)
}
