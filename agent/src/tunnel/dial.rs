//! Connecting to the relay: every address of its name gets a chance.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use podlatch_link::socket;
use podlatch_link::transport::{End, transport_config};
use podlatch_protocol::version::RELAY_TLS_NAME;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, Endpoint, EndpointConfig, TokioRuntime};
use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};

use super::explain::{Explanation, explain};
use crate::config::RelayAddress;

/// A resolver that takes longer is broken.
const RESOLVE: Duration = Duration::from_secs(5);

/// All addresses together have this long.
const CONNECT: Duration = Duration::from_secs(10);

/// The next address is tried this long after the one before, unless that one has failed already (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// More addresses than this are not tried at once.
const MAX_ADDRESSES: usize = 8;

/// A connection and the socket below it, which may be exchanged.
#[derive(Debug)]
pub struct Dialled {
    /// The endpoint; it has this one connection.
    pub endpoint: Endpoint,
    /// The connection.
    pub connection: Connection,
}

/// Connects to the relay. Cancel safe: what was begun is given up.
pub async fn dial(relay: &RelayAddress, tls: rustls::ClientConfig, max_streams: u32) -> Result<Dialled, Explanation> {
    let addresses = resolve(relay).await?;
    let config = client_config(tls, max_streams)?;
    let mut attempts: FuturesUnordered<_> = addresses
        .into_iter()
        .enumerate()
        .map(|(index, address)| {
            let config = config.clone();
            async move {
                sleep(STAGGER * u32::try_from(index).unwrap_or(u32::MAX)).await;
                connect(relay, config, address).await
            }
        })
        .collect();
    let mut failure = no_answer(relay);
    let first_success = async {
        while let Some(result) = attempts.next().await {
            match result {
                Ok(dialled) => return Ok(dialled),
                Err(error) => failure = error,
            }
        }
        Err(())
    };
    match timeout(CONNECT, first_success).await {
        Ok(Ok(dialled)) => Ok(dialled),
        Ok(Err(())) => Err(failure),
        Err(_) => Err(no_answer(relay)),
    }
}

async fn resolve(relay: &RelayAddress) -> Result<Vec<SocketAddr>, Explanation> {
    let unknown = |cause: String| {
        Explanation::transient(format!("the relay's name {:?} could not be resolved: {cause}", relay.host))
    };
    let looked_up = timeout(RESOLVE, lookup_host((relay.host.as_str(), relay.port)))
        .await
        .map_err(|_| unknown("the resolver does not answer".to_owned()))?;
    let addresses: Vec<_> = looked_up.map_err(|error| unknown(error.to_string()))?.take(MAX_ADDRESSES).collect();
    if addresses.is_empty() { Err(unknown("it has no address".to_owned())) } else { Ok(addresses) }
}

fn client_config(tls: rustls::ClientConfig, max_streams: u32) -> Result<quinn::ClientConfig, Explanation> {
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| Explanation::lasting(error.to_string()))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport_config(End::Agent { max_streams })));
    Ok(config)
}

async fn connect(
    relay: &RelayAddress,
    config: quinn::ClientConfig,
    address: SocketAddr,
) -> Result<Dialled, Explanation> {
    let local = |error: std::io::Error| Explanation::transient(format!("a UDP socket could not be opened: {error}"));
    let socket = socket::bind_towards(address).map_err(local)?;
    let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime)).map_err(local)?;
    let connecting = endpoint
        .connect_with(config, address, RELAY_TLS_NAME)
        .map_err(|error| Explanation::transient(format!("{relay} cannot be dialled: {error}")))?;
    let connection = connecting.await.map_err(|error| explain(relay, &error))?;
    Ok(Dialled { endpoint, connection })
}

fn no_answer(relay: &RelayAddress) -> Explanation {
    explain(relay, &quinn::ConnectionError::TimedOut)
}
