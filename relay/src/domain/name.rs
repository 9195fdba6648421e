//! Names and addresses that people type.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that cannot be a name or an address, with the sentence that says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidText(&'static str);

/// The name of an organisation, a person or a cluster: 1 to 100 characters, no control characters, no outer blanks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DisplayName(String);

impl DisplayName {
    const MAX_CHARACTERS: usize = 100;

    /// The name as text. Untrusted where it is shown: escape it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DisplayName {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        text.parse()
    }
}

impl From<DisplayName> for String {
    fn from(name: DisplayName) -> Self {
        name.0
    }
}

impl FromStr for DisplayName {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidText("a name must not be empty"));
        }
        if text.chars().count() > Self::MAX_CHARACTERS {
            return Err(InvalidText("a name must not be longer than 100 characters"));
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidText("a name must not contain control characters"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why somebody does something, in their own words: 1 to 500 characters, no control characters, no outer blanks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReasonText(String);

impl ReasonText {
    const MAX_CHARACTERS: usize = 500;

    /// The reason as text. Untrusted where it is shown: escape it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ReasonText {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        text.parse()
    }
}

impl From<ReasonText> for String {
    fn from(reason: ReasonText) -> Self {
        reason.0
    }
}

impl FromStr for ReasonText {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let text = text.trim();
        let length = text.chars().count();
        if !(1..=Self::MAX_CHARACTERS).contains(&length) || text.chars().any(char::is_control) {
            return Err(InvalidText("a reason has 1 to 500 characters, on one line"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// An e-mail address, in lower case. It names a person to people; it is never a proof of who somebody is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Email(String);

impl Email {
    /// RFC 5321 section 4.5.3.1.3.
    const MAX_BYTES: usize = 254;

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let text = text.trim().to_lowercase();
        let whole = text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@') && text.len() <= Self::MAX_BYTES
        });
        let plain = !text.chars().any(|character| character.is_control() || character.is_whitespace());
        if whole && plain { Ok(Self(text)) } else { Err(InvalidText("not an e-mail address: write it as name@domain")) }
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_bounded() {
        assert_eq!("  Shop & Söhne ".parse::<DisplayName>().expect("valid").as_str(), "Shop & Söhne");
        assert!("ä".repeat(100).parse::<DisplayName>().is_ok());
        for bad in ["", "  ", "a\nb", "a\u{1b}[2J", &"a".repeat(101)] {
            assert!(bad.parse::<DisplayName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_has_one_spelling() {
        assert_eq!(" Ada@Example.ORG".parse::<Email>().expect("valid").as_str(), "ada@example.org");
        for bad in ["", "ada", "@b", "a@", "a@b@c", "a b@c", "a@b\nc", &format!("{}@b", "a".repeat(254))] {
            assert!(bad.parse::<Email>().is_err(), "{bad:?}");
        }
    }
}
