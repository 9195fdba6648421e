//! The Kubernetes channel protocol: the first byte of every binary message names a channel.
//!
//! Source: `k8s.io/apimachinery/pkg/util/remotecommand/constants.go`, and the recorded exchanges of a real server.

use bytes::{BufMut, Bytes, BytesMut};
use podlatch_protocol::terminal::TerminalSize;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;

/// One message of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FromServer {
    Stdout(Bytes),
    Stderr(Bytes),
    Status(Bytes),
    /// The ready markers (a channel byte alone) and channels that are not known: skipped.
    Nothing,
}

impl FromServer {
    pub(super) fn decode(mut message: Bytes) -> Self {
        if message.len() < 2 {
            return Self::Nothing;
        }
        let payload = message.split_off(1);
        match message[0] {
            STDOUT => Self::Stdout(payload),
            STDERR => Self::Stderr(payload),
            ERROR => Self::Status(payload),
            _ => Self::Nothing,
        }
    }
}

/// A message with input.
pub(super) fn stdin(bytes: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(1 + bytes.len());
    message.put_u8(STDIN);
    message.put_slice(bytes);
    message.freeze()
}

/// A message with the terminal's size.
pub(super) fn resize(size: TerminalSize) -> Bytes {
    let mut message = vec![RESIZE];
    message.extend_from_slice(format!("{{\"Width\":{},\"Height\":{}}}", size.columns(), size.rows()).as_bytes());
    message.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_marker_is_not_output() {
        assert_eq!(FromServer::decode(Bytes::from_static(&[1])), FromServer::Nothing);
        assert_eq!(FromServer::decode(Bytes::new()), FromServer::Nothing);
        assert_eq!(FromServer::decode(Bytes::from_static(b"\x01x")), FromServer::Stdout(Bytes::from_static(b"x")));
        assert_eq!(FromServer::decode(Bytes::from_static(b"\x09x")), FromServer::Nothing);
    }

    #[test]
    fn messages_are_as_recorded() {
        assert_eq!(resize(TerminalSize::clamped(100, 30)), Bytes::from_static(b"\x04{\"Width\":100,\"Height\":30}"));
        assert_eq!(stdin(b"ls\r"), Bytes::from_static(b"\x00ls\r"));
    }
}
