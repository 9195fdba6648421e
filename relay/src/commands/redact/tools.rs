//! Flags, assignments and the ways of single programs.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::programs::{NAMES, POSITIONAL, READERS, SHORT_FLAGS, WRAPPERS};
use super::words::{Joint, Simple, Word, split};

type Secrets = Vec<Range<usize>>;

/// Finds secrets by words.
pub(super) fn find(text: &str) -> Secrets {
    let mut secrets = Secrets::new();
    let commands = split(text);
    for (index, command) in commands.iter().enumerate() {
        flags(&command.words, &mut secrets);
        let words = arguments(&command.words);
        let Some(name) = words.first().map(program) else { continue };
        short_flags(name, words, &mut secrets);
        positional(name, words, &mut secrets);
        by_program(name, words, &mut secrets);
        let piped_to = commands.get(index + 1).filter(|next| next.joint == Joint::Pipe);
        if piped_to.is_some_and(reads_secret) && matches!(name, "echo" | "printf") {
            secrets.extend(words[1..].iter().filter(|word| !word.raw.starts_with('-')).map(|word| word.range(0)));
        }
        if reads_secret(command) {
            here_strings(&command.words, &mut secrets);
        }
    }
    secrets
}

/// Flags and assignments whose name says that a secret follows.
fn flags(words: &[Word<'_>], secrets: &mut Secrets) {
    const LONGEST_NAME: usize = 80;
    static FLAG: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(&format!(r"(?i)^(?:--?|/)(?P<name>{NAMES})(?P<value>[=:].*)?$")).ok());
    let Some(flag) = FLAG.as_ref() else { return };
    for (index, word) in words.iter().enumerate() {
        let dashed = word.raw.starts_with('-') || word.raw.starts_with('/');
        let head = &word.raw[..word.raw.floor_char_boundary(LONGEST_NAME)];
        if ["ask", "no-", "show", "prompt", "hide"]
            .iter()
            .any(|switch| head.trim_start_matches('-').starts_with(switch))
        {
            continue;
        }
        let Some(found) = dashed.then(|| flag.captures(head.lines().next().unwrap_or_default())).flatten() else {
            continue;
        };
        if let Some(value) = found.name("value") {
            secrets.push(word.range(value.start() + 1));
        } else if let Some(next) = words.get(index + 1).filter(|next| !is_flag(next)) {
            secrets.push(next.range(0));
        }
    }
}

fn short_flags(name: &str, words: &[Word<'_>], secrets: &mut Secrets) {
    for (_, flags, subcommands) in SHORT_FLAGS.iter().filter(|(programs, _, _)| programs.contains(&name)) {
        let applies = subcommands.is_empty() || words.iter().any(|word| subcommands.contains(&word.bare()));
        if applies {
            flags.iter().for_each(|flag| after_flag(flag, words, secrets));
        }
    }
}

/// The words behind each `flag`, attached or next.
fn after_flag(flag: &str, words: &[Word<'_>], secrets: &mut Secrets) {
    for (index, word) in words.iter().enumerate().skip(1) {
        if word.raw == flag {
            secrets.extend(words.get(index + 1).map(|next| next.range(0)));
        } else if word.raw.starts_with(flag) && !flag.starts_with("--") && !word.raw.starts_with("--") {
            let equals = usize::from(word.raw[flag.len()..].starts_with('='));
            secrets.push(word.range(flag.len() + equals));
        }
    }
}

fn positional(name: &str, words: &[Word<'_>], secrets: &mut Secrets) {
    for (_, before, between) in POSITIONAL.iter().filter(|(program, _, _)| *program == name) {
        let mut rest = words[1..].iter();
        let present = before
            .iter()
            .all(|wanted| rest.any(|word| word.bare() == *wanted || word.bare().ends_with(&format!(":{wanted}"))));
        let mut rest = rest.filter(|word| !is_flag(word));
        if present {
            let key_value = |word: &&Word<'_>| !word.raw.contains('=');
            secrets.extend(rest.nth(*between).filter(key_value).map(|word| word.range(0)));
        }
    }
}

/// Programs with ways of their own.
fn by_program(name: &str, words: &[Word<'_>], secrets: &mut Secrets) {
    let has = |wanted: &str| words.iter().any(|word| word.bare() == wanted);
    match name {
        // A space after -p means that it is asked for.
        name if name.starts_with("mysql") || name.starts_with("mariadb") || name == "mycli" => {
            let attached = words[1..].iter().filter(|word| word.raw.starts_with("-p") && word.raw.len() > 2);
            secrets.extend(attached.map(|word| word.range(2)));
        }
        "curl" | "wget" | "http" | "https" | "xh" | "httpie" | "lftp" | "smbclient" | "winexe" | "rpcclient" => {
            for flag in ["-u", "-U", "-a", "--user", "--proxy-user", "--auth"] {
                after_user(flag, words, secrets);
            }
            if name == "curl" {
                for flag in ["-b", "--cookie", "--oauth2-bearer"] {
                    cookies(flag, words, secrets);
                }
            }
        }
        "set" | "setenv" => {
            let mut plain = words[1..].iter().filter(|word| !is_flag(word));
            if plain.next().is_some_and(|name| names_secret(name.bare())) {
                secrets.extend(plain.map(|word| word.range(0)));
            }
        }
        "htpasswd" if words.iter().any(|word| word.raw.starts_with('-') && word.raw.contains('b')) => {
            let on_stdout = words.iter().any(|word| word.raw.starts_with('-') && word.raw.contains('n'));
            let plain = words[1..].iter().filter(|word| !is_flag(word));
            secrets.extend(plain.skip(if on_stdout { 1 } else { 2 }).map(|word| word.range(0)));
        }
        "openssl" => {
            let prefixed = words.iter().filter(|word| word.bare().starts_with("pass:"));
            secrets.extend(prefixed.map(|word| word.range(word.raw.find("pass:").unwrap_or(0) + 5)));
            if has("passwd") {
                let plain = words[1..].iter().filter(|word| !is_flag(word) && word.bare() != "passwd");
                secrets.extend(plain.map(|word| word.range(0)));
            }
        }
        "sqlplus" | "rman" | "expdp" | "impdp" => {
            let logins = words[1..].iter().filter(|word| !is_flag(word) && word.bare().contains('/'));
            secrets.extend(logins.take(1).map(|word| {
                let end = word.raw.find('@').unwrap_or(word.raw.len());
                let start = word.raw.find('/').map_or(end, |slash| slash + 1).min(end);
                word.start + start..word.start + end
            }));
        }
        "vault" if has("kv") || has("write") => {
            let pairs = words[1..].iter().filter(|word| !is_flag(word));
            secrets.extend(pairs.filter_map(|word| Some(word.range(word.raw.find('=')? + 1))));
        }
        "kubectl" | "oc" | "k" if has("secret") || has("create") => {
            let literals =
                words.iter().filter(|word| word.bare().starts_with("--from-literal=") || word.bare().contains('='));
            let literals = literals.filter(|word| word.bare().starts_with("--from-literal"));
            secrets.extend(literals.filter_map(|word| {
                let name = word.raw.find('=')? + 1;
                Some(word.range(name + word.raw[name..].find('=')? + 1))
            }));
            after_literal(words, secrets);
        }
        _ => {}
    }
}

/// `--from-literal name=value`
fn after_literal(words: &[Word<'_>], secrets: &mut Secrets) {
    for pair in words.windows(2).filter(|pair| pair[0].raw == "--from-literal") {
        secrets.extend(pair[1].raw.find('=').map(|equals| pair[1].range(equals + 1)));
    }
}

/// `user:password` or `user%password` or `user,password`
fn after_user(flag: &str, words: &[Word<'_>], secrets: &mut Secrets) {
    for (index, word) in words.iter().enumerate().skip(1) {
        let (value, skip) = match word.raw.strip_prefix(flag) {
            Some("") => match words.get(index + 1) {
                Some(next) => (next, 0),
                None => continue,
            },
            Some(attached) if attached.starts_with('=') || !flag.starts_with("--") => (word, flag.len()),
            _ => continue,
        };
        secrets.extend(value.raw[skip..].find([':', '%', ',']).map(|colon| value.range(skip + colon + 1)));
    }
}

/// A cookie with a value; without `=` it names a file.
fn cookies(flag: &str, words: &[Word<'_>], secrets: &mut Secrets) {
    for pair in
        words.windows(2).filter(|pair| pair[0].raw == flag && (pair[1].raw.contains('=') || flag.contains("bearer")))
    {
        secrets.push(pair[1].range(0));
    }
}

fn here_strings(words: &[Word<'_>], secrets: &mut Secrets) {
    for (index, word) in words.iter().enumerate() {
        if word.raw == "<<<" {
            secrets.extend(words.get(index + 1).map(|next| next.range(0)));
        } else if word.raw.starts_with("<<<") {
            secrets.push(word.range(3));
        }
    }
}

fn reads_secret(command: &Simple<'_>) -> bool {
    let has = |flag: &str| flag.is_empty() || command.words.iter().any(|word| word.bare() == flag);
    let is = |name: &str| command.words.iter().take(3).any(|word| program(word) == name);
    READERS.iter().any(|(name, flag)| is(name) && has(flag))
}

/// The words from the program on that matters: without assignments and wrappers before it, and their flags.
fn arguments<'w, 'a>(words: &'w [Word<'a>]) -> &'w [Word<'a>] {
    let skipped = |word: &Word<'_>| {
        let raw = word.raw;
        WRAPPERS.contains(&program(word))
            || raw.starts_with('-')
            || (raw.contains('=') && !raw.starts_with(['"', '\'']))
    };
    let first = words.iter().position(|word| !skipped(word)).unwrap_or(words.len());
    // Behind `kubectl exec pod -- program` the program is what takes the arguments.
    let inner = words.iter().position(|word| word.raw == "--").filter(|at| at + 1 < words.len() && *at > first);
    inner.map_or(&words[first..], |at| &words[at + 1..])
}

fn program<'a>(word: &Word<'a>) -> &'a str {
    word.bare().rsplit('/').next().unwrap_or_default()
}

fn names_secret(name: &str) -> bool {
    static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!(r"(?i)^{NAMES}$")).ok());
    NAME.as_ref().is_some_and(|regex| regex.is_match(name))
}

fn is_flag(word: &Word<'_>) -> bool {
    word.raw.starts_with('-') && word.raw.len() > 1
}
