//! Replays every recorded exec exchange and compares what comes back.

use std::time::Duration;

use crate::support::{Ask, Exec, Received, cluster, web_pod};
use podlatch_devcluster::Devcluster;
use serde::Deserialize;

const TRANSCRIPTS: &str = include_str!("../recorded/exec-transcripts.json");
/// The pod of the recorded deployment.
const RECORDED_WEB_POD: &str = "web-847d88cc4-4lslb";
/// A longer pause tells a shell nothing more.
const MAX_PAUSE_MS: f64 = 400.0;

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "case")]
    name: String,
    path: String,
    offered: Vec<String>,
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    t_ms: f64,
    #[serde(flatten)]
    what: What,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum What {
    Open {
        #[serde(rename = "open")]
        _open: bool,
        subprotocol: String,
    },
    Sent {
        sent_channel: u8,
        data: String,
    },
    Received {
        recv_channel: u8,
        data: String,
        len: usize,
    },
    Closed {
        #[serde(rename = "closed")]
        _closed: bool,
        code: u16,
    },
    Refused {
        http_status: u16,
        headers: std::collections::BTreeMap<String, String>,
        body: String,
    },
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_exchange_plays_the_same_here() {
    let cluster = cluster().await;
    let pod = web_pod(&cluster).await;
    let cases: Vec<Case> = serde_json::from_str(TRANSCRIPTS).expect("the transcripts are JSON");
    assert_eq!(cases.len(), 25);
    let replays = cases.into_iter().map(|case| {
        let (cluster, pod) = (&cluster, pod.as_str());
        async move {
            let name = case.name.clone();
            (name, replay(cluster, pod, case).await)
        }
    });
    let failures: Vec<_> = futures_util::future::join_all(replays)
        .await
        .into_iter()
        .filter_map(|(name, result)| result.err().map(|difference| format!("{name}: {difference}")))
        .collect();
    cluster.shutdown().await;
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

async fn replay(cluster: &Devcluster, pod: &str, case: Case) -> Result<(), String> {
    let mut ask = Ask::of(cluster, "admin");
    if case.name == "impersonated-forbidden" {
        ask = ask.header("impersonate-user", "alice");
    }
    let offered: Vec<&str> = case.offered.iter().map(String::as_str).collect();
    let opened = Exec::try_open(ask, &case.path.replace(RECORDED_WEB_POD, pod), &offered).await;
    let mut events = case.events.into_iter().peekable();
    let first = events.next().expect("a case has events");
    let mut exec = match (first.what, opened) {
        (What::Refused { http_status, headers, body }, Err(answer)) => {
            let body = body.replace(RECORDED_WEB_POD, pod);
            let content_type = headers.get("Content-Type").map_or("", String::as_str);
            return same("status", &http_status, &answer.status)
                .and(same("body", body.as_str(), answer.body.as_str()))
                .and(same("content type", content_type, answer.content_type.as_str()));
        }
        (What::Open { subprotocol, .. }, Ok(exec)) => {
            same("subprotocol", subprotocol.as_str(), exec.subprotocol.as_str())?;
            exec
        }
        (_, Err(answer)) => return Err(format!("refused: {} {}", answer.status, answer.body)),
        (_, Ok(_)) => return Err("not refused".to_owned()),
    };
    // Real servers open channel 1 with an empty frame.
    same("first frame", &Received::Data(1, bytes::Bytes::new()), &exec.receive().await)?;
    let mut last_ms = first.t_ms;
    let mut unread = Unread::default();
    while let Some(event) = events.next() {
        match event.what {
            What::Received { recv_channel, data, len } => {
                unread.expect(recv_channel, &data.replace(RECORDED_WEB_POD, pod), len);
                if !matches!(events.peek(), Some(Event { what: What::Received { .. }, .. })) {
                    unread.read(&mut exec).await?;
                }
            }
            What::Sent { sent_channel, data } => {
                let pause_ms = (event.t_ms - last_ms).clamp(0.0, MAX_PAUSE_MS);
                tokio::time::sleep(Duration::from_secs_f64(pause_ms / 1000.0)).await;
                exec.send(sent_channel, &latin1(&data)).await;
            }
            What::Closed { code, .. } => same("close", &Received::Closed(Some(code)), &exec.receive().await)?,
            What::Open { .. } | What::Refused { .. } => return Err("opened twice".to_owned()),
        }
        last_ms = event.t_ms;
    }
    Ok(())
}

/// What is to come before the next thing that the client sends; frames may be cut anywhere.
#[derive(Default)]
struct Unread {
    output: Vec<u8>,
    status: Option<(String, usize)>,
    stderr: Vec<u8>,
}

impl Unread {
    fn expect(&mut self, channel: u8, data: &str, len: usize) {
        match channel {
            1 => self.output.extend(latin1(data)),
            2 => self.stderr.extend(latin1(data)),
            _ => self.status = Some((data.to_owned(), len)),
        }
    }

    async fn read(&mut self, exec: &mut Exec) -> Result<(), String> {
        let expected = std::mem::take(self);
        let (mut output, mut stderr, mut status) = (Vec::new(), Vec::new(), None);
        while output.len() < expected.output.len()
            || stderr.len() < expected.stderr.len()
            || (expected.status.is_some() && status.is_none())
        {
            match exec.receive().await {
                Received::Data(1, data) => output.extend_from_slice(&data),
                Received::Data(2, data) => stderr.extend_from_slice(&data),
                Received::Data(3, data) => status = Some(String::from_utf8_lossy(&data).into_owned()),
                other => return Err(format!("{other:?} after {:?}", &String::from_utf8_lossy(&output))),
            }
        }
        same("output", &String::from_utf8_lossy(&expected.output), &String::from_utf8_lossy(&output))?;
        same("stderr", &String::from_utf8_lossy(&expected.stderr), &String::from_utf8_lossy(&stderr))?;
        if let (Some((text, len)), Some(status)) = (expected.status, status) {
            same("status length", &len, &status.len())?;
            let (text, status) = (without_ids(&text), without_ids(&status));
            if !status.starts_with(&text) {
                return Err(format!("status differs:\n  recorded {text}\n  here     {status}"));
            }
        }
        Ok(())
    }
}

fn same<T: PartialEq + std::fmt::Debug + ?Sized>(what: &str, recorded: &T, here: &T) -> Result<(), String> {
    if recorded == here {
        Ok(())
    } else {
        Err(format!("{what} differs:\n  recorded {recorded:?}\n  here     {here:?}"))
    }
}

/// The recording writes bytes as the characters of the same number.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("recorded bytes are below 256")).collect()
}

/// Replaces runs of 64 hex digits, whole or cut off at the end.
fn without_ids(text: &str) -> String {
    let mut out = String::new();
    let mut run = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() && run.len() < 64 {
            run.push(c);
        } else {
            out.push_str(if run.len() == 64 { "ID" } else { &run });
            run.clear();
            out.push(c);
        }
    }
    out.trim_end_matches('\n').to_owned()
}
