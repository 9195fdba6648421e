//! Which database.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

/// Where the database is. Prints without its password.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// A file of its own.
    Sqlite(PathBuf),
    /// A server; TLS and the rest by the URL's parameters.
    Postgres(Box<PgConnectOptions>),
}

/// A text is not the URL of a database that the relay can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; use sqlite:<path> or postgres://<user>:<password>@<host>/<database>?sslmode=verify-full")]
pub struct InvalidDatabaseUrl(String);

impl DatabaseUrl {
    /// The embedded default: a file in the data folder.
    pub fn in_folder(data: &Path) -> Self {
        Self::Sqlite(data.join("podlatch.db"))
    }
}

/// Makes the file for this user alone, unless it exists. What SQLite puts beside it gets the same mode.
pub(super) fn create_private(path: &Path) -> sqlx::Result<()> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    Ok(())
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let file = !path.is_empty() && !path.contains(['?', '#']) && path != ":memory:";
            return if file {
                Ok(Self::Sqlite(PathBuf::from(path)))
            } else {
                Err(InvalidDatabaseUrl("a SQLite URL must name a file and nothing else".to_owned()))
            };
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            // The parser's own message may repeat parts of the URL, hence of the password.
            return text
                .parse()
                .map(|options| Self::Postgres(Box::new(options)))
                .map_err(|_| InvalidDatabaseUrl("the Postgres URL cannot be read".to_owned()));
        }
        Err(InvalidDatabaseUrl("the database URL must begin with sqlite: or postgres://".to_owned()))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(options) => write!(
                f,
                "postgres://{}:{}/{}",
                options.get_host(),
                options.get_port(),
                options.get_database().unwrap_or_default()
            ),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_both_engines_are_read() {
        for (text, printed) in [
            ("sqlite:data/a.db", "sqlite:data/a.db"),
            ("sqlite:///var/lib/a.db", "sqlite:/var/lib/a.db"),
            ("postgres://ada:secret@db.example:5433/podlatch?sslmode=require", "postgres://db.example:5433/podlatch"),
        ] {
            let url: DatabaseUrl = text.parse().expect("valid");
            assert_eq!(url.to_string(), printed);
            assert!(!format!("{url:?}").contains("secret"));
        }
    }

    #[test]
    fn other_urls_are_refused_without_repeating_them() {
        for text in ["", "mysql://a", "sqlite:", "sqlite::memory:", "sqlite:a?mode=ro", "postgres://ada:hunter2@[/x"] {
            let error = text.parse::<DatabaseUrl>().expect_err("invalid");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
