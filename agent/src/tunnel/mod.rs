//! The tunnel: keeps one connection to the relay alive, and serves what the relay asks for on it.
//!
//! [`state`] decides, this module does. The one loop that reconnects is [`Tunnel::run`].

mod backoff;
pub mod dial;
pub mod explain;
mod link;
mod state;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use podlatch_cluster::Services;
use podlatch_link::disconnect::Disconnect;
use podlatch_protocol::close::EndCause;
use podlatch_protocol::control::{About, Hello, ToAgent, ToRelay};
use podlatch_protocol::enrolment::Certificate;
use podlatch_protocol::id::AgentInstanceId;
use podlatch_protocol::version::{MINOR, TUNNEL_ALPN};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::RelayAddress;
use crate::identity::{Identity, IdentityStore, NewKey};
use crate::tls::{Credentials, client_config};

pub use backoff::Backoff;
pub use explain::Explanation;
pub use state::Failure;

use self::link::{Link, timer};
use self::state::Action;

/// Streams besides sessions that the relay may have open at once: watches and reapings.
const OTHER_STREAMS: u32 = 256;

/// How long a certificate may take to reach its store.
const SAVE: Duration = Duration::from_secs(20);

/// How long to wait before it is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(30);

/// Whether the relay can be reached, for probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TunnelStatus {
    /// The relay has welcomed this agent.
    Up,
    /// It has not; the sentence says why.
    Down(String),
}

/// Why the tunnel ended for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    Stopped,
    /// The relay does not take this identity, and a new one can be had.
    IdentityRefused(String),
    /// The certificate has run out, so the relay cannot be reached any more.
    IdentityExpired,
}

/// What to do when the relay does not take this identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRefusal {
    /// Try again now and then: there is no other identity to be had.
    Retry,
    /// End, so that a join token can be tried.
    End,
}

/// Whom the tunnel connects to, and as whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The relay.
    pub relay: RelayAddress,
    /// The most sessions that may be open at once.
    pub max_sessions: u32,
    /// This life of the process.
    pub instance: AgentInstanceId,
    /// The cluster's version, for people; empty where it could not be asked.
    pub kubernetes_version: String,
    /// What it is and allows, for people.
    pub about: About,
    /// What to do when the relay does not take the identity.
    pub on_refusal: OnRefusal,
}

/// The orders that end a tunnel.
#[derive(Debug, Clone)]
pub struct Orders {
    /// Take nothing new, and say so.
    pub drain: CancellationToken,
    /// Close the connection and return.
    pub stop: CancellationToken,
}

/// The tunnel, with everything that it owns.
pub struct Tunnel {
    settings: Settings,
    identity: Identity,
    store: Arc<dyn IdentityStore>,
    services: Services,
    orders: Orders,
    status: watch::Sender<TunnelStatus>,
    streams: TaskTracker,
    state: state::Tunnel<StdRng>,
    pending_key: Option<NewKey>,
    renewed: Option<Renewed>,
}

/// A new identity on its way to its store.
struct Renewed {
    identity: Identity,
    stored: JoinHandle<()>,
}

impl Tunnel {
    /// A tunnel that is not connected yet.
    pub fn new(
        settings: Settings,
        identity: Identity,
        store: Arc<dyn IdentityStore>,
        services: Services,
        orders: Orders,
        status: watch::Sender<TunnelStatus>,
    ) -> Self {
        let now = Instant::now();
        let mut state = state::Tunnel::new(now, now, StdRng::from_os_rng());
        let renew_at = state.renewal_time(now, identity.remaining(SystemTime::now()), identity.lifetime());
        state.renewed(renew_at);
        let streams = TaskTracker::new();
        Self { settings, identity, store, services, orders, status, streams, state, pending_key: None, renewed: None }
    }

    /// Connects, serves and reconnects until it is told to stop. Not cancel safe: cancel by its orders.
    pub async fn run(mut self) -> End {
        let end = loop {
            match self.state.next(Instant::now()) {
                Action::Dial => {
                    if let Some(end) = self.connect_and_serve().await {
                        break end;
                    }
                }
                Action::Wait(until) => tokio::select! {
                    () = sleep_until(timer(until)) => {}
                    () = self.orders.stop.cancelled() => break End::Stopped,
                },
                Action::Nudge | Action::Rebind | Action::Renew | Action::AnnounceDrain | Action::HangUp => {}
            }
        };
        self.status.send_replace(TunnelStatus::Down("the agent is stopping".to_owned()));
        self.streams.close();
        end
    }

    async fn connect_and_serve(&mut self) -> Option<End> {
        self.adopt_renewed();
        if self.identity.remaining(SystemTime::now()).is_zero() {
            return Some(End::IdentityExpired);
        }
        let stop = self.orders.stop.clone();
        let connected = tokio::select! {
            connected = self.connect() => connected,
            () = stop.cancelled() => return Some(End::Stopped),
        };
        let outcome = match connected {
            Ok(link) => self.serve(link).await,
            Err(explanation) => Err(explanation),
        };
        let Err(explanation) = outcome else {
            return Some(End::Stopped);
        };
        if explanation.failure == Failure::Revoked {
            // Nobody will ever take these over, and their right is gone.
            self.services.sessions.end_all(EndCause::AgentRevoked).await;
        }
        let refused = matches!(explanation.failure, Failure::IdentityRefused | Failure::Revoked);
        if refused && self.settings.on_refusal == OnRefusal::End {
            return Some(End::IdentityRefused(explanation.sentence));
        }
        let wait = self.state.failed(Instant::now(), explanation.failure);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        match explanation.failure {
            Failure::Transient => tracing::warn!(wait_ms, "no tunnel: {explanation}"),
            Failure::Lasting | Failure::IdentityRefused | Failure::Revoked => {
                tracing::error!(wait_ms, "no tunnel: {explanation}");
            }
        }
        self.status.send_replace(TunnelStatus::Down(explanation.sentence));
        None
    }

    async fn connect(&self) -> Result<Link, Explanation> {
        let tls = client_config(self.identity.pin(), Credentials::Identity(&self.identity), TUNNEL_ALPN)
            .map_err(|error| Explanation::lasting(error.to_string()))?;
        let max_streams = self.settings.max_sessions.saturating_add(OTHER_STREAMS);
        let dialled = dial::dial(&self.settings.relay, tls, max_streams).await?;
        let hello = Hello {
            minor: MINOR,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            kubernetes_version: self.settings.kubernetes_version.clone(),
            instance: self.settings.instance,
            sessions: self.services.sessions.held(),
        };
        Link::introduce(self.settings.relay.clone(), dialled, hello).await
    }

    /// Serves one connection: `Ok` when it was told to stop, else why the connection ended.
    async fn serve(&mut self, mut link: Link) -> Result<(), Explanation> {
        self.state.connected(Instant::now());
        self.status.send_replace(TunnelStatus::Up);
        tracing::info!(relay = %self.settings.relay, address = %link.connection().remote_address(), "connected");
        link.send(&ToRelay::About(self.settings.about.clone())).await?;
        let connection = link.connection().clone();
        let orders = self.orders.clone();
        let mut draining = false;
        loop {
            let action = self.state.next(Instant::now());
            let wait_until = match action {
                Action::Wait(until) => until,
                Action::HangUp => {
                    link.close(Disconnect::TooSlow).await;
                    return Err(Explanation::transient("the relay fell silent"));
                }
                other => {
                    self.act(other, &mut link).await?;
                    continue;
                }
            };
            tokio::select! {
                message = link.receive() => self.handle(message?, &mut link).await?,
                stream = connection.accept_bi() => {
                    // An error here is the connection's end, which the control stream explains.
                    if let Ok((send, recv)) = stream {
                        self.streams.spawn(self.services.clone().serve(send.into(), recv.into()));
                    } else {
                        link.receive().await?;
                    }
                }
                () = sleep_until(timer(wait_until)) => {}
                () = orders.drain.cancelled(), if !draining => {
                    draining = true;
                    self.state.drain();
                }
                () = orders.stop.cancelled() => {
                    link.close(Disconnect::ShuttingDown).await;
                    return Ok(());
                }
            }
        }
    }

    async fn act(&mut self, action: Action, link: &mut Link) -> Result<(), Explanation> {
        match action {
            Action::Nudge => link.nudge().await,
            Action::AnnounceDrain => link.send(&ToRelay::Draining).await,
            Action::Renew => self.ask_renewal(link).await,
            Action::Rebind => {
                link.rebind();
                Ok(())
            }
            Action::Wait(_) | Action::Dial | Action::HangUp => Ok(()),
        }
    }

    async fn handle(&mut self, message: ToAgent, link: &mut Link) -> Result<(), Explanation> {
        self.state.heard(Instant::now());
        match message {
            ToAgent::Ping(number) => link.send(&ToRelay::Pong(number)).await,
            ToAgent::Renewed(certificate) => {
                self.finish_renewal(&certificate);
                Ok(())
            }
            ToAgent::RenewalRefused(sentence) => {
                tracing::error!("the relay refused a new certificate: {}", sentence.escape_default());
                self.state.renewal_failed(Instant::now());
                Ok(())
            }
            ToAgent::Welcome | ToAgent::Rejected(_) => Ok(()),
        }
    }

    async fn ask_renewal(&mut self, link: &mut Link) -> Result<(), Explanation> {
        match self.renewal_request() {
            Ok(request) => link.send(&ToRelay::Renew(request)).await,
            Err(error) => {
                tracing::error!("no new certificate: {error:#}");
                self.state.renewal_failed(Instant::now());
                Ok(())
            }
        }
    }

    /// Asks again with the same key as long as no answer came: an answer that is late is then still the right one.
    fn renewal_request(&mut self) -> anyhow::Result<Vec<u8>> {
        let key = match self.pending_key.take() {
            Some(key) => key,
            None => NewKey::generate()?,
        };
        self.pending_key.insert(key).request()
    }

    /// A connection with the new identity ends the right of the old one. So it is used when it was stored, not before: an
    /// agent that crashes meanwhile comes back with the old one. Unless that is over anyhow.
    fn adopt_renewed(&mut self) {
        let over = self.identity.remaining(SystemTime::now()).is_zero();
        if let Some(renewed) = self.renewed.take_if(|renewed| over || renewed.stored.is_finished()) {
            self.identity = renewed.identity;
        }
    }

    /// The new identity is used from a later connection on; this one goes on as it is.
    fn finish_renewal(&mut self, answer: &Certificate) {
        let now = Instant::now();
        let Some(key) = self.pending_key.take() else {
            return;
        };
        match key.certified(answer, self.identity.pin(), self.identity.enrolled_with()) {
            Ok(identity) => {
                let remaining = identity.remaining(SystemTime::now());
                let renew_at = self.state.renewal_time(now, remaining, identity.lifetime());
                self.state.renewed(renew_at);
                tracing::info!(valid_seconds = remaining.as_secs(), "renewed this agent's certificate");
                self.adopt_renewed();
                if let Some(older) = self.renewed.take() {
                    older.stored.abort();
                }
                let stored = self.streams.spawn(save(Arc::clone(&self.store), identity.clone()));
                self.renewed = Some(Renewed { identity, stored });
            }
            Err(error) => {
                tracing::error!("the new certificate cannot be used: {error:#}");
                self.state.renewal_failed(now);
            }
        }
    }
}

/// Stores it, however often that takes: the relay takes the previous key as well until it sees the new one.
async fn save(store: Arc<dyn IdentityStore>, identity: Identity) {
    loop {
        let error = match timeout(SAVE, store.save(identity.stored())).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => anyhow::anyhow!("writing it took too long"),
        };
        tracing::error!("the new identity could not be stored in {}: {error:#}", store.location());
        sleep(SAVE_AGAIN).await;
    }
}
