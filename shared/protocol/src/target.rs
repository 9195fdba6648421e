//! What a session runs in: namespace, pod, container. Parsed at the edge; never a raw string inside.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::checked_text;

/// A name that Kubernetes would not accept.
///
/// Source: <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not valid: use lower-case letters, digits{1} and hyphens, begin and end with a letter or digit, at most {2} characters"
)]
pub struct NameError(&'static str, &'static str, usize);

/// A kind of name in Kubernetes.
struct Form {
    what: &'static str,
    dots: Dots,
    max_bytes: usize,
}

/// Whether a name may have parts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dots {
    Allowed,
    Refused,
}

/// An RFC 1123 label.
const fn label(what: &'static str) -> Form {
    Form { what, dots: Dots::Refused, max_bytes: 63 }
}

/// An RFC 1123 subdomain.
const fn subdomain(what: &'static str) -> Form {
    Form { what, dots: Dots::Allowed, max_bytes: 253 }
}

impl Form {
    fn check(&self, text: &str) -> Result<(), NameError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let inner = |byte: u8| plain(byte) || byte == b'-' || (self.dots == Dots::Allowed && byte == b'.');
        let bytes = text.as_bytes();
        let valid = (1..=self.max_bytes).contains(&bytes.len())
            && bytes.iter().all(|byte| inner(*byte))
            && bytes.first().is_some_and(|byte| plain(*byte))
            && bytes.last().is_some_and(|byte| plain(*byte));
        if valid { Ok(()) } else { Err(self.error()) }
    }

    const fn error(&self) -> NameError {
        let dots = match self.dots {
            Dots::Allowed => ", dots",
            Dots::Refused => "",
        };
        NameError(self.what, dots, self.max_bytes)
    }
}

checked_text!(
    /// A namespace: an RFC 1123 label.
    Namespace,
    NameError,
    |text: &str| label("the namespace").check(text)
);
checked_text!(
    /// A pod's name: an RFC 1123 subdomain.
    PodName,
    NameError,
    |text: &str| subdomain("the pod name").check(text)
);
checked_text!(
    /// A container's name: an RFC 1123 label.
    ContainerName,
    NameError,
    |text: &str| label("the container name").check(text)
);

/// Where a session runs. Without a container, the pod must have exactly one (or Kubernetes' default-container annotation).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PodTarget {
    /// The pod's namespace.
    pub namespace: Namespace,
    /// The pod.
    pub pod: PodName,
    /// The container, where it was named.
    pub container: Option<ContainerName>,
}

impl fmt::Display for PodTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.pod)?;
        match &self.container {
            Some(container) => write!(f, "/{container}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_kubernetes_accepts() {
        assert!("web-847d88cc4-4lslb".parse::<PodName>().is_ok());
        assert!("a.b".parse::<PodName>().is_ok());
        assert!("a".repeat(253).parse::<PodName>().is_ok());
        assert!("0".parse::<Namespace>().is_ok());
    }

    #[test]
    fn refuses_what_could_be_read_as_anything_else() {
        for bad in ["", "-a", "a-", "A", "a/b", "a?b", "..", "a b", "a\n", "a%2f", "ä", "a_b", "."] {
            assert!(bad.parse::<PodName>().is_err(), "{bad:?}");
        }
        assert!("a.b".parse::<Namespace>().is_err());
        assert!("a".repeat(254).parse::<PodName>().is_err());
        assert!("a".repeat(64).parse::<ContainerName>().is_err());
    }
}
