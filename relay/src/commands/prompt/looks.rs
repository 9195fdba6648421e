//! How prompts look.

use std::sync::LazyLock;

use regex::Regex;

/// Whether few other texts have this shape.
pub(super) fn is_telling(shape: &str) -> bool {
    const AT_LEAST: usize = 4;
    shape.chars().count() >= AT_LEAST
        && shape.ends_with(|last| last != 'w')
        && shape.contains(|sign| sign != 'w' && sign != ' ')
}

/// The prompt with each run of letters, digits and path characters as one `w`.
pub(super) fn shape(prompt: &str) -> String {
    let mut shape = String::new();
    for character in prompt.chars() {
        grow_shape(&mut shape, character);
    }
    shape
}

fn grow_shape(shape: &mut String, character: char) {
    let word = character.is_alphanumeric() || "/~._-+:".contains(character);
    if !word {
        shape.push(character);
    } else if !shape.ends_with('w') {
        shape.push('w');
    }
}

/// The beginning of a line that has this shape.
pub(super) fn with_shape<'a>(line: &'a str, wanted: &str) -> Option<&'a str> {
    let mut shape = String::new();
    for (index, character) in line.char_indices() {
        grow_shape(&mut shape, character);
        if shape == wanted {
            return Some(&line[..index + character.len_utf8()]);
        }
        if !wanted.starts_with(&shape) {
            return None;
        }
    }
    None
}

/// Whether it ends as the prompts of shells do.
pub(super) fn ends_like_shell(trimmed: &str) -> bool {
    trimmed.ends_with(['$', '#', '%', '❯', '➜', 'λ', '»', '›', '⟩', '▶', '⇒', '→'])
}

/// Whether it asks for something that is not to be read.
pub(super) fn asks_for_secret(trimmed: &str) -> bool {
    static ASKS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)(pass ?word|pass ?phrase|pass ?code|passwort|\bpin\b|\botp\b|secret|verification code|api[ _-]?key|token)[^:：]*[:：]$").ok()
    });
    ASKS.as_ref().is_none_or(|asks| asks.is_match(trimmed))
}

/// Whether shells ask so for more of a command.
pub(super) fn is_continuation(trimmed: &str) -> bool {
    static WORDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let words = "for|while|until|if|then|else|elif|elif-then|case|select|function|quote|dquote|bquote|heredoc|heredocd|cmdsubst|\
                     mathsubst|braceparam|subsh|cursh|brace|cmdand|cmdor|pipe|errpipe|array|always|repeat|foreach|nocorrect|cond|math";
        Regex::new(&format!("^(?:(?:{words})(?: (?:{words}))*)?>$")).ok()
    });
    WORDS.as_ref().is_some_and(|words| words.is_match(trimmed))
}

/// Prompts of interpreters and database shells, whose lines are no shell commands.
pub(super) fn is_interpreter(trimmed: &str) -> bool {
    static PROMPTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let names = "sqlite|mysql|mariadb|mongo|mongosh|rs\\d*|test|ftp|lftp|sftp|tftp|telnet|redis|cqlsh|irb|pry|ghci|Prelude|\
                     scala|julia|php|iex|erl|node|deno|lua|R|octave|gnuplot|bc|gdb|lldb|pdb|ipdb|jshell|groovy|ksql|spark-sql|\
                     influx|etcdctl|zk|nslookup|parted|fdisk|gdisk|virsh|rabbitmq|presto|trino|duckdb|D|hive|impala|sql|SQL|SQLPLUS";
        Regex::new(&format!(
            r"(?x)^(?:>>>|\.\.\.|\s*\.\.\.>|In\ \[\d+\]:|\s*\.\.\.:|\s*->|(?:{names})(?:[\s(\[@:/].*)?>+|\((?:gdb|lldb|Pdb|ipdb|parted)[^)]*\)|
                  redis\s.*>|[\w.:/@-]*[=('\x22*!^-][\#>]|[\d.:]+:\d+(?:\[\d+\])?>|irb\(.*|MariaDB\s\[.*|mysql.*>|.*\(yes/no.*\)\??|.*\[[yYnN]/[yYnN]\].*)$"
        ))
        .ok()
    });
    PROMPTS.as_ref().is_none_or(|prompts| prompts.is_match(trimmed))
}
