//! `pods/exec`: checks in the order of a real API server, then the upgrade, then the stream.

mod descriptor;
mod outcome;
mod stream;

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::api::{Body, Call, Query, Refusal, allows, attributes_for, empty};
use crate::cluster::PodName;
use crate::container::{Container, ExecSpec, Terminal, Wanted};
use crate::store::{Key, kind_of};
use stream::Stream;

/// The largest message that a client may send.
const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;
/// Output is handed to the socket in pieces of about this size.
const WRITE_BUFFER_BYTES: usize = 128 * 1024;

/// The versions of the exec protocol, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subprotocol {
    V5,
    V4,
}

impl Subprotocol {
    fn name(self) -> &'static str {
        match self {
            Self::V5 => "v5.channel.k8s.io",
            Self::V4 => "v4.channel.k8s.io",
        }
    }

    /// The first offered one that is known.
    fn choose(headers: &HeaderMap) -> Option<Self> {
        headers
            .get_all(SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .find_map(|offered| [Self::V5, Self::V4].into_iter().find(|known| known.name() == offered.trim()))
    }
}

/// Checks an exec request and, if all is well, upgrades it; the stream then runs in a task of its own.
pub(crate) fn answer(call: &Call, mut request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    // A GET is authorised as "get", a POST as "create"; the registry asks for "create" besides, and its authoriser gives no reason.
    if !allows(&call.cluster, &call.user, &attributes_for(call, "create")) {
        return Err(Refusal::Forbidden {
            group: String::new(),
            resource: call.path.resource.clone(),
            name: call.path.name.clone(),
            text: String::new(),
        });
    }
    let container = running_container(call)?;
    let spec = exec_spec(&call.query)?;
    let upgrade = Upgrade::of(request.headers())?;
    let stream = Stream {
        container,
        spec,
        subprotocol: upgrade.subprotocol,
        freezer: call.cluster.faults.freezer(&pod_name(call)),
        delay: call.cluster.faults.exec_delay(),
        idle: call.cluster.faults.stream_idle(),
        cut: call.cut.clone(),
        stop: call.cluster.stop.clone(),
        tasks: call.cluster.tasks.clone(),
    };
    let upgraded = hyper::upgrade::on(&mut request);
    call.cluster.tasks.spawn(async move {
        match upgraded.await {
            Ok(io) => {
                let io = TokioIo::new(io);
                stream.run(WebSocketStream::from_raw_socket(io, Role::Server, Some(config())).await).await;
            }
            Err(error) => tracing::debug!(%error, "an exec client went away during the upgrade"),
        }
    });
    Ok(upgrade.response())
}

/// Picks the container of a pod: the named one, or the only one.
pub(crate) fn choose_container(pod: &Value, asked: &str) -> Result<String, Refusal> {
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let names: Vec<&str> = containers.filter_map(|container| container["name"].as_str()).collect();
    let default = &pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"];
    match (asked, names.as_slice()) {
        ("", [only]) => Ok((*only).to_owned()),
        ("", _) if default.as_str().is_some_and(|default| names.contains(&default)) => {
            Ok(default.as_str().unwrap_or_default().to_owned())
        }
        ("", names) => Err(Refusal::bad_request(format!(
            "a container name must be specified for pod {pod_name}, choose one of: [{}]",
            names.join(" ")
        ))),
        (asked, names) if names.contains(&asked) || is_ephemeral(pod, asked) => Ok(asked.to_owned()),
        (asked, _) => Err(Refusal::bad_request(format!("container {asked} is not valid for pod {pod_name}"))),
    }
}

/// An ephemeral container is entered by its name alone.
fn is_ephemeral(pod: &Value, asked: &str) -> bool {
    pod["spec"]["ephemeralContainers"].as_array().into_iter().flatten().any(|container| container["name"] == asked)
}

fn pod_name(call: &Call) -> PodName {
    PodName { namespace: call.path.namespace.clone(), name: call.path.name.clone() }
}

fn exec_spec(query: &Query) -> Result<ExecSpec, Refusal> {
    let wanted = |key| if query.is_on(key) { Wanted::Yes } else { Wanted::No };
    let terminal = if query.is_on("tty") { Terminal::Pty } else { Terminal::None };
    let spec = ExecSpec {
        command: query.all("command"),
        environment: Vec::new(),
        terminal,
        stdin: wanted("stdin"),
        stdout: wanted("stdout"),
        stderr: wanted("stderr"),
    };
    if (spec.terminal, spec.stderr) == (Terminal::Pty, Wanted::Yes) {
        return Err(Refusal::bad_request("tty and stderr cannot both be true"));
    }
    if [spec.stdin, spec.stdout, spec.stderr] == [Wanted::No; 3] {
        return Err(Refusal::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    Ok(spec)
}

fn running_container(call: &Call) -> Result<Container, Refusal> {
    let pods = kind_of("", "pods").ok_or(Refusal::UnknownPath)?;
    let key = Key::new(pods, &call.path.namespace, &call.path.name);
    let pod = call.cluster.store.get(&key).ok_or_else(|| call.not_found())?;
    let container = choose_container(&pod, call.query.get("container"))?;
    if pod["spec"]["nodeName"].is_null() {
        return Err(Refusal::bad_request(format!("pod {} does not have a host assigned", key.name)));
    }
    let running = call.cluster.kubelet.container(&pod_name(call), &container);
    running.ok_or_else(|| Refusal::Kubelet { message: format!("container not found (\"{container}\")") })
}

/// What the upgrade to WebSocket needs.
struct Upgrade {
    subprotocol: Subprotocol,
    accept: HeaderValue,
}

impl Upgrade {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let is_websocket = headers
            .get(UPGRADE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
        let Some(key) = headers.get(SEC_WEBSOCKET_KEY).filter(|_| is_websocket) else {
            return Err(Refusal::bad_request("Upgrade request required"));
        };
        let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
            .map_err(|_| Refusal::bad_request("Upgrade request required"))?;
        let subprotocol = Subprotocol::choose(headers).ok_or(Refusal::UnknownSubprotocol)?;
        Ok(Self { subprotocol, accept })
    }

    fn response(self) -> Response<Body> {
        let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(self.subprotocol.name()));
        response
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(32 * 1024)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(4 * WRITE_BUFFER_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_clients_order_decides_among_known_subprotocols() {
        assert_eq!(Subprotocol::choose(&offered(&["v5.channel.k8s.io, v4.channel.k8s.io"])), Some(Subprotocol::V5));
        assert_eq!(Subprotocol::choose(&offered(&["v4.channel.k8s.io", "v5.channel.k8s.io"])), Some(Subprotocol::V4));
        assert_eq!(Subprotocol::choose(&offered(&["v9.channel.k8s.io,v4.channel.k8s.io"])), Some(Subprotocol::V4));
        assert_eq!(Subprotocol::choose(&offered(&["v9.channel.k8s.io"])), None);
    }

    #[test]
    fn stderr_beside_a_terminal_is_refused() {
        assert!(exec_spec(&Query::parse("command=sh&stdout=true&stderr=true&tty=true")).is_err());
        assert!(exec_spec(&Query::parse("command=sh")).is_err());
        assert!(exec_spec(&Query::parse("command=sh&stdout=1&stderr=1")).is_ok());
    }
}
