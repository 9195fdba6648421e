//! A Postgres server for this test process: Debian's binaries, a temporary folder, a Unix socket and no TCP port.
//!
//! It cannot outlive the tests: a shell holds it and waits on a pipe whose other end is this process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use podlatch_relay::store::DatabaseUrl;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;

static SERVER: OnceCell<Server> = OnceCell::const_new();
static NEXT_DATABASE: AtomicU32 = AtomicU32::new(0);

/// Started as the user `postgres` when we are root, because initdb refuses root. `$1` is the folder of the binaries.
const SCRIPT: &str = r#"
set -eu
bin=$1
dir=$(mktemp -d "${TMPDIR:-/tmp}/podlatch-postgres.XXXXXX")
trap 'kill -QUIT "$server" 2>/dev/null && wait "$server"; rm -rf "$dir"' EXIT
"$bin/initdb" --pgdata "$dir/data" --auth trust --username podlatch --encoding UTF8 --no-sync >"$dir/initdb.log" 2>&1 \
    || { cat "$dir/initdb.log" >&2; exit 1; }
"$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off -c max_connections=200 \
    >"$dir/postgres.log" 2>&1 &
server=$!
until "$bin/pg_isready" --quiet --host "$dir"; do
    kill -0 "$server" 2>/dev/null || { cat "$dir/postgres.log" >&2; exit 1; }
    sleep 0.1
done
echo "$dir"
read -r _ || true
"#;

struct Server {
    socket_folder: PathBuf,
    /// Holds the pipe that keeps the server alive.
    _shell: Child,
}

/// The URL of a new, empty database.
pub(crate) async fn new_database() -> String {
    let server = SERVER.get_or_init(|| async { tokio::task::spawn_blocking(start).await.expect("joins") }).await;
    let name = format!("test{}", NEXT_DATABASE.fetch_add(1, Ordering::Relaxed));
    let url =
        |database: &str| format!("postgres://podlatch@localhost/{database}?host={}", server.socket_folder.display());
    let mut connection = PgConnection::connect(&url("postgres")).await.expect("Postgres answers");
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.expect("creates");
    connection.close().await.expect("closes");
    url(&name)
}

/// The same, parsed.
pub(crate) async fn new_database_url() -> DatabaseUrl {
    new_database().await.parse().expect("a valid URL")
}

fn start() -> Server {
    let binaries = binaries().expect(
        "these tests need PostgreSQL: no /usr/lib/postgresql/*/bin/initdb was found. Install it with `apt-get install postgresql`",
    );
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    let mut shell = command
        .args(["-c", SCRIPT, "sh"])
        .arg(binaries)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell to start Postgres in");
    let mut folder = String::new();
    BufReader::new(shell.stdout.take().expect("piped")).read_line(&mut folder).expect("the folder's name");
    assert!(!folder.is_empty(), "Postgres did not start; what it said is above");
    Server { socket_folder: PathBuf::from(folder.trim()), _shell: shell }
}

fn binaries() -> Option<PathBuf> {
    let versions = Path::new("/usr/lib/postgresql").read_dir().ok()?;
    versions.flatten().map(|version| version.path().join("bin")).find(|bin| bin.join("initdb").exists())
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.split_whitespace().take(2).eq(["Uid:", "0"]))
}
