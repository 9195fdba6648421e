//! The streams that the relay opens: each begins with a request, which is given to whoever serves it.

use std::time::Duration;

use bytes::BytesMut;
use podlatch_link::disconnect::Disconnect;
use podlatch_link::framing::{FrameWriter, read_one};
use podlatch_link::stream::{RecvHalf, SendHalf};
use podlatch_link::transport::SESSION_PRIORITY;
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::codec;
use podlatch_protocol::frame::{self, FrameKind};
use podlatch_protocol::pod::DescribeReply;
use podlatch_protocol::request::Request;
use podlatch_protocol::session::ToRelay;
use podlatch_protocol::target::PodTarget;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::inventory::Inventory;
use crate::session::{Asked, SessionRequest, Sessions};

/// How long the relay may take to send a whole request.
const REQUEST: Duration = Duration::from_secs(5);

/// How long the relay may take to read an answer.
const ANSWER: Duration = Duration::from_secs(5);

/// What the agent does for its relay. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// Sessions.
    pub sessions: Sessions,
    /// What there is in the cluster.
    pub inventory: Inventory,
}

impl Services {
    /// Serves one stream until it ends. Cancel safe as far as its services are.
    pub async fn serve(self, mut send: SendHalf, mut recv: RecvHalf) {
        let request = match timeout(REQUEST, read_one(&mut recv)).await {
            Ok(Ok(Some(frame))) if frame.kind == FrameKind::REQUEST => codec::decode::<Request>(&frame.body).ok(),
            Ok(Ok(None)) => return,
            _ => None,
        };
        let Some(request) = request else {
            tracing::debug!("refused a stream that does not begin with a request");
            return refuse(&mut send, &mut recv).await;
        };
        let request = match request {
            Request::Open(open) => SessionRequest::open(open),
            Request::OpenWith(open) => SessionRequest::Open(Box::new(Asked { with: *open, pod_uid: None })),
            Request::OpenExact(exact) => {
                SessionRequest::Open(Box::new(Asked { with: exact.open, pod_uid: Some(exact.pod_uid) }))
            }
            Request::Attach(attach) => SessionRequest::Attach(attach),
            Request::Reap(reap) => SessionRequest::Reap(reap),
            Request::Watch(scope) => return self.inventory.serve(scope, send, recv).await,
            Request::Describe(target) => return self.describe(&target, send).await,
        };
        // Fails only where the relay is gone, which the session will notice.
        let _ = send.set_priority(SESSION_PRIORITY);
        self.sessions.serve(request, send, recv).await;
    }

    /// Says what a pod is. Cancel safe: the stream is then reset.
    async fn describe(&self, target: &PodTarget, send: SendHalf) {
        let reply = match self.inventory.describe(&target.namespace, &target.pod).await {
            Ok(description) => DescribeReply::Described(description),
            Err(refusal) => DescribeReply::Refused(refusal),
        };
        let mut writer = FrameWriter::new(send);
        if let Ok(body) = codec::encode(&reply) {
            frame::put(writer.buffer(), FrameKind::DESCRIBE_REPLY, &body);
            if let Ok(Ok(())) = timeout(ANSWER, writer.flush()).await {
                // Fails only where the stream is over already.
                let _over = writer.get_mut().finish();
            }
        }
    }
}

async fn refuse(send: &mut SendHalf, recv: &mut RecvHalf) {
    let _ = recv.stop(Disconnect::Protocol.code());
    let mut answer = BytesMut::new();
    let refusal = Refusal::new(RefusalCode::BadRequest, "");
    if ToRelay::Refused(refusal).put(&mut answer).is_ok() && send.write_all(&answer).await.is_ok() {
        let _ = send.finish();
    }
}
