//! The agent's own guard, against a relay that has been taken over: what its owner does not allow is refused, whatever is
//! asked for and however.

use std::time::Duration;

use bytes::BytesMut;
use podlatch_link::framing::FrameReader;
use podlatch_protocol::close::RefusalCode;
use podlatch_protocol::codec;
use podlatch_protocol::control::ToAgent;
use podlatch_protocol::frame::{self, Frame, FrameKind};
use podlatch_protocol::id::SessionId;
use podlatch_protocol::identity::{ClaimedPerson, Identity};
use podlatch_protocol::inventory::{InventoryEvent, WatchScope};
use podlatch_protocol::pod::DescribeReply;
use podlatch_protocol::request::{AfterExit, Lease, Open, OpenExact, OpenWith, Program, Reap, ReapReply, Request};
use podlatch_protocol::session::{Cleanup, ToRelay};
use podlatch_protocol::target::PodTarget;
use podlatch_protocol::terminal::TerminalSize;
use tokio::time::timeout;

use crate::harness::{PATIENCE, Relay};
use crate::rogue_relay::{RogueRelay, Visitor, misled_with};

/// The first answer to a request.
async fn answer(visitor: &Visitor, request: &Request) -> Frame {
    let (mut send, recv) = visitor.connection.open_bi().await.expect("opens");
    let mut bytes = BytesMut::new();
    frame::put(&mut bytes, FrameKind::REQUEST, &codec::encode(request).expect("encodes"));
    send.write_all(&bytes).await.expect("sends");
    let mut reader = FrameReader::new(recv);
    timeout(PATIENCE, reader.next()).await.expect("answers").expect("reads").expect("answers")
}

fn pod(namespace: &str) -> PodTarget {
    PodTarget {
        namespace: namespace.parse().expect("is a namespace"),
        pod: "web".parse().expect("is a name"),
        container: Some("main".parse().expect("is a name")),
    }
}

fn open(namespace: &str) -> Request {
    Request::Open(what(namespace))
}

fn what(namespace: &str) -> Open {
    Open {
        session: SessionId::new(1, &rand::random()),
        target: pod(namespace),
        program: Program::Shell,
        size: TerminalSize::DEFAULT,
        credit: 0,
        grace: Duration::from_secs(1),
        after_exit: AfterExit::Leave,
        lease: Lease { valid_for: Duration::from_secs(1), expires_in: Duration::from_secs(1) },
        marks: None,
    }
}

fn open_as(identity: Identity, debug: Option<&str>) -> Request {
    let debug = debug.map(|image| image.parse().expect("is an image"));
    Request::OpenWith(Box::new(OpenWith { open: what("shop"), identity, debug }))
}

fn person(user: &str, groups: &[&str]) -> Identity {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    Identity::Person(ClaimedPerson { user: user.to_owned(), groups })
}

async fn refusal_of_open(visitor: &Visitor, namespace: &str) -> RefusalCode {
    refusal_of(visitor, &open(namespace)).await
}

async fn refusal_of(visitor: &Visitor, request: &Request) -> RefusalCode {
    match ToRelay::decode(answer(visitor, request).await).expect("is a message") {
        Some(ToRelay::Refused(refusal)) => refusal.code,
        other => panic!("{other:?}"),
    }
}

async fn refusal_of_description(visitor: &Visitor, namespace: &str) -> RefusalCode {
    let described = answer(visitor, &Request::Describe(pod(namespace))).await;
    match codec::decode(&described.body) {
        Ok(DescribeReply::Refused(refusal)) => refusal.code,
        other => panic!("{namespace}: {other:?}"),
    }
}

#[tokio::test]
async fn a_relay_that_was_taken_over_gets_nothing_outside_of_the_guard() {
    let relay = Relay::start().await;
    let rogue = RogueRelay::start_for(&relay, podlatch_protocol::version::TUNNEL_ALPN);
    let agent = misled_with(&relay, &rogue, &["--namespaces=shop,team-*", "--pod-labels=app=web"]).await;
    let mut visitor = rogue.visitor().await;
    visitor.say(&ToAgent::Welcome).await;
    visitor.ping(1).await;
    for outside in ["default", "kube-system", "shop-2", "my-team-a"] {
        assert_eq!(refusal_of_open(&visitor, outside).await, RefusalCode::NotAllowedByAgent, "{outside}");
        let namespace = outside.parse().expect("is a namespace");
        let watched = answer(&visitor, &Request::Watch(WatchScope::LabelledNamespace(namespace))).await;
        match codec::decode(&watched.body) {
            Ok(InventoryEvent::Refused(refusal)) => assert_eq!(refusal.code, RefusalCode::NotAllowedByAgent),
            other => panic!("{outside}: {other:?}"),
        }
        assert_eq!(refusal_of_description(&visitor, outside).await, RefusalCode::NotAllowedByAgent, "{outside}");
        let exact = OpenWith { open: what(outside), identity: Identity::Agent, debug: None };
        let exact = OpenExact { open: exact, pod_uid: "u".to_owned() };
        let refused = refusal_of(&visitor, &Request::OpenExact(Box::new(exact))).await;
        assert_eq!(refused, RefusalCode::NotAllowedByAgent, "{outside}");
        let reap = Reap { session: SessionId::new(1, &[7; 10]), target: pod(outside), process: Some(1) };
        let reaped = answer(&visitor, &Request::Reap(reap)).await;
        let reply: ReapReply = codec::decode(&reaped.body).expect("is an answer");
        assert_eq!(reply.cleanup, Cleanup::Unconfirmed, "{outside}");
    }
    // Inside of it the agent asks Kubernetes, which is not there.
    for inside in ["shop", "team-a"] {
        let described = refusal_of_description(&visitor, inside).await;
        assert_eq!(described, RefusalCode::KubernetesUnreachable, "{inside}");
        assert_eq!(refusal_of_open(&visitor, inside).await, RefusalCode::KubernetesUnreachable, "{inside}");
    }
    visitor.ping(2).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_relay_that_was_taken_over_names_nobody_whom_the_agents_owner_does_not_allow() {
    let relay = Relay::start().await;
    let rogue = RogueRelay::start_for(&relay, podlatch_protocol::version::TUNNEL_ALPN);
    let settings = ["--kubernetes-identity=impersonate", "--impersonate-groups=dev", "--debug-images=busybox:1.36"];
    let agent = misled_with(&relay, &rogue, &settings).await;
    let mut visitor = rogue.visitor().await;
    visitor.say(&ToAgent::Welcome).await;
    visitor.ping(1).await;
    let many = vec!["dev"; 65];
    for (user, groups) in [
        ("system:masters", &[][..]),
        ("system:serviceaccount:kube-system:admin", &[]),
        ("System:admin", &[]),
        ("ada@example.org", &[]),
        ("corp:ada@example.org", &[]),
        ("podlatch:", &[]),
        ("", &[]),
        ("podlatch:ada\r\nImpersonate-Group: system:masters", &[]),
        ("podlatch:ada", &["system:masters"]),
        ("podlatch:ada", &["dev", "System:Masters"]),
        ("podlatch:ada", &[" system:masters"]),
        ("podlatch:ada", &many),
    ] {
        let refused = refusal_of(&visitor, &open_as(person(user, groups), None)).await;
        assert_eq!(refused, RefusalCode::IdentityRefused, "{user:?} {groups:?}");
    }
    // Nor does it get the agent's own rights, by either request.
    assert_eq!(refusal_of(&visitor, &open_as(Identity::Agent, None)).await, RefusalCode::IdentityMode);
    assert_eq!(refusal_of_open(&visitor, "shop").await, RefusalCode::IdentityMode);
    let honest = || person("podlatch:ada", &["dev", "left-out"]);
    let other = open_as(honest(), Some("alpine:3"));
    assert_eq!(refusal_of(&visitor, &other).await, RefusalCode::DebugNotAllowed);
    // What is allowed goes on to Kubernetes, which is not there.
    for debug in [None, Some("busybox:1.36")] {
        let refused = refusal_of(&visitor, &open_as(honest(), debug)).await;
        assert_eq!(refused, RefusalCode::KubernetesUnreachable, "{debug:?}");
    }
    visitor.ping(2).await;
    agent.stop().await;
}
