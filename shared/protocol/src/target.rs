//! What a session runs in: namespace, pod, container. Parsed at the edge; never a raw string inside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that Kubernetes would not accept.
///
/// Source: <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not valid: use lower-case letters, digits{1} and hyphens, begin and end with a letter or digit, at most {2} characters"
)]
pub struct NameError(&'static str, &'static str, usize);

macro_rules! kubernetes_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, dots: $dots:literal, max: $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as Kubernetes spells it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
                let inner = |byte: u8| plain(byte) || byte == b'-' || ($dots && byte == b'.');
                let bytes = text.as_bytes();
                let valid = (1..=$max).contains(&bytes.len())
                    && bytes.iter().all(|byte| inner(*byte))
                    && bytes.first().is_some_and(|byte| plain(*byte))
                    && bytes.last().is_some_and(|byte| plain(*byte));
                if valid { Ok(Self(text)) } else { Err(NameError($what, if $dots { ", dots" } else { "" }, $max)) }
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

kubernetes_name!(
    /// A namespace: an RFC 1123 label.
    Namespace,
    "the namespace",
    dots: false,
    max: 63
);
kubernetes_name!(
    /// A pod's name: an RFC 1123 subdomain.
    PodName,
    "the pod name",
    dots: true,
    max: 253
);
kubernetes_name!(
    /// A container's name: an RFC 1123 label.
    ContainerName,
    "the container name",
    dots: false,
    max: 63
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
