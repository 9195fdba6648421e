//! QUIC settings of the tunnel. quinn's defaults would let one peer make us hold 250 MB a connection; these are explicit.

use std::time::Duration;

use quinn::{IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};

/// Largest number of unread bytes that one stream may make us hold.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// Largest number of unread bytes that one connection may make us hold.
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// Largest number of unacknowledged bytes that one connection may make us hold for sending.
const SEND_WINDOW_BYTES: u64 = 4 * 1024 * 1024;

/// UDP mappings of NATs are known to last only 30 s (RFC 9308 section 3.2); the agent pings well within.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// After this silence a connection is dead.
const MAX_IDLE_MILLIS: u32 = 45_000;

/// Path MTU probing goes up to jumbo frames: where a data centre has them, packets are six times fewer. Lost probes cost
/// nothing else.
const MAX_PROBED_MTU: u16 = 8_952;

/// Priority of the control stream: a ping is never late because somebody prints much.
pub const CONTROL_PRIORITY: i32 = 2;

/// Priority of a session's stream. Whoever floods is put below it.
pub const SESSION_PRIORITY: i32 = 1;

/// Which end of the tunnel a configuration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Dials, keeps the path alive, accepts session streams.
    Agent {
        /// How many streams the relay may have open at once: sessions, watches, reapings.
        max_streams: u32,
    },
    /// Accepts the connection and the one control stream.
    Relay,
}

/// The transport settings for one end.
pub fn transport_config(end: End) -> TransportConfig {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(MAX_PROBED_MTU);
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(MAX_IDLE_MILLIS))))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .mtu_discovery_config(Some(mtu))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None);
    match end {
        End::Agent { max_streams } => {
            config.keep_alive_interval(Some(KEEP_ALIVE)).max_concurrent_bidi_streams(VarInt::from_u32(max_streams));
        }
        End::Relay => {
            config.max_concurrent_bidi_streams(VarInt::from_u32(1));
        }
    }
    config
}
