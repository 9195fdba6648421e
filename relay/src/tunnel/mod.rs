//! The tunnel's relay side: agents dial in over QUIC, enrol with a join token or show their certificate, and are then
//! reached through [`Agents`].

mod admission;
mod audit;
mod connection;
mod control;
mod enrolment;
mod events;
mod handle;
mod handshake;
mod here;
mod listener;
mod lives;
mod registration;
mod registry;
mod revocation;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use podlatch_link::disconnect::Disconnect;
use podlatch_link::socket;
use podlatch_protocol::enrolment::Certificate;
use quinn::{Endpoint, TokioRuntime};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::http::guesses::Guesses;
use crate::http::rate_limit::RateLimiter;
use crate::pki::{Ca, IssuedCertificate, PkiError};
use crate::store::Store;

pub use self::audit::refusal_limit;
pub use events::AgentEvent;
pub use handle::{AgentHandle, AgentState, ConnectionId, LinkError};
pub use registration::Registration;
pub use registry::Agents;

/// How long connections have to close.
const CLOSE: Duration = Duration::from_secs(2);

/// The listener could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// Its address is not free, or not this machine's.
    #[error("the tunnel's address {address} (UDP) could not be bound; choose another --tunnel-listen")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Its TLS settings do not work.
    #[error("TLS could not be set up for the tunnel")]
    Tls(#[from] rustls::Error),
    /// Client certificates cannot be verified.
    #[error("TLS could not be set up for the tunnel")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// QUIC does not take the TLS settings.
    #[error("QUIC could not be set up for the tunnel")]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
    /// The relay's certificate could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
}

/// What the tunnel works with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where agents and tokens are.
    pub store: Store,
    /// Who signs.
    pub ca: Arc<Ca>,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    /// Everything that runs beside.
    pub tasks: TaskTracker,
    /// How many refusals of one address are audited: [`refusal_limit`].
    pub refusals: Arc<RateLimiter>,
    /// Bounds how often one address may guess at join tokens.
    pub guesses: Guesses,
}

impl Context {
    fn certificate(&self, issued: &IssuedCertificate) -> Certificate {
        Certificate {
            certificate: issued.certificate.to_vec(),
            ca: self.ca.certificate().to_vec(),
            not_after_unix_seconds: issued.expires_at.since_epoch() / 1_000,
        }
    }
}

/// The running listener.
#[derive(Debug)]
pub struct Tunnel {
    endpoint: Endpoint,
    agents: Agents,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Tunnel {
    /// Binds `address` and serves agents from now on. `agents` shows who is connected.
    pub fn start(address: SocketAddr, context: Context, agents: Agents) -> Result<Self, TunnelError> {
        let bind = |source| TunnelError::Bind { address, source };
        let server = tls::server_config(&context)?;
        let socket = socket::bind(address).map_err(bind)?;
        let endpoint = Endpoint::new(tls::endpoint_config(&context.ca), Some(server), socket, Arc::new(TokioRuntime))
            .map_err(bind)?;
        let (tasks, stop) = (context.tasks.clone(), CancellationToken::new());
        tasks.spawn(revocation::watch(context.clone(), agents.clone(), stop.clone()));
        tasks.spawn(listener::accept(context, agents.clone(), endpoint.clone(), stop.clone()));
        Ok(Self { endpoint, agents, tasks, stop })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Who is connected.
    pub const fn agents(&self) -> &Agents {
        &self.agents
    }

    /// Takes no new connections and closes those that there are; agents come back to the next life of the relay. Not cancel
    /// safe.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        let _ = timeout(CLOSE, self.tasks.wait()).await;
        let reason = Disconnect::ShuttingDown;
        self.endpoint.close(reason.code(), reason.sentence().as_bytes());
        let _ = timeout(CLOSE, self.endpoint.wait_idle()).await;
    }
}
