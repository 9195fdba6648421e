//! Pod logs, followed when asked for.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::status::{self, Body, Refusal};
use super::{Call, Query};
use crate::cluster::{Instance, PodName};
use crate::container::{Log, Progress};
use crate::exec::choose_container;
use crate::store::{Key, kind_of};

/// Pieces that wait for a slow client.
const QUEUE_LEN: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    Wanted,
    Unwanted,
}

/// Answers with a container's log.
pub(crate) fn answer(call: &Call) -> Result<Response<Body>, Refusal> {
    let pods = kind_of("", "pods").ok_or(Refusal::UnknownPath)?;
    let key = Key::new(pods, &call.path.namespace, &call.path.name);
    let pod = call.cluster.store.get(&key).ok_or_else(|| call.not_found())?;
    let container = choose_container(&pod, call.query.get("container"))?;
    let name = PodName { namespace: key.namespace, name: key.name };
    let instance = if call.query.is_on("previous") { Instance::Previous } else { Instance::Current };
    let Some(log) = call.cluster.kubelet.log(&name, &container, instance) else {
        return Err(missing(call, &pod, &container, instance));
    };
    let stamp = if call.query.is_on("timestamps") { Stamp::Wanted } else { Stamp::Unwanted };
    let (text, next) = first_part(&log, &call.query, stamp);
    if call.query.is_on("follow") {
        return Ok(follow(call, log, stamp, text, next));
    }
    Ok(status::respond(StatusCode::OK, "text/plain", text))
}

fn missing(call: &Call, pod: &serde_json::Value, container: &str, instance: Instance) -> Refusal {
    let pod_name = &call.path.name;
    if pod["spec"]["nodeName"].is_null() {
        return Refusal::bad_request(format!("pod {pod_name} does not have a host assigned"));
    }
    Refusal::bad_request(match instance {
        Instance::Current => {
            format!("container \"{container}\" in pod \"{pod_name}\" is waiting to start: ContainerCreating")
        }
        Instance::Previous => {
            format!("previous terminated container \"{container}\" in pod \"{pod_name}\" not found")
        }
    })
}

/// What is there already, cut as the query says, and the number of the line after it.
fn first_part(log: &Log, query: &Query, stamp: Stamp) -> (Vec<u8>, u64) {
    let mut lines = log.from(0);
    let next = lines.last().map_or(0, |line| line.number + 1);
    if let Some(seconds) = query.number("sinceSeconds").and_then(|seconds| i64::try_from(seconds).ok()) {
        let since = Timestamp::now() - SignedDuration::from_secs(seconds);
        lines.retain(|line| line.at >= since);
    }
    if let Ok(since) = query.get("sinceTime").parse::<Timestamp>() {
        lines.retain(|line| line.at >= since);
    }
    if let Some(tail) = query.number("tailLines").and_then(|tail| usize::try_from(tail).ok()) {
        lines.drain(..lines.len().saturating_sub(tail));
    }
    let mut text = Vec::new();
    for line in &lines {
        write_line(&mut text, line.at, &line.text, stamp);
    }
    if let Some(limit) = query.number("limitBytes").and_then(|limit| usize::try_from(limit).ok()) {
        text.truncate(limit);
    }
    (text, next)
}

fn write_line(out: &mut Vec<u8>, at: Timestamp, text: &[u8], stamp: Stamp) {
    if stamp == Stamp::Wanted {
        out.extend_from_slice(format!("{at:.9} ").as_bytes());
    }
    out.extend_from_slice(text);
    out.push(b'\n');
}

fn follow(call: &Call, log: Arc<Log>, stamp: Stamp, first: Vec<u8>, next: u64) -> Response<Body> {
    let (out, frames) = mpsc::channel(QUEUE_LEN);
    let (stop, cut) = (call.cluster.stop.clone(), call.cut.clone());
    call.cluster.tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => (),
            () = cut.cancelled() => (),
            () = send_all(log, stamp, first, next, out) => (),
        }
    });
    let mut response = Response::new(StreamBody::new(ReceiverStream::new(frames)).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
    response
}

async fn send_all(
    log: Arc<Log>,
    stamp: Stamp,
    first: Vec<u8>,
    mut next: u64,
    out: mpsc::Sender<Result<Frame<Bytes>, Infallible>>,
) {
    let mut progress = log.subscribe();
    let mut text = first;
    loop {
        if !text.is_empty() && out.send(Ok(Frame::data(text.into()))).await.is_err() {
            return;
        }
        // Whether it ended is read before the lines, so that the last ones are not missed.
        let ended = *progress.borrow_and_update() == Progress::Ended;
        text = Vec::new();
        for line in log.from(next) {
            next = line.number + 1;
            write_line(&mut text, line.at, &line.text, stamp);
        }
        if !text.is_empty() {
            continue;
        }
        if ended {
            return;
        }
        tokio::select! {
            () = out.closed() => return,
            changed = progress.changed() => if changed.is_err() { return },
        }
    }
}
