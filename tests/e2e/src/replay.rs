//! What a recording plays.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::stack::Stack;
use crate::witness::recorded;

/// The output that a session's recording plays, from its beginning to its end so far: of a session that goes on, from what
/// is written; of one that is over, from its segments.
pub async fn output(stack: &Stack, session: &str) -> anyhow::Result<Vec<u8>> {
    if let Ok(output) = recorded(&stack.hot_logs(), session) {
        return Ok(output);
    }
    let mut output = Vec::new();
    for segment in segments(&stack.recordings(), session)? {
        let cast = tokio::fs::read_to_string(&segment).await?;
        for line in cast.lines().filter(|line| line.starts_with('[')) {
            let (_, kind, text): (f64, String, String) = serde_json::from_str(line)?;
            if kind == "o" {
                output.extend_from_slice(text.as_bytes());
            }
        }
    }
    Ok(output)
}

/// A stored recording's segments, in order.
fn segments(recordings: &Path, session: &str) -> anyhow::Result<Vec<PathBuf>> {
    let organisations = std::fs::read_dir(recordings)?.filter_map(Result::ok);
    let mut folders = organisations.map(|organisation| organisation.path().join(session));
    let folder = folders.find(|folder| folder.is_dir()).with_context(|| format!("{session} has no recording"))?;
    let files = std::fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let mut segments: Vec<_> =
        files.into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "cast")).collect();
    segments.sort();
    Ok(segments)
}
