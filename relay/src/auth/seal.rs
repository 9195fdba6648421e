//! Secrets of others, sealed at rest: AES-256-GCM with a key that the operator holds, in a file beside the database.
//!
//! A sealed value names its key and is bound to its place: the organisation, what it is and whose record it belongs to. So a
//! value that somebody moves to another row does not open there. Of several keys the first seals and all open, which is how
//! a key is replaced: put the new one first, and remove the old one when nothing is sealed with it any more.

mod file;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use podlatch_protocol::id::OrganisationId;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use file::{KEY_FILE, SealingKeyError, key_file};

/// Length of a key (AES-256).
const KEY_BYTES: usize = 32;

/// Length of a key's id, in bytes.
const KEY_ID_BYTES: usize = 8;

/// What every sealed value of this form begins with.
const FORM: &str = "sealed1";

/// Most that is sealed at once, in bytes: credentials are small.
pub const MAX_SECRET_BYTES: usize = 128 * 1024;

/// Where a secret belongs. A value that was sealed for one place opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedPlace {
    /// Whose.
    pub organisation: OrganisationId,
    /// What it is, in one word that never changes: `cluster_credential`.
    pub kind: &'static str,
    /// The id of the record that holds it.
    pub record: Uuid,
}

impl SealedPlace {
    /// The associated data: no two places have the same, because the ids have a fixed length.
    fn associated_data(&self, key: KeyId) -> Vec<u8> {
        let mut data = Vec::with_capacity(KEY_ID_BYTES + 32 + self.kind.len());
        data.extend_from_slice(&key.0);
        data.extend_from_slice(self.organisation.as_uuid().as_bytes());
        data.extend_from_slice(self.record.as_bytes());
        data.extend_from_slice(self.kind.as_bytes());
        data
    }
}

/// A secret as it is stored. Prints nothing of itself, although it gives nothing away.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(String);

impl Sealed {
    /// A value that was stored; what is no sealed value does not open.
    pub const fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text, for storage.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// A secret could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It is longer than [`MAX_SECRET_BYTES`].
    #[error("the secret is too long to be kept")]
    TooLong,
    /// The value is none of ours.
    #[error("a sealed secret is damaged; store it anew")]
    Damaged,
    /// Its key is not there.
    #[error(
        "a secret was sealed with a key that is not in the sealing key file; add that key, or store the secret anew"
    )]
    UnknownKey,
    /// It was changed, or belongs to another place.
    #[error("a sealed secret does not open where it is stored: it was changed or moved; store it anew")]
    Refused,
    /// The library failed.
    #[error("the secret could not be sealed")]
    Failed,
}

/// Names a key without giving it away: the beginning of a hash of 256 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeyId([u8; KEY_ID_BYTES]);

struct Key {
    id: KeyId,
    key: RandomizedNonceKey,
}

impl Key {
    fn new(bytes: &[u8; KEY_BYTES]) -> Result<Self, Unspecified> {
        let digest = Sha256::new().chain_update(b"podlatch sealing key\0").chain_update(bytes).finalize();
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&digest[..KEY_ID_BYTES]);
        Ok(Self { id: KeyId(id), key: RandomizedNonceKey::new(&AES_256_GCM, bytes)? })
    }
}

/// The operator's keys. Cheap to clone; prints nothing of them.
#[derive(Clone)]
pub struct SealingKeys(Arc<Keys>);

struct Keys {
    first: Key,
    others: Vec<Key>,
}

impl SealingKeys {
    /// Seals a secret for one place, with the first key.
    pub fn seal(&self, place: &SealedPlace, secret: &SecretString) -> Result<Sealed, SealError> {
        let secret = secret.expose_secret().as_bytes();
        if secret.len() > MAX_SECRET_BYTES {
            return Err(SealError::TooLong);
        }
        let (key, mut sealed) = (&self.0.first, secret.to_vec());
        let data = Aad::from(place.associated_data(key.id));
        let nonce = key.key.seal_in_place_append_tag(data, &mut sealed).map_err(|_| SealError::Failed)?;
        let mut value = nonce.as_ref().to_vec();
        value.append(&mut sealed);
        Ok(Sealed(format!("{FORM}.{}.{}", hex::encode(key.id.0), STANDARD_NO_PAD.encode(value))))
    }

    /// Opens what was sealed for this place.
    pub fn open(&self, place: &SealedPlace, sealed: &Sealed) -> Result<SecretString, SealError> {
        let (id, mut value) = take_apart(&sealed.0).ok_or(SealError::Damaged)?;
        let key = self.keys().find(|key| key.id == id).ok_or(SealError::UnknownKey)?;
        let mut sealed = value.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&value).map_err(|_| SealError::Damaged)?;
        let data = Aad::from(place.associated_data(id));
        let opened = key.key.open_in_place(nonce, data, &mut sealed).map_err(|_| SealError::Refused)?;
        std::str::from_utf8(opened).map(SecretString::from).map_err(|_| SealError::Damaged)
    }

    /// Whether a value was sealed with another key than the one that seals now: it should be sealed anew.
    pub fn is_stale(&self, sealed: &Sealed) -> bool {
        take_apart(&sealed.0).is_none_or(|(id, _)| id != self.0.first.id)
    }

    fn of(keys: &[[u8; KEY_BYTES]]) -> Result<Option<Self>, Unspecified> {
        let mut keys = keys.iter().map(Key::new).collect::<Result<Vec<_>, _>>()?.into_iter();
        Ok(keys.next().map(|first| Self(Arc::new(Keys { first, others: keys.collect() }))))
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.0.first).chain(&self.0.others)
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys().map(|key| hex::encode(key.id.0))).finish()
    }
}

/// The key's id, and nonce, ciphertext and tag in one.
fn take_apart(sealed: &str) -> Option<(KeyId, Vec<u8>)> {
    let (id, value) = sealed.strip_prefix(FORM)?.strip_prefix('.')?.split_once('.')?;
    let mut bytes = [0; KEY_ID_BYTES];
    hex::decode_to_slice(id, &mut bytes).ok()?;
    // A key has one spelling.
    if hex::encode(bytes) != id {
        return None;
    }
    let value = STANDARD_NO_PAD.decode(value).ok()?;
    (value.len() >= NONCE_LEN + AES_256_GCM.tag_len()).then_some((KeyId(bytes), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[u8]) -> SealingKeys {
        let keys: Vec<_> = keys.iter().map(|byte| [*byte; KEY_BYTES]).collect();
        SealingKeys::of(&keys).expect("are keys").expect("there is one")
    }

    fn place(organisation: u128, record: u128) -> SealedPlace {
        SealedPlace {
            organisation: OrganisationId::from_uuid(Uuid::from_u128(organisation)),
            kind: "cluster_credential",
            record: Uuid::from_u128(record),
        }
    }

    fn secret() -> SecretString {
        SecretString::from("eyJhbGciOi-a-token")
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_and_shows_nothing() {
        let (keys, place) = (keys(&[1]), place(1, 2));
        let sealed = keys.seal(&place, &secret()).expect("seals");
        assert_eq!(keys.open(&place, &sealed).expect("opens").expose_secret(), secret().expose_secret());
        assert!(!sealed.as_str().contains("token") && !format!("{sealed:?} {keys:?}").contains("token"));
        let again = keys.seal(&place, &secret()).expect("seals");
        assert_ne!(sealed, again, "no two sealed values are the same");
    }

    #[test]
    fn a_sealed_value_opens_in_no_other_place() {
        let keys = keys(&[1]);
        let sealed = keys.seal(&place(1, 2), &secret()).expect("seals");
        let other_kind = SealedPlace { kind: "oidc_client", ..place(1, 2) };
        for elsewhere in [place(1, 3), place(2, 2), place(2, 1), other_kind] {
            assert_eq!(keys.open(&elsewhere, &sealed).expect_err("is refused"), SealError::Refused);
        }
    }

    #[test]
    fn a_changed_value_does_not_open() {
        let (keys, place) = (keys(&[1]), place(1, 2));
        let sealed = keys.seal(&place, &secret()).expect("seals");
        let text = sealed.as_str();
        for at in 0..text.len() {
            let mut changed = text.to_owned().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = Sealed::stored(String::from_utf8(changed).expect("is text"));
            assert!(keys.open(&place, &changed).is_err(), "byte {at} was changed");
        }
        for damaged in ["", "sealed1", "sealed1..", "sealed1.0011223344556677.", "sealed1.0011223344556677.AAAA"] {
            assert_eq!(keys.open(&place, &Sealed::stored(damaged.to_owned())).err(), Some(SealError::Damaged));
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let place = place(1, 2);
        let old = keys(&[1]).seal(&place, &secret()).expect("seals");
        let rotated = keys(&[2, 1]);
        rotated.open(&place, &old).expect("the old key still opens");
        assert!(rotated.is_stale(&old));
        let new = rotated.seal(&place, &secret()).expect("seals");
        assert!(!rotated.is_stale(&new));
        assert_eq!(keys(&[1]).open(&place, &new).err(), Some(SealError::UnknownKey));
    }

    #[test]
    fn what_is_too_long_is_not_sealed() {
        let long = SecretString::from("a".repeat(MAX_SECRET_BYTES + 1));
        assert_eq!(keys(&[1]).seal(&place(1, 2), &long).err(), Some(SealError::TooLong));
    }
}
