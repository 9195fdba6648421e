//! Patterns of namespaces.

use std::fmt;
use std::str::FromStr;

use podlatch_protocol::target::Namespace;

/// A text is no pattern of namespaces.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no namespace and no pattern of namespaces: use small letters, digits, dashes, and * for any of them")]
pub struct InvalidNamespacePattern(String);

/// A namespace's name, in which `*` stands for any number of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespacePattern(String);

impl NamespacePattern {
    fn matches(&self, name: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else {
            return self.0 == name;
        };
        let Some(mut left) = name.strip_prefix(first) else {
            return false;
        };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in middle.split('*').filter(|part| !part.is_empty()) {
            match left.find(part) {
                Some(at) => left = &left[at + part.len()..],
                None => return false,
            }
        }
        left.ends_with(last)
    }
}

impl FromStr for NamespacePattern {
    type Err = InvalidNamespacePattern;

    fn from_str(text: &str) -> Result<Self, InvalidNamespacePattern> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'*';
        if !text.is_empty() && text.len() <= 63 && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidNamespacePattern(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for NamespacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Patterns, one of which must match; none at all lets every namespace through. Written with commas between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespacePatterns(Vec<NamespacePattern>);

impl NamespacePatterns {
    pub(super) fn permit(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| pattern.matches(name))
    }

    /// The names, if each pattern is one.
    pub(super) fn names(&self) -> Option<Vec<Namespace>> {
        let names = self.0.iter().map(|pattern| pattern.0.parse().ok()).collect::<Option<Vec<_>>>();
        names.filter(|names| !names.is_empty())
    }

    pub(super) fn texts(&self) -> Vec<String> {
        self.0.iter().map(NamespacePattern::to_string).collect()
    }
}

impl FromStr for NamespacePatterns {
    type Err = InvalidNamespacePattern;

    fn from_str(text: &str) -> Result<Self, InvalidNamespacePattern> {
        let patterns = text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
        patterns.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, matches) in [
            ("*", "anything", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*-prod", "shop-prod", true),
            ("*-prod", "shop-prod-2", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*a", "a", false),
            ("a*b*b", "ab", false),
            ("**", "x", true),
            ("shop", "shop", true),
            ("shop", "shops", false),
        ] {
            let parsed: NamespacePattern = pattern.parse().expect("is a pattern");
            assert_eq!(parsed.matches(name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["Shop", "a b", "a/b", "a?", "ä", "a_b", &"a".repeat(64)] {
            assert!(bad.parse::<NamespacePatterns>().is_err(), "{bad:?}");
        }
        assert_eq!("".parse::<NamespacePatterns>(), Ok(NamespacePatterns::default()));
        assert_eq!(" shop , default,".parse::<NamespacePatterns>().map(|list| list.0.len()), Ok(2));
    }
}
