//! The streams that the relay opens: each begins with a request, which is given to whoever serves it.

use std::time::Duration;

use bytes::BytesMut;
use podlatch_link::disconnect::Disconnect;
use podlatch_link::framing::read_one;
use podlatch_link::stream::{RecvHalf, SendHalf};
use podlatch_link::transport::SESSION_PRIORITY;
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::codec;
use podlatch_protocol::frame::FrameKind;
use podlatch_protocol::request::Request;
use podlatch_protocol::session::ToRelay;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::inventory::Inventory;
use crate::session::{SessionRequest, Sessions};

/// How long the relay may take to send a whole request.
const REQUEST: Duration = Duration::from_secs(5);

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
            Request::OpenWith(open) => SessionRequest::Open(open),
            Request::Attach(attach) => SessionRequest::Attach(attach),
            Request::Reap(reap) => SessionRequest::Reap(reap),
            Request::Watch(scope) => return self.inventory.serve(scope, send, recv).await,
        };
        // Fails only where the relay is gone, which the session will notice.
        let _ = send.set_priority(SESSION_PRIORITY);
        self.sessions.serve(request, send, recv).await;
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
