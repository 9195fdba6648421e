//! Conditions on a pod's labels, as kubectl's `--selector` has them where they are simple.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A text is no condition on labels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no condition on a label: write name=value, name!=value, name or !name")]
pub struct InvalidLabelCondition(String);

/// A condition on a pod's labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelCondition {
    /// The label has this value.
    Equals(String, String),
    /// It has another value, or there is none.
    Differs(String, String),
    /// There is such a label.
    Exists(String),
    /// There is none.
    Missing(String),
}

impl LabelCondition {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Equals(name, value) => labels.get(name) == Some(value),
            Self::Differs(name, value) => labels.get(name) != Some(value),
            Self::Exists(name) => labels.contains_key(name),
            Self::Missing(name) => !labels.contains_key(name),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let name = |text: &str| (!text.trim().is_empty() && is_plain(text.trim(), 317)).then(|| text.trim().to_owned());
        let value = |text: &str| is_plain(text.trim(), 63).then(|| text.trim().to_owned());
        if let Some((left, right)) = text.split_once("!=") {
            return Some(Self::Differs(name(left)?, value(right)?));
        }
        if let Some((left, right)) = text.split_once('=') {
            return Some(Self::Equals(name(left)?, value(right.strip_prefix('=').unwrap_or(right))?));
        }
        match text.strip_prefix('!') {
            Some(rest) => name(rest).map(Self::Missing),
            None => name(text).map(Self::Exists),
        }
    }
}

fn is_plain(text: &str, max: usize) -> bool {
    text.len() <= max && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte))
}

impl fmt::Display for LabelCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(name, value) => write!(f, "{name}={value}"),
            Self::Differs(name, value) => write!(f, "{name}!={value}"),
            Self::Exists(name) => write!(f, "{name}"),
            Self::Missing(name) => write!(f, "!{name}"),
        }
    }
}

/// Conditions, all of which must hold; none lets every pod through. Written with commas between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelConditions(Vec<LabelCondition>);

impl LabelConditions {
    pub(super) fn hold(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        let none = BTreeMap::new();
        self.0.iter().all(|condition| condition.holds(labels.unwrap_or(&none)))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn texts(&self) -> Vec<String> {
        self.0.iter().map(LabelCondition::to_string).collect()
    }
}

impl FromStr for LabelConditions {
    type Err = InvalidLabelCondition;

    fn from_str(text: &str) -> Result<Self, InvalidLabelCondition> {
        let conditions = text.split(',').map(str::trim).filter(|condition| !condition.is_empty());
        let parse = |text: &str| {
            LabelCondition::parse(text).ok_or_else(|| InvalidLabelCondition(text.chars().take(80).collect()))
        };
        conditions.map(parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_conditions_must_hold() {
        let conditions: LabelConditions = "app=web, tier!=db, team, !secret".parse().expect("parses");
        let holds = |pairs: &[(&str, &str)]| {
            let labels = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            conditions.hold(Some(&labels))
        };
        assert!(holds(&[("app", "web"), ("team", "a")]));
        assert!(!holds(&[("app", "web")]) && !holds(&[("team", "a")]));
        assert!(!holds(&[("app", "web"), ("team", "a"), ("tier", "db")]));
        assert!(!holds(&[("app", "web"), ("team", "a"), ("secret", "")]));
        assert!(!conditions.hold(None));
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for bad in ["=", "=a", "!", "a b", "a in (b)", "a=b=c", "ä=b", "!=a", "a=\u{1b}"] {
            assert!(bad.parse::<LabelConditions>().is_err(), "{bad:?}");
        }
        assert_eq!("".parse::<LabelConditions>(), Ok(LabelConditions::default()));
        assert_eq!("a==b".parse::<LabelConditions>(), "a=b".parse());
    }
}
