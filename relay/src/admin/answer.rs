//! What a command prints: sentences for people, JSON for scripts.

use std::fmt::Display;
use std::io::Write;

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
}

/// An outcome that prints both ways.
pub(super) trait Answer: Send {
    fn text(&self) -> String;
    fn json(&self) -> serde_json::Result<Value>;
}

impl<T: Display + Serialize + Send> Answer for T {
    fn text(&self) -> String {
        self.to_string()
    }

    fn json(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }
}

pub(super) fn print(answer: &dyn Answer, format: Format, out: &mut dyn Write) -> anyhow::Result<()> {
    match format {
        Format::Text => writeln!(out, "{}", answer.text().trim_end()),
        Format::Json => writeln!(out, "{:#}", answer.json()?),
    }
    .context("the outcome could not be printed")
}

/// A text from elsewhere, without what would move the cursor or colour the screen of whoever reads it.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_the_operators_terminal() {
        assert_eq!(plain("v1\u{1b}]0;owned\u{7}.33\u{9b}2J"), "v1]0;owned.332J");
    }
}
