//! The tunnel's UDP sockets.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Asked of the kernel for each direction, which may grant less: a burst of one congestion window must not be dropped here.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Binds a UDP socket with large buffers. An IPv6 wildcard serves IPv4 too.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // Some systems have no dual-stack sockets; IPv6 alone is then what there is.
        let _ = socket.set_only_v6(false);
    }
    // Best effort: an ordinary user gets what net.core.rmem_max and wmem_max allow.
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Binds a socket on a free port for talking to `peer`.
pub fn bind_towards(peer: SocketAddr) -> io::Result<UdpSocket> {
    match peer {
        SocketAddr::V4(_) => bind((Ipv4Addr::UNSPECIFIED, 0).into()),
        SocketAddr::V6(_) => bind((Ipv6Addr::UNSPECIFIED, 0).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_bind_to_free_ports() {
        let loopback = bind((Ipv4Addr::LOCALHOST, 0).into()).expect("binds");
        let address = loopback.local_addr().expect("is bound");
        assert_ne!(address.port(), 0);
        let client = bind_towards(address).expect("binds");
        client.send_to(b"x", address).expect("sends");
        assert_eq!(loopback.recv_from(&mut [0; 8]).expect("receives").0, 1);
    }
}
