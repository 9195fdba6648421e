//! The pin by which an agent knows its relay's own CA.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// What every pin begins with.
const PREFIX: &str = "sha256:";

/// SHA-256 over a CA certificate's SubjectPublicKeyInfo, DER. Written `sha256:` and 64 hexadecimal digits.
///
/// It pins the key, not the certificate, so a CA certificate may be renewed without touching any agent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CaPin([u8; 32]);

/// A text was not a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a CA pin is \"sha256:\" followed by 64 hexadecimal digits; the relay prints it with the join command")]
pub struct ParsePinError;

/// A certificate could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a certificate is malformed")]
pub struct MalformedCertificate;

impl CaPin {
    /// The pin of a SubjectPublicKeyInfo, DER.
    pub fn of_public_key(subject_public_key_info: &[u8]) -> Self {
        Self(Sha256::digest(subject_public_key_info).into())
    }

    /// The pin of a certificate, DER.
    pub fn of_certificate(certificate: &[u8]) -> Result<Self, MalformedCertificate> {
        let (rest, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| MalformedCertificate)?;
        if rest.is_empty() { Ok(Self::of_public_key(parsed.public_key().raw)) } else { Err(MalformedCertificate) }
    }
}

impl fmt::Display for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", hex::encode(self.0))
    }
}

impl fmt::Debug for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CaPin {
    type Err = ParsePinError;

    fn from_str(text: &str) -> Result<Self, ParsePinError> {
        let digits = text.trim().strip_prefix(PREFIX).ok_or(ParsePinError)?;
        let mut digest = [0; 32];
        hex::decode_to_slice(digits, &mut digest).map_err(|_| ParsePinError)?;
        Ok(Self(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_survives_its_text_form() {
        let pin = CaPin::of_public_key(b"any");
        assert_eq!(pin.to_string().parse(), Ok(pin));
        assert_eq!(pin.to_string().len(), PREFIX.len() + 64);
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", "sha256:", "sha256:00", "sha1:00", &"0".repeat(64), &format!("sha256:{}", "z".repeat(64))] {
            assert_eq!(bad.parse::<CaPin>(), Err(ParsePinError), "{bad:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_are_an_error() {
        assert_eq!(CaPin::of_certificate(&[]), Err(MalformedCertificate));
        assert_eq!(CaPin::of_certificate(&[0x30, 0x82, 0xff, 0xff]), Err(MalformedCertificate));
    }
}
