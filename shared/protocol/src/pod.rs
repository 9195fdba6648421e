//! What an agent says of one pod, so that the relay can decide by what the pod is and not by its name alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::close::Refusal;
use crate::target::ContainerName;

/// The labels of a pod: few and small enough to be told and kept. Untrusted text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct PodLabels(BTreeMap<String, String>);

/// More labels than are told. Some of them would be worse than none: the one that counts could be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pod has more than {} labels, or more than {} bytes of them", PodLabels::MAX, PodLabels::MAX_BYTES)]
pub struct TooManyLabels;

impl PodLabels {
    /// Most labels. Pods have about ten.
    pub const MAX: usize = 128;

    /// Most bytes of names and values together: half a frame.
    pub const MAX_BYTES: usize = 32 * 1024;

    /// All of them, by name.
    pub const fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// All of them, by name.
    pub fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }
}

impl TryFrom<BTreeMap<String, String>> for PodLabels {
    type Error = TooManyLabels;

    fn try_from(labels: BTreeMap<String, String>) -> Result<Self, TooManyLabels> {
        let bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        if labels.len() <= Self::MAX && bytes <= Self::MAX_BYTES { Ok(Self(labels)) } else { Err(TooManyLabels) }
    }
}

impl From<PodLabels> for BTreeMap<String, String> {
    fn from(labels: PodLabels) -> Self {
        labels.0
    }
}

/// One pod at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodDescription {
    /// Its UID: another pod of the same name has another.
    pub uid: String,
    /// Its labels.
    pub labels: PodLabels,
    /// Every container that a process could be started in.
    pub containers: Vec<ContainerName>,
    /// The one that is entered where none is named.
    pub default_container: Option<ContainerName>,
}

/// The answer to [`crate::request::Request::Describe`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DescribeReply {
    /// The pod.
    Described(PodDescription),
    /// There is none, the agent's guard does not allow it, or Kubernetes does not answer.
    Refused(Refusal),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn more_labels_than_are_told_are_refused_and_never_cut() {
        let labels = |count: usize, value: &str| -> BTreeMap<_, _> {
            (0..count).map(|number| (format!("l{number}"), value.to_owned())).collect()
        };
        assert!(PodLabels::try_from(labels(PodLabels::MAX, "x")).is_ok());
        assert_eq!(PodLabels::try_from(labels(PodLabels::MAX + 1, "x")), Err(TooManyLabels));
        let long = "x".repeat(PodLabels::MAX_BYTES);
        assert_eq!(PodLabels::try_from(labels(1, &long)), Err(TooManyLabels));
        let bytes = codec::encode(&labels(PodLabels::MAX + 1, "x")).expect("encodes");
        assert!(codec::decode::<PodLabels>(&bytes).is_err(), "a peer is not believed either");
    }
}
