//! The bytes of every message, so that no change of the wire goes unseen.
//!
//! `tests/golden.txt` holds a line for each message: its name and its bytes in hex. An old line must never change, or
//! neighbouring versions no longer understand each other; new messages add lines. `PODLATCH_WRITE_GOLDEN=1 cargo test -p
//! podlatch-protocol --test golden` adds them, to the fuzz corpus too, which is made of the same bytes.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use podlatch_protocol::close::{EndCause, Refusal, RefusalCode};
use podlatch_protocol::control::{self, Hello};
use podlatch_protocol::enrolment::{Certificate, EnrolReply, EnrolRequest};
use podlatch_protocol::frame::{self, FrameKind};
use podlatch_protocol::id::{AgentInstanceId, SessionId, WriterId};
use podlatch_protocol::identity::{ClaimedPerson, Identity};
use podlatch_protocol::inventory::{
    ContainerItem, ContainerState, InventoryEvent, Item, ItemKey, LabelledPod, NamespaceItem, PodItem, WatchScope,
    WorkloadItem, WorkloadKind,
};
use podlatch_protocol::pod::{DescribeReply, PodDescription, PodLabels};
use podlatch_protocol::request::{
    AfterExit, Attach, Lease, MarkNonce, Open, OpenExact, OpenWith, Program, Reap, ReapReply, Request,
};
use podlatch_protocol::session::{self, Attached, Cleanup, Ended, ExitOutcome, Input, InputApplied, Opened, Output};
use podlatch_protocol::target::PodTarget;
use podlatch_protocol::terminal::TerminalSize;
use podlatch_protocol::{codec, version};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Where a message's bytes go in the fuzz corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Corpus {
    Frame,
    Session,
    Control,
}

impl Corpus {
    fn folder(self) -> PathBuf {
        let name = match self {
            Self::Frame => "frame",
            Self::Session => "session_messages",
            Self::Control => "control_messages",
        };
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)
    }
}

/// Every message by its name.
#[derive(Default)]
struct Golden {
    lines: BTreeMap<String, (Corpus, Vec<u8>)>,
}

impl Golden {
    /// A message of the codec.
    fn message<M: Serialize + DeserializeOwned + PartialEq + Debug>(&mut self, name: &str, message: &M) {
        let bytes = codec::encode(message).expect("encodes");
        assert_eq!(&codec::decode::<M>(&bytes).expect("decodes"), message);
        let mut newer = bytes.clone();
        newer.extend_from_slice(b"a field that a newer peer appended");
        assert_eq!(&codec::decode::<M>(&newer).expect("decodes"), message, "appended bytes are ignored");
        self.add(name, Corpus::Control, bytes);
    }

    /// A frame of a session's stream; the body without its header in the session corpus, the whole in the frame corpus.
    fn session(&mut self, name: &str, wire: &BytesMut) {
        self.add(name, Corpus::Frame, wire.to_vec());
        let mut kind_and_body = wire[..2].to_vec();
        kind_and_body.extend_from_slice(&wire[frame::HEADER_BYTES..]);
        self.add(&format!("{name}.body"), Corpus::Session, kind_and_body);
    }

    fn add_to_agent(&mut self, name: &str, message: &session::ToAgent) {
        let mut wire = BytesMut::new();
        message.put(&mut wire).expect("encodes");
        let frame = frame::take(&mut wire.clone()).expect("within the limit").expect("whole");
        assert_eq!(session::ToAgent::decode(frame).expect("decodes").as_ref(), Some(message));
        self.session(&format!("session.to_agent.{name}"), &wire);
    }

    fn add_to_relay(&mut self, name: &str, message: &session::ToRelay) {
        let mut wire = BytesMut::new();
        message.put(&mut wire).expect("encodes");
        let frame = frame::take(&mut wire.clone()).expect("within the limit").expect("whole");
        assert_eq!(session::ToRelay::decode(frame).expect("decodes").as_ref(), Some(message));
        self.session(&format!("session.to_relay.{name}"), &wire);
    }

    fn add(&mut self, name: &str, corpus: Corpus, bytes: Vec<u8>) {
        assert_eq!(self.lines.insert(name.to_owned(), (corpus, bytes)), None, "two messages are called {name}");
    }
}

fn session_id() -> SessionId {
    SessionId::new(1_700_000_000_000, &[0xa5; 10])
}

fn target() -> PodTarget {
    PodTarget {
        namespace: "shop".parse().expect("valid"),
        pod: "web-847d88cc4-4lslb".parse().expect("valid"),
        container: Some("app".parse().expect("valid")),
    }
}

fn certificate() -> Certificate {
    Certificate { certificate: vec![0x30, 0x82, 1], ca: vec![0x30, 0x82, 2], not_after_unix_seconds: 1_700_086_400 }
}

fn refusal() -> Refusal {
    Refusal::new(RefusalCode::ContainerRequired, "app, sidecar")
}

fn golden() -> Golden {
    let mut golden = Golden::default();
    control_stream(&mut golden);
    enrolment(&mut golden);
    requests(&mut golden);
    inventory(&mut golden);
    session_stream(&mut golden);
    golden
}

fn control_stream(golden: &mut Golden) {
    let hello = Hello {
        minor: 0,
        agent_version: "0.1.0".to_owned(),
        kubernetes_version: "v1.36.2".to_owned(),
        instance: AgentInstanceId::new(1_700_000_000_001, &[0x5a; 10]),
        sessions: vec![session_id()],
    };
    golden.message("control.to_relay.hello", &control::ToRelay::Hello(hello));
    golden.message("control.to_relay.pong", &control::ToRelay::Pong(u64::MAX));
    golden.message("control.to_relay.renew", &control::ToRelay::Renew(vec![0x30, 0x82]));
    golden.message("control.to_relay.draining", &control::ToRelay::Draining);
    let guard = control::GuardReport { namespaces: vec!["shop-*".to_owned()], pod_labels: vec!["app=web".to_owned()] };
    let about = control::About { replica: "podlatch-agent-0".to_owned(), guard };
    golden.message("control.to_relay.about", &control::ToRelay::About(about));
    golden.message("control.to_agent.welcome", &control::ToAgent::Welcome);
    golden.message("control.to_agent.rejected", &control::ToAgent::Rejected("This agent was revoked.".to_owned()));
    golden.message("control.to_agent.ping", &control::ToAgent::Ping(300));
    golden.message("control.to_agent.renewed", &control::ToAgent::Renewed(certificate()));
    golden.message("control.to_agent.renewal_refused", &control::ToAgent::RenewalRefused("Too early.".to_owned()));
}

fn enrolment(golden: &mut Golden) {
    let request =
        EnrolRequest { token: "plj_example".to_owned(), csr: vec![0x30, 0x82], agent_version: "0.1.0".to_owned() };
    golden.message("enrolment.request", &request);
    golden.message("enrolment.reply.enrolled", &EnrolReply::Enrolled(certificate()));
    golden.message("enrolment.reply.refused", &EnrolReply::Refused("The join token was used.".to_owned()));
}

fn lease() -> Lease {
    Lease { valid_for: Duration::from_secs(15), expires_in: Duration::from_hours(8) }
}

fn requests(golden: &mut Golden) {
    let open = Open {
        session: session_id(),
        target: target(),
        program: Program::Shell,
        size: TerminalSize::DEFAULT,
        credit: 131_072,
        grace: Duration::from_mins(5),
        after_exit: AfterExit::Leave,
        lease: lease(),
        marks: None,
    };
    let marks = Some(MarkNonce([7; 16]));
    golden.message("request.open.marks", &Request::Open(Open { marks, ..open.clone() }));
    let command = Program::Command(vec!["ls".to_owned(), "-l".to_owned()]);
    golden.message("request.open.command", &Request::Open(Open { program: command, ..open.clone() }));
    golden.message("request.open.end_all", &Request::Open(Open { after_exit: AfterExit::EndAll, ..open.clone() }));
    golden.message("request.open.shell", &Request::Open(open.clone()));
    opens_with_more(golden, &open);
    golden.message(
        "request.attach",
        &Request::Attach(Attach { session: session_id(), have_offset: 4_096, credit: 135_168 }),
    );
    golden.message("request.reap", &Request::Reap(Reap { session: session_id(), target: target(), process: Some(17) }));
    golden.message("request.describe", &Request::Describe(target()));
    describe_replies(golden);
    let labelled = WatchScope::LabelledNamespace("shop".parse().expect("valid"));
    golden.message("request.watch.labelled_namespace", &Request::Watch(labelled));
    golden.message("request.watch.namespaces", &Request::Watch(WatchScope::Namespaces));
    golden.message("request.watch.namespace", &Request::Watch(WatchScope::Namespace("shop".parse().expect("valid"))));
    for cleanup in [Cleanup::NotWanted, Cleanup::Confirmed, Cleanup::Unconfirmed] {
        golden.message(&format!("reap_reply.{cleanup:?}"), &ReapReply { cleanup });
    }
}

fn pod_labels() -> PodLabels {
    BTreeMap::from([("app".to_owned(), "web".to_owned())]).try_into().expect("few")
}

fn describe_replies(golden: &mut Golden) {
    let description = PodDescription {
        uid: "5c1e60c4-1d3b-4b52-a9f7-a1b1a4c3f2d0".to_owned(),
        labels: pod_labels(),
        containers: vec!["app".parse().expect("valid"), "log".parse().expect("valid")],
        default_container: Some("app".parse().expect("valid")),
    };
    golden.message("describe_reply.described", &DescribeReply::Described(description));
    golden.message("describe_reply.refused", &DescribeReply::Refused(refusal()));
}

fn opens_with_more(golden: &mut Golden, open: &Open) {
    let person = ClaimedPerson { user: "podlatch:anna@example.com".to_owned(), groups: vec!["shop:dev".to_owned()] };
    let with = |identity, debug| Request::OpenWith(Box::new(OpenWith { open: open.clone(), identity, debug }));
    let image = || Some("busybox:1.36".parse().expect("valid"));
    golden.message("request.open_with.person", &with(Identity::Person(person), None));
    golden.message("request.open_with.debug", &with(Identity::Agent, image()));
    let open = OpenWith { open: open.clone(), identity: Identity::Agent, debug: None };
    let exact = OpenExact { open, pod_uid: "5c1e60c4".to_owned() };
    golden.message("request.open_exact", &Request::OpenExact(Box::new(exact)));
}

fn inventory(golden: &mut Golden) {
    let namespace = Item::Namespace(NamespaceItem { name: "shop".to_owned() });
    golden.message("inventory.applied.namespace", &InventoryEvent::Applied(namespace));
    for kind in [
        WorkloadKind::Deployment,
        WorkloadKind::StatefulSet,
        WorkloadKind::DaemonSet,
        WorkloadKind::Job,
        WorkloadKind::CronJob,
    ] {
        let item = Item::Workload(WorkloadItem { kind, name: "web".to_owned(), desired: 2, ready: 1 });
        golden.message(&format!("inventory.applied.workload.{kind:?}"), &InventoryEvent::Applied(item));
    }
    let states = [ContainerState::Waiting, ContainerState::Running, ContainerState::Terminated];
    let container = |state| ContainerItem { name: format!("{state:?}"), image: "busybox:1.35".to_owned(), state };
    let pod = PodItem {
        name: "web-847d88cc4-4lslb".to_owned(),
        uid: "5c1e60c4-1d3b-4b52-a9f7-a1b1a4c3f2d0".to_owned(),
        workload: Some((WorkloadKind::Deployment, "web".to_owned())),
        status: "CrashLoopBackOff".to_owned(),
        restarts: 3,
        created_unix_seconds: 1_700_000_000,
        containers: states.map(container).to_vec(),
        default_container: Some("app".to_owned()),
    };
    golden.message("inventory.applied.pod", &InventoryEvent::Applied(Item::Pod(pod.clone())));
    let labelled = LabelledPod { item: pod, labels: Some(pod_labels()) };
    golden.message("inventory.applied.labelled_pod", &InventoryEvent::Applied(Item::LabelledPod(labelled)));
    let keys = [
        ("namespace", ItemKey::Namespace("shop".to_owned())),
        ("workload", ItemKey::Workload(WorkloadKind::Job, "once".to_owned())),
        ("pod", ItemKey::Pod("bb".to_owned())),
    ];
    for (name, key) in keys {
        golden.message(&format!("inventory.deleted.{name}"), &InventoryEvent::Deleted(key));
    }
    golden.message("inventory.synced", &InventoryEvent::Synced);
    golden.message("inventory.refused", &InventoryEvent::Refused(refusal()));
}

fn session_stream(golden: &mut Golden) {
    let applied = InputApplied { writer: WriterId(0x0123_4567_89ab_cdef), offset: 7 };
    let input = Input { writer: applied.writer, offset: 7, bytes: Bytes::from_static(b"ls\r") };
    golden.add_to_agent("input", &session::ToAgent::Input(input));
    golden.add_to_agent("resize", &session::ToAgent::Resize(TerminalSize::clamped(300, 50)));
    golden.add_to_agent("recorded", &session::ToAgent::Recorded(4_096));
    golden.add_to_agent("lease", &session::ToAgent::Lease(lease()));
    golden.add_to_agent("credit", &session::ToAgent::Credit(135_168));
    for cause in EndCause::ALL.iter().copied().chain([EndCause::Other(999)]) {
        golden.add_to_agent(&format!("close.{}", cause.slug()), &session::ToAgent::Close(cause));
    }
    let opened = Opened { container: "app".parse().expect("valid"), pod_uid: "5c1e60c4".to_owned(), process: Some(17) };
    golden.add_to_relay("opened", &session::ToRelay::Opened(opened));
    let attached = Attached { output_offset: 4_096, writers: vec![applied] };
    golden.add_to_relay("attached", &session::ToRelay::Attached(attached));
    for code in RefusalCode::ALL.iter().copied().chain([RefusalCode::Other(999)]) {
        golden.add_to_relay(&format!("refused.{}", code.slug()), &session::ToRelay::Refused(Refusal::new(code, "why")));
    }
    let output = Output { offset: 4_096, bytes: Bytes::from_static(b"\x1b[1mtotal 0\x1b[0m\r\n") };
    golden.add_to_relay("output", &session::ToRelay::Output(output));
    golden.add_to_relay("input_applied", &session::ToRelay::InputApplied(applied));
    let outcomes = [
        ("exited", ExitOutcome::Exited(137)),
        ("failed", ExitOutcome::Failed("exec failed".to_owned())),
        ("unknown", ExitOutcome::Unknown),
    ];
    for (name, outcome) in outcomes {
        let ended = Ended { cause: EndCause::Exited, outcome, cleanup: Cleanup::NotWanted, output_length: 70_000 };
        golden.add_to_relay(&format!("ended.{name}"), &session::ToRelay::Ended(ended));
    }
}

fn golden_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden.txt")
}

/// The committed lines: name and bytes in hex.
fn committed() -> BTreeMap<String, String> {
    let text = fs::read_to_string(golden_file()).expect("tests/golden.txt is committed");
    let line = |line: &str| line.split_once(' ').map(|(name, hex)| (name.to_owned(), hex.to_owned()));
    text.lines().map(|text| line(text).expect("a name and bytes")).collect()
}

#[test]
fn every_message_has_the_bytes_that_it_always_had() {
    let golden = golden();
    let mut committed = committed();
    let is_writing = std::env::var_os("PODLATCH_WRITE_GOLDEN").is_some();
    for (name, (corpus, bytes)) in &golden.lines {
        let hex = hex::encode(bytes);
        let path = corpus.folder().join(name);
        if is_writing && !committed.contains_key(name) {
            fs::create_dir_all(corpus.folder()).expect("makes the folder");
            fs::write(&path, bytes).expect("writes");
            committed.insert(name.clone(), hex.clone());
        }
        let known = committed.get(name).unwrap_or_else(|| panic!("{name} is new: see the head of this file"));
        assert_eq!(
            known, &hex,
            "the bytes of {name} have changed: neighbouring versions would no longer understand it"
        );
        assert!(fs::read(&path).is_ok_and(|corpus| &corpus == bytes), "{} is not up to date", path.display());
    }
    if is_writing {
        let lines: Vec<_> = committed.iter().map(|(name, hex)| format!("{name} {hex}")).collect();
        fs::write(golden_file(), lines.join("\n") + "\n").expect("writes");
    }
    let gone: Vec<_> = committed.keys().filter(|name| !golden.lines.contains_key(*name)).collect();
    assert!(gone.is_empty(), "tests/golden.txt holds messages that no longer exist: {gone:?}");
}

#[test]
fn frame_kinds_keep_their_numbers() {
    let kinds = [
        (FrameKind::REQUEST, 0x0001),
        (FrameKind::CONTROL_TO_RELAY, 0x0010),
        (FrameKind::CONTROL_TO_AGENT, 0x0011),
        (FrameKind::ENROL_REQUEST, 0x0020),
        (FrameKind::ENROL_REPLY, 0x0021),
        (FrameKind::INVENTORY, 0x0030),
        (FrameKind::REAP_REPLY, 0x0031),
        (FrameKind::INPUT, 0x0101),
        (FrameKind::RESIZE, 0x0102),
        (FrameKind::RECORDED, 0x0103),
        (FrameKind::CREDIT, 0x0104),
        (FrameKind::CLOSE, 0x0107),
        (FrameKind::OUTPUT, 0x0201),
        (FrameKind::INPUT_APPLIED, 0x0202),
        (FrameKind::OPENED, 0x0203),
        (FrameKind::ATTACHED, 0x0204),
        (FrameKind::REFUSED, 0x0205),
        (FrameKind::ENDED, 0x0206),
    ];
    for (kind, number) in kinds {
        assert_eq!(kind.0, number);
    }
    assert_eq!((version::TUNNEL_ALPN, version::ENROLMENT_ALPN), (&b"podlatch/1"[..], &b"podlatch-join/1"[..]));
}
