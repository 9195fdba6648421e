//! The TCP proxy: one task that accepts, and one per connection with a pump for each direction.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::MAX_FLOWS;
use crate::control::{Cut, Direction, Owner, Shared, Wanted};
use crate::counters::{Counters, Tally};
use crate::decide::{Carries, derive_seed};
use crate::line::{Line, sleep_until};
use crate::profile::Profile;

/// Read in one go at most: about what one segment is where segments are large, so that a rate flows smoothly.
const READ_BYTES: usize = 4 * 1024;

/// A proxy between TCP clients and one upstream. Ends when it is dropped, and resets its connections then.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    owner: Owner,
}

impl TcpProxy {
    /// Listens on `listen` (port 0 takes any) and connects on to `upstream`. Cancel safe.
    pub async fn start(listen: SocketAddr, upstream: SocketAddr, profile: Profile, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (owner, shared) = Owner::new(profile, seed);
        shared.tasks.spawn(accept(listener, upstream, shared.clone()));
        Ok(Self { address, owner })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Treats what comes from now on by another profile; what is under way keeps its time.
    pub fn set_profile(&self, profile: Profile) {
        self.owner.change(|wanted| wanted.profile = profile);
    }

    /// Lets nothing pass in these directions, ends and new connections included, until [`Self::heal`]. Nothing is lost by
    /// it: it is what a black hole looks like to TCP, which sends again for as long as neither side gives up.
    pub fn cut(&self, cut: Cut) {
        self.owner.change(|wanted| wanted.cut = cut);
    }

    /// Lets everything pass again, first what was held.
    pub fn heal(&self) {
        self.cut(Cut::Healed);
    }

    /// Resets every connection that there is, towards both its ends. New ones are taken.
    pub fn reset(&self) {
        self.owner.change(|wanted| wanted.resets += 1);
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

async fn accept(listener: TcpListener, upstream: SocketAddr, shared: Shared) {
    let places = Arc::new(Semaphore::new(MAX_FLOWS));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            Ok((listener.accept().await?.0, place))
        };
        let accepted: io::Result<_> = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((client, place)) => {
                let connection = shared.clone();
                shared.tasks.spawn(async move {
                    if let Err(error) = carry(client, upstream, connection).await {
                        tracing::debug!(%error, "a connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => tracing::debug!(%error, "a connection could not be accepted"),
        }
    }
}

/// Carries one connection until both directions have ended, or until it breaks or is reset, which resets both its ends.
async fn carry(client: TcpStream, upstream: SocketAddr, shared: Shared) -> io::Result<()> {
    let interrupted = interruption(shared.clone());
    let mut ends = Ends { client, upstream: None };
    let outcome = tokio::select! {
        outcome = pass(&mut ends, upstream, &shared) => outcome,
        () = interrupted => Err(io::ErrorKind::ConnectionAborted.into()),
    };
    if outcome.is_err() {
        ends.reset();
        shared.tallies.resets.add(1);
    }
    outcome
}

/// Waits until the proxy ends or its owner asks for resets.
async fn interruption(mut shared: Shared) {
    let born = shared.wanted.borrow().resets;
    tokio::select! {
        () = shared.stop.cancelled() => {}
        _ = shared.wanted.wait_for(|wanted| wanted.resets != born) => {}
    }
}

struct Ends {
    client: TcpStream,
    upstream: Option<TcpStream>,
}

impl Ends {
    /// Makes the sockets send a reset when they are dropped.
    fn reset(&self) {
        for socket in [Some(&self.client), self.upstream.as_ref()].into_iter().flatten() {
            if let Err(error) = socket.set_zero_linger() {
                tracing::debug!(%error, "a connection could not be reset");
            }
        }
    }
}

async fn pass(ends: &mut Ends, address: SocketAddr, shared: &Shared) -> io::Result<()> {
    let number = shared.tallies.flows.get();
    shared.tallies.flows.add(1);
    // A request for a connection is held by a cut like everything else.
    let mut wanted = shared.wanted.clone();
    wanted.wait_for(|wanted| !wanted.is_cut(Direction::ToUpstream)).await.map_err(io::Error::other)?;
    let upstream = ends.upstream.insert(TcpStream::connect(address).await?);
    ends.client.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let (from_client, to_client) = ends.client.split();
    let (from_upstream, to_upstream) = upstream.split();
    let onward = Pump::new(Direction::ToUpstream, from_client, to_upstream, shared, number);
    let back = Pump::new(Direction::ToClient, from_upstream, to_client, shared, number);
    tokio::try_join!(onward.run(&shared.tallies.to_upstream), back.run(&shared.tallies.to_client)).map(drop)
}

/// One direction of a connection.
struct Pump<'a> {
    direction: Direction,
    source: ReadHalf<'a>,
    sink: WriteHalf<'a>,
    /// What was read and waits for its time. The source's end waits in it too, as an empty packet.
    line: Line,
    /// What is being written.
    writing: Bytes,
    has_ended: bool,
    wanted: watch::Receiver<Wanted>,
}

impl<'a> Pump<'a> {
    fn new(direction: Direction, source: ReadHalf<'a>, sink: WriteHalf<'a>, shared: &Shared, number: u64) -> Self {
        let mut wanted = shared.wanted.clone();
        let impairment = wanted.borrow_and_update().impairment(direction);
        let seed = derive_seed(shared.seed, number, direction as u64);
        let line = Line::new(impairment, Carries::Stream, seed);
        Self { direction, source, sink, line, writing: Bytes::new(), has_ended: false, wanted }
    }

    /// Moves bytes until the source's end has been passed on.
    async fn run(mut self, tally: &Tally) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let wanted = *self.wanted.borrow();
            self.line.set_impairment(wanted.impairment(self.direction));
            let passes = !wanted.is_cut(self.direction);
            if passes && self.writing.is_empty() {
                match self.line.leave(Instant::now()) {
                    Some(end) if end.is_empty() => return self.sink.shutdown().await,
                    Some(bytes) => self.writing = bytes,
                    None => {}
                }
            }
            tokio::select! {
                biased;
                changed = self.wanted.changed() => changed.map_err(io::Error::other)?,
                read = self.source.read(&mut buffer), if passes && !self.has_ended && self.line.has_room() => {
                    let bytes = Bytes::copy_from_slice(buffer.get(..read?).unwrap_or_default());
                    self.has_ended = bytes.is_empty();
                    self.line.enter(Instant::now(), bytes, tally);
                }
                written = self.sink.write(&self.writing), if passes && !self.writing.is_empty() => {
                    self.writing.advance(written?);
                    tally.delivered.add(u64::from(self.writing.is_empty()));
                }
                () = sleep_until(self.line.next_at()), if passes && self.writing.is_empty() => {}
            }
        }
    }
}
