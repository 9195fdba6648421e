//! The terminal WebSocket's messages: text frames carry JSON, binary frames a kind, an offset and raw bytes.
//!
//! `docs/PROTOCOL.md` describes them for other clients; `relay/web/fixtures/terminal-protocol.json` holds samples that both
//! sides' tests read.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::{SessionId, WriterId};
use podlatch_protocol::limits::MAX_CHUNK_BYTES;
use podlatch_protocol::session::{Cleanup, Ended, ExitOutcome};
use podlatch_protocol::terminal::TerminalSize;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::clock::UnixMillis;
use crate::session::LifeView;

const INPUT: u8 = 0x01;
const RENDERED: u8 = 0x02;
const OUTPUT: u8 = 0x11;
const APPLIED: u8 = 0x12;
const SNAPSHOT: u8 = 0x13;
const LEFT_OUT: u8 = 0x14;

/// Kind and offset.
const BINARY_HEADER_BYTES: usize = 9;

/// The largest offset that a browser's numbers hold exactly. At 1 GB/s a session gets there in a hundred days.
const MAX_OFFSET: u64 = (1 << 53) - 1;

/// The client sent something that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of the terminal makes no sense")]
pub(crate) struct BadMessage;

/// The client's first message.
#[derive(Debug)]
pub(crate) struct Attach {
    pub(crate) ticket: SecretString,
    pub(crate) writer: WriterId,
    /// Everything below this offset is on the client's screen; `None` for a new one.
    pub(crate) have: Option<u64>,
    pub(crate) size: TerminalSize,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum FirstText {
    Attach {
        ticket: SecretString,
        #[serde(deserialize_with = "writer")]
        writer: WriterId,
        have: Option<u64>,
        columns: u16,
        rows: u16,
    },
}

impl Attach {
    pub(crate) fn decode(text: &str) -> Result<Self, BadMessage> {
        let FirstText::Attach { ticket, writer, have, columns, rows } =
            serde_json::from_str(text).map_err(|_| BadMessage)?;
        Ok(Self { ticket, writer, have, size: TerminalSize::clamped(columns, rows) })
    }
}

/// Exactly sixteen hexadecimal digits: JSON numbers do not hold 64 bits in a browser.
fn writer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WriterId, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = digits.then(|| u64::from_str_radix(&text, 16).ok()).flatten();
    number.map(WriterId).ok_or_else(|| serde::de::Error::custom("a writer is sixteen hexadecimal digits"))
}

macro_rules! verbs {
    ($( $(#[$doc:meta])* $name:ident, )+) => {
        /// What a client's message may ask for. Whoever may do which is tried for all of them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Verb {
            $( $(#[$doc])* $name, )+
        }

        impl Verb {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

verbs! {
    /// To be shown the terminal, for a ticket; the first message.
    Attach,
    /// To type.
    Input,
    /// To say what was drawn.
    Rendered,
    /// To give the terminal another size.
    Resize,
    /// To say how much may be under way.
    Window,
    /// To end the session for good.
    Close,
}

/// What a client sends after its first message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FromClient {
    Input { offset: u64, bytes: Bytes },
    Rendered { offset: u64 },
    Resize(TerminalSize),
    Window { bytes: u64 },
    Close,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum ClientText {
    Resize { columns: u16, rows: u16 },
    Window { bytes: u64 },
    Close {},
}

impl FromClient {
    pub(crate) fn decode_text(text: &str) -> Result<Self, BadMessage> {
        match serde_json::from_str(text).map_err(|_| BadMessage)? {
            ClientText::Resize { columns, rows } => Ok(Self::Resize(TerminalSize::clamped(columns, rows))),
            ClientText::Window { bytes } => Ok(Self::Window { bytes }),
            ClientText::Close {} => Ok(Self::Close),
        }
    }

    pub(crate) fn decode_binary(mut message: Bytes) -> Result<Self, BadMessage> {
        if message.len() < BINARY_HEADER_BYTES {
            return Err(BadMessage);
        }
        let (kind, offset) = (message.get_u8(), message.get_u64());
        if offset > MAX_OFFSET {
            return Err(BadMessage);
        }
        match kind {
            INPUT if !message.is_empty() && message.len() <= MAX_CHUNK_BYTES => {
                Ok(Self::Input { offset, bytes: message })
            }
            RENDERED if message.is_empty() => Ok(Self::Rendered { offset }),
            _ => Err(BadMessage),
        }
    }
}

/// What a client is told in JSON.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ToClient {
    /// The first answer.
    Attached {
        session: SessionId,
        /// Output goes on from here.
        output: u64,
        /// Input is expected from here.
        input: u64,
    },
    /// Input is expected from here again.
    Resend { input: u64 },
    /// Whether the cluster's agent answers.
    Agent { state: AgentState },
    /// How long the session lives, and whether anybody types in it.
    Life(LifeMessage),
    /// Which size the terminal has, for those who do not choose it.
    Size { columns: u16, rows: u16 },
    /// How many people watch, for those who work in it.
    Observers { count: u32 },
    /// The session is over; the close follows.
    Ended(EndedMessage),
}

/// How long a session lives, counted from the message: browser and relay share no clock.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct LifeMessage {
    /// Until it ends, whatever happens.
    expires_in_ms: u64,
    /// Whether it is flagged idle.
    idle: bool,
    /// For how long nobody has typed, where it is idle.
    idle_since_ms: Option<u64>,
    /// Until it is closed because nobody types, where it is idle and would be.
    idle_closes_in_ms: Option<u64>,
}

impl LifeMessage {
    pub(crate) fn at(view: &LifeView, now: UnixMillis) -> Self {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            expires_in_ms: millis(now.until(view.expires_at)),
            idle: view.idle.is_some(),
            idle_since_ms: view.idle.map(|idle| millis(idle.since.until(now))),
            idle_closes_in_ms: view.idle.and_then(|idle| idle.closes_at).map(|at| millis(now.until(at))),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AgentState {
    Answering,
    Silent,
}

/// A session's end, as people and programs read it.
#[derive(Debug, Serialize, PartialEq, Eq, ToSchema)]
#[schema(as = SessionEnd)]
pub struct EndedMessage {
    /// The stable name of the cause.
    cause: &'static str,
    /// What happened and what to do, for a person.
    message: &'static str,
    /// The process' exit status, where it ended by itself and Kubernetes told.
    exit_code: Option<i32>,
    /// `not_wanted`, `confirmed` or `unconfirmed`: whether its processes are gone.
    cleanup: &'static str,
}

impl From<&Ended> for EndedMessage {
    fn from(ended: &Ended) -> Self {
        let exit_code = match (&ended.outcome, ended.cause) {
            (ExitOutcome::Exited(code), EndCause::Exited) => Some(*code),
            _ => None,
        };
        Self {
            cause: ended.cause.slug(),
            message: ended.cause.sentence(),
            exit_code,
            cleanup: cleanup_slug(ended.cleanup),
        }
    }
}

/// The stable name of a cleanup's result.
const fn cleanup_slug(cleanup: Cleanup) -> &'static str {
    match cleanup {
        Cleanup::NotWanted => "not_wanted",
        Cleanup::Confirmed => "confirmed",
        Cleanup::Unconfirmed => "unconfirmed",
    }
}

impl ToClient {
    pub(crate) fn encode(&self) -> String {
        // Plain structs of strings and numbers: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

pub(crate) fn output(offset: u64, bytes: &[u8]) -> Bytes {
    binary(OUTPUT, offset, bytes)
}

pub(crate) fn snapshot(offset: u64, bytes: &[u8]) -> Bytes {
    binary(SNAPSHOT, offset, bytes)
}

/// In place of the output from what was sent before up to `end`, `bytes` are drawn.
pub(crate) fn left_out(end: u64, bytes: &[u8]) -> Bytes {
    binary(LEFT_OUT, end, bytes)
}

pub(crate) fn applied(offset: u64) -> Bytes {
    binary(APPLIED, offset, &[])
}

fn binary(kind: u8, offset: u64, bytes: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(BINARY_HEADER_BYTES + bytes.len());
    message.put_u8(kind);
    message.put_u64(offset);
    message.put_slice(bytes);
    message.freeze()
}

#[cfg(test)]
mod fixtures;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::IdleView;

    #[test]
    fn an_attach_is_parsed_strictly() {
        let good =
            r#"{"type":"attach","ticket":"plk_x","writer":"00000000000000ff","have":null,"columns":80,"rows":0}"#;
        let attach = Attach::decode(good).expect("good");
        assert_eq!((attach.writer, attach.have, attach.size), (WriterId(255), None, TerminalSize::clamped(80, 1)));
        for bad in [
            "",
            "{}",
            r#"{"type":"resize","columns":1,"rows":1}"#,
            r#"{"type":"attach","ticket":"x","writer":"ff","have":1,"columns":1,"rows":1}"#,
            r#"{"type":"attach","ticket":"x","writer":"+0000000000000ff","have":1,"columns":1,"rows":1}"#,
            r#"{"type":"attach","ticket":"x","writer":"00000000000000ff","have":-1,"columns":1,"rows":1}"#,
            r#"{"type":"attach","ticket":"x","writer":"00000000000000ff","have":1,"columns":1,"rows":1,"session":"y"}"#,
        ] {
            assert!(Attach::decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn binary_messages_need_a_whole_header_and_a_fitting_body() {
        let decode = |bytes: &'static [u8]| FromClient::decode_binary(Bytes::from_static(bytes));
        let input = FromClient::Input { offset: 3, bytes: Bytes::from_static(b"ls") };
        assert_eq!(decode(b"\x01\0\0\0\0\0\0\0\x03ls"), Ok(input));
        assert_eq!(decode(b"\x02\0\0\0\0\0\0\x01\0"), Ok(FromClient::Rendered { offset: 256 }));
        for bad in [&b""[..], b"\x01", b"\x01\0\0\0\0\0\0\0\x03", b"\x02\0\0\0\0\0\0\0\x03x", b"\x63\0\0\0\0\0\0\0\0x"]
        {
            assert!(FromClient::decode_binary(Bytes::from_static(bad)).is_err(), "{bad:?}");
        }
        let long = [&b"\x01\0\0\0\0\0\0\0\0"[..], &vec![b'x'; MAX_CHUNK_BYTES + 1]].concat();
        assert!(FromClient::decode_binary(long.into()).is_err());
    }

    #[test]
    fn text_messages_are_parsed_strictly() {
        assert_eq!(FromClient::decode_text(r#"{"type":"close"}"#), Ok(FromClient::Close));
        let resize = FromClient::decode_text(r#"{"type":"resize","columns":0,"rows":65535}"#);
        assert_eq!(resize, Ok(FromClient::Resize(TerminalSize::clamped(1, TerminalSize::MAX_SIDE))));
        for bad in [
            "",
            "null",
            r#"{"type":"open"}"#,
            r#"{"type":"close","x":1}"#,
            r#"{"type":"resize","columns":-1,"rows":1}"#,
        ] {
            assert!(FromClient::decode_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_life_is_told_in_times_from_now_on() {
        let at = |seconds: u64| UnixMillis::new(1_000_000).plus(Duration::from_secs(seconds));
        let busy = LifeView { expires_at: at(60), idle: None };
        assert_eq!(
            ToClient::Life(LifeMessage::at(&busy, at(0))).encode(),
            r#"{"type":"life","expires_in_ms":60000,"idle":false,"idle_since_ms":null,"idle_closes_in_ms":null}"#
        );
        let idle = Some(IdleView { since: at(0), closes_at: Some(at(30)) });
        assert_eq!(
            ToClient::Life(LifeMessage::at(&LifeView { idle, ..busy }, at(10))).encode(),
            r#"{"type":"life","expires_in_ms":50000,"idle":true,"idle_since_ms":10000,"idle_closes_in_ms":20000}"#
        );
        let late = LifeMessage::at(&LifeView { idle, ..busy }, at(70));
        assert_eq!((late.expires_in_ms, late.idle_closes_in_ms), (0, Some(0)));
    }

    #[test]
    fn an_end_says_what_happened() {
        let ended = Ended {
            cause: EndCause::Exited,
            outcome: ExitOutcome::Exited(3),
            cleanup: Cleanup::NotWanted,
            output_length: 9,
        };
        let text = ToClient::Ended(EndedMessage::from(&ended)).encode();
        assert_eq!(
            text,
            r#"{"type":"ended","cause":"exited","message":"The process has ended.","exit_code":3,"cleanup":"not_wanted"}"#
        );
        let killed = Ended { cause: EndCause::ClosedByUser, ..ended };
        assert_eq!(EndedMessage::from(&killed).exit_code, None, "the status of a killed process is not its own");
    }
}
