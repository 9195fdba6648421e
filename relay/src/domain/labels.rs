//! Labels: names and values by which access rules find clusters.

use std::collections::BTreeMap;
use std::collections::btree_map::Iter;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why something is no set of labels; a sentence that ends without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidLabels(String);

/// Labels as Kubernetes writes them: at most [`Labels::MAX`], names like `team` or `example.org/team`, values of at most 63
/// characters. So whoever knows Kubernetes' rules knows these, and neither a name nor a value needs escaping.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// How many there may be.
    pub const MAX: usize = 32;

    /// Checks every name and value.
    pub fn new(labels: BTreeMap<String, String>) -> Result<Self, InvalidLabels> {
        if labels.len() > Self::MAX {
            return Err(InvalidLabels(format!("there may be at most {} labels", Self::MAX)));
        }
        for (name, value) in &labels {
            if !is_name(name) {
                return Err(InvalidLabels(format!(
                    "{:?} is no label name: use up to 63 letters, digits, dashes, dots and underscores that begin and end with a letter or digit, if need be behind a domain and a slash",
                    shortened(name)
                )));
            }
            if !is_value(value) {
                return Err(InvalidLabels(format!(
                    "{:?} is no value for the label {name}: use up to 63 letters, digits, dashes, dots and underscores that begin and end with a letter or digit",
                    shortened(value)
                )));
            }
        }
        Ok(Self(labels))
    }

    /// The value of this label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them, by name.
    pub fn iter(&self) -> Iter<'_, String, String> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As a map.
    pub const fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl TryFrom<BTreeMap<String, String>> for Labels {
    type Error = InvalidLabels;

    fn try_from(labels: BTreeMap<String, String>) -> Result<Self, InvalidLabels> {
        Self::new(labels)
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a String, &'a String);
    type IntoIter = Iter<'a, String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A JSON object, as it is stored.
impl FromStr for Labels {
    type Err = InvalidLabels;

    fn from_str(text: &str) -> Result<Self, InvalidLabels> {
        let map = serde_json::from_str(text);
        map.map_err(|_| InvalidLabels("labels are a JSON object of texts".to_owned())).and_then(Self::new)
    }
}

/// A JSON object, as it is stored.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?)
    }
}

fn is_name(name: &str) -> bool {
    match name.split_once('/') {
        Some((domain, name)) => is_domain(domain) && is_word(name),
        None => is_word(name),
    }
}

fn is_value(value: &str) -> bool {
    value.is_empty() || is_word(value)
}

fn is_word(word: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = word.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte))
}

fn is_domain(domain: &str) -> bool {
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    domain.len() <= 253
        && domain
            .split('.')
            .all(|part| !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.bytes().all(lower))
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Result<Labels, InvalidLabels> {
        Labels::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn takes_what_kubernetes_takes() {
        let good = labels(&[("team", "shop"), ("example.org/env", "prod-1.2_x"), ("empty", "")]).expect("valid");
        assert_eq!(good.get("example.org/env"), Some("prod-1.2_x"));
        assert_eq!(good.to_string().parse::<Labels>().expect("parses"), good);
        assert!("{}".parse::<Labels>().expect("parses").is_empty());
    }

    #[test]
    fn refuses_everything_else_with_its_name() {
        let long = "a".repeat(64);
        for name in ["", "-a", "a-", "a b", "a/b/c", "/a", "a/", "Example.org/a", "ä", "a\u{1b}", "..a", long.as_str()]
        {
            assert!(labels(&[(name, "x")]).is_err(), "{name:?}");
        }
        for value in ["-", "a b", "ä", "a\n", "<script>", long.as_str()] {
            let error = labels(&[("team", value)]).expect_err("refused").to_string();
            assert!(error.contains("team"), "{error}");
        }
        let many = (0..=Labels::MAX).map(|number| (format!("l{number}"), String::new())).collect();
        assert!(Labels::new(many).is_err());
        for text in ["", "[]", "{\"a\":1}", "null"] {
            assert!(text.parse::<Labels>().is_err(), "{text}");
        }
    }
}
