//! Patterns by which access rules name clusters, namespaces and containers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A text that is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a pattern has 1 to {} characters, no control characters, and at most {} stars",
    Pattern::MAX_CHARACTERS,
    Pattern::MAX_STARS
)]
pub struct InvalidPattern;

/// A name in which each `*` stands for any run of characters, none included. Everything else stands for itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

impl Pattern {
    const MAX_CHARACTERS: usize = 253;
    /// Matching takes time in proportion to the text's length and this.
    const MAX_STARS: usize = 8;

    /// Whether the whole of `text` is of this pattern.
    pub fn matches(&self, text: &str) -> bool {
        let mut pieces = self.0.split('*');
        let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
            return false;
        };
        let Some(last) = pieces.next_back() else {
            // There is no star.
            return rest.is_empty();
        };
        for piece in pieces {
            // The leftmost place leaves most for what follows.
            let Some((_, behind)) = rest.split_once(piece) else {
                return false;
            };
            rest = behind;
        }
        rest.ends_with(last)
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        let length = text.chars().count();
        let plain = !text.chars().any(char::is_control);
        let stars = text.matches('*').count();
        if plain && (1..=Self::MAX_CHARACTERS).contains(&length) && stars <= Self::MAX_STARS {
            Ok(Self(text))
        } else {
            Err(InvalidPattern)
        }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_and_nothing_else_is_special() {
        for (pattern, yes, no) in [
            ("*", vec!["", "a", "a*b"], vec![]),
            ("shop", vec!["shop"], vec!["", "shop-2", "a-shop", "Shop"]),
            ("shop-*", vec!["shop-", "shop-a"], vec!["shop", "a-shop-a"]),
            ("*-prod", vec!["a-prod", "-prod"], vec!["prod", "a-prod-b"]),
            ("a*b*c", vec!["abc", "axbxc", "abbcc"], vec!["acb", "ab", "bc"]),
            ("ab*ba", vec!["abba", "abxba"], vec!["aba"]),
            ("a**b", vec!["ab", "axb"], vec!["a"]),
            ("a.c?[x]", vec!["a.c?[x]"], vec!["abc?[x]", "a.cd[x]"]),
        ] {
            let pattern = Pattern::try_from(pattern.to_owned()).expect("a pattern");
            assert!(yes.iter().all(|text| pattern.matches(text)), "{pattern}: {yes:?}");
            assert!(!no.iter().any(|text| pattern.matches(text)), "{pattern}: {no:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["", "a\nb", &"a".repeat(254), &"*a".repeat(9)] {
            assert_eq!(Pattern::try_from(bad.to_owned()), Err(InvalidPattern), "{bad:?}");
        }
    }
}
