//! Passkeys (WebAuthn): the relay asks, an authenticator signs.
//!
//! What the relay must remember between the two is its caller's to keep, on the relay and for one use. User verification is
//! always required; an authenticator whose counter does not go up is refused, because it may be a copy.

use std::fmt;
use std::sync::Arc;

use podlatch_protocol::id::UserId;
use serde_json::Value;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, DiscoverableKey, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Url, Webauthn, WebauthnBuilder, WebauthnError,
};
use webauthn_rs_proto::ResidentKeyRequirement;

use crate::config::PublicUrl;
use crate::domain::organisation::User;

/// What an authenticator answers when it makes a passkey.
pub type NewCredential = RegisterPublicKeyCredential;

/// What an authenticator answers when it signs somebody in.
pub type Assertion = PublicKeyCredential;

/// Asks and checks, for one public URL. Cheap to clone.
#[derive(Clone)]
pub struct Passkeys(Arc<Webauthn>);

/// A question to an authenticator.
#[derive(Debug)]
pub struct Question {
    /// For the browser: what `navigator.credentials` takes, with its bytes in base64url.
    pub options: Value,
    /// For the relay, until the answer comes: as JSON.
    pub state: String,
}

/// A new passkey, checked.
#[derive(Debug)]
pub struct Registered {
    /// The authenticator's own id for it.
    pub credential_id: Vec<u8>,
    /// The credential, as JSON.
    pub credential: String,
}

/// An answer that is not good.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// The authenticator's answer does not hold: wrong challenge, origin, signature, or a counter that did not go up.
    #[error("the passkey's answer does not hold")]
    Refused(#[from] WebauthnError),
    /// What was remembered or stored makes no sense.
    #[error("what is known of the passkey makes no sense")]
    Corrupt(#[from] serde_json::Error),
}

impl Passkeys {
    /// For the relay at this address. `None` where its host is an IP address: browsers bind passkeys to names alone.
    pub fn at(url: &PublicUrl) -> Option<Self> {
        let origin = Url::parse(url.origin()).ok()?;
        let host = origin.domain()?.to_owned();
        let webauthn = WebauthnBuilder::new(&host, &origin).ok()?.rp_name("Podlatch").build().ok()?;
        Some(Self(Arc::new(webauthn)))
    }

    /// Asks for a new passkey that the authenticator finds by itself, so that nobody has to type who they are.
    pub fn ask_for_new(&self, user: &User, known: Vec<Vec<u8>>) -> Result<Question, PasskeyError> {
        let (email, name) = (user.email.as_str(), user.name.as_str());
        let (mut asked, state) = self.0.start_passkey_registration(user.id.as_uuid(), email, name, Some(known))?;
        if let Some(selection) = &mut asked.public_key.authenticator_selection {
            selection.resident_key = Some(ResidentKeyRequirement::Required);
            selection.require_resident_key = true;
        }
        Ok(Question { options: serde_json::to_value(asked.public_key)?, state: serde_json::to_string(&state)? })
    }

    /// Checks a new passkey.
    pub fn check_new(&self, answer: &NewCredential, state: &str) -> Result<Registered, PasskeyError> {
        let state: PasskeyRegistration = serde_json::from_str(state)?;
        let passkey = self.0.finish_passkey_registration(answer, &state)?;
        let credential_id = AsRef::<[u8]>::as_ref(passkey.cred_id()).to_vec();
        Ok(Registered { credential_id, credential: serde_json::to_string(&passkey)? })
    }

    /// Asks for any passkey of this relay.
    pub fn ask(&self) -> Result<Question, PasskeyError> {
        let (asked, state) = self.0.start_discoverable_authentication()?;
        Ok(Question { options: serde_json::to_value(asked.public_key)?, state: serde_json::to_string(&state)? })
    }

    /// Whose passkey an answer says it is; nothing is proven yet.
    pub fn claimed(&self, answer: &Assertion) -> Option<(UserId, Vec<u8>)> {
        let (user, credential) = self.0.identify_discoverable_authentication(answer).ok()?;
        Some((UserId::from_uuid(user), credential.to_vec()))
    }

    /// Checks an answer against the stored credential; gives the credential as it is to be stored from now on.
    pub fn check(&self, answer: &Assertion, state: &str, credential: &str) -> Result<String, PasskeyError> {
        let state: DiscoverableAuthentication = serde_json::from_str(state)?;
        let mut passkey: Passkey = serde_json::from_str(credential)?;
        let result = self.0.finish_discoverable_authentication_v2(answer, state, DiscoverableKey::from(&passkey))?;
        match passkey.update_credential(&result) {
            Some(true) => Ok(serde_json::to_string(&passkey)?),
            // Byte for byte what was stored, so that the store sees that nothing changed.
            Some(false) | None => Ok(credential.to_owned()),
        }
    }
}

impl fmt::Debug for Passkeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passkeys").field("origins", &self.0.get_allowed_origins()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_are_bound_to_a_name() {
        let at = |url: &str| Passkeys::at(&url.parse().expect("a URL")).is_some();
        assert!(at("https://relay.example.org") && at("http://localhost:8080"));
        assert!(!at("http://127.0.0.1:8080") && !at("http://[::1]:8080"));
    }

    #[test]
    fn a_question_names_the_relay_and_wants_the_person_verified() {
        let passkeys = Passkeys::at(&"https://relay.example.org:8443".parse().expect("a URL")).expect("a name");
        let user = User {
            id: UserId::from_uuid(uuid::Uuid::from_u128(7)),
            email: "ada@example.org".parse().expect("an address"),
            name: "Ada".parse().expect("a name"),
        };
        let question = passkeys.ask_for_new(&user, vec![vec![1; 16]]).expect("asks");
        assert_eq!(question.options["rp"]["id"], "relay.example.org");
        assert_eq!(question.options["authenticatorSelection"]["residentKey"], "required");
        assert_eq!(question.options["authenticatorSelection"]["userVerification"], "required");
        assert_eq!(question.options["excludeCredentials"].as_array().map(Vec::len), Some(1));
        let question = passkeys.ask().expect("asks");
        assert_eq!(question.options["rpId"], "relay.example.org");
        assert_eq!(question.options["userVerification"], "required");
        assert_eq!(question.options["allowCredentials"].as_array().map(Vec::len), Some(0));
    }
}
