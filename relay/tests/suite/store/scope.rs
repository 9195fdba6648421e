//! No statement of the store forgets whose rows it may touch.
//!
//! The store's source is read as text: each statement that names a table with an `organisation_id` (the migrations say which)
//! must name that column too, or stand in [`UNSCOPED`] with a reason that a reviewer can judge.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Functions whose statements name no organisation, by file, and why that is right.
const UNSCOPED: &[(&str, &str, &str)] = &[
    // The secret says whose it is; nobody knows the organisation before.
    ("login_sessions.rs", "login_by_secret", "found by the hash of a 256-bit secret"),
    ("tickets.rs", "redeem_ticket", "found by the hash of a 256-bit secret"),
    ("tickets.rs", "issue_ticket", "forgets what has expired, whose ever it was"),
    ("join_tokens.rs", "join_grant", "found by the hash of a 256-bit secret"),
    ("join_tokens.rs", "enrol_agent", "found by the hash of a 256-bit secret"),
    ("join_tokens.rs", "enrol_again", "found by the hash of a 256-bit secret and the key that it enrolled"),
    ("join_tokens.rs", "cluster_of_join_token", "found by the hash of a 256-bit secret"),
    ("sign_in_links.rs", "sign_in_link_is_good", "found by the hash of a 256-bit secret"),
    ("sign_in_links.rs", "redeem_sign_in_link", "found by the hash of a 256-bit secret"),
    ("sign_in_links.rs", "whose", "found by the hash of a 256-bit secret"),
    ("replays.rs", "open_replay", "forgets what has expired, whose ever it was"),
    ("invitations.rs", "unredeemed_sql", "found by the hash of a 256-bit secret"),
    ("invitations.rs", "preview_invitation", "found by the hash of a 256-bit secret"),
    ("invitations.rs", "redeem", "found by the hash of a 256-bit secret"),
    ("invitations.rs", "refused", "found by the hash of a 256-bit secret"),
    // The person themselves, before it is known where they go.
    ("sign_in/login.rs", "log_of", "in whose log the refusal of somebody is written whom no login names yet"),
    (
        "sign_in/providers.rs",
        "sign_in_provider_to_start",
        "whoever sets out is nobody yet; the provider says where it leads",
    ),
    ("logins.rs", "organisations_of", "where somebody is a member is theirs to know, in all of their organisations"),
    ("invitations.rs", "guest", "whether a link would open what its person has elsewhere"),
    // The relay itself, about all that it serves.
    ("rights.rs", "session_rights", "the relay ages every live session, each by its own organisation's facts"),
    ("access_rules.rs", "give_first_rules", "each organisation that is older than rules gets its own first one"),
    ("public_clusters.rs", "public_clusters", "the relay reaches all of them, each for its own organisation"),
    ("agents.rs", "revoked_agents", "the tunnel refuses all of them"),
    ("sessions/mod.rs", "unfinished_sessions", "what a relay that starts takes up again"),
    ("sessions/viewers.rs", "attached_viewers", "who was torn off when the relay was killed"),
    ("sessions/viewers.rs", "viewer_left", "the viewer's number is random and never leaves the relay"),
    ("recordings.rs", "delete_old_recordings", "the job works through every organisation's, by its own setting"),
    ("recordings.rs", "recordings_to_remove", "the job works through every organisation's"),
    ("audit/sinks.rs", "audit_pending", "the receivers are the operator's and get every organisation's events"),
    ("audit/guard.rs", "", "the triggers that make the log append-only"),
    // The operator, who stands above organisations.
    ("agents.rs", "organisation_of_agent", "the operator names an agent by its id alone"),
    ("login_sessions.rs", "organisation_of_login_session", "the operator names a login by its id alone"),
    ("clusters.rs", "clusters_named", "the operator names a cluster of any organisation"),
    ("organisations.rs", "memberships_of", "the operator asks where a person is a member"),
    ("suspension.rs", "logs_of", "the operator suspends an account on the whole relay"),
    ("suspension.rs", "withdraw_invitations_of", "the operator suspends an account on the whole relay"),
];

const STATEMENTS: [&str; 5] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];

#[test]
fn every_statement_on_an_organisations_rows_names_the_organisation() {
    let tables = tenant_tables();
    assert!(tables.contains("sessions") && tables.contains("group_members"), "{tables:?}");
    let statements = statements();
    assert!(statements.len() > 60, "the source is read: {} statements", statements.len());
    let mut excused: BTreeSet<_> = UNSCOPED.iter().map(|(file, function, _)| (*file, *function)).collect();
    let mut forgetful = Vec::new();
    for Statement { file, function, sql } in &statements {
        let touched: Vec<_> = words(sql).filter(|word| tables.contains(*word)).collect();
        if touched.is_empty() || names_the_organisation(sql) {
            continue;
        }
        let listed = UNSCOPED.iter().any(|(at, within, _)| at == file && within == function);
        if listed {
            excused.remove(&(file.as_str(), function.as_str()));
        } else {
            forgetful.push(format!("{file}: {function}: {sql}"));
        }
    }
    assert!(forgetful.is_empty(), "these look at rows of any organisation:\n\n{}\n", forgetful.join("\n\n"));
    assert!(excused.is_empty(), "these need no excuse any more: {excused:?}");
}

#[test]
fn a_statement_that_forgets_is_found() {
    for (sql, scoped) in [
        ("SELECT id FROM sessions WHERE organisation_id = $1 AND id = $2", true),
        ("SELECT s.organisation_id, s.id FROM sessions s WHERE s.id = $1", false),
        ("UPDATE sessions SET state = $1 WHERE id = $2 RETURNING organisation_id", false),
        ("UPDATE sessions SET state = $1 WHERE id = $2 AND organisation_id = $3 RETURNING id", true),
        ("INSERT INTO tickets (hash, organisation_id) VALUES ($1, $2)", true),
        ("INSERT INTO tickets (hash) VALUES ($1)", false),
        ("SELECT id FROM agents a JOIN clusters c ON c.organisation_id = a.organisation_id WHERE a.id = $1", false),
    ] {
        assert_eq!(names_the_organisation(sql), scoped, "{sql}");
    }
    let source = r#"
        // "SELECT 1 FROM a comment"
        macro_rules! row_sql { ($rest:literal) => { concat!("SELECT id \
            FROM sessions ", $rest) }; }
        pub async fn one(&self) { fetch_all!(self.reader(), Row, row_sql!("WHERE id = $1"), '"'); }
        fn two() { execute!(tx.on(), "DELETE FROM viewers WHERE id = $1"); }
    "#;
    let found: Vec<_> =
        parse(&[("x.rs".to_owned(), source.to_owned())]).into_iter().map(|it| (it.function, it.sql)).collect();
    let expected = [("one", "SELECT id FROM sessions WHERE id = $1"), ("two", "DELETE FROM viewers WHERE id = $1")];
    assert_eq!(found, expected.map(|(function, sql)| (function.to_owned(), sql.to_owned())));
}

/// A statement's text, and where it stands.
#[derive(Debug)]
struct Statement {
    file: String,
    function: String,
    sql: String,
}

/// Whether the rows are chosen by organisation: compared with a parameter, or given to a new row. That two tables are joined
/// by it, or that it is among what is returned, chooses nothing.
fn names_the_organisation(sql: &str) -> bool {
    let compared = |rest: &str| {
        let rest = rest.trim_start();
        rest.strip_prefix('=').is_some_and(|right| right.trim_start().starts_with('$'))
    };
    let chosen = sql.match_indices("organisation_id").any(|(at, name)| compared(&sql[at + name.len()..]));
    let own_row = words(sql).zip(words(sql).skip(1)).any(|pair| pair == ("FROM", "organisations"))
        && sql
            .match_indices("o.id")
            .chain(sql.match_indices("WHERE id"))
            .any(|(at, name)| compared(&sql[at + name.len()..]));
    let into = sql
        .strip_prefix("INSERT INTO ")
        .and_then(|rest| rest.split_once('('))
        .and_then(|(_, rest)| rest.split_once(')'));
    chosen || own_row || into.is_some_and(|(columns, _)| columns.contains("organisation_id"))
}

fn words(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(|character: char| !character.is_ascii_alphanumeric() && character != '_').filter(|word| !word.is_empty())
}

fn tenant_tables() -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    for file in files(&root().join("migrations"), "sql") {
        let text = std::fs::read_to_string(file).expect("reads");
        for table in text.split("CREATE TABLE ").skip(1) {
            let (name, body) = table.split_once(" (").expect("a table");
            if body.split("\n);").next().is_some_and(|columns| columns.contains("    organisation_id ")) {
                tables.insert(name.to_owned());
            }
        }
    }
    tables
}

fn statements() -> Vec<Statement> {
    let folder = root().join("src/store");
    let sources = files(&folder, "rs").into_iter().map(|path| {
        let name = path.strip_prefix(&folder).expect("within").display().to_string();
        (name, std::fs::read_to_string(&path).expect("reads"))
    });
    parse(&sources.collect::<Vec<_>>())
}

/// Finds the statements of files. A statement is a literal that begins like one; or what a macro `…_sql!`, of the same file or
/// of another, puts in front of the literal that it is given.
fn parse(sources: &[(String, String)]) -> Vec<Statement> {
    let (mut found, mut heads) = (Vec::new(), BTreeMap::<String, String>::new());
    for (file, source) in sources {
        let (mut function, mut in_macro) = (String::new(), None);
        for token in tokens(source) {
            match token {
                Token::Function(name) => (function, in_macro) = (name, None),
                Token::Macro(name) => in_macro = Some(name),
                Token::Text { text, called } => {
                    match (&in_macro, &called, STATEMENTS.iter().any(|it| text.starts_with(it))) {
                        (Some(name), _, true) => drop(heads.insert(name.clone(), text)),
                        (_, Some(_), _) | (None, None, true) => {
                            found.push((
                                called,
                                Statement { file: file.clone(), function: function.clone(), sql: text },
                            ));
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    for (called, statement) in &mut found {
        if let Some(head) = called.as_ref().and_then(|name| heads.get(name)) {
            statement.sql.insert_str(0, head);
        }
    }
    found.into_iter().map(|(_, statement)| statement).collect()
}

enum Token {
    Function(String),
    Macro(String),
    Text { text: String, called: Option<String> },
}

fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut rest, mut code) = (source, String::new());
    while let Some(character) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
        } else if rest.starts_with("'\"'") {
            rest = &rest[3..];
        } else if character == '"' {
            let (text, after) = literal(&rest[1..]);
            tokens.extend(named(&mut code, text));
            rest = after;
        } else {
            code.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    tokens
}

/// The names in the code before a literal, then the literal.
fn named(code: &mut String, text: String) -> Vec<Token> {
    let mut tokens = Vec::new();
    for line in code.lines() {
        let name = |after: &str| words(after).next().unwrap_or_default().to_owned();
        if let Some((_, after)) = line.split_once("macro_rules! ") {
            tokens.push(Token::Macro(name(after)));
        } else if let Some((before, after)) = line.split_once("fn ")
            && before.split_whitespace().all(|word| {
                word.starts_with("pub") || ["async", "const", "in", "}"].contains(&word) || word.ends_with(')')
            })
        {
            tokens.push(Token::Function(name(after)));
        }
    }
    let called = code
        .trim_end()
        .strip_suffix("!(")
        .and_then(|before| words(before).last())
        .filter(|name| name.ends_with("_sql"));
    let called = called.map(str::to_owned);
    code.clear();
    tokens.push(Token::Text { text, called });
    tokens
}

/// A string literal's text with its escapes and line breaks resolved to single spaces, and the source behind it.
fn literal(source: &str) -> (String, &str) {
    let mut text = String::new();
    let mut characters = source.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
                let end = if text.ends_with(char::is_whitespace) { " " } else { "" };
                return (plain + end, &source[at + 1..]);
            }
            '\\' => {
                let escaped = characters.next().map_or(' ', |(_, escaped)| escaped);
                text.push(if escaped.is_whitespace() { ' ' } else { escaped });
            }
            other => text.push(other),
        }
    }
    (text, "")
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
