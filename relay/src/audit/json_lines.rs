//! Audit events as JSON Lines, on standard output or in a file.
//!
//! A thread of its own writes: a pipe that nobody reads must neither hold up the relay nor its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::outbox::Sink;

/// How long a batch may take to be written.
const DEADLINE: Duration = Duration::from_secs(20);

/// Where the lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

impl FromStr for LogTarget {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "" => Err("say stdout, or the path of a file"),
            "stdout" | "-" => Ok(Self::Stdout),
            path => Ok(Self::File(PathBuf::from(path))),
        }
    }
}

/// The writer's other end.
#[derive(Debug)]
pub struct JsonLines {
    jobs: mpsc::Sender<Job>,
}

#[derive(Debug)]
struct Job {
    bytes: Vec<u8>,
    done: oneshot::Sender<io::Result<()>>,
}

impl JsonLines {
    /// Starts the writer. It ends with this value.
    pub fn start(target: LogTarget) -> anyhow::Result<Self> {
        let (jobs, received) = mpsc::channel(1);
        let write = move || match target {
            LogTarget::Stdout => serve(received, write_to_stdout),
            LogTarget::File(path) => {
                let mut file = LogFile::new(path);
                serve(received, |bytes| file.append(bytes, &write_durably));
            }
        };
        let thread = std::thread::Builder::new().name("audit-log".to_owned());
        thread.spawn(write).context("the thread that writes the audit log could not be started")?;
        Ok(Self { jobs })
    }
}

fn serve(mut jobs: mpsc::Receiver<Job>, mut write: impl FnMut(&[u8]) -> io::Result<()>) {
    while let Some(job) = jobs.blocking_recv() {
        // Nobody waits any more where the relay is about to end; the lines then come again.
        let _ = job.done.send(write(&job.bytes));
    }
}

impl Sink for JsonLines {
    fn name(&self) -> &'static str {
        "log"
    }

    async fn deliver(&mut self, lines: &[String]) -> anyhow::Result<()> {
        let mut bytes = lines.join("\n").into_bytes();
        bytes.push(b'\n');
        let (done, written) = oneshot::channel();
        let write = async {
            let gone = || anyhow!("the thread that writes the audit log is gone");
            self.jobs.send(Job { bytes, done }).await.map_err(|_| gone())?;
            written.await.map_err(|_| gone())?.context("the audit log could not be written")
        };
        match timeout(DEADLINE, write).await {
            Ok(outcome) => outcome,
            Err(_) => bail!("the audit log could not be written in time: does somebody read it?"),
        }
    }
}

fn write_to_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// A file that others may move away or remove at any time, as log rotation does.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    open: Option<File>,
}

impl LogFile {
    const fn new(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    /// Appends whole lines and makes them durable, or leaves the file as it was.
    fn append(&mut self, bytes: &[u8], write: &dyn Fn(&mut File, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut file = match self.open.take() {
            Some(file) if is_at(&self.path, &file) => file,
            _ => open(&self.path)?,
        };
        let length = file.metadata()?.len();
        if let Err(error) = write(&mut file, bytes) {
            // Only what was just written: the lines come again, and half a line would spoil the next.
            file.set_len(length)?;
            return Err(error);
        }
        self.open = Some(file);
        Ok(())
    }
}

fn write_durably(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_data()
}

/// Whether the path still names this file.
fn is_at(path: &Path, file: &File) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (fs::metadata(path), file.metadata()) {
        (Ok(named), Ok(open)) => identity(named) == identity(open),
        _ => false,
    }
}

fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::Error::other("it is no plain file; for a pipe say stdout"));
    }
    let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
    if ends_within_a_line(&mut file)? {
        // A killed relay left half a line. Its event comes again, whole.
        file.write_all(b"\n")?;
    }
    Ok(file)
}

fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).expect("reads")
    }

    #[test]
    fn lines_are_appended_and_a_rotated_file_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, rotated) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
        let mut file = LogFile::new(path.clone());
        file.append(b"1\n", &write_durably).expect("appends");
        file.append(b"2\n", &write_durably).expect("appends");
        fs::rename(&path, &rotated).expect("rotates");
        file.append(b"3\n", &write_durably).expect("appends");
        fs::remove_file(&path).expect("removes");
        file.append(b"4\n", &write_durably).expect("appends");
        assert_eq!((read(&rotated).as_str(), read(&path).as_str()), ("1\n2\n", "4\n"));
        assert_eq!(fs::metadata(&path).expect("is there").mode() & 0o777, 0o600);
    }

    #[test]
    fn half_a_line_of_a_killed_relay_spoils_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        fs::write(&path, "{\"a\":1}\n{\"b\"").expect("writes");
        LogFile::new(path.clone()).append(b"{\"b\":2}\n", &write_durably).expect("appends");
        assert_eq!(read(&path), "{\"a\":1}\n{\"b\"\n{\"b\":2}\n");
    }

    #[test]
    fn a_full_disk_leaves_whole_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        let mut file = LogFile::new(path.clone());
        file.append(b"1\n", &write_durably).expect("appends");
        let fills_up = |file: &mut File, bytes: &[u8]| {
            file.write_all(&bytes[..4])?;
            Err(io::ErrorKind::StorageFull.into())
        };
        assert!(file.append(b"22\n333\n", &fills_up).is_err());
        assert_eq!(read(&path), "1\n");
        file.append(b"22\n333\n", &write_durably).expect("appends");
        assert_eq!(read(&path), "1\n22\n333\n");
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let mut file = LogFile::new(PathBuf::from("/dev/full"));
        assert!(file.append(b"1\n", &write_durably).is_err());
    }
}
