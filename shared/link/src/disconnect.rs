//! Why one end closed a connection: QUIC application error codes, one table for both ends.

use quinn::VarInt;
use quinn::{ApplicationClose, ConnectionError};

macro_rules! disconnects {
    ($( $(#[$doc:meta])* $variant:ident = $number:literal, $sentence:literal; )+) => {
        /// Why a connection was closed on purpose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Disconnect {
            $( $(#[$doc])* $variant, )+
        }

        impl Disconnect {
            /// Every reason that this version knows.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The application error code on the wire; never reused, never changed.
            pub const fn code(self) -> VarInt {
                match self { $( Self::$variant => VarInt::from_u32($number), )+ }
            }

            /// What happened, for logs.
            pub const fn sentence(self) -> &'static str {
                match self { $( Self::$variant => $sentence, )+ }
            }
        }
    };
}

disconnects! {
    /// The conversation is over.
    Done = 1, "the conversation is over";
    /// A newer connection of the same agent took over.
    Replaced = 2, "a newer connection of the same agent took its place";
    /// The agent's or the cluster's right was withdrawn.
    Revoked = 3, "the agent or its cluster was revoked";
    /// This end is shutting down.
    ShuttingDown = 4, "the other end is shutting down";
    /// The peer broke the protocol.
    Protocol = 5, "a peer broke the protocol";
    /// The agent's certificate ran out and was not renewed.
    Expired = 6, "the agent's certificate ran out";
    /// The agent may not connect; a sentence on the control stream said why.
    Rejected = 7, "the relay rejected the agent";
    /// The peer did not do in time what it had to do.
    TooSlow = 8, "the other end did not answer in time";
    /// The tunnel needs a client certificate and none was presented.
    CertificateRequired = 9, "no client certificate was presented";
    /// Something failed on this side; come again.
    Internal = 10, "the other end failed";
}

impl Disconnect {
    /// The reason behind a connection's end, if the peer gave one that this version knows.
    pub fn of(error: &ConnectionError) -> Option<Self> {
        match error {
            ConnectionError::ApplicationClosed(ApplicationClose { error_code, .. }) => {
                Self::ALL.iter().copied().find(|reason| reason.code() == *error_code)
            }
            _ => None,
        }
    }

    /// Closes `connection` for this reason.
    pub fn close(self, connection: &quinn::Connection) {
        connection.close(self.code(), self.sentence().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_come_back_as_their_reasons() {
        let codes: BTreeSet<_> = Disconnect::ALL.iter().map(|reason| reason.code().into_inner()).collect();
        assert_eq!(codes.len(), Disconnect::ALL.len());
        for reason in Disconnect::ALL {
            let error = ConnectionError::ApplicationClosed(ApplicationClose {
                error_code: reason.code(),
                reason: bytes::Bytes::new(),
            });
            assert_eq!(Disconnect::of(&error), Some(*reason));
        }
        assert_eq!(Disconnect::of(&ConnectionError::TimedOut), None);
    }
}
