//! Text from elsewhere, made harmless for terminals, log viewers and spreadsheets. What it said stays readable.

use std::fmt::Write;

/// Whether a character steers whatever shows it: C0 and C1 controls, line and paragraph separators, directions.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Writes what steers as `\u001b`. Applied to JSON it changes no value: there such a character only stands in a string.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if steers(character) {
            // Writing to a string cannot fail. All of them have at most four digits.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_steers_gets_through() {
        assert_eq!(
            escape("a\u{1b}[2J\u{7}\u{9b}1m\r\n\t\u{7f}"),
            "a\\u001b[2J\\u0007\\u009b1m\\u000d\\u000a\\u0009\\u007f"
        );
        assert_eq!(escape("txt.\u{202e}exe"), "txt.\\u202eexe");
        assert_eq!(escape("Grüße, 東京 \\n 😀"), "Grüße, 東京 \\n 😀");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = json!({ "command": "echo \u{9b}31m\u{7f}\u{2028}\u{202e}x\u{1b}\n\\" });
        let line = escape(&value.to_string());
        assert!(!line.chars().any(steers));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).expect("JSON"), value);
    }
}
