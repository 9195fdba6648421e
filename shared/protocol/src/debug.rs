//! Debug containers: which image may be named.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::SessionId;
use crate::target::{ContainerName, NameError};

/// Largest image reference in bytes.
pub const MAX_IMAGE_BYTES: usize = 512;

/// The name of the container that a session adds to a pod.
pub fn container_name(session: SessionId) -> Result<ContainerName, NameError> {
    format!("podlatch-{session}").parse()
}

/// A text that names no container image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the image is not valid: write it as REGISTRY/NAME:TAG or NAME@sha256:DIGEST, at most {MAX_IMAGE_BYTES} characters"
)]
pub struct ImageError;

/// The image of a debug container, as Kubernetes takes it. Two spellings of one image are two images: what is allowed is
/// compared letter by letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DebugImage(String);

impl DebugImage {
    /// The image as Kubernetes is told.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DebugImage {
    type Error = ImageError;

    fn try_from(text: String) -> Result<Self, ImageError> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
        let bytes = text.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        let valid = bytes.len() <= MAX_IMAGE_BYTES
            && bytes.iter().all(|byte| known(*byte))
            && ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
            && !text.contains("//")
            && text.split_once('@').is_none_or(|(_, digest)| is_digest(digest));
        if valid { Ok(Self(text)) } else { Err(ImageError) }
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl FromStr for DebugImage {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        Self::try_from(text.to_owned())
    }
}

impl From<DebugImage> for String {
    fn from(image: DebugImage) -> String {
        image.0
    }
}

impl fmt::Display for DebugImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_has_a_container_name() {
        let name = container_name(SessionId::new(u64::MAX, &[255; 10])).expect("is a name");
        assert!(name.as_str().starts_with("podlatch-"));
    }

    #[test]
    fn takes_what_kubernetes_takes_and_nothing_else() {
        let digest = format!("busybox@sha256:{}", "a".repeat(64));
        for good in ["busybox", "busybox:1.36", "registry.example.com:5000/tools/netshoot:v0.13", &digest] {
            assert!(good.parse::<DebugImage>().is_ok(), "{good}");
        }
        let long = "a".repeat(MAX_IMAGE_BYTES + 1);
        for bad in ["", "a b", "-x", "busybox:", "a//b", "a@sha256:1", "a@b", "é", "a\n", "$(x)", "http://a", &long] {
            assert!(bad.parse::<DebugImage>().is_err(), "{bad:?}");
        }
    }
}
