//! The samples of `relay/web/fixtures/terminal-protocol.json`, which the console's tests read too: both sides prove the same
//! bytes.

use std::collections::BTreeSet;

use bytes::Bytes;
use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::WriterId;
use podlatch_protocol::session::{Cleanup, Ended, ExitOutcome};
use podlatch_protocol::terminal::TerminalSize;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    AgentState, Attach, EndedMessage, FromClient, LifeMessage, ToClient, Verb, applied, left_out, output, snapshot,
};

#[derive(Deserialize)]
struct Fixtures {
    client: Side,
    server: Side,
}

#[derive(Deserialize)]
struct Side {
    valid: Vec<Sample>,
    invalid: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    name: String,
    text: Option<String>,
    hex: Option<String>,
    #[serde(default)]
    message: Value,
}

impl Sample {
    /// The binary frame, for a sample that is one.
    fn frame(&self) -> Option<Bytes> {
        self.hex.as_ref().map(|hex| Bytes::from(hex::decode(hex).expect("hex")))
    }

    fn text(&self) -> &str {
        self.text.as_deref().expect("a sample is text or hex")
    }

    fn number(&self, field: &str) -> u64 {
        self.message[field].as_u64().expect("a number")
    }

    fn bytes(&self) -> Vec<u8> {
        hex::decode(self.message["bytes_hex"].as_str().expect("bytes")).expect("hex")
    }
}

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!("../../../web/fixtures/terminal-protocol.json")).expect("the fixtures")
}

/// What the relay makes of a client's message, in the words of the fixtures; `None` where it refuses it.
fn decoded(sample: &Sample) -> Option<Value> {
    let decoded = match sample.frame() {
        Some(frame) => FromClient::decode_binary(frame),
        None => match Attach::decode(sample.text()) {
            Ok(attach) => return Some(attach_in_words(&attach)),
            Err(_) => FromClient::decode_text(sample.text()),
        },
    };
    Some(match decoded.ok()? {
        FromClient::Input { offset, bytes } => {
            json!({"type": "input", "offset": offset, "bytes_hex": hex::encode(bytes)})
        }
        FromClient::Rendered { offset } => json!({"type": "rendered", "offset": offset}),
        FromClient::Resize(size) => with_size(json!({"type": "resize"}), size),
        FromClient::Window { bytes } => json!({"type": "window", "bytes": bytes}),
        FromClient::Close => json!({"type": "close"}),
    })
}

fn attach_in_words(attach: &Attach) -> Value {
    let WriterId(writer) = attach.writer;
    let words = json!({
        "type": "attach",
        "ticket": attach.ticket.expose_secret(),
        "writer": format!("{writer:016x}"),
        "have": attach.have,
    });
    with_size(words, attach.size)
}

fn with_size(mut words: Value, size: TerminalSize) -> Value {
    words["columns"] = size.columns().into();
    words["rows"] = size.rows().into();
    words
}

/// A text message that the relay writes, from the words of the fixtures; `None` for what only a newer relay writes.
fn said(sample: &Sample) -> Option<ToClient> {
    let message = &sample.message;
    Some(match message["type"].as_str()? {
        "attached" => ToClient::Attached {
            session: message["session"].as_str()?.parse().expect("a session id"),
            output: sample.number("output"),
            input: sample.number("input"),
        },
        "resend" => ToClient::Resend { input: sample.number("input") },
        "agent" if message["state"] == "silent" => ToClient::Agent { state: AgentState::Silent },
        "agent" => ToClient::Agent { state: AgentState::Answering },
        "life" => ToClient::Life(life(&message["life"])),
        "size" => {
            let cells = |side: &str| u16::try_from(sample.number(side)).expect("a side");
            ToClient::Size { columns: cells("columns"), rows: cells("rows") }
        }
        "observers" => ToClient::Observers { count: u32::try_from(sample.number("count")).expect("few") },
        "ended" => ToClient::Ended(ended(&message["ending"])?),
        _ => return None,
    })
}

fn life(words: &Value) -> LifeMessage {
    LifeMessage {
        expires_in_ms: words["expires_in_ms"].as_u64().expect("a number"),
        idle: words["idle"].as_bool().expect("a flag"),
        idle_since_ms: words["idle_since_ms"].as_u64(),
        idle_closes_in_ms: words["idle_closes_in_ms"].as_u64(),
    }
}

/// The end by exit that the fixtures tell; `None` for a cause that this version does not know.
fn ended(ending: &Value) -> Option<EndedMessage> {
    let code = i32::try_from(ending["exit_code"].as_i64()?).expect("an exit status");
    Some(EndedMessage::from(&Ended {
        cause: EndCause::Exited,
        outcome: ExitOutcome::Exited(code),
        cleanup: Cleanup::NotWanted,
        output_length: 0,
    }))
}

#[test]
fn what_the_console_writes_is_read_as_it_was_meant() {
    for sample in fixtures().client.valid {
        assert_eq!(decoded(&sample), Some(sample.message.clone()), "{}", sample.name);
    }
}

/// A kind of message that is not here does not compile, and one without a sample fails the test: so the list of verbs, by
/// which everybody's rights are tried, is the whole protocol.
#[test]
fn every_message_of_a_client_is_a_verb_with_a_sample() {
    let verb = |sample: &Sample| {
        let decoded = match sample.frame() {
            Some(frame) => FromClient::decode_binary(frame),
            None if Attach::decode(sample.text()).is_ok() => return Verb::Attach,
            None => FromClient::decode_text(sample.text()),
        };
        match decoded.expect("is valid") {
            FromClient::Input { .. } => Verb::Input,
            FromClient::Rendered { .. } => Verb::Rendered,
            FromClient::Resize(_) => Verb::Resize,
            FromClient::Window { .. } => Verb::Window,
            FromClient::Close => Verb::Close,
        }
    };
    let sampled: BTreeSet<Verb> = fixtures().client.valid.iter().map(verb).collect();
    assert_eq!(sampled, Verb::ALL.iter().copied().collect());
}

#[test]
fn what_no_client_may_write_is_refused() {
    for sample in fixtures().client.invalid {
        assert_eq!(decoded(&sample), None, "{}", sample.name);
    }
}

#[test]
fn what_the_relay_writes_is_what_the_console_reads() {
    let mut proven = 0;
    for sample in fixtures().server.valid {
        if let Some(frame) = sample.frame() {
            let written = match sample.message["type"].as_str() {
                Some("output") => output(sample.number("offset"), &sample.bytes()),
                Some("snapshot") => snapshot(sample.number("offset"), &sample.bytes()),
                Some("left_out") => left_out(sample.number("offset"), &sample.bytes()),
                Some("applied") => applied(sample.number("offset")),
                _ => continue,
            };
            assert_eq!(written, frame, "{}", sample.name);
        } else if let Some(message) = said(&sample) {
            let written: Value = serde_json::from_str(&message.encode()).expect("JSON");
            let expected: Value = serde_json::from_str(sample.text()).expect("JSON");
            assert_eq!(written, expected, "{}", sample.name);
        } else {
            continue;
        }
        proven += 1;
    }
    assert!(proven >= 12, "only {proven} samples are of kinds that this relay writes");
    assert!(!fixtures().server.invalid.is_empty(), "the console's tests read these");
}
