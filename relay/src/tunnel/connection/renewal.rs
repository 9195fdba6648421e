//! Certificate renewals of one connection: at most one at a time, beside the connection.

use podlatch_protocol::control::ToAgent;
use tokio::task::JoinHandle;

use crate::clock::UnixMillis;
use crate::domain::agent::PublicKeySha256;
use crate::domain::organisation::ClientInfo;
use crate::pki::{AgentIdentity, IssuedCertificate};
use crate::store::RenewAgent;
use crate::tunnel::{Context, audit};

/// What to tell the agent.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) message: ToAgent,
    /// The new end of its right to this connection.
    pub(super) certified_until: Option<UnixMillis>,
}

/// The renewals of one connection.
#[derive(Debug)]
pub(super) struct Renewals {
    context: Context,
    identity: AgentIdentity,
    /// The key that the agent holds for sure: the one it connected with, then the one of the last answer.
    key: PublicKeySha256,
    /// Where the agent is.
    client: ClientInfo,
    last: Option<IssuedCertificate>,
    running: Option<JoinHandle<Outcome>>,
}

#[derive(Debug)]
enum Outcome {
    Issued(IssuedCertificate),
    Refused(&'static str),
}

impl Renewals {
    pub(super) const fn new(
        context: Context,
        identity: AgentIdentity,
        key: PublicKeySha256,
        client: ClientInfo,
    ) -> Self {
        Self { context, identity, key, client, last: None, running: None }
    }

    /// Begins a renewal. While one runs, another request is ignored: the agent asks again when nobody answers.
    pub(super) fn ask(&mut self, request: Vec<u8>) {
        if self.running.is_none() {
            let (context, identity, by, last) = (self.context.clone(), self.identity, self.key, self.last.clone());
            let client = self.client.clone();
            self.running = Some(self.context.tasks.spawn(async move {
                let outcome = renew(&context, identity, by, last, request, &client).await;
                if let Outcome::Refused(why) = outcome {
                    audit::not_renewed(&context, identity, client, why).await;
                }
                outcome
            }));
        }
    }

    /// The answer to the running renewal; never returns while there is none. Cancel safe.
    pub(super) async fn finished(&mut self) -> Answer {
        let Some(running) = &mut self.running else {
            return std::future::pending().await;
        };
        let outcome = running.await;
        self.running = None;
        match outcome {
            Ok(Outcome::Issued(issued)) => {
                self.key = issued.public_key;
                let answer = Answer {
                    message: ToAgent::Renewed(self.context.certificate(&issued)),
                    certified_until: Some(issued.expires_at),
                };
                self.last = Some(issued);
                answer
            }
            Ok(Outcome::Refused(why)) => refused(why),
            Err(_) => refused(FAILED),
        }
    }
}

const FAILED: &str = "The relay failed. Try again.";

fn refused(why: &str) -> Answer {
    Answer { message: ToAgent::RenewalRefused(why.to_owned()), certified_until: None }
}

async fn renew(
    context: &Context,
    identity: AgentIdentity,
    by: PublicKeySha256,
    last: Option<IssuedCertificate>,
    request: Vec<u8>,
    client: &ClientInfo,
) -> Outcome {
    let issued = match context.ca.issue_agent_certificate(&request, identity, context.clock.now()) {
        Ok(issued) => issued,
        Err(error) => {
            tracing::warn!(agent.id = %identity.agent, "a renewal was refused: {error}");
            return Outcome::Refused(
                "The certificate request was refused: it must be signed, with a P-256 or Ed25519 key.",
            );
        }
    };
    if issued.public_key == by {
        return match last {
            // The agent asks again for the same key: it has not seen the answer yet.
            Some(last) if last.public_key == by => Outcome::Issued(last),
            _ => Outcome::Refused("A renewal needs a new key."),
        };
    }
    let renewal = RenewAgent {
        organisation: identity.organisation,
        cluster: identity.cluster,
        agent: identity.agent,
        by,
        public_key: issued.public_key,
        certificate_expires_at: issued.expires_at,
    };
    match context.store.update_agent_certificate(&renewal, client, context.clock.now()).await {
        Ok(Some(generation)) => {
            tracing::info!(agent.id = %identity.agent, generation, "renewed an agent's certificate");
            Outcome::Issued(issued)
        }
        Ok(None) => Outcome::Refused("This agent was revoked, or a newer connection of it has renewed already."),
        Err(error) => {
            tracing::error!(agent.id = %identity.agent, "a renewal could not be stored: {error}");
            Outcome::Refused(FAILED)
        }
    }
}
