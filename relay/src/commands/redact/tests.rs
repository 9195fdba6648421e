//! Commands with secrets, marked as `«secret»`, and commands without.

use super::*;

const SECRETS: &str = include_str!("tests/secrets.txt");
const HARMLESS: &str = include_str!("tests/harmless.txt");

fn examples(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with("## ")).map(|line| line.replace("⏎", "\n"))
}

#[test]
fn secrets_are_replaced() {
    let mut wrong = Vec::new();
    for example in examples(SECRETS) {
        let (mut expected, mut rest, mut count) = (String::new(), example.as_str(), 0);
        while let Some((before, after)) = rest.split_once('«') {
            let (_, after) = after.split_once('»').expect("a secret's end");
            expected.push_str(before);
            expected.push_str(REPLACEMENT);
            (rest, count) = (after, count + 1);
        }
        expected.push_str(rest);
        let redacted = redact(&example.replace(['«', '»'], ""));
        if redacted != (Redacted { text: expected.clone(), count }) {
            wrong.push(format!("{expected}\n{}", redacted.text));
        }
    }
    assert!(examples(SECRETS).count() >= 100);
    assert!(wrong.is_empty(), "{} are wrong (expected, then got):\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn harmless_commands_stay_as_they_are() {
    let changed: Vec<String> =
        examples(HARMLESS).map(|line| redact(&line)).filter(|it| it.count > 0).map(|it| it.text).collect();
    assert!(examples(HARMLESS).count() >= 60);
    assert!(changed.is_empty(), "changed:\n{}", changed.join("\n"));
}

#[test]
fn redacting_again_changes_nothing() {
    for example in examples(SECRETS) {
        let once = redact(&example.replace(['«', '»'], ""));
        assert_eq!(redact(&once.text), Redacted { text: once.text.clone(), count: 0 });
    }
}

#[test]
fn the_time_grows_with_the_length_and_no_faster() {
    // A hundred times as long may take some hundred times as long, never ten thousand times.
    for piece in [
        "a",
        "--password ",
        "\"",
        "x=",
        "http://a:b",
        "-----BEGIN PRIVATE KEY-----",
        "eyJ",
        "'\\",
        "|",
        "token=a ",
        "\u{e9}",
    ] {
        let time = |length: usize| {
            let text = piece.repeat(length / piece.len());
            let start = std::time::Instant::now();
            redact(&text);
            start.elapsed()
        };
        time(10_000);
        let (short, long) = (time(20_000), time(2_000_000));
        assert!(long < short * 1_500 + std::time::Duration::from_secs(2), "{piece:?}: {short:?}, then {long:?}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_fine(text in "\\PC*|[ -~\\n]{0,200}|(pass|token|=|\"|'|\\\\|\\$|-p|:|@|://| |\\n|é|mysql|curl -u|<<<|--){0,40}") {
        let redacted = redact(&text);
        proptest::prop_assert!(redacted.count > 0 || redacted.text == text);
    }
}
