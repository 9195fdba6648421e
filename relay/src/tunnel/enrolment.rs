//! Enrolment: one stream, one question, one answer. A join token gets one agent one certificate; whoever did not get the
//! answer asks again with the same key, within the token's life.

use std::time::Duration;

use podlatch_link::framing::{ReadError, read_one};
use podlatch_protocol::codec::{self, CodecError};
use podlatch_protocol::enrolment::{Certificate, EnrolReply, EnrolRequest};
use podlatch_protocol::frame::{self, FrameKind};
use podlatch_protocol::id::AgentId;
use quinn::SendStream;
use tokio::time::timeout;

use super::{Context, audit};
use crate::auth::token::{TokenHash, TokenKind};
use crate::domain::agent::{Agent, AgentStatus};
use crate::domain::organisation::ClientInfo;
use crate::http::guesses::{self, Secret};
use crate::http::rate_limit::Limited;
use crate::pki::{AgentIdentity, IssueError, IssuedCertificate};
use crate::store::{Enrolled, JoinGrant, Redemption, StoreError};

/// How long the question may take to arrive.
const QUESTION: Duration = Duration::from_secs(5);

/// How long the answer may take to arrive.
const ANSWER: Duration = Duration::from_secs(5);

/// Enrolling failed, or was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnrolmentError {
    /// The question did not come in time, or the answer was not fetched.
    #[error("the agent was too slow")]
    TooSlow,
    /// The question was malformed.
    #[error("the agent's question is malformed")]
    Malformed,
    /// The connection ended.
    #[error("the connection ended")]
    Connection(#[from] quinn::ConnectionError),
    /// The stream failed.
    #[error("the stream failed")]
    Stream(#[from] quinn::WriteError),
    /// The agent was told why not.
    #[error("refused: {0}")]
    Refused(String),
    /// The store could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificate could not be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The answer could not be encoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Answers the one question of an enrolling agent. Not cancel safe: a token may be used up without an
/// answer, and is then good for the same key only.
pub(super) async fn enrol(context: &Context, connection: &quinn::Connection) -> Result<AgentIdentity, EnrolmentError> {
    let (mut send, request) = timeout(QUESTION, question(connection)).await.map_err(|_| EnrolmentError::TooSlow)??;
    let client = audit::client(connection, &super::handshake::plain(&request.agent_version));
    let (reply, outcome) = match decide(context, &request, &client).await {
        Ok((identity, certificate)) => (EnrolReply::Enrolled(certificate), Ok(identity)),
        Err(EnrolmentError::Refused(why)) => {
            let why = match bad_try(context, connection) {
                Ok(()) => {
                    let token = TokenHash::parse(TokenKind::Join, request.token.trim());
                    audit::not_enrolled(context, token.as_ref(), client, &why).await?;
                    why
                }
                Err(limited) => {
                    audit::guessing(context, limited, client).await?;
                    too_many(limited)
                }
            };
            (EnrolReply::Refused(why.clone()), Err(EnrolmentError::Refused(why)))
        }
        Err(error) => return Err(error),
    };
    timeout(ANSWER, answer(&mut send, &reply)).await.map_err(|_| EnrolmentError::TooSlow)??;
    outcome
}

/// What is no good costs its address a try; a good token is never refused for what others tried from the same address.
fn bad_try(context: &Context, connection: &quinn::Connection) -> Result<(), Limited> {
    let from = connection.remote_address().ip();
    context.guesses.bad(Secret::JoinToken, Some(from), context.clock.now())
}

fn too_many(limited: Limited) -> String {
    let seconds = guesses::seconds(limited);
    format!("Too many bad join tokens came from this address. Try again in {seconds} seconds, with a good one.")
}

async fn question(connection: &quinn::Connection) -> Result<(SendStream, EnrolRequest), EnrolmentError> {
    let (send, mut recv) = connection.accept_bi().await?;
    match read_one(&mut recv).await {
        Ok(Some(frame)) if frame.kind == FrameKind::ENROL_REQUEST => {
            Ok((send, codec::decode(&frame.body).map_err(|_| EnrolmentError::Malformed)?))
        }
        Ok(_) | Err(ReadError::Oversized(_) | ReadError::Truncated | ReadError::Io(_)) => {
            Err(EnrolmentError::Malformed)
        }
    }
}

async fn answer(send: &mut SendStream, reply: &EnrolReply) -> Result<(), EnrolmentError> {
    let mut bytes = bytes::BytesMut::new();
    frame::put(&mut bytes, FrameKind::ENROL_REPLY, &codec::encode(reply)?);
    send.write_all(&bytes).await?;
    // Fails only where the stream is over already.
    let _ = send.finish();
    // The connection is closed next: not before the agent has read the answer.
    let _ = send.stopped().await;
    Ok(())
}

/// How often somebody else may be faster.
const TRIES: u32 = 3;

async fn decide(
    context: &Context,
    request: &EnrolRequest,
    client: &ClientInfo,
) -> Result<(AgentIdentity, Certificate), EnrolmentError> {
    // Before the token: a request that cannot be served must not use it up.
    let key = context.ca.check_request(&request.csr).map_err(|error| EnrolmentError::Refused(sentence(&error)))?;
    let refused = |sentence: &str| EnrolmentError::Refused(sentence.to_owned());
    let Some(hash) = TokenHash::parse(TokenKind::Join, request.token.trim()) else {
        return Err(refused("This is not a join token. Copy the whole token as it was printed."));
    };
    for _ in 0..TRIES {
        let now = context.clock.now();
        let grant = granted(&context.store.join_grant(&hash, key, now).await?)?;
        let id = grant.agent.unwrap_or_else(|| AgentId::new(now.since_epoch(), &context.entropy.bytes()));
        let identity = AgentIdentity { organisation: grant.organisation, cluster: grant.cluster, agent: id };
        let issued = context.ca.issue_agent_certificate(&request.csr, identity, now)?;
        let agent = new_agent(identity, &issued, now, &request.agent_version);
        let enrolled = match grant.agent {
            Some(_) => context.store.enrol_again(&hash, &agent, client).await?,
            None => context.store.enrol_agent(&hash, &agent, client, now).await?,
        };
        if enrolled == Enrolled::Done {
            return Ok((identity, context.certificate(&issued)));
        }
    }
    Err(refused("This join token is presented by several at once. Create a new one for the cluster."))
}

fn granted(redemption: &Redemption<JoinGrant>) -> Result<JoinGrant, EnrolmentError> {
    let refused = |sentence: &str| Err(EnrolmentError::Refused(sentence.to_owned()));
    match redemption {
        Redemption::Redeemed(grant) => Ok(*grant),
        Redemption::Unknown => {
            refused("This relay does not know this join token. Check that the relay address is the right one.")
        }
        Redemption::Used => refused("This join token was used already. Create a new one for the cluster."),
        Redemption::Expired => refused("This join token has expired. Create a new one for the cluster."),
        Redemption::Withdrawn => refused("The cluster of this join token was revoked."),
    }
}

fn new_agent(
    identity: AgentIdentity,
    issued: &IssuedCertificate,
    now: crate::clock::UnixMillis,
    agent_version: &str,
) -> Agent {
    Agent {
        id: identity.agent,
        cluster: identity.cluster,
        organisation: identity.organisation,
        status: AgentStatus::Active,
        public_key: issued.public_key,
        previous_public_key: None,
        generation: 1,
        enrolled_at: now,
        last_seen_at: None,
        agent_version: super::handshake::plain(agent_version),
        kubernetes_version: String::new(),
        certificate_expires_at: issued.expires_at,
        cloned: None,
        about: None,
    }
}

fn sentence(error: &IssueError) -> String {
    format!("The agent's certificate request was refused: {error}. Bring relay and agent to neighbouring releases.")
}
