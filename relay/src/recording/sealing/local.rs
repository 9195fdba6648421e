//! The manifest in a hot log, which says how far its sealing came. Blocking.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::super::SessionKey;
use super::super::manifest::{EndEntry, Entry, Manifest, Outcome};
use super::render::Cursor;

const MANIFEST: &str = "manifest";

/// Reads the manifest as far as it holds, and cuts off what a kill left behind it.
pub(super) fn load(folder: &Path, key: SessionKey) -> io::Result<Manifest> {
    let (manifest, lines) = read(folder, key)?;
    let path = folder.join(MANIFEST);
    match OpenOptions::new().write(true).open(path) {
        Ok(file) => file.set_len(lines.len() as u64)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(manifest)
}

/// The manifest as far as it holds, and its lines.
pub(super) fn read(folder: &Path, key: SessionKey) -> io::Result<(Manifest, String)> {
    let bytes = match std::fs::read(folder.join(MANIFEST)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut manifest = Manifest::empty(key.organisation, key.session);
    let mut whole = String::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(text) = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok()) else { break };
        if manifest.push(text).is_err() {
            break;
        }
        whole.push_str(text);
        whole.push('\n');
    }
    Ok((manifest, whole))
}

/// Appends an entry.
pub(super) fn append(folder: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(folder.join(MANIFEST))?;
    // In one write: a line is there whole or is cut off by the next start.
    file.write_all(format!("{line}\n").as_bytes())
}

/// Ends the manifest, unless it is ended; returns it, and its lines.
pub(super) fn end(folder: &Path, key: SessionKey, cursor: &Cursor) -> io::Result<(Manifest, String)> {
    if load(folder, key)?.end.is_none() {
        let entry = EndEntry {
            previous: cursor.head.clone(),
            segments: cursor.index - 1,
            outcome: Outcome::judge(cursor.position.source, cursor.exit.map(|exit| exit.output)),
            exit_status: cursor.exit.and_then(|exit| exit.status),
        };
        append(folder, &Entry::End(entry).line())?;
    }
    read(folder, key)
}
