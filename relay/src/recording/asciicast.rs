//! asciicast v3, written and read line by line. Pure.
//!
//! The first line is a header, the others are events `[interval, code, data]`, where the interval is the time since the
//! event before, in seconds. A line that begins with `#` is a comment.

use std::borrow::Cow;

use podlatch_protocol::terminal::TerminalSize;
use serde::{Deserialize, Serialize};

/// Longest line that is read, in bytes: what is written here stays far below.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;

/// Longest interval that is read, in milliseconds: a year.
const MAX_INTERVAL_MS: f64 = 365.0 * 24.0 * 3600.0 * 1000.0;

/// The first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The terminal's size at first.
    pub size: TerminalSize,
    /// When the recording began, in seconds since the Unix epoch.
    pub timestamp: Option<i64>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The process wrote this.
    Output(String),
    /// The terminal has this size now.
    Resize(TerminalSize),
    /// A label: what was run here.
    Marker(String),
    /// The process ended with this status.
    Exit(i32),
    /// A kind that is not needed here.
    Other,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The first one.
    Header(Header),
    /// An event, so many milliseconds after the one before.
    Event(u64, Event),
    /// A comment or an empty line.
    Nothing,
}

/// A line is no asciicast v3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is too long.
    #[error("a line is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// It is no JSON of the right shape.
    #[error("a line is neither a header nor an event of asciicast v3")]
    Malformed,
    /// The time is not a time.
    #[error("an event's interval is negative or longer than a year")]
    Interval,
    /// The size is not a size.
    #[error("a resize event has no size such as 80x24")]
    Size,
    /// The status is not a number.
    #[error("an exit event has no status")]
    Status,
}

#[derive(Serialize, Deserialize)]
struct RawHeader {
    version: u8,
    term: RawTerm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct RawTerm {
    cols: u16,
    rows: u16,
}

impl Header {
    /// The line, with its end.
    pub fn line(self) -> Vec<u8> {
        let term = RawTerm { cols: self.size.columns(), rows: self.size.rows() };
        let mut line = to_json(&RawHeader { version: 3, term, timestamp: self.timestamp });
        line.push(b'\n');
        line
    }
}

impl Event {
    /// Appends the line, with its end; nothing for an event of another kind.
    pub fn put(&self, interval_ms: u64, out: &mut Vec<u8>) {
        put_line(interval_ms, &self.behind_interval(), out);
    }

    /// The line behind its interval; empty for an event of another kind.
    pub(super) fn behind_interval(&self) -> Vec<u8> {
        let (code, data): (_, Cow<'_, str>) = match self {
            Self::Output(text) => ('o', text.into()),
            Self::Resize(size) => ('r', format!("{}x{}", size.columns(), size.rows()).into()),
            Self::Marker(label) => ('m', label.into()),
            Self::Exit(status) => ('x', status.to_string().into()),
            Self::Other => return Vec::new(),
        };
        let mut line = format!(", \"{code}\", ").into_bytes();
        line.extend_from_slice(&to_json(&data));
        line.extend_from_slice(b"]\n");
        line
    }
}

/// Appends a line of which the interval was not known yet.
pub(super) fn put_line(interval_ms: u64, behind_interval: &[u8], out: &mut Vec<u8>) {
    if !behind_interval.is_empty() {
        out.extend_from_slice(format!("[{}.{:03}", interval_ms / 1000, interval_ms % 1000).as_bytes());
        out.extend_from_slice(behind_interval);
    }
}

/// Strings and plain structs always become JSON.
fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Reads a line without its end.
pub fn parse(line: &str) -> Result<Line, LineError> {
    if line.len() > MAX_LINE_BYTES {
        return Err(LineError::TooLong);
    }
    match line.as_bytes().first() {
        None | Some(b'#') => Ok(Line::Nothing),
        Some(b'{') => parse_header(line),
        Some(_) => parse_event(line),
    }
}

fn parse_header(line: &str) -> Result<Line, LineError> {
    let header: RawHeader = serde_json::from_str(line).map_err(|_| LineError::Malformed)?;
    if header.version != 3 {
        return Err(LineError::Malformed);
    }
    let size = TerminalSize::clamped(header.term.cols, header.term.rows);
    Ok(Line::Header(Header { size, timestamp: header.timestamp }))
}

fn parse_event(line: &str) -> Result<Line, LineError> {
    let (seconds, code, data): (f64, Cow<'_, str>, String) =
        serde_json::from_str(line).map_err(|_| LineError::Malformed)?;
    let millis = (seconds * 1000.0).round();
    if !(0.0..=MAX_INTERVAL_MS).contains(&millis) {
        return Err(LineError::Interval);
    }
    let event = match &*code {
        "o" => Event::Output(data),
        "r" => Event::Resize(parse_size(&data).ok_or(LineError::Size)?),
        "m" => Event::Marker(data),
        "x" => Event::Exit(data.parse().map_err(|_| LineError::Status)?),
        _ => Event::Other,
    };
    // Checked above: neither negative nor beyond a year.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    Ok(Line::Event(millis as u64, event))
}

fn parse_size(text: &str) -> Option<TerminalSize> {
    let (columns, rows) = text.split_once('x')?;
    Some(TerminalSize::clamped(columns.parse().ok()?, rows.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(interval_ms: u64, event: &Event) -> String {
        let mut out = Vec::new();
        event.put(interval_ms, &mut out);
        String::from_utf8(out).expect("JSON")
    }

    #[test]
    fn lines_look_as_the_format_says() {
        let size = TerminalSize::clamped(100, 30);
        let header = Header { size, timestamp: Some(1_700_000_000) };
        assert_eq!(
            String::from_utf8(header.line()).expect("JSON"),
            "{\"version\":3,\"term\":{\"cols\":100,\"rows\":30},\"timestamp\":1700000000}\n"
        );
        assert_eq!(
            line(1_005, &Event::Output("a\u{1b}[m\r\n\"\u{20ac}".into())),
            "[1.005, \"o\", \"a\\u001b[m\\r\\n\\\"\u{20ac}\"]\n"
        );
        assert_eq!(line(0, &Event::Resize(size)), "[0.000, \"r\", \"100x30\"]\n");
        assert_eq!(line(12, &Event::Exit(-1)), "[0.012, \"x\", \"-1\"]\n");
    }

    #[test]
    fn what_is_no_asciicast_is_refused() {
        for (text, error) in [
            ("nonsense", LineError::Malformed),
            ("[1, \"o\"]", LineError::Malformed),
            ("{\"version\":2,\"width\":80,\"height\":24}", LineError::Malformed),
            ("[-1.0, \"o\", \"\"]", LineError::Interval),
            ("[1e300, \"o\", \"\"]", LineError::Interval),
            ("[1, \"r\", \"80\"]", LineError::Size),
            ("[1, \"x\", \"done\"]", LineError::Status),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        assert_eq!(parse(&" ".repeat(MAX_LINE_BYTES + 1)), Err(LineError::TooLong));
        assert_eq!(parse("# a comment"), Ok(Line::Nothing));
        assert_eq!(parse("[1, \"i\", \"typed\"]"), Ok(Line::Event(1_000, Event::Other)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(interval in 0_u64..100_000_000, text in any::<String>(), status in any::<i32>()) {
            for event in [Event::Output(text.clone()), Event::Marker(text), Event::Exit(status)] {
                let line = line(interval, &event);
                prop_assert_eq!(line.matches('\n').count(), 1);
                prop_assert_eq!(parse(line.trim_end_matches('\n')), Ok(Line::Event(interval, event)));
            }
        }

        #[test]
        fn nothing_makes_the_parser_panic(text in any::<String>()) {
            let _any = parse(&text);
        }
    }
}
