//! Prints the commands of recorded terminal sessions, found on the screen alone: one JSON line for each file.
//!
//! `cargo run --release -p podlatch-relay --example extract_commands -- FILE.cast…`
//!
//! A file has a header line as in asciicast v2, then one event a line: `[seconds, code, data]`, where `o` is output and
//! `i` input in base64, and `r` a new size as `COLSxROWS`. Secrets are left in, so that the result can be compared.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use podlatch_protocol::terminal::TerminalSize;
use podlatch_relay::clock::UnixMillis;
use podlatch_relay::commands::{Event, Secrets, Tracker};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Header {
    width: u16,
    height: u16,
}

#[derive(Serialize)]
struct Extracted<'a> {
    name: &'a str,
    commands: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    text: String,
    source: &'static str,
    confidence: f64,
}

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        eprintln!("extract_commands: no files; usage: extract_commands FILE.cast…");
        return ExitCode::from(2);
    }
    let mut failed = false;
    for file in &files {
        match extract(Path::new(file)) {
            Ok(line) => println!("{line}"),
            Err(error) => {
                eprintln!("extract_commands: {file}: {error:#}");
                failed = true;
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn extract(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).context("cannot read it")?;
    let mut lines = text.lines().enumerate();
    let (_, header) = lines.next().context("it is empty; a header line was expected")?;
    let header: Header = serde_json::from_str(header).context("line 1 is no asciicast header")?;
    let mut tracker = Tracker::new(TerminalSize::clamped(header.width, header.height), Secrets::Keep);
    let mut commands = Vec::new();
    for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        feed(&mut tracker, line).with_context(|| format!("line {}", index + 1))?;
        while let Some(event) = tracker.take() {
            let Event::Submitted(command) = event else { continue };
            let confidence = (f64::from(command.confidence) * 100.0).round() / 100.0;
            commands.push(Found { text: command.text, source: command.source.as_str(), confidence });
        }
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".cast").unwrap_or(&name);
    Ok(serde_json::to_string(&Extracted { name, commands })?)
}

fn feed(tracker: &mut Tracker, line: &str) -> Result<()> {
    let (seconds, code, data): (f64, String, serde_json::Value) =
        serde_json::from_str(line).context("it is no event: [seconds, code, data] was expected")?;
    let bytes = || -> Result<Vec<u8>> {
        let data = data.as_str().context("the data is no string")?;
        STANDARD.decode(data).context("the data is no base64")
    };
    let at = millis(seconds)?;
    match code.as_str() {
        "o" => tracker.output(&bytes()?, at),
        "i" => tracker.input(&bytes()?, at),
        "r" => tracker.resize(size(data.as_str().unwrap_or_default())?),
        _ => {}
    }
    Ok(())
}

fn millis(seconds: f64) -> Result<UnixMillis> {
    let duration = std::time::Duration::try_from_secs_f64(seconds).context("the time is no number of seconds")?;
    Ok(UnixMillis::new(0).plus(duration))
}

fn size(text: &str) -> Result<TerminalSize> {
    let Some((columns, rows)) = text.split_once('x') else { bail!("{text:?} is no size; COLSxROWS was expected") };
    let side = |side: &str| side.parse::<u16>().with_context(|| format!("{text:?} is no size"));
    Ok(TerminalSize::clamped(side(columns)?, side(rows)?))
}
