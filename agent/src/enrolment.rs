//! How the agent comes to its identity: it has one stored, or a one-use join token gets it one.

use std::time::{Duration, SystemTime};

use podlatch_link::disconnect::Disconnect;
use podlatch_link::framing::{FrameWriter, read_one};
use podlatch_link::pin::CaPin;
use podlatch_protocol::codec;
use podlatch_protocol::enrolment::{EnrolReply, EnrolRequest};
use podlatch_protocol::frame::{self, FrameKind};
use podlatch_protocol::version::ENROLMENT_ALPN;
use rand::SeedableRng;
use rand::rngs::StdRng;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{sleep, timeout};

use crate::config::RelayAddress;
use crate::identity::{Identity, IdentityStore, NewKey, TokenDigest};
use crate::tls::{Credentials, client_config};
use crate::tunnel::dial::dial;
use crate::tunnel::explain::explain;
use crate::tunnel::{Backoff, Explanation, Failure};

/// How long the relay may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Where to enrol, and with what.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// The relay.
    pub relay: RelayAddress,
    /// The relay's CA.
    pub pin: CaPin,
    /// The join token, where one was given.
    pub token: Option<SecretString>,
}

/// The agent has no identity that it could use, and cannot get one.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// There is neither an identity nor a token.
    #[error(
        "this agent is not enrolled and has no join token; create one with \"podlatch-relay admin join-token\" and give it as --join-token or --join-token-file"
    )]
    NoToken,
    /// The identity is of another relay.
    #[error(
        "the identity in {place} was issued by the relay of {stored}, but --ca-pin says {wanted}; correct the pin, or give a new join token to enrol there"
    )]
    OtherRelay {
        /// Where it is.
        place: String,
        /// Its pin.
        stored: CaPin,
        /// The pin that was asked for.
        wanted: CaPin,
    },
    /// The identity is over, and the token at hand is the one it came from.
    #[error(
        "this agent's certificate in {0} has run out; create a new join token for the cluster and give it to the agent"
    )]
    Expired(String),
    /// The relay refused.
    #[error("the relay refused to enrol this agent: {0}")]
    Refused(String),
    /// What answers is not the relay, or no version fits.
    #[error("{0}")]
    Unusable(String),
    /// The identity could not be read or written.
    #[error(transparent)]
    Store(#[from] anyhow::Error),
}

/// What is to be done to have an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Use,
    Enrol,
}

impl Enrolment {
    /// The stored identity, or a new one. Asks the relay again and again while trying may help. Cancel safe, except that a
    /// token may then be used up.
    pub async fn obtain(&self, store: &dyn IdentityStore) -> Result<Identity, EnrolmentError> {
        let stored = store.load().await?.map(Identity::new).transpose()?;
        match (self.plan(stored.as_ref(), store, SystemTime::now())?, stored) {
            (Plan::Use, Some(identity)) => Ok(identity),
            _ => self.enrol(store).await,
        }
    }

    /// Whether the token at hand is another one than `identity` came from.
    pub fn has_fresh_token(&self, identity: &Identity) -> bool {
        self.token.as_ref().is_some_and(|token| TokenDigest::of(token) != identity.enrolled_with())
    }

    /// Gets a new identity for the token and stores it. Cancel safe, except that the token may then be used up.
    pub async fn enrol(&self, store: &dyn IdentityStore) -> Result<Identity, EnrolmentError> {
        let token = self.token.as_ref().ok_or(EnrolmentError::NoToken)?;
        let mut backoff = Backoff::new(StdRng::from_os_rng());
        // One key for all attempts: where an answer is lost, the relay gives it again to the same key.
        let key = NewKey::generate()?;
        let request = key.request()?;
        let certificate = loop {
            match self.ask(token, request.clone()).await {
                Ok(EnrolReply::Enrolled(certificate)) => break certificate,
                Ok(EnrolReply::Refused(sentence)) => {
                    return Err(EnrolmentError::Refused(sentence.escape_default().to_string()));
                }
                Err(Explanation {
                    failure: Failure::Lasting | Failure::IdentityRefused | Failure::Revoked,
                    sentence,
                }) => {
                    return Err(EnrolmentError::Unusable(sentence));
                }
                Err(Explanation { failure: Failure::Transient, sentence }) => {
                    let wait = backoff.wait();
                    tracing::warn!(wait_ms = wait.as_millis(), "not enrolled yet: {sentence}");
                    sleep(wait).await;
                }
            }
        };
        let identity = key.certified(&certificate, self.pin, TokenDigest::of(token))?;
        store.save(identity.stored()).await?;
        tracing::info!(place = store.location(), "enrolled");
        Ok(identity)
    }

    fn plan(
        &self,
        stored: Option<&Identity>,
        store: &dyn IdentityStore,
        now: SystemTime,
    ) -> Result<Plan, EnrolmentError> {
        let Some(identity) = stored else {
            return if self.token.is_some() { Ok(Plan::Enrol) } else { Err(EnrolmentError::NoToken) };
        };
        let same_relay = identity.pin() == self.pin;
        if same_relay && !identity.remaining(now).is_zero() {
            return Ok(Plan::Use);
        }
        if self.has_fresh_token(identity) {
            return Ok(Plan::Enrol);
        }
        let place = store.location();
        if same_relay {
            return Err(EnrolmentError::Expired(place));
        }
        Err(EnrolmentError::OtherRelay { place, stored: identity.pin(), wanted: self.pin })
    }

    async fn ask(&self, token: &SecretString, csr: Vec<u8>) -> Result<EnrolReply, Explanation> {
        let tls = client_config(self.pin, Credentials::None, ENROLMENT_ALPN)
            .map_err(|error| Explanation::lasting(error.to_string()))?;
        let dialled = dial(&self.relay, tls, 0).await?;
        let request = EnrolRequest {
            token: token.expose_secret().to_owned(),
            csr,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let reply = match timeout(ANSWER, converse(&dialled.connection, &request)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(match dialled.connection.close_reason() {
                Some(reason) => explain(&self.relay, &reason),
                None => Explanation::transient(format!("enrolling failed: {error:#}")),
            }),
            Err(_) => Err(Explanation::transient(format!("{} does not answer the enrolment", self.relay))),
        };
        Disconnect::Done.close(&dialled.connection);
        reply
    }
}

async fn converse(connection: &quinn::Connection, request: &EnrolRequest) -> anyhow::Result<EnrolReply> {
    let (send, mut recv) = connection.open_bi().await?;
    let mut writer = FrameWriter::new(send);
    frame::put(writer.buffer(), FrameKind::ENROL_REQUEST, &codec::encode(request)?);
    writer.flush().await?;
    writer.get_mut().finish()?;
    while let Some(frame) = read_one(&mut recv).await? {
        if frame.kind == FrameKind::ENROL_REPLY {
            return Ok(codec::decode(&frame.body)?);
        }
    }
    anyhow::bail!("the relay ended the conversation without an answer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::FileStore;
    use crate::identity::tests::identity;

    fn enrolment(pin: CaPin, token: Option<&str>) -> Enrolment {
        let relay = "127.0.0.1:1".parse().expect("is an address");
        Enrolment { relay, pin, token: token.map(SecretString::from) }
    }

    fn plan(enrolment: &Enrolment, identity: Option<&Identity>, now: SystemTime) -> Result<Plan, EnrolmentError> {
        enrolment.plan(identity, &FileStore::new("/nowhere"), now)
    }

    #[test]
    fn a_good_identity_is_used_whatever_token_there_is() {
        let (identity, now) = (identity(), SystemTime::now());
        for token in [None, Some("plj_new")] {
            assert_eq!(plan(&enrolment(identity.pin(), token), Some(&identity), now).expect("has a plan"), Plan::Use);
        }
    }

    #[test]
    fn without_a_usable_identity_a_fresh_token_is_needed() {
        let (identity, now) = (identity(), SystemTime::now());
        let after = identity.expires_at() + Duration::from_secs(1);
        let other = CaPin::of_public_key(b"other");
        let plan_with = |pin, token, identity, now| plan(&enrolment(pin, token), identity, now);
        assert!(matches!(plan_with(identity.pin(), None, None, now), Err(EnrolmentError::NoToken)));
        assert!(matches!(plan_with(identity.pin(), None, Some(&identity), after), Err(EnrolmentError::Expired(_))));
        assert!(matches!(plan_with(other, None, Some(&identity), now), Err(EnrolmentError::OtherRelay { .. })));
        for (pin, identity, now) in
            [(identity.pin(), None, now), (identity.pin(), Some(&identity), after), (other, Some(&identity), now)]
        {
            assert_eq!(plan_with(pin, Some("plj_new"), identity, now).expect("has a plan"), Plan::Enrol);
        }
    }
}
